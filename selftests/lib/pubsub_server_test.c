// SPDX-License-Identifier: MIT
/* The example server as its clients see it: raw bytes, and a client library. */
#include <hiredis/hiredis.h>
#include "pubsub_wire.h"
#include "kselftest_harness.h"

/* @mild: the run is one of the slow variants. */
static bool mild(void)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");

	return variant && strcmp(variant, "plain");
}

FIXTURE(pubsub) { struct wire_server s; };
FIXTURE_VARIANT(pubsub) { char *more[4]; rlim_t nofile; };
FIXTURE_VARIANT_ADD(pubsub, default) { .more = { NULL } };
FIXTURE_SETUP(pubsub)
{
	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, wire_start(&self->s, variant->nofile, variant->more));
}
FIXTURE_TEARDOWN(pubsub)
{
	EXPECT_EQ(0, wire_stop(&self->s));
}

static const struct {
	const char *ask, *answer;
} dialogues[] = {
	{ "PING\r\n", "+PONG\r\n" },
	{ "ping hi\r\n", "$2\r\nhi\r\n" },
	{ "PING a b\r\n", "-ERR wrong number of arguments for 'ping' command\r\n" },
	{ "ECHO \"a b\"\r\n", "$3\r\na b\r\n" },
	{ "ECHO\r\n", "-ERR wrong number of arguments for 'echo' command\r\n" },
	{ "SELECT 0\r\n", "+OK\r\n" },
	{ "SELECT 1\r\n", "-ERR DB index is out of range\r\n" },
	{ "SELECT x\r\n", "-ERR value is not an integer or out of range\r\n" },
	{ "AUTH secret\r\n", "-ERR AUTH <password> called without any password configured for the default user. "
			     "Are you sure your configuration is correct?\r\n" },
	{ "HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n" },
	{ "HELLO x\r\n", "-ERR Protocol version is not an integer or out of range\r\n" },
	{ "HELLO 2\r\n", "*14\r\n$6\r\nserver\r\n$15\r\ngreenstk-pubsub\r\n$7\r\nversion\r\n" },
	{ "HELLO 3\r\n", "%7\r\n$6\r\nserver\r\n" },
	{ "HELLO 3 SETNAME x\r\n", "%7\r\n" },
	{ "HELLO 3 AUTH a b\r\n", "-ERR AUTH <password> called without any password" },
	{ "HELLO 3 SETNAME\r\n", "-ERR Syntax error in HELLO option 'SETNAME'\r\n" },
	{ "GET x\r\n", "-ERR unknown command 'GET', with args beginning with: 'x' \r\n" },
	{ "PUBLISH nobody x\r\n", ":0\r\n" },
	{ "PUBLISH x\r\n", "-ERR wrong number of arguments for 'publish' command\r\n" },
	{ "SUBSCRIBE\r\n", "-ERR wrong number of arguments for 'subscribe' command\r\n" },
	{ "SUBSCRIBE a b a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
				 "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n" },
	{ "UNSUBSCRIBE\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n" },
	{ "PUNSUBSCRIBE p\r\n", "*3\r\n$12\r\npunsubscribe\r\n$1\r\np\r\n:0\r\n" },
	{ "SUBSCRIBE a\r\nPSUBSCRIBE p*\r\nPING\r\nGET x\r\nECHO x\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nECHO x\r\n",
	  "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:2\r\n"
	  "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
	  "-ERR unknown command 'GET', with args beginning with: 'x' \r\n"
	  "-ERR Can't execute 'echo': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
	  "this context\r\n"
	  "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:0\r\n$1\r\nx\r\n" },
	{ "SUBSCRIBE a\r\nRESET\r\nPUBSUB NUMSUB a\r\n",
	  "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n+RESET\r\n*2\r\n$1\r\na\r\n:0\r\n" },
	{ "HELLO 3\r\nSUBSCRIBE a\r\nECHO x\r\nPUBLISH a hi\r\n", "%7\r\n" },
	{ "PUBSUB CHANNELS\r\n", "*0\r\n" },
	{ "PUBSUB NUMPAT\r\n", ":0\r\n" },
	{ "PUBSUB NUMSUB\r\n", "*0\r\n" },
	{ "PUBSUB NUMSUB a b\r\n", "*4\r\n$1\r\na\r\n:0\r\n$1\r\nb\r\n:0\r\n" },
	{ "PUBSUB WHAT\r\n", "-ERR unknown subcommand or wrong number of arguments for 'WHAT'. Try PUBSUB HELP.\r\n" },
	{ "PUBSUB HELP\r\n", "*3\r\n+PUBSUB CHANNELS [<pattern>]\r\n" },
	{ "CLIENT HELP\r\n", "*4\r\n+CLIENT ID" },
	{ "CLIENT GETNAME\r\n", "$-1\r\n" },
	{ "CLIENT SETNAME me\r\nCLIENT GETNAME\r\nCLIENT SETNAME \"a b\"\r\n",
	  "+OK\r\n$2\r\nme\r\n-ERR Client names cannot contain spaces, newlines or special characters.\r\n" },
	{ "CLIENT SETINFO lib-name x\r\nCLIENT SETINFO what x\r\n", "+OK\r\n-ERR Unrecognized option 'what'\r\n" },
	{ "CLIENT KILL 1.2.3.4:5\r\nCLIENT KILL ID 999999\r\n", "-ERR No such client\r\n:0\r\n" },
	{ "CONFIG GET save\r\n", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n" },
	{ "CONFIG GET nothing*\r\n", "*0\r\n" },
	{ "COMMAND COUNT\r\n", ":17\r\n" },
	{ "COMMAND DOCS\r\n", "*0\r\n" },
	{ "COMMAND INFO publish nope\r\n", "*2\r\n*6\r\n$7\r\npublish\r\n:3\r\n*4\r\n+pubsub\r\n" },
	{ "QUIT\r\n", "+OK\r\n" },
	{ "\r\n\r\n*0\r\n*-1\r\nPING\r\n", "+PONG\r\n" },
};

TEST_F(pubsub, every_command_has_the_answer_of_redis)
{
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++) {
		int fd;

		/* The one before may not have noticed yet that its client is gone. */
		ASSERT_TRUE(wire_wait_info(&self->s, "pubsub_channels", 0));
		fd = wire_connect(&self->s);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(wire_send(fd, dialogues[i].ask));
		EXPECT_TRUE(wire_expect(fd, dialogues[i].answer)) TH_LOG("%s got: %s", dialogues[i].ask, wire_got);
		close(fd);
	}
}

TEST_F(pubsub, what_a_connection_may_make_the_server_keep_is_bounded)
{
	int fd = wire_connect(&self->s);
	char name[4200], line[4300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	snprintf(line, sizeof(line), "SUBSCRIBE %s\r\n", name);
	ASSERT_TRUE(wire_send(fd, line));
	EXPECT_TRUE(wire_expect(fd, "-ERR channel names and patterns have at most 4096 bytes\r\n"));
	/* So that no text takes long to be matched with a pattern. */
	snprintf(line, sizeof(line), "PUBLISH %s x\r\n", name);
	ASSERT_TRUE(wire_send(fd, line));
	EXPECT_TRUE(wire_expect(fd, "-ERR channel names and patterns have at most 4096 bytes\r\n"));
	snprintf(line, sizeof(line), "PUBSUB CHANNELS %s\r\n", name);
	ASSERT_TRUE(wire_send(fd, line));
	EXPECT_TRUE(wire_expect(fd, "-ERR channel names and patterns have at most 4096 bytes\r\n"));
	for (int i = 0; i < 16384; i++) {
		snprintf(line, sizeof(line), "SUBSCRIBE c%d\r\n", i);
		ASSERT_TRUE(wire_send(fd, line));
		snprintf(name, sizeof(name), "*3\r\n$9\r\nsubscribe\r\n$%d\r\nc%d\r\n:%d\r\n",
			 snprintf(NULL, 0, "c%d", i), i, i + 1);
		ASSERT_TRUE(wire_expect(fd, name)) TH_LOG("%d: %s", i, wire_got);
	}
	ASSERT_TRUE(wire_send(fd, "SUBSCRIBE more\r\nPSUBSCRIBE m*\r\nUNSUBSCRIBE c0\r\nSUBSCRIBE more\r\n"));
	EXPECT_TRUE(wire_expect(fd, "-ERR this connection has 16384 subscriptions"));
	close(fd);
}

TEST_F(pubsub, a_request_may_arrive_byte_by_byte)
{
	const char *text = "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$5\r\nhello\r\nPING\r\n*1\r\n$4\r\nPING\r\n";
	int fd = wire_connect(&self->s);

	for (const char *s = text; *s; s++) {
		ASSERT_TRUE(wire_send_bytes(fd, s, 1));
		usleep(1000);
	}
	EXPECT_TRUE(wire_expect(fd, ":0\r\n+PONG\r\n+PONG\r\n"));
	close(fd);
}

TEST_F(pubsub, requests_cut_anywhere_are_answered_in_order)
{
	static char text[300000], want[300000];
	size_t len = 0, want_len = 0, at = 0, nr = mild() ? 500 : 2000;
	int fd = wire_connect(&self->s);

	srand(20261120);
	for (size_t i = 0; i < nr; i++) {
		int n = 1 + rand() % 60;

		len += (size_t)sprintf(text + len, "*2\r\n$4\r\nECHO\r\n$%d\r\n%0*zu\r\n", n < 5 ? 5 : n, n < 5 ? 5 : n, i);
		want_len += (size_t)sprintf(want + want_len, "$%d\r\n%0*zu\r\n", n < 5 ? 5 : n, n < 5 ? 5 : n, i);
	}
	while (at < len) {
		size_t n = 1 + (size_t)rand() % 400;

		n = n < len - at ? n : len - at;
		ASSERT_TRUE(wire_send_bytes(fd, text + at, n));
		at += n;
		if (rand() % 4 == 0)
			usleep(300);
	}
	at = want_len;
	ASSERT_TRUE(wire_read(fd, text, want_len));
	EXPECT_EQ(0, memcmp(text, want, want_len));
	close(fd);
}

TEST_F(pubsub, resp3_gets_pushes_and_may_publish_while_subscribed)
{
	int fd = wire_connect(&self->s);

	ASSERT_TRUE(wire_send(fd, "HELLO 3\r\n"));
	ASSERT_TRUE(wire_expect(fd, "%7\r\n$6\r\nserver\r\n$15\r\ngreenstk-pubsub\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
				    "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:"));
	wire_line(fd);
	ASSERT_TRUE(wire_expect(fd, "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
				    "$7\r\nmodules\r\n*0\r\n"));
	ASSERT_TRUE(wire_send(fd, "SUBSCRIBE a\r\nPSUBSCRIBE [a-c]\r\n"));
	ASSERT_TRUE(wire_expect(fd, ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$10\r\npsubscribe\r\n$5\r\n[a-c]\r\n:2\r\n"));
	ASSERT_TRUE(wire_send(fd, "PUBLISH a hi\r\n"));
	ASSERT_TRUE(wire_expect(fd, ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"
				    ">4\r\n$8\r\npmessage\r\n$5\r\n[a-c]\r\n$1\r\na\r\n$2\r\nhi\r\n:2\r\n"))
		TH_LOG("%s", wire_got);
	close(fd);
}

TEST_F(pubsub, a_client_library_publishes_and_subscribes)
{
	redisContext *sub = redisConnect("127.0.0.1", self->s.port), *pub = redisConnect("127.0.0.1", self->s.port);
	redisReply *r;

	ASSERT_TRUE(sub && pub && !sub->err && !pub->err);
	r = redisCommand(sub, "SUBSCRIBE news");
	ASSERT_TRUE(r && r->type == REDIS_REPLY_ARRAY && r->elements == 3);
	freeReplyObject(r);
	for (int i = 0; i < 100; i++) {
		r = redisCommand(pub, "PUBLISH news %d", i);
		ASSERT_TRUE(r && r->type == REDIS_REPLY_INTEGER && r->integer == 1);
		freeReplyObject(r);
	}
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(REDIS_OK, redisGetReply(sub, (void **)&r));
		ASSERT_EQ(3u, r->elements);
		EXPECT_STREQ("message", r->element[0]->str);
		EXPECT_EQ(i, atoi(r->element[2]->str));
		freeReplyObject(r);
	}
	for (int i = 0; i < 1000; i++)
		redisAppendCommand(pub, "ECHO %d", i);
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(REDIS_OK, redisGetReply(pub, (void **)&r));
		EXPECT_EQ(i, atoi(r->str));
		freeReplyObject(r);
	}
	redisFree(sub);
	redisFree(pub);
}

TEST_F(pubsub, malformed_input_gets_a_protocol_error_and_nobody_else_notices)
{
	static const char *const bad[][2] = {
		{ "*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n" },
		{ "*1\r\n+a\r\n", "-ERR Protocol error: expected '$', got '+'\r\n" },
		{ "*1\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n" },
		{ "PING\r\necho \"a\r\n", "+PONG\r\n-ERR Protocol error: unbalanced quotes in request\r\n" },
	};
	int other = wire_connect(&self->s);
	char *big = malloc(200000);

	for (int i = 0; i < 4; i++) {
		int fd = wire_connect(&self->s);

		ASSERT_TRUE(wire_send(fd, bad[i][0]));
		EXPECT_TRUE(wire_expect(fd, bad[i][1])) TH_LOG("%s", wire_got);
		EXPECT_TRUE(wire_ended(fd));
		close(fd);
	}
	/* A line without end. */
	memset(big, 'x', 200000);
	for (int i = 0; i < 3; i++) {
		int fd = wire_connect(&self->s);

		big[0] = "x*$"[i];
		if (i == 2)
			wire_send(fd, "*1\r\n");
		wire_send_bytes(fd, big, 200000);
		EXPECT_TRUE(wire_expect(fd, "-ERR Protocol error: too big ")) TH_LOG("%s", wire_got);
		close(fd);
	}
	free(big);
	ASSERT_TRUE(wire_send(other, "PING\r\n"));
	EXPECT_TRUE(wire_expect(other, "+PONG\r\n"));
	close(other);
}

TEST_F(pubsub, random_bytes_do_no_harm)
{
	static const char *const pieces[] = {
		"*1\r\n$4\r\nPING\r\n", "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n", "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1\r\nx\r\n",
		"HELLO 3\r\n", "*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n", "UNSUBSCRIBE\r\n", "RESET\r\n", "*1\r\n$1000\r\n", "\r\n",
		"*10000\r\n", "PSUBSCRIBE *\r\n", "INFO\r\n", "\"", "$", "*",
	};
	unsigned int seed = getenv("PUBSUB_SEED") ? (unsigned int)atoi(getenv("PUBSUB_SEED")) : 20261120;
	int rounds = mild() ? 100 : 400, other = wire_connect(&self->s);
	char sink[4096];

	TH_LOG("PUBSUB_SEED=%u", seed);
	srand(seed);
	for (int i = 0; i < rounds; i++) {
		int fd = wire_connect(&self->s);

		for (int n = rand() % 20; n >= 0; n--) {
			const char *p = pieces[rand() % (int)(sizeof(pieces) / sizeof(pieces[0]))];
			char noise[3] = { (char)rand(), (char)rand(), (char)rand() };

			if (rand() % 8 == 0)
				wire_send_bytes(fd, noise, (size_t)(rand() % 3));
			wire_send_bytes(fd, p, strlen(p) - (size_t)(rand() % 10 == 0));
		}
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
		close(fd);
	}
	ASSERT_TRUE(wire_send(other, "PING\r\n"));
	EXPECT_TRUE(wire_expect(other, "+PONG\r\n"));
	close(other);
	EXPECT_TRUE(wire_wait_info(&self->s, "connected_clients", 1));
	EXPECT_EQ(0, wire_info(&self->s, "pubsub_channels"));
	EXPECT_EQ(0, wire_info(&self->s, "pubsub_patterns"));
}

TEST_F(pubsub, half_closed_connections_get_their_answers)
{
	int fd = wire_connect(&self->s);

	ASSERT_TRUE(wire_send(fd, "PING\r\nECHO x\r\n"));
	shutdown(fd, SHUT_WR);
	EXPECT_TRUE(wire_expect(fd, "+PONG\r\n$1\r\nx\r\n"));
	EXPECT_TRUE(wire_ended(fd));
	close(fd);
	/* A subscriber that says nothing more ends, too. */
	fd = wire_connect(&self->s);
	ASSERT_TRUE(wire_send(fd, "SUBSCRIBE a\r\n"));
	EXPECT_TRUE(wire_expect(fd, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"));
	shutdown(fd, SHUT_WR);
	EXPECT_TRUE(wire_ended(fd));
	close(fd);
	EXPECT_TRUE(wire_wait_info(&self->s, "pubsub_channels", 0));
}

TEST_F(pubsub, peers_that_reset_leave_nothing_behind)
{
	static const struct linger reset = { 1, 0 };
	int pub = wire_connect(&self->s);

	for (int i = 0; i < 300; i++) {
		int fd = wire_connect(&self->s);

		ASSERT_TRUE(wire_send(fd, "SUBSCRIBE a b c\r\nPSUBSCRIBE *\r\n"));
		if (i % 2)
			wire_expect(fd, "*3\r\n");
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		ASSERT_TRUE(wire_send(pub, "PUBLISH a x\r\nPUBLISH b x\r\n"));
		close(fd);
		ASSERT_EQ(':', wire_line(pub)[0]);
		ASSERT_EQ(':', wire_line(pub)[0]);
	}
	close(pub);
	EXPECT_TRUE(wire_wait_info(&self->s, "connected_clients", 1));
	EXPECT_TRUE(wire_wait_info(&self->s, "pubsub_channels", 0));
	EXPECT_EQ(0, wire_info(&self->s, "pubsub_patterns"));
}

TEST_F(pubsub, a_big_message_arrives_whole)
{
	size_t len = 8 << 20;
	char *text = malloc(len), *got = malloc(len), head[64];
	int pub = wire_connect(&self->s), sub[2];

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(i * 2654435761u >> 13);
	for (int i = 0; i < 2; i++) {
		sub[i] = wire_connect(&self->s);
		ASSERT_TRUE(wire_send(sub[i], "SUBSCRIBE big\r\n"));
		ASSERT_TRUE(wire_expect(sub[i], "*3\r\n$9\r\nsubscribe\r\n$3\r\nbig\r\n:1\r\n"));
	}
	snprintf(head, sizeof(head), "*3\r\n$7\r\nPUBLISH\r\n$3\r\nbig\r\n$%zu\r\n", len);
	ASSERT_TRUE(wire_send(pub, head));
	ASSERT_TRUE(wire_send_bytes(pub, text, len));
	ASSERT_TRUE(wire_send(pub, "\r\n"));
	EXPECT_TRUE(wire_expect(pub, ":2\r\n")) TH_LOG("%s", wire_got);
	snprintf(head, sizeof(head), "*3\r\n$7\r\nmessage\r\n$3\r\nbig\r\n$%zu\r\n", len);
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(wire_expect(sub[i], head)) TH_LOG("%s", wire_got);
		ASSERT_TRUE(wire_read(sub[i], got, len));
		EXPECT_EQ(0, memcmp(text, got, len));
		close(sub[i]);
	}
	close(pub);
	free(text);
	free(got);
}

TEST_F(pubsub, a_client_that_asks_without_reading_is_slowed_not_dropped)
{
	/* 64 MiB of answers: more than the soft limit and what sockets take. */
	size_t total = mild() ? 16384 : 65536, written = 0, read_bytes = 0, want = total * (1000 + 9);
	static char ask[1200], sink[65536];
	int fd = wire_connect(&self->s), quiet = 0;
	size_t ask_len = (size_t)snprintf(ask, sizeof(ask), "*2\r\n$4\r\nECHO\r\n$1000\r\n%01000d\r\n", 7);
	size_t at = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	/* First write as much as it takes. */
	while (written < total) {
		ssize_t n = send(fd, ask + at, ask_len - at, MSG_NOSIGNAL);

		if (n > 0) {
			at += (size_t)n;
			quiet = 0;
			if (at == ask_len) {
				at = 0;
				written++;
			}
		} else {
			ASSERT_EQ(EAGAIN, errno);
			if (++quiet == 30)
				break;
			usleep(10000);
		}
	}
	/* Then do both. */
	while (read_bytes < want) {
		struct pollfd p = { fd, (short)(POLLIN | (written < total ? POLLOUT : 0)), 0 };
		ssize_t n;

		ASSERT_LT(0, poll(&p, 1, WIRE_TIMEOUT * 1000)) TH_LOG("%zu of %zu bytes", read_bytes, want);
		while ((n = recv(fd, sink, sizeof(sink), 0)) > 0)
			read_bytes += (size_t)n;
		ASSERT_NE(0, n);
		while (written < total && (n = send(fd, ask + at, ask_len - at, MSG_NOSIGNAL)) > 0) {
			at += (size_t)n;
			if (at == ask_len) {
				at = 0;
				written++;
			}
		}
	}
	EXPECT_EQ(want, read_bytes);
	close(fd);
}

/* What is queued for @id, by the list of clients. */
static long queued_for(int fd, int id)
{
	char text[4096], want[32], *at;
	size_t len;

	if (!wire_send(fd, "CLIENT LIST\r\n"))
		return -1;
	len = strtoul(wire_line(fd) + 1, NULL, 10);
	if (!len || len >= sizeof(text) || !wire_read(fd, text, len + 2))
		return -1;
	text[len] = 0;
	snprintf(want, sizeof(want), "id=%d ", id);
	at = strstr(text, want);
	at = at ? strstr(at, " omem=") : NULL;
	return at ? atol(at + 6) : -1;
}

/* One request that has much more to say than it is long is slowed as many are. */
TEST(a_request_for_a_million_answers_that_nobody_reads_does_not_heap_them)
{
	const int nr = 1000000;
	struct wire_server s;
	long most = 0, now, same = 0, before = -1;
	size_t len = 0, want = sizeof("*2000000\r\n") - 1 + (size_t)nr * (sizeof("$1\r\na\r\n:0\r\n") - 1), got = 0;
	char *text = malloc((size_t)nr * 7 + 100), *sink = malloc(1 << 20);
	int fd, other, id;
	ssize_t n;

	ASSERT_NE(NULL, text);
	ASSERT_NE(NULL, sink);
	ASSERT_EQ(0, wire_start(&s, 0, (char *[]){ "--output-limit=256k", NULL }));
	fd = wire_connect(&s);
	other = wire_connect(&s);
	ASSERT_TRUE(wire_send(fd, "CLIENT ID\r\n"));
	ASSERT_TRUE(wire_expect(fd, ":"));
	id = atoi(wire_line(fd));
	len = (size_t)sprintf(text, "*%d\r\n$6\r\nPUBSUB\r\n$6\r\nNUMSUB\r\n", nr + 2);
	for (int i = 0; i < nr; i++, len += 7)
		memcpy(text + len, "$1\r\na\r\n", 7);
	ASSERT_TRUE(wire_send_bytes(fd, text, len));
	/* Until no more comes: some megabytes go into sockets. */
	for (int i = 0; i < 250 && same < 10; i++) {
		usleep(20000);
		now = queued_for(other, id);
		ASSERT_LE(0, now);
		same = now && now == before ? same + 1 : 0;
		before = now;
		most = now > most ? now : most;
	}
	EXPECT_GT(64 * 1024 + 2 * 16384, most);
	while (got < want && (n = wire_recv(fd, sink, 1 << 20, 0)) > 0)
		got += (size_t)n;
	EXPECT_EQ(want, got);
	close(fd);
	close(other);
	free(text);
	free(sink);
	EXPECT_EQ(0, wire_stop(&s));
}

TEST_F(pubsub, a_name_and_the_list_of_clients_are_right)
{
	int a = wire_connect(&self->s), b = wire_connect(&self->s);
	char text[4096];
	size_t len;
	int id;

	ASSERT_TRUE(wire_send(a, "CLIENT SETNAME alpha\r\nCLIENT ID\r\nSUBSCRIBE x y\r\nPSUBSCRIBE z\r\n"));
	ASSERT_TRUE(wire_expect(a, "+OK\r\n:"));
	id = atoi(wire_line(a));
	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(wire_expect(a, "*3\r\n") && wire_line(a) && wire_line(a) && wire_line(a) && wire_line(a) &&
			    wire_line(a));
	ASSERT_TRUE(wire_send(b, "CLIENT LIST\r\n"));
	len = strtoul(wire_line(b) + 1, NULL, 10);
	ASSERT_GT(sizeof(text), len);
	ASSERT_TRUE(wire_read(b, text, len + 2));
	text[len] = 0;
	EXPECT_NE(NULL, strstr(text, "name=alpha"));
	EXPECT_NE(NULL, strstr(text, "sub=2 psub=1"));
	snprintf(wire_got, sizeof(wire_got), "id=%d ", id);
	EXPECT_NE(NULL, strstr(text, wire_got));
	snprintf(wire_got, sizeof(wire_got), "CLIENT KILL ID %d\r\n", id);
	ASSERT_TRUE(wire_send(b, wire_got));
	EXPECT_TRUE(wire_expect(b, ":1\r\n"));
	EXPECT_TRUE(wire_ended(a));
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
