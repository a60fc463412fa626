// SPDX-License-Identifier: MIT
/*
 * The crawler, and its version on threads, against nginx: what nginx's log says is what counts. And against servers that
 * break the rules.
 */
#include "crawler_run.h"
#include "kselftest_harness.h"

static bool plain(void)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");

	return !variant || !strcmp(variant, "plain");
}

/* What settings of the runtime cannot change is run without them, and in the builds of the sanitizers. */
static bool new_here(const char *program)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");

	return plain() || !strcmp(program, CRAWLER_BIN "crawler") || !strcmp(variant, "asan") || !strcmp(variant, "tsan");
}

FIXTURE(site) { struct run_site s; };
FIXTURE_VARIANT(site) { char *program; };
FIXTURE_VARIANT_ADD(site, tasks) { .program = CRAWLER_BIN "crawler" };
FIXTURE_VARIANT_ADD(site, threads) { .program = CRAWLER_BIN "crawler-threads" };
FIXTURE_SETUP(site)
{
	if (!run_have_nginx())
		SKIP_SETUP("nginx is not there: apt-get install nginx-light");
	if (!new_here(variant->program))
		SKIP_SETUP("threads know no settings of the runtime");
}
FIXTURE_TEARDOWN(site)
{
	run_site_stop(&self->s);
}

static int start(struct run_site *s, long pages, unsigned int slow)
{
	return run_site_start(s, CRAWLER_BIN "crawler-site", (unsigned int)pages, slow);
}

/* Requests in the log that were not expected, and the other way round. */
static int differences(const struct run_site *s)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "cd %s && cut -d' ' -f1-3 access.log | LC_ALL=C sort >got && LC_ALL=C sort expected | "
		 "LC_ALL=C diff - got | grep '^[<>]' >diff; head -5 diff; exit $(($(wc -l <diff) > 0))", s->dir);
	return WEXITSTATUS(system(command));
}

/* From robots.txt to the last page of the host that asks for pauses of 0.3 s, in ms by nginx's clock. */
static long patience(const struct run_site *s)
{
	char command[512], line[64] = "";
	FILE *f;

	snprintf(command, sizeof(command),
		 "awk '$1 == \"patient.crawl.test\" { if (!a) a = $4; b = $4 } END { printf \"%%d\", (b - a) * 1000 + 0.5 }' "
		 "%s/access.log", s->dir);
	f = popen(command, "r");
	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = 0;
		pclose(f);
	}
	return atol(line);
}

TEST_F_TIMEOUT(site, every_page_that_may_be_is_fetched_once_and_nothing_else, 200)
{
	char *argv[] = { variant->program, "--domain=crawl.test", self->s.resolve, self->s.seed, NULL };
	long pages = plain() ? 10000 : 600;

	ASSERT_EQ(0, start(&self->s, pages, 0));
	ASSERT_EQ(0, run_crawler(argv, 0));
	EXPECT_EQ(0, differences(&self->s)) TH_LOG("%s", run_report);
	EXPECT_EQ(pages + 7, run_said("pages"));
	EXPECT_EQ(pages / 50 + 2 + 11, run_said("redirects"));
	EXPECT_EQ(pages / 100, run_said("missing"));
	EXPECT_EQ(2 * pages, run_said("disallowed"));
	EXPECT_EQ(1, run_said("redirect_limit"));
	EXPECT_EQ(9, run_said("hosts"));
	EXPECT_EQ(pages, run_said("other_schemes"));
	EXPECT_EQ(0, run_said("left"));
	EXPECT_EQ(0, run_said("server_errors"));
	EXPECT_LE(1798, patience(&self->s)); /* six pauses; that clock has steps of milliseconds */
}

TEST_F_TIMEOUT(site, limits_of_depth_and_pages_and_hosts_are_kept, 200)
{
	char *stay[] = { variant->program, self->s.resolve, self->s.seed, NULL };
	char *deep[] = { variant->program, "--domain=crawl.test", "--depth=1", self->s.resolve, self->s.seed, NULL };
	char *few[] = { variant->program, "--domain=crawl.test", "--pages=50", self->s.resolve, self->s.seed, NULL };

	ASSERT_EQ(0, start(&self->s, 200, 0));
	ASSERT_EQ(0, run_crawler(stay, 0));
	EXPECT_EQ(1, run_said("hosts"));
	EXPECT_LT(0, run_said("other_hosts"));
	ASSERT_EQ(0, run_crawler(deep, 0));
	EXPECT_LT(0, run_said("too_deep"));
	EXPECT_GT(30, run_said("requests"));
	ASSERT_EQ(0, run_crawler(few, 0));
	EXPECT_LT(0, run_said("dropped"));
	EXPECT_EQ(50, run_said("requests") + run_said("disallowed"));
}

TEST_F_TIMEOUT(site, hundreds_wait_for_slow_servers_at_the_same_time_and_a_signal_ends_that, 200)
{
	char seed[96];
	char *argv[] = { variant->program, "--domain=crawl.test", "--tasks=400", self->s.resolve, seed, NULL };
	struct timespec from, to;

	ASSERT_EQ(0, start(&self->s, 10, 300));
	snprintf(seed, sizeof(seed), "http://h0.crawl.test:%d/slow.html", self->s.port);
	ASSERT_EQ(0, run_crawler(argv, 0));
	EXPECT_EQ(301, run_said("pages"));
	EXPECT_LE(300, run_said("tasks"));
	EXPECT_GT(90, run_said("seconds")); /* one after another they would take 3000 */
	clock_gettime(CLOCK_MONOTONIC, &from);
	EXPECT_EQ(130, run_crawler(argv, 2000));
	clock_gettime(CLOCK_MONOTONIC, &to);
	EXPECT_GT(plain() ? 8 : 60, to.tv_sec - from.tv_sec);
	EXPECT_GT(301, run_said("pages"));
}

/* What a server of no manners answers, by path; "" closes at once. */
static const struct {
	const char *path, *answer;
	bool hang;
} manners[] = {
	{ "/robots.txt", "HTTP/1.1 302 x\r\nLocation: /rules\r\nContent-Length: 0\r\n\r\n", false },
	{ "/rules", "HTTP/1.1 200 x\r\nContent-Length: 28\r\n\r\nUser-agent: *\nDisallow: /no\n", false },
	{ "/", "HTTP/1.1 200 x\r\nContent-Type: text/html\r\n\r\n<a href=no><a href=a><a href=x1><a href=b><a href=x2><a href=c>"
	       "<a href=x3><a href=d><a href=x4><a href=e><a href=x5><a href=f><a href=x6><a href=g><a href='http://[::1'>"
	       "<a href=x7><a href=h><a href=x8><a href=i>", false },
	{ "/a", "SSH-2.0-OpenSSH_9.2\r\n", false },
	{ "/b", "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false },
	{ "/c", "HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nshort", false },
	{ "/d", "HTTP/1.1 200 x\r\nContent-Length: 100000000\r\n\r\n", false },
	{ "/e", "HTTP/1.1 200 x\r\n", true },
	{ "/f", "", false },
	{ "/g", "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", false },
	{ "/h", "HTTP/1.1 301 x\r\nLocation: http://\r\nContent-Length: 0\r\n\r\n", false },
	{ "/i", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 x\r\nConnection: close\r\n\r\nto the end", false },
	/* all else: kept, it says, and closes */
	{ NULL, "HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok", false },
};

static void rude(int fd)
{
	char request[4096], path[64] = "";
	size_t len = 0, i = 0;
	ssize_t n;

	while (len < sizeof(request) - 1 && (n = read(fd, request + len, sizeof(request) - 1 - len)) > 0) {
		len += (size_t)n;
		request[len] = 0;
		if (strstr(request, "\r\n\r\n"))
			break;
	}
	if (sscanf(request, "GET %63s HTTP/1.1\r\nHost: ", path) != 1)
		_exit(0);
	while (manners[i].path && strcmp(manners[i].path, path))
		i++;
	if (write(fd, manners[i].answer, strlen(manners[i].answer)) < 0)
		_exit(0);
	if (manners[i].hang)
		sleep(30);
	_exit(0);
}

static pid_t rude_start(int *port)
{
	int listener = run_listen(port), fd;
	pid_t pid = fork();

	if (pid) {
		close(listener);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (!fork())
			rude(fd);
		close(fd);
	}
	_exit(0);
}

FIXTURE(rude) { pid_t server; int port; };
FIXTURE_VARIANT(rude) { char *program; };
FIXTURE_VARIANT_ADD(rude, tasks) { .program = CRAWLER_BIN "crawler" };
FIXTURE_VARIANT_ADD(rude, threads) { .program = CRAWLER_BIN "crawler-threads" };
FIXTURE_SETUP(rude)
{
	if (!new_here(variant->program))
		SKIP_SETUP("threads know no settings of the runtime");
	self->server = rude_start(&self->port);
	ASSERT_LT(0, self->port);
}
FIXTURE_TEARDOWN(rude)
{
	kill(self->server, SIGKILL);
	waitpid(self->server, NULL, 0);
}

TEST_F_TIMEOUT(rude, what_breaks_the_rules_is_counted, 100)
{
	char seed[64]; /* a name that the system's resolver knows */
	char *argv[] = { variant->program, "--per-host=1", "--timeout=4", seed, NULL };

	snprintf(seed, sizeof(seed), "http://localhost:%d", self->port);
	ASSERT_EQ(0, run_crawler(argv, 0));
	EXPECT_EQ(10, run_said("pages")) TH_LOG("%s", run_report);
	EXPECT_EQ(1, run_said("disallowed"));
	EXPECT_EQ(2, run_said("protocol_errors"));
	EXPECT_EQ(2, run_said("cut_short"));
	EXPECT_EQ(1, run_said("too_big"));
	EXPECT_EQ(1, run_said("timeouts"));
	EXPECT_EQ(1, run_said("server_errors"));
	EXPECT_EQ(1, run_said("redirects"));
	EXPECT_EQ(2, run_said("bad_links"));
	EXPECT_EQ(0, run_said("hosts_given_up"));
	EXPECT_EQ(0, run_said("left"));
}

TEST_F_TIMEOUT(rude, a_host_that_cannot_be_reached_is_left_alone, 100)
{
	char seed[64], resolve[64];
	char *argv[] = { variant->program, resolve, seed, NULL };
	int port, fd = run_listen(&port);

	close(fd);
	snprintf(seed, sizeof(seed), "http://nobody.test:%d/x", port);
	snprintf(resolve, sizeof(resolve), "--resolve=nobody.test:%d:127.0.0.1", port);
	ASSERT_EQ(1, run_crawler(argv, 0)); /* nothing was fetched */
	EXPECT_EQ(1, run_said("hosts_unreachable")) TH_LOG("%s", run_report);
	EXPECT_EQ(0, run_said("requests"));
	EXPECT_EQ(1, run_said("left"));
}

TEST_F(rude, bad_options_are_explained)
{
	char *none[] = { variant->program, NULL }, *ftp[] = { variant->program, "ftp://x/", NULL };
	char *what[] = { variant->program, "--tasks=many", "http://x/", NULL };
	char *where[] = { variant->program, "--resolve=x:y", "http://x/", NULL };

	EXPECT_EQ(2, run_crawler(none, 0));
	EXPECT_EQ(2, run_crawler(ftp, 0));
	EXPECT_EQ(2, run_crawler(what, 0));
	EXPECT_EQ(2, run_crawler(where, 0));
}

TEST_HARNESS_MAIN
