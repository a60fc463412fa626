// SPDX-License-Identifier: MIT
/* libhiredis, as Debian has it, in blocking style against a real redis-server. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "preload_test.h"

static int port;
static pid_t server;

/* False: there is none. */
static bool server_start(void)
{
	char text[16];

	port = free_port();
	snprintf(text, sizeof(text), "%d", port);
	server = fork();
	if (!server) {
		unsetenv("LD_PRELOAD");
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_RDWR), 1);
		execlp("redis-server", "redis-server", "--port", text, "--bind", "127.0.0.1", "--save", "", "--appendonly",
		       "no", "--dir", "/tmp", NULL);
		_exit(127);
	}
	for (int i = 0; i < 1000; i++) {
		redisContext *c = redisConnect("127.0.0.1", port);
		bool up = c && !c->err;

		if (c)
			redisFree(c);
		if (up)
			return true;
		if (waitpid(server, NULL, WNOHANG) == server)
			return false;
		usleep(20000);
	}
	return false;
}

static redisContext *dial(void)
{
	redisContext *c = redisConnect("127.0.0.1", port);

	CHECK(c && !c->err);
	return c;
}

static redisReply *ask(redisContext *c, const char *format, ...)
{
	va_list ap;
	redisReply *r;

	va_start(ap, format);
	r = redisvCommand(c, format, ap);
	va_end(ap);
	CHECK(r && r->type != REDIS_REPLY_ERROR);
	return r;
}

static void *set_and_get(void *arg)
{
	redisContext *c = dial();
	redisReply *r;

	for (int i = 0; i < 20; i++) {
		freeReplyObject(ask(c, "SET key%ld %d", (long)arg, i));
		r = ask(c, "GET key%ld", (long)arg);
		CHECK(r->type == REDIS_REPLY_STRING && atoi(r->str) == i);
		freeReplyObject(r);
	}
	/* Larger than the buffers of the socket. */
	r = ask(c, "ECHO %b", memset(malloc(3000000), 'x', 3000000), (size_t)3000000);
	CHECK_EQ(r->len, 3000000);
	freeReplyObject(r);
	redisFree(c);
	return NULL;
}

static void *wait_300_ms(void *arg)
{
	redisContext *c = dial();
	redisReply *r = ask(c, "BLPOP nothing%ld 0.3", (long)arg);

	CHECK_EQ(r->type, REDIS_REPLY_NIL);
	freeReplyObject(r);
	redisFree(c);
	return NULL;
}

static void *wait_for_push(void *arg)
{
	redisContext *c = dial();
	redisReply *r = ask(c, "BLPOP list%ld 0", (long)arg);

	CHECK(r->type == REDIS_REPLY_ARRAY && atol(r->element[1]->str) == (long)arg);
	freeReplyObject(r);
	redisFree(c);
	return NULL;
}

static void *push_all(void *arg)
{
	redisContext *c = dial();

	for (long i = 0; i < 50; i++)
		freeReplyObject(ask(c, "RPUSH list%ld %ld", i, i));
	redisFree(c);
	return NULL;
}

static void *time_out(void *arg)
{
	redisContext *c = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){ 20, 0 });

	CHECK(c && !c->err);
	CHECK_EQ(redisSetTimeout(c, (struct timeval){ 0, 20000 }), REDIS_OK);
	CHECK(!redisCommand(c, "BLPOP never 0"));
	CHECK_EQ(c->err, REDIS_ERR_IO);
	redisFree(c);
	return NULL;
}

static void body(void)
{
	uint64_t from;
	gstk_task *t;

	all_of(20, set_and_get);
	/* One after another: 60 s, on two workers 30. */
	from = gstk_now();
	all_of(200, wait_300_ms);
	fprintf(stderr, "# 200 waits of 300 ms: %llu ms\n", (unsigned long long)((gstk_now() - from) / MS));
	CHECK(gstk_now() - from >= 290 * MS && gstk_now() - from < 20000 * MS);
	t = start(push_all, NULL);
	all_of(50, wait_for_push);
	finish(t);
	all_of(10, time_out);
}

TEST(hundreds_of_blocking_commands_take_the_time_of_the_slowest)
{
	if (!server_start())
		SKIP(return, "redis-server is not installed, or does not start");
	with_workers(2, body);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

TEST_HARNESS_MAIN
