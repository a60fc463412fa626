// SPDX-License-Identifier: MIT
/* The example server under many, slow, and hostile clients; order and completeness of messages. */
#include <pthread.h>
#include "pubsub_wire.h"
#include "kselftest_harness.h"

static bool mild(void)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");

	return variant && strcmp(variant, "plain");
}

/* The payload of the next message; NULL when something else or nothing came. */
static char *next_message(int fd)
{
	char *line = wire_line(fd);

	if (strcmp(line, "*3") || strcmp(wire_line(fd), "$7") || strcmp(wire_line(fd), "message"))
		return NULL;
	wire_line(fd); /* channel */
	wire_line(fd);
	wire_line(fd);
	return wire_line(fd);
}

static bool subscribe(int fd, const char *channel)
{
	char want[128];

	snprintf(want, sizeof(want), "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%s\r\n:1\r\n", strlen(channel), channel);
	return wire_ask(fd, 2, "SUBSCRIBE", channel) && wire_expect(fd, want);
}

static void need_files(unsigned int nr)
{
	struct rlimit rl;

	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max < nr ? rl.rlim_max : nr;
	setrlimit(RLIMIT_NOFILE, &rl);
}

TEST(a_thousand_subscribers_get_every_message_in_order)
{
	enum { NR = 1000, MESSAGES = 20 };
	struct wire_server s;
	static int fd[NR];
	int pub;

	need_files(NR + 64);
	ASSERT_EQ(0, wire_start(&s, 0, NULL));
	for (int i = 0; i < NR; i++) {
		fd[i] = wire_connect(&s);
		ASSERT_LE(0, fd[i]);
		ASSERT_TRUE(wire_ask(fd[i], 2, "SUBSCRIBE", "all"));
	}
	for (int i = 0; i < NR; i++)
		ASSERT_TRUE(wire_expect(fd[i], "*3\r\n$9\r\nsubscribe\r\n$3\r\nall\r\n:1\r\n"));
	pub = wire_connect(&s);
	ASSERT_TRUE(wire_send(pub, "PUBSUB NUMSUB all\r\n"));
	EXPECT_TRUE(wire_expect(pub, "*2\r\n$3\r\nall\r\n:1000\r\n"));
	for (int m = 0; m < MESSAGES; m++) {
		char text[16];

		snprintf(text, sizeof(text), "m%d", m);
		ASSERT_TRUE(wire_ask(pub, 3, "PUBLISH", "all", text));
		ASSERT_TRUE(wire_expect(pub, ":1000\r\n")) TH_LOG("%s", wire_got);
	}
	for (int i = 0; i < NR; i++)
		for (int m = 0; m < MESSAGES; m++) {
			char want[16], *got = next_message(fd[i]);

			snprintf(want, sizeof(want), "m%d", m);
			ASSERT_NE(NULL, got) TH_LOG("subscriber %d message %d: %s", i, m, wire_got);
			ASSERT_STREQ(want, got);
		}
	for (int i = 0; i < NR; i++)
		close(fd[i]);
	EXPECT_TRUE(wire_wait_info(&s, "connected_clients", 2));
	close(pub);
	EXPECT_EQ(0, wire_stop(&s));
}

/* Publishers that all send to one channel. */
struct publisher {
	const struct wire_server *s;
	int number, nr;
	bool ok;
};

static void *publish_many(void *arg)
{
	struct publisher *p = arg;
	int fd = wire_connect(p->s);

	p->ok = fd >= 0;
	for (int i = 0; i < p->nr && p->ok; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%d.%d", p->number, i);
		p->ok = wire_ask(fd, 3, "PUBLISH", "c", text) && wire_line(fd)[0] == ':';
	}
	close(fd);
	return NULL;
}

/* wire_got is one for all, so only the main thread may look at answers while others publish. */
static void *publish_pipelined(void *arg)
{
	struct publisher *p = arg;
	int fd = wire_connect(p->s);
	char sink[4096];

	p->ok = fd >= 0;
	for (int i = 0; i < p->nr && p->ok; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%d.%d", p->number, i);
		p->ok = wire_ask(fd, 3, "PUBLISH", "c", text);
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
	shutdown(fd, SHUT_WR);
	while (p->ok && recv(fd, sink, sizeof(sink), 0) > 0)
		;
	close(fd);
	return NULL;
}

TEST(all_subscribers_see_the_same_order_of_several_publishers)
{
	enum { SUBS = 6, PUBS = 4 };
	int nr = mild() ? 100 : 500, fd[SUBS], last[PUBS];
	struct publisher p[PUBS];
	pthread_t thread[PUBS];
	struct wire_server s;
	char (*order)[16] = calloc((size_t)PUBS * (size_t)nr, 16);

	ASSERT_EQ(0, wire_start(&s, 0, NULL));
	for (int i = 0; i < SUBS; i++) {
		fd[i] = wire_connect(&s);
		ASSERT_TRUE(subscribe(fd[i], "c"));
	}
	for (int i = 0; i < PUBS; i++) {
		p[i] = (struct publisher){ &s, i, nr, false };
		pthread_create(&thread[i], NULL, publish_pipelined, &p[i]);
	}
	for (int i = 0; i < PUBS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_TRUE(p[i].ok);
	}
	for (int i = 0; i < SUBS; i++) {
		memset(last, -1, sizeof(last));
		for (int m = 0; m < PUBS * nr; m++) {
			char *got = next_message(fd[i]);
			int who, number;

			ASSERT_NE(NULL, got) TH_LOG("subscriber %d, message %d", i, m);
			ASSERT_EQ(2, sscanf(got, "%d.%d", &who, &number));
			ASSERT_EQ(last[who] + 1, number);
			last[who] = number;
			if (!i)
				snprintf(order[m], 16, "%s", got);
			ASSERT_STREQ(order[m], got);
		}
		close(fd[i]);
	}
	free(order);
	EXPECT_EQ(0, wire_stop(&s));
}

/* Skip the confirmations of the channels besides "c". */
static bool skip_others(int fd, int nr)
{
	for (int i = 0; i < nr; i++) {
		if (strcmp(wire_line(fd), "*3"))
			return false;
		wire_line(fd);
		if (!strcmp(wire_line(fd), "message"))
			i--;
		for (int k = !strcmp(wire_got, "message") ? 4 : 3; k; k--)
			wire_line(fd);
	}
	return true;
}

/* While a channel is busy: the first thing a subscriber hears of it is the confirmation, the last
 * thing is the end's. Many other channels in the same request keep the server busy in between. */
TEST(confirmations_come_before_the_first_and_after_the_last_message)
{
	enum { OTHERS = 200 };
	int rounds = mild() ? 60 : 300, messages = 0;
	static char start[4096], both[4200];
	struct publisher p[2];
	pthread_t thread[2];
	struct wire_server s;
	int fd, n;

	n = snprintf(start, sizeof(start), "SUBSCRIBE c");
	for (int i = 0; i < OTHERS; i++)
		n += snprintf(start + n, sizeof(start) - (size_t)n, " o%d", i);
	snprintf(start + n, sizeof(start) - (size_t)n, "\r\n");
	snprintf(both, sizeof(both), "%sUNSUBSCRIBE c\r\n", start);
	ASSERT_EQ(0, wire_start(&s, 0, NULL));
	for (int i = 0; i < 2; i++) {
		p[i] = (struct publisher){ &s, i, mild() ? 5000 : 20000, false };
		pthread_create(&thread[i], NULL, publish_pipelined, &p[i]);
	}
	for (int i = 0; i < rounds; i++) {
		fd = wire_connect(&s);
		/* Both in one write, or one after the other. */
		ASSERT_TRUE(wire_send(fd, i % 2 ? both : start));
		ASSERT_TRUE(wire_expect(fd, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")) TH_LOG("%d: %s", i, wire_got);
		ASSERT_TRUE(skip_others(fd, OTHERS));
		if (i % 2 == 0)
			ASSERT_TRUE(wire_send(fd, "UNSUBSCRIBE c\r\n"));
		for (;;) {
			ASSERT_STREQ("*3", wire_line(fd));
			wire_line(fd);
			if (strcmp(wire_line(fd), "message"))
				break;
			for (int k = 0; k < 4; k++)
				wire_line(fd);
			messages++;
		}
		ASSERT_STREQ("unsubscribe", wire_got);
		ASSERT_TRUE(wire_expect(fd, "$1\r\nc\r\n:200\r\n"));
		/* And now nothing more, but the answer to this. */
		ASSERT_TRUE(wire_send(fd, "PING\r\n"));
		ASSERT_TRUE(wire_expect(fd, "*2\r\n$4\r\npong\r\n$0\r\n\r\n")) TH_LOG("%d: %s", i, wire_got);
		close(fd);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	TH_LOG("%d messages between", messages);
	EXPECT_EQ(0, wire_stop(&s));
}

TEST(a_slow_subscriber_loses_its_connection_and_others_nothing)
{
	char *more[] = { "--output-limit=256k", NULL }, payload[1001];
	int nr = mild() ? 8000 : 20000, fast, slow, pub, small = 4096;
	struct wire_server s;
	char c;

	ASSERT_EQ(0, wire_start(&s, 0, more));
	fast = wire_connect(&s);
	slow = wire_connect(&s);
	pub = wire_connect(&s);
	setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	ASSERT_TRUE(subscribe(fast, "c"));
	ASSERT_TRUE(subscribe(slow, "c"));
	memset(payload, 'x', 1000);
	payload[1000] = 0;
	for (int i = 0; i < nr; i++) {
		char *got;

		memcpy(payload, "00000000", 8);
		snprintf(payload, 9, "%08u", (unsigned int)i % 100000000u);
		payload[8] = 'x';
		ASSERT_TRUE(wire_ask(pub, 3, "PUBLISH", "c", payload));
		ASSERT_EQ(':', wire_line(pub)[0]);
		got = next_message(fast);
		ASSERT_NE(NULL, got);
		ASSERT_EQ(i, atoi(got));
	}
	ASSERT_TRUE(wire_wait_info(&s, "pubsub_clients_killed", 1));
	EXPECT_TRUE(wire_wait_info(&s, "connected_clients", 3));
	/* It learns that by the end of its stream. */
	while (recv(slow, &c, 1, 0) > 0)
		;
	ASSERT_TRUE(wire_send(pub, "PUBLISH c last\r\n"));
	EXPECT_TRUE(wire_expect(pub, ":1\r\n"));
	EXPECT_STREQ("last", next_message(fast));
	close(fast);
	close(slow);
	close(pub);
	EXPECT_EQ(0, wire_stop(&s));
}

TEST(a_subscriber_that_pauses_gets_everything_later)
{
	int nr = 10000, sub, pub;
	struct wire_server s;
	char payload[1001];

	ASSERT_EQ(0, wire_start(&s, 0, NULL));
	sub = wire_connect(&s);
	pub = wire_connect(&s);
	ASSERT_TRUE(subscribe(sub, "c"));
	memset(payload, 'y', 1000);
	payload[1000] = 0;
	for (int i = 0; i < nr; i++) {
		snprintf(payload, 9, "%08d", i);
		payload[8] = 'y';
		ASSERT_TRUE(wire_ask(pub, 3, "PUBLISH", "c", payload));
		ASSERT_STREQ(":1", wire_line(pub));
	}
	EXPECT_LT(0, wire_info(&s, "drains"));
	for (int i = 0; i < nr; i++) {
		char *got = next_message(sub);

		ASSERT_NE(NULL, got);
		ASSERT_EQ(i, atoi(got));
	}
	/* Its own answers come behind what was queued. */
	ASSERT_TRUE(wire_send(sub, "PING\r\n"));
	EXPECT_TRUE(wire_expect(sub, "*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
	close(sub);
	close(pub);
	EXPECT_EQ(0, wire_stop(&s));
}

TEST(a_server_out_of_descriptors_serves_those_it_has_and_takes_more_later)
{
	enum { NR = 60 };
	char *more[] = { "--maxclients=1000", "--workers=1", NULL };
	struct wire_server s;
	int fd[NR], served = 0;

	ASSERT_EQ(0, wire_start(&s, 40, more));
	for (int i = 0; i < NR; i++) {
		fd[i] = wire_connect(&s);
		ASSERT_LE(0, fd[i]);
		ASSERT_TRUE(wire_send(fd[i], "PING\r\n"));
	}
	for (int i = 0; i < NR; i++) {
		struct pollfd p = { fd[i], POLLIN, 0 };

		if (poll(&p, 1, i < 20 ? WIRE_TIMEOUT * 1000 : 100) != 1)
			break;
		ASSERT_TRUE(wire_expect(fd[i], "+PONG\r\n"));
		served++;
	}
	EXPECT_LE(20, served);
	EXPECT_GT(NR, served);
	for (int i = 0; i < served; i++)
		close(fd[i]);
	/* Those that waited get their turn, without asking again. */
	for (int i = served; i < NR; i++) {
		ASSERT_TRUE(wire_expect(fd[i], "+PONG\r\n")) TH_LOG("connection %d of %d", i, NR);
		close(fd[i]);
	}
	EXPECT_EQ(0, wire_stop(&s));
}

TEST(connections_past_the_limit_are_told_so)
{
	char *more[] = { "--maxclients=3", NULL };
	struct wire_server s;
	int fd[4];

	ASSERT_EQ(0, wire_start(&s, 0, more));
	for (int i = 0; i < 3; i++) {
		fd[i] = wire_connect(&s);
		ASSERT_TRUE(wire_send(fd[i], "PING\r\n"));
		ASSERT_TRUE(wire_expect(fd[i], "+PONG\r\n"));
	}
	fd[3] = wire_connect(&s);
	EXPECT_TRUE(wire_expect(fd[3], "-ERR max number of clients reached\r\n"));
	EXPECT_TRUE(wire_ended(fd[3]));
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	EXPECT_EQ(0, wire_stop(&s));
}

TEST(it_stops_with_subscribers_connected)
{
	struct wire_server s;
	int fd[200];

	ASSERT_EQ(0, wire_start(&s, 0, NULL));
	for (int i = 0; i < 200; i++) {
		fd[i] = wire_connect(&s);
		ASSERT_TRUE(subscribe(fd[i], "c"));
	}
	EXPECT_EQ(0, wire_stop(&s));
	for (int i = 0; i < 200; i++) {
		EXPECT_TRUE(wire_ended(fd[i]));
		close(fd[i]);
	}
}

TEST(many_requests_of_many_publishers_are_all_answered)
{
	enum { NR = 8 };
	struct publisher p[NR];
	struct wire_server s;

	ASSERT_EQ(0, wire_start(&s, 0, NULL));
	for (int i = 0; i < NR; i++) {
		p[i] = (struct publisher){ &s, i, 300, false };
		publish_many(&p[i]);
		EXPECT_TRUE(p[i].ok);
	}
	EXPECT_EQ(NR * 300, wire_info(&s, "publishes"));
	EXPECT_EQ(0, wire_stop(&s));
}

TEST_HARNESS_MAIN
