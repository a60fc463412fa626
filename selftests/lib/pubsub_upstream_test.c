// SPDX-License-Identifier: MIT
/* Two example servers that share the messages of one redis-server, which dies and comes back. */
#include "pubsub_wire.h"
#include "kselftest_harness.h"

struct redis {
	pid_t pid;
	int port;
	bool there;
};

static int free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) || getsockname(fd, (struct sockaddr *)&in, &len))
		in.sin_port = 0;
	close(fd);
	return ntohs(in.sin_port);
}

/* On the port that it has, so that it comes back where it was. False: not installed, or does not answer. */
static bool redis_start(struct redis *r)
{
	char port[16];

	snprintf(port, sizeof(port), "%d", r->port);
	r->pid = fork();
	if (!r->pid) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 1);
		execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly",
		       "no", "--daemonize", "no", "--dir", "/tmp", NULL);
		_exit(127);
	}
	for (int i = 0; i < WIRE_TIMEOUT * 50; i++) {
		struct wire_server s = { .port = r->port };
		int fd = wire_connect(&s), status;
		bool up = fd >= 0 && wire_ask(fd, 1, "PING") && !strcmp(wire_line(fd), "+PONG");

		if (fd >= 0)
			close(fd);
		if (up)
			return r->there = true;
		if (waitpid(r->pid, &status, WNOHANG) == r->pid)
			return false;
		usleep(20000);
	}
	return false;
}

static void redis_kill(struct redis *r)
{
	if (r->there) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	r->there = false;
}

/* INFO says so. */
static bool wait_state(const struct wire_server *s, const char *state)
{
	char want[64], text[4096];

	snprintf(want, sizeof(want), "upstream_state:%s\r\n", state);
	for (int i = 0; i < WIRE_TIMEOUT * 50; i++) {
		int fd = wire_connect(s);
		size_t len = 0;

		if (fd >= 0 && wire_ask(fd, 2, "INFO", "upstream"))
			len = strtoul(wire_line(fd) + 1, NULL, 10);
		if (len >= sizeof(text) || !len || !wire_read(fd, text, len))
			len = 0;
		text[len] = 0;
		close(fd);
		if (strstr(text, want))
			return true;
		usleep(20000);
	}
	return false;
}

FIXTURE(upstream) {
	struct redis redis;
	struct wire_server a, b;
};
FIXTURE_SETUP(upstream)
{
	static char option[64];
	char *more[] = { option, NULL };

	signal(SIGPIPE, SIG_IGN);
	self->redis.port = free_port();
	if (!redis_start(&self->redis))
		SKIP_SETUP("redis-server is not installed");
	snprintf(option, sizeof(option), "--upstream=127.0.0.1:%d", self->redis.port);
	ASSERT_EQ(0, wire_start(&self->a, 0, more));
	ASSERT_EQ(0, wire_start(&self->b, 0, more));
	ASSERT_TRUE(wait_state(&self->a, "up"));
	ASSERT_TRUE(wait_state(&self->b, "up"));
}
FIXTURE_TEARDOWN(upstream)
{
	if (self->a.pid)
		EXPECT_EQ(0, wire_stop(&self->a));
	if (self->b.pid)
		EXPECT_EQ(0, wire_stop(&self->b));
	redis_kill(&self->redis);
}

static int subscribe(const struct wire_server *s, const char *verb, const char *name)
{
	int fd = wire_connect(s);

	if (fd < 0 || !wire_ask(fd, 2, verb, name) || strcmp(wire_line(fd), "*3"))
		return -1;
	for (int i = 0; i < 5; i++)
		wire_line(fd);
	return fd;
}

/* How many subscribers of @channel (or patterns, NULL) the upstream knows: once a server at most. */
static bool redis_has(const struct redis *r, const char *channel, int want)
{
	struct wire_server s = { .port = r->port };

	for (int i = 0; i < WIRE_TIMEOUT * 50; i++) {
		int fd = wire_connect(&s), got = -1;

		if (fd >= 0 && channel && wire_ask(fd, 3, "PUBSUB", "NUMSUB", channel)) {
			for (int k = 0; k < 3; k++)
				wire_line(fd);
			got = atoi(wire_line(fd) + 1);
		} else if (fd >= 0 && wire_ask(fd, 2, "PUBSUB", "NUMPAT")) {
			got = atoi(wire_line(fd) + 1);
		}
		close(fd);
		if (got == want)
			return true;
		usleep(20000);
	}
	return false;
}

static int publish(int fd, const char *channel, const char *text)
{
	return wire_ask(fd, 3, "PUBLISH", channel, text) && *wire_line(fd) == ':' ? atoi(wire_got + 1) : -1;
}

#define MESSAGE(channel, text) "*3\r\n$7\r\nmessage\r\n$" channel "\r\n$" text "\r\n"

TEST_F(upstream, messages_reach_the_subscribers_of_every_server_once)
{
	int a1 = subscribe(&self->a, "SUBSCRIBE", "news"), a2 = subscribe(&self->a, "SUBSCRIBE", "news");
	int b1 = subscribe(&self->b, "SUBSCRIBE", "news"), p = subscribe(&self->b, "PSUBSCRIBE", "n?ws");
	int pa = wire_connect(&self->a), pb = wire_connect(&self->b);
	struct wire_server up = { .port = self->redis.port };
	int pu = wire_connect(&up);

	/* Once for each server, however many subscribers it has. */
	ASSERT_TRUE(redis_has(&self->redis, "news", 2));
	ASSERT_TRUE(redis_has(&self->redis, NULL, 1));
	/* The answer is the number of subscribers at the publisher's own server. */
	EXPECT_EQ(2, publish(pa, "news", "one"));
	ASSERT_TRUE(wire_expect(a1, MESSAGE("4\r\nnews", "3\r\none")));
	EXPECT_EQ(2, publish(pb, "news", "two"));
	ASSERT_TRUE(wire_expect(a1, MESSAGE("4\r\nnews", "3\r\ntwo")));
	EXPECT_EQ(3, publish(pu, "news", "3rd")); /* two servers, one of them by its pattern, too */
	EXPECT_EQ(0, publish(pa, "nobody", "x"));
	ASSERT_TRUE(wire_expect(a1, MESSAGE("4\r\nnews", "3\r\n3rd"))) TH_LOG("%s", wire_got);
	EXPECT_TRUE(wire_expect(a2, MESSAGE("4\r\nnews", "3\r\none") MESSAGE("4\r\nnews", "3\r\ntwo")
				    MESSAGE("4\r\nnews", "3\r\n3rd"))) TH_LOG("%s", wire_got);
	EXPECT_TRUE(wire_expect(b1, MESSAGE("4\r\nnews", "3\r\none") MESSAGE("4\r\nnews", "3\r\ntwo")
				    MESSAGE("4\r\nnews", "3\r\n3rd"))) TH_LOG("%s", wire_got);
	EXPECT_TRUE(wire_expect(p, "*4\r\n$8\r\npmessage\r\n$4\r\nn?ws\r\n$4\r\nnews\r\n$3\r\none\r\n"
				   "*4\r\n$8\r\npmessage\r\n$4\r\nn?ws\r\n$4\r\nnews\r\n$3\r\ntwo\r\n"))
		TH_LOG("%s", wire_got);
	/* The last one that leaves takes the subscription with him. */
	close(a1);
	ASSERT_TRUE(wire_ask(a2, 2, "UNSUBSCRIBE", "news"));
	EXPECT_TRUE(redis_has(&self->redis, "news", 1));
	close(a2);
	close(b1);
	close(p);
	EXPECT_TRUE(redis_has(&self->redis, "news", 0));
	EXPECT_TRUE(redis_has(&self->redis, NULL, 0));
	close(pa);
	close(pb);
	close(pu);
}

TEST_F(upstream, big_messages_and_many_of_them_come_whole_and_in_order)
{
	enum { SMALL = 3000, BIG = 3 << 20 };
	int sub = subscribe(&self->b, "SUBSCRIBE", "ch"), pub = wire_connect(&self->a);
	char *text = malloc(BIG + 1), *got = malloc(BIG), want[128];

	ASSERT_TRUE(redis_has(&self->redis, "ch", 1));
	for (int i = 0; i < BIG; i++)
		text[i] = (char)('a' + i % 23);
	snprintf(want, sizeof(want), "*3\r\n$7\r\nPUBLISH\r\n$2\r\nch\r\n$%d\r\n", BIG);
	ASSERT_TRUE(wire_send(pub, want));
	ASSERT_TRUE(wire_send_bytes(pub, text, BIG));
	ASSERT_TRUE(wire_send(pub, "\r\n"));
	for (int i = 0; i < SMALL; i++) {
		snprintf(want, sizeof(want), "%d", i);
		ASSERT_TRUE(wire_ask(pub, 3, "PUBLISH", "ch", want));
	}
	snprintf(want, sizeof(want), "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$%d\r\n", BIG);
	ASSERT_TRUE(wire_expect(sub, want)) TH_LOG("%s", wire_got);
	ASSERT_TRUE(wire_read(sub, got, BIG));
	EXPECT_EQ(0, memcmp(got, text, BIG));
	ASSERT_TRUE(wire_expect(sub, "\r\n"));
	for (int i = 0; i < SMALL; i++) {
		snprintf(want, sizeof(want), "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$%d\r\n%d\r\n",
			 snprintf(NULL, 0, "%d", i), i);
		ASSERT_TRUE(wire_expect(sub, want)) TH_LOG("%d: %s", i, wire_got);
	}
	for (int i = 0; i <= SMALL; i++)
		ASSERT_STREQ(":0", wire_line(pub));
	close(sub);
	close(pub);
	free(text);
	free(got);
}

TEST_F(upstream, while_it_is_away_each_server_goes_on_alone)
{
	int sa = subscribe(&self->a, "SUBSCRIBE", "x"), sb = subscribe(&self->b, "SUBSCRIBE", "x"), late, pattern;
	int pa = wire_connect(&self->a);

	ASSERT_TRUE(redis_has(&self->redis, "x", 2));
	EXPECT_EQ(1, publish(pa, "x", "1"));
	ASSERT_TRUE(wire_expect(sa, MESSAGE("1\r\nx", "1\r\n1")));
	ASSERT_TRUE(wire_expect(sb, MESSAGE("1\r\nx", "1\r\n1")));
	for (int round = 0; round < 2; round++) {
		redis_kill(&self->redis);
		ASSERT_TRUE(wait_state(&self->a, "away"));
		ASSERT_TRUE(wait_state(&self->b, "away"));
		EXPECT_EQ(1, publish(pa, "x", "2"));
		ASSERT_TRUE(wire_expect(sa, MESSAGE("1\r\nx", "1\r\n2")));
		/* What is subscribed to meanwhile is known up there afterwards, and what is left is not. */
		late = subscribe(&self->b, "SUBSCRIBE", "late");
		pattern = subscribe(&self->b, "PSUBSCRIBE", "l*");
		ASSERT_TRUE(redis_start(&self->redis));
		ASSERT_TRUE(wait_state(&self->a, "up"));
		ASSERT_TRUE(wait_state(&self->b, "up"));
		EXPECT_TRUE(redis_has(&self->redis, "x", 2));
		EXPECT_TRUE(redis_has(&self->redis, "late", 1));
		EXPECT_EQ(0, publish(pa, "late", "3"));
		EXPECT_TRUE(wire_expect(late, MESSAGE("4\r\nlate", "1\r\n3"))) TH_LOG("%s", wire_got);
		EXPECT_TRUE(wire_expect(pattern, "*4\r\n$8\r\npmessage\r\n$2\r\nl*\r\n$4\r\nlate\r\n$1\r\n3\r\n"))
			TH_LOG("%s", wire_got);
		close(late);
		close(pattern);
		/* Nothing came twice, nor what was sent on the other side meanwhile. */
		EXPECT_EQ(1, publish(pa, "x", "4"));
		ASSERT_TRUE(wire_expect(sa, MESSAGE("1\r\nx", "1\r\n4"))) TH_LOG("%s", wire_got);
		ASSERT_TRUE(wire_expect(sb, MESSAGE("1\r\nx", "1\r\n4"))) TH_LOG("%s", wire_got);
		EXPECT_TRUE(redis_has(&self->redis, "late", 0));
	}
	close(sa);
	close(sb);
	close(pa);
}

/* Killed in full flight: each message comes at most once and in order, and what is missing is counted. */
TEST_F(upstream, it_dies_under_load_and_no_message_comes_twice)
{
	enum { NR = 20000 };
	int sub = subscribe(&self->a, "SUBSCRIBE", "ch"), pub = wire_connect(&self->a), status;
	int last = -1, got = 0;
	pid_t sender;

	ASSERT_TRUE(redis_has(&self->redis, "ch", 1));
	sender = fork();
	if (!sender) { /* its answers are not waited for: the queue fills */
		char word[16], sink[4096];

		for (int i = 0; i < NR; i++) {
			snprintf(word, sizeof(word), "%d", i);
			if (!wire_ask(pub, 3, "PUBLISH", "ch", word))
				_exit(1);
			while (recv(pub, sink, sizeof(sink), MSG_DONTWAIT) > 0)
				;
			if (i == NR / 3)
				kill(self->redis.pid, SIGKILL);
		}
		_exit(!wire_ask(pub, 3, "PUBLISH", "ch", "-1"));
	}
	for (;;) {
		int i;

		ASSERT_STREQ("*3", wire_line(sub)) TH_LOG("after %d: %s", last, wire_got);
		for (int k = 0; k < 5; k++)
			wire_line(sub);
		i = atoi(wire_line(sub));
		if (i < 0)
			break;
		ASSERT_LT(last, i);
		last = i;
		got++;
	}
	EXPECT_EQ(NR - 1, last);
	EXPECT_EQ(sender, waitpid(sender, &status, 0));
	EXPECT_EQ(0, status);
	redis_kill(&self->redis);
	/* What is missing is what had left without an answer. */
	EXPECT_TRUE(wait_state(&self->a, "away"));
	EXPECT_LE(NR - got, wire_info(&self->a, "upstream_unanswered"));
	EXPECT_EQ(0, wire_info(&self->a, "upstream_queued_bytes"));
	close(sub);
	close(pub);
}

/* It takes what it is sent, but does not answer: noticed after a while; publishers do not hang, and
 * what is kept for it is bounded. */
TEST_F(upstream, one_that_hangs_is_given_up)
{
	enum { NR = 24, BYTES = 1 << 20 };
	int sub = subscribe(&self->a, "SUBSCRIBE", "ch"), pub = wire_connect(&self->a);
	char *text = malloc(BYTES), want[64];

	memset(text, 'x', BYTES);
	ASSERT_TRUE(redis_has(&self->redis, "ch", 1));
	kill(self->redis.pid, SIGSTOP);
	for (int i = 0; i < NR; i++) {
		snprintf(want, sizeof(want), "*3\r\n$7\r\nPUBLISH\r\n$2\r\nch\r\n$%d\r\n", BYTES);
		ASSERT_TRUE(wire_send(pub, want));
		ASSERT_TRUE(wire_send_bytes(pub, text, BYTES)) TH_LOG("message %d", i);
		ASSERT_TRUE(wire_send(pub, "\r\n"));
		ASSERT_STREQ(":1", wire_line(pub));
	}
	EXPECT_LT(wire_info(&self->a, "upstream_queued_bytes"), 10 << 20);
	/* The first ones are lost in its buffers, the last ones were delivered here. */
	ASSERT_TRUE(wait_state(&self->a, "away"));
	EXPECT_LT(0, wire_info(&self->a, "upstream_local"));
	snprintf(want, sizeof(want), "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$%d\r\nxxx", BYTES);
	EXPECT_TRUE(wire_expect(sub, want)) TH_LOG("%.80s", wire_got);
	kill(self->redis.pid, SIGCONT);
	EXPECT_TRUE(wait_state(&self->a, "up"));
	close(sub);
	close(pub);
	free(text);
}

TEST(an_upstream_that_is_none_is_refused_or_reported)
{
	static char *const bad[] = { "--upstream=nowhere", NULL }, *const none[] = { "--upstream=127.0.0.1:1", NULL };
	struct wire_server s = { .pid = 0 };
	int fd, status;

	signal(SIGPIPE, SIG_IGN);
	EXPECT_NE(0, wire_start(&s, 0, bad));
	EXPECT_EQ(s.pid, waitpid(s.pid, &status, 0));
	EXPECT_EQ(2, WEXITSTATUS(status));
	ASSERT_EQ(0, wire_start(&s, 0, none));
	fd = wire_connect(&s);
	EXPECT_EQ(0, publish(fd, "x", "1"));
	EXPECT_TRUE(wait_state(&s, "away"));
	close(fd);
	EXPECT_EQ(0, wire_stop(&s));
}

/* One server below another: no Redis is needed for that. */
TEST(a_server_may_be_the_upstream_of_another)
{
	struct wire_server up, down;
	char option[64];
	char *more[] = { option, NULL };
	int sub, pub;

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, wire_start(&up, 0, NULL));
	snprintf(option, sizeof(option), "--upstream=localhost:%d", up.port);
	ASSERT_EQ(0, wire_start(&down, 0, more));
	ASSERT_TRUE(wait_state(&down, "up"));
	sub = subscribe(&down, "PSUBSCRIBE", "*");
	pub = wire_connect(&down);
	EXPECT_EQ(1, publish(pub, "x", "1"));
	EXPECT_TRUE(wire_expect(sub, "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nx\r\n$1\r\n1\r\n")) TH_LOG("%s", wire_got);
	close(sub);
	close(pub);
	EXPECT_EQ(0, wire_stop(&down));
	EXPECT_EQ(0, wire_stop(&up));
}

TEST_HARNESS_MAIN
