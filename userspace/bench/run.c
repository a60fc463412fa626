// SPDX-License-Identifier: MIT
/* One round in a process of its own: affinity, time limit, "name value unit" lines back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum { EXIT_SKIP = 4 };

/* The last @nr allowed CPUs: the first one serves most interrupts. */
static void pin(unsigned int nr)
{
	cpu_set_t all, some;

	if (!nr || sched_getaffinity(0, sizeof(all), &all))
		return;
	CPU_ZERO(&some);
	for (int i = CPU_SETSIZE - 1; i >= 0 && nr; i--) {
		if (!CPU_ISSET(i, &all))
			continue;
		CPU_SET(i, &some);
		nr--;
	}
	sched_setaffinity(0, sizeof(some), &some);
}

/*
 * Start argv in a process group of its own with its stdout in a pipe. The group lets a time limit
 * end servers and load generators that the round started.
 */
static pid_t start(char *const argv[], unsigned int cpus, int *out)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		pin(cpus);
		dup2(p[1], STDOUT_FILENO);
		execv(argv[0], argv);
		fprintf(stderr, "gstk-bench: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(p[1]);
	if (pid < 0) {
		close(p[0]);
		return -1;
	}
	setpgid(pid, pid);
	*out = p[0];
	return pid;
}

/* All of the child's output, or NULL when it took longer than @limit_s and was ended. */
static char *collect(pid_t pid, int fd, unsigned int limit_s, int *status)
{
	uint64_t end = bench_now() + limit_s * 1000000000ull;
	size_t len = 0, cap = 4096;
	char *buf = malloc(cap);
	bool late = false;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = bench_now();
		ssize_t n;

		if (now >= end || !poll(&p, 1, (int)((end - now) / 1000000u + 1))) {
			late = bench_now() >= end;
			if (late)
				break;
			continue;
		}
		if (len + 1024 > cap)
			buf = realloc(buf, cap *= 2);
		n = read(fd, buf + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	buf[len] = 0;
	if (late)
		kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	kill(-pid, SIGKILL); /* what it left behind; usually nobody */
	if (!late)
		return buf;
	bench_note("over its time limit of %u s", limit_s);
	free(buf);
	return NULL;
}

enum run_status run_once(const struct bench *b, const struct contender *c)
{
	char scale[32], wait_scale[32], line_name[128], unit[32], *buf, *save = NULL;
	char self[] = "/proc/self/exe";
	bool server = b->flags & BENCH_SERVER, got = false;
	const char *prog = server || !*c->name ? self : c->path;
	char *argv[12] = { (char *)prog, (char *)"--scale", scale, (char *)"--wait-scale", wait_scale };
	int n = 5, fd, status;
	pid_t pid;

	snprintf(scale, sizeof(scale), "%g", opt.scale);
	snprintf(wait_scale, sizeof(wait_scale), "%g", opt.wait_scale);
	if (server && *c->name) {
		argv[n++] = (char *)"--server";
		argv[n++] = (char *)c->path;
	}
	if (opt.cpu_clock)
		argv[n++] = (char *)"--cpu-clock";
	argv[n++] = (char *)"--one";
	argv[n++] = (char *)b->name;
	pid = start(argv, b->cpus, &fd);
	if (pid < 0)
		return RUN_FAILED;
	buf = collect(pid, fd, b->limit_s ? b->limit_s : 60, &status);
	if (!buf)
		return RUN_FAILED;
	if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != EXIT_SKIP)) {
		if (WIFSIGNALED(status))
			bench_note("ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
		free(buf);
		return RUN_FAILED;
	}
	for (char *l = strtok_r(buf, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		double v;

		if (sscanf(l, "%127s %lf %31s", line_name, &v, unit) == 3) {
			report_add(b, c, line_name, v, unit);
			got = true;
		}
	}
	free(buf);
	if (WEXITSTATUS(status) == EXIT_SKIP)
		return RUN_SKIPPED;
	return got ? RUN_OK : RUN_FAILED;
}

static char *ask_list(const char *path)
{
	char *argv[] = { (char *)path, (char *)"--list", NULL }, *buf, *list;
	int fd, status;
	pid_t pid = start(argv, 0, &fd);

	if (pid < 0)
		return NULL;
	buf = collect(pid, fd, 10, &status);
	if (!buf || status) {
		free(buf);
		return NULL;
	}
	if (asprintf(&list, "\n%s\n", buf) < 0)
		list = NULL;
	free(buf);
	return list;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

struct contender *contenders_find(const char *dir)
{
	struct contender *self = calloc(1, sizeof(*self)), **end = &self->next;
	struct dirent **names;
	int nr;

	self->name = "";
	self->path = "/proc/self/exe";
	if (!dir)
		return self;
	nr = scandir(dir, &names, NULL, by_name);
	if (nr < 0)
		bench_note("no peers in %s: %s", dir, strerror(errno));
	for (int i = 0; i < nr; i++) {
		struct contender *c = calloc(1, sizeof(*c));
		struct stat st;
		char *path;

		if (asprintf(&path, "%s/%s", dir, names[i]->d_name) < 0 || stat(path, &st) ||
		    !S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
			continue;
		c->name = strdup(names[i]->d_name);
		c->path = path;
		c->list = ask_list(path);
		if (!c->list) {
			bench_note("peer %s does not list what it can do: left out", path);
			continue;
		}
		*end = c;
		end = &c->next;
	}
	return self;
}

bool contender_can(const struct contender *c, const struct bench *b)
{
	char want[160];

	if (!*c->name)
		return true;
	if (b->flags & BENCH_SERVER)
		snprintf(want, sizeof(want), "\nserve.%s\n", b->serve ? b->serve : "echo");
	else
		snprintf(want, sizeof(want), "\n%s\n", b->name);
	return strstr(c->list, want);
}
