// SPDX-License-Identifier: MIT
/* libpq, as Debian has it, in blocking style against a real PostgreSQL with a new data directory. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "preload_test.h"

#define CLIENTS 60

static char bin[256], dir[] = "/tmp/gstk-preload-pg-XXXXXX", conninfo[200];
static pid_t server;
static int port;

/* The server refuses root: as the user that its package made, when we are root. */
static pid_t run(char *const argv[])
{
	struct passwd *pw = geteuid() ? NULL : getpwnam("postgres");
	char file[400];
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	unsetenv("LD_PRELOAD");
	dup2(open("/dev/null", O_RDWR), 1);
	dup2(1, 2);
	if (pw && (setgid(pw->pw_gid) || setuid(pw->pw_uid)))
		_exit(127);
	if (chdir(dir))
		_exit(127);
	snprintf(file, sizeof(file), "%s/%s", bin, argv[0]);
	execv(file, argv);
	_exit(127);
}

/* Why it cannot be, or NULL. */
static const char *server_start(void)
{
	char number[16], data[100];
	char *init[] = { "initdb", "-A", "trust", "-U", "me", "--no-sync", "-D", data, NULL };
	char *serve[] = { "postgres", "-D", data, "-p", number, "-h", "127.0.0.1", "-k", "", "-F",
			  "-c", "max_connections=100", NULL };
	struct passwd *pw = getpwnam("postgres");
	glob_t g;
	int status;

	if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &g))
		return "no PostgreSQL server is installed";
	snprintf(bin, sizeof(bin), "%s", g.gl_pathv[g.gl_pathc - 1]);
	*strrchr(bin, '/') = 0;
	globfree(&g);
	CHECK(mkdtemp(dir));
	if (!geteuid() && (!pw || chown(dir, pw->pw_uid, pw->pw_gid)))
		return "no user who may run PostgreSQL";
	snprintf(data, sizeof(data), "%s/data", dir);
	waitpid(run(init), &status, 0);
	if (status)
		return "initdb fails";
	port = free_port();
	snprintf(number, sizeof(number), "%d", port);
	server = run(serve);
	snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%d user=me dbname=postgres sslmode=disable", port);
	for (int i = 0; i < 1000; i++) {
		if (PQping(conninfo) == PQPING_OK)
			return NULL;
		if (waitpid(server, NULL, WNOHANG) == server)
			return "PostgreSQL does not start";
		usleep(30000);
	}
	return "PostgreSQL does not answer";
}

static PGresult *ask(PGconn *c, const char *text, ExecStatusType want)
{
	PGresult *r = PQexec(c, text);

	if (PQresultStatus(r) != want)
		fprintf(stderr, "# %s: %s", text, PQerrorMessage(c));
	CHECK_EQ(PQresultStatus(r), want);
	return r;
}

static void *query(void *arg)
{
	PGconn *c = PQconnectdb(conninfo);
	char text[100];
	PGresult *r;

	CHECK_EQ(PQstatus(c), CONNECTION_OK);
	snprintf(text, sizeof(text), "SELECT pg_sleep(1), %ld * 2", (long)arg);
	r = ask(c, text, PGRES_TUPLES_OK);
	CHECK_EQ(atol(PQgetvalue(r, 0, 1)), 2 * (long)arg);
	PQclear(r);
	/* More than a socket holds. */
	r = ask(c, "SELECT repeat('x', 1000) FROM generate_series(1, 1000)", PGRES_TUPLES_OK);
	CHECK_EQ(PQntuples(r), 1000);
	PQclear(r);
	PQfinish(c);
	return NULL;
}

static void body(void)
{
	uint64_t from = gstk_now();

	/* One after another 60 s, on two workers 30. */
	all_of(CLIENTS, query);
	fprintf(stderr, "# %d queries of a second: %llu ms\n", CLIENTS, (unsigned long long)((gstk_now() - from) / MS));
	CHECK(gstk_now() - from >= 1000 * MS && gstk_now() - from < 20000 * MS);
}

FIXTURE(pq) {
};

FIXTURE_SETUP(pq)
{
}

FIXTURE_TEARDOWN(pq)
{
	char cmd[100];

	if (server > 0) {
		kill(server, SIGINT);
		waitpid(server, NULL, 0);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (!strstr(dir, "XXXXXX"))
		ASSERT_EQ(0, system(cmd));
}

TEST_F_TIMEOUT(pq, queries_that_block_take_the_time_of_the_slowest, 200)
{
	const char *why = server_start();

	if (why)
		SKIP(return, "%s", why);
	with_workers(2, body);
}

TEST_HARNESS_MAIN
