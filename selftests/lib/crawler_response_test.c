// SPDX-License-Identifier: MIT
/* Answers of servers: heads, and bodies in every framing, in whatever pieces they come. */
#include <errno.h>
#include "response.h"
#include "crawler_mutate.h"
#include "kselftest_harness.h"

/* "status framing keep: body", as it comes in pieces of @piece bytes, then the end of the connection. */
static const char *read_answer(const char *in, size_t len, size_t piece)
{
	static char text[8192];
	struct bytes out = { .limit = 4096 };
	struct response r;
	struct body b;
	long head = 0;
	size_t at, used;
	int err = 0;

	for (at = 0; at < len && !head;) {
		char *copy;

		at = at + piece < len ? at + piece : len;
		copy = malloc(at); /* nothing behind what has come */
		memcpy(copy, in, at);
		head = response_parse(&r, copy, at);
		free(copy);
	}
	if (head <= 0)
		return head == 0 ? "more" : head == -EBADMSG ? "bad" : head == -EMSGSIZE ? "big" : "?";
	body_begin(&b, &r);
	for (at = (size_t)head; at < len && !b.done && !err; at += used) {
		size_t n = len - at < piece ? len - at : piece;
		char *copy = malloc(n);

		memcpy(copy, in + at, n);
		err = body_feed(&b, copy, n, &used, &out);
		free(copy);
		if (used > n || (!err && !b.done && used < n))
			abort();
	}
	if (!err && !b.done)
		err = body_eof(&b);
	snprintf(text, sizeof(text), "%u %d %d: %.*s%s", r.status, r.framing, r.keep_alive, (int)out.len, out.data ? out.data : "",
		 err == -EBADMSG ? "!bad" : err == -EPIPE ? "!short" : err == -EFBIG ? "!big" : err ? "!?" : "");
	bytes_free(&out);
	return text;
}

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
	const char *in, *want;
} answers[] = {
	{ OK "Content-Length: 5\r\n\r\nhello", "200 1 1: hello" },
	{ OK "content-length :5\r\n\r\nhello", "bad" },
	{ OK "Content-Length:5  \r\n\r\nhello, and more", "200 1 1: hello" },
	{ OK "Content-Length: 0\r\n\r\n", "200 0 1: " },
	{ OK "Content-Length: 5\r\n\r\nhell", "200 1 1: hell!short" },
	{ OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "200 1 1: hello" },
	{ OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "bad" },
	{ OK "Content-Length: 5, 5\r\n\r\nhello", "bad" },
	{ OK "Content-Length: -5\r\n\r\nhello", "bad" },
	{ OK "Content-Length: 9999999999999999999\r\n\r\n", "bad" },
	{ OK "Content-Length: 5000\r\n\r\n", "200 1 1: !short" },
	{ OK "\r\nto the end", "200 3 0: to the end" },
	{ OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi", "200 1 0: hi" },
	{ OK "Connection: x, Close\r\nContent-Length: 2\r\n\r\nhi", "200 1 0: hi" },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 1 0: hi" },
	{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", "200 1 1: hi" },
	{ "HTTP/1.1 204 No Content\r\n\r\n", "204 0 1: " },
	{ "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", "304 0 1: " },
	{ "HTTP/1.1 200\nContent-Length: 2\n\nhi", "200 1 1: hi" },
	{ CHUNKED "5\r\nhello\r\n0\r\n\r\n", "200 2 1: hello" },
	{ CHUNKED "5\r\nhello\r\n00a;x=\"y\"\r\n, big worl\r\n1  \r\nd\r\n0\r\n\r\n", "200 2 1: hello, big world" },
	{ CHUNKED "2\r\nhi\r\n0\r\nTrailer: x\r\nAnother: y\r\n\r\nrest", "200 2 1: hi" },
	{ CHUNKED "2\nhi\n0\n\n", "200 2 1: hi" },
	{ CHUNKED "2\r\nhi\r\n0\r\n", "200 2 1: hi!short" },
	{ CHUNKED "2\r\nhi\r\n", "200 2 1: hi!short" },
	{ CHUNKED "2\r\nhix\r\n0\r\n\r\n", "200 2 1: hi!bad" },
	{ CHUNKED "\r\n", "200 2 1: !bad" },
	{ CHUNKED "x\r\n", "200 2 1: !bad" },
	{ CHUNKED "-1\r\n", "200 2 1: !bad" },
	{ CHUNKED "10000000000000000\r\n", "200 2 1: !bad" },
	{ CHUNKED "0x5\r\nhello\r\n", "200 2 1: !bad" },
	{ OK "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "200 2 0: hi" },
	{ OK "Transfer-Encoding: chunked, gzip\r\n\r\nhi", "200 3 0: hi" },
	{ "HTTP/1.1 100 Continue\r\n\r\n", "100 0 1: " },
	{ "HTTP/2 200\r\n\r\n", "bad" }, { "HTTP/1.1 20\r\n\r\n", "bad" }, { "HTTP/1.1 2000 x\r\n\r\n", "bad" },
	{ "HTTP/1.1 099 x\r\n\r\n", "bad" }, { "SSH-2.0-x\r\n", "bad" }, { "\r\n\r\n", "bad" }, { "HTTP/1.1", "more" },
	{ OK "no colon\r\n\r\n", "bad" }, { OK ": x\r\n\r\n", "bad" }, { OK "a b: x\r\n\r\n", "bad" }, { OK " folded: x\r\n\r\n", "bad" },
	{ OK "X: y\r\n", "more" },
};

TEST(an_answer_is_the_same_in_whatever_pieces_it_comes)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		for (size_t piece = 1; piece < 70; piece += piece < 8 ? 1 : 61) {
			EXPECT_STREQ(answers[i].want, read_answer(answers[i].in, strlen(answers[i].in), piece))
				TH_LOG("%s (pieces of %zu)", answers[i].in, piece);
		}
}

TEST(heads_and_bodies_are_bounded)
{
	size_t len = 2 * RESPONSE_MAX_HEAD, n;
	char *big = malloc(len);

	n = (size_t)sprintf(big, OK "X: ");
	memset(big + n, 'y', len - n);
	EXPECT_STREQ("big", read_answer(big, len, 30000));
	memcpy(big + len - 4, "\r\n\r\n", 4);
	EXPECT_STREQ("big", read_answer(big, len, len));
	n = (size_t)sprintf(big, CHUNKED "2000\r\n");
	memset(big + n, 'y', len - n);
	EXPECT_TRUE(strstr(read_answer(big, len, 500), "!big"));
	n = (size_t)sprintf(big, CHUNKED "1;");
	memset(big + n, 'y', len - n);
	EXPECT_TRUE(strstr(read_answer(big, len, 500), "!bad"));
	n = (size_t)sprintf(big, CHUNKED "0\r\n");
	memset(big + n, 'y', len - n);
	EXPECT_TRUE(strstr(read_answer(big, len, 500), "!bad"));
	free(big);
}

TEST(fields_that_matter_are_found)
{
	static const char head[] = "HTTP/1.1 301 x\r\nLOCATION:\t/there \r\nContent-Type: text/html\r\n\r\n";
	struct response r;

	ASSERT_EQ((long)sizeof(head) - 1, response_parse(&r, head, sizeof(head) - 1));
	EXPECT_EQ(0, strncmp("/there", head + r.location.at, r.location.len));
	EXPECT_EQ(6u, r.location.len);
	EXPECT_EQ(9u, r.type.len);
}

TEST(any_bytes_are_read)
{
	uint64_t s = mutate_seed();

	for (unsigned int i = 0; i < mutate_rounds(); i++) {
		size_t len, piece = mutate_next(&s) % 40 + 1;
		char *in = mutate(&s, answers[i % (sizeof(answers) / sizeof(answers[0]))].in, &len);
		char *want = strdup(read_answer(in, len, len ? len : 1));

		ASSERT_STREQ(want, read_answer(in, len, piece)) TH_LOG("%.*s", (int)len, in);
		free(want);
		free(in);
	}
}

TEST_HARNESS_MAIN
