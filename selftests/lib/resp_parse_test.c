// SPDX-License-Identifier: MIT
/* The parser of the Redis protocol: the same result for every way to split a stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "resp.h"
#include "kselftest_harness.h"

#define MAX_BULK 1024u

/* What a stream means, as text: "[a|b][c]" for requests, "." for nothing, "!text" for an error. */
struct meaning {
	char text[8192];
	size_t len;
};

static void say(struct meaning *m, const char *s, size_t len)
{
	if (m->len + len + 1 > sizeof(m->text))
		abort();
	memcpy(m->text + m->len, s, len);
	m->len += len;
	m->text[m->len] = 0;
}

/* Parse a stream that arrives in pieces; cut(i) says where the piece that begins at i ends. The
 * buffer is moved for each piece, so a parser that kept an address would read freed memory. */
static void mean(struct meaning *m, const char *stream, size_t len, size_t (*cut)(size_t from, size_t len))
{
	struct resp_parser p;
	size_t start = 0, have = 0;
	char *buf = NULL;

	m->len = 0;
	m->text[0] = 0;
	resp_init(&p, MAX_BULK);
	while (have < len) {
		size_t upto = cut(have, len);
		char *moved = malloc(upto - start);

		/* Inline requests are unquoted in place: what is parsed already may differ. */
		if (have > start)
			memcpy(moved, buf, have - start);
		memcpy(moved + (have - start), stream + have, upto - have);
		free(buf);
		buf = moved;
		have = upto;
		for (;;) {
			enum resp_status s = resp_parse(&p, buf, have - start);
			char *rest;

			if (s == RESP_MORE)
				break;
			if (s == RESP_ERROR) {
				say(m, "!", 1);
				say(m, p.error, strlen(p.error));
				goto out;
			}
			if (s == RESP_NOTHING)
				say(m, ".", 1);
			for (uint32_t i = 0; s == RESP_REQUEST && i < p.nr_args; i++) {
				say(m, i ? "|" : "[", 1);
				say(m, buf + resp_args(&p)[i].off, resp_args(&p)[i].len);
				if (i + 1 == p.nr_args)
					say(m, "]", 1);
			}
			if (p.pos == 0 || p.pos > have - start) {
				say(m, "?pos", 4);
				goto out;
			}
			start += p.pos;
			rest = malloc(have - start + 1);
			memcpy(rest, buf + p.pos, have - start);
			free(buf);
			buf = rest;
			resp_reset(&p);
			if (start == have)
				break;
		}
	}
out:
	free(buf);
	resp_reset(&p);
}

static size_t cut_first, cut_second;

static size_t whole(size_t from, size_t len)
{
	return len;
}

static size_t bytewise(size_t from, size_t len)
{
	return from + 1;
}

static size_t two_cuts(size_t from, size_t len)
{
	return from < cut_first ? cut_first : from < cut_second ? cut_second : len;
}

static uint64_t rng = 1;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 32) * n >> 32);
}

static size_t random_cut(size_t from, size_t len)
{
	size_t to = from + 1 + rnd(12);

	return to < len ? to : len;
}

static const struct {
	const char *stream, *meaning;
} cases[] = {
	{ "*1\r\n$4\r\nPING\r\n", "[PING]" },
	{ "*3\r\n$7\r\npublish\r\n$1\r\na\r\n$0\r\n\r\n", "[publish|a|]" },
	{ "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n", "[PING][ECHO|\r\n]" },
	{ "*10\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n",
	  "[0|1|2|3|4|5|6|7|8|9]" },
	{ "*0\r\n*-1\r\n\r\n\n*1\r\n$1\r\nx\r\n", "....[x]" },
	{ "PING\r\n", "[PING]" },
	{ "PING\n  set  a\tb \r\n", "[PING][set|a|b]" },
	{ "echo \"a b\" 'c d'\r\n", "[echo|a b|c d]" },
	{ "echo \"\\x41\\n\\\"q\\\\\" 'it\\'s \\n'\r\n", "[echo|A\n\"q\\|it's \\n]" },
	{ "echo \"\" ''\r\n", "[echo||]" },
	{ "echo a\"b\"\r\n", "[echo|ab]" },
	{ "echo \"\\xZZ\\x4\"\r\nok\r\n", "[echo|xZZx4][ok]" },
	/* What Redis answers with a protocol error. */
	{ "echo \"a\r\n", "!Protocol error: unbalanced quotes in request" },
	{ "echo 'a\r\n", "!Protocol error: unbalanced quotes in request" },
	{ "echo \"a\"b\r\n", "!Protocol error: unbalanced quotes in request" },
	{ "echo \"a\\\"\r\n", "!Protocol error: unbalanced quotes in request" },
	{ "*x\r\n", "!Protocol error: invalid multibulk length" },
	{ "*\r\n", "!Protocol error: invalid multibulk length" },
	{ "*1 \r\n", "!Protocol error: invalid multibulk length" },
	{ "*01\r\n", "!Protocol error: invalid multibulk length" },
	{ "*-0\r\n", "!Protocol error: invalid multibulk length" },
	{ "*+1\r\n", "!Protocol error: invalid multibulk length" },
	{ "*1048577\r\n", "!Protocol error: invalid multibulk length" },
	{ "*99999999999999999999\r\n", "!Protocol error: invalid multibulk length" },
	{ "*1\r\n+OK\r\n", "!Protocol error: expected '$', got '+'" },
	{ "*1\r\n\r\n", "!Protocol error: expected '$', got '?'" },
	{ "*2\r\n$1\r\na\r\n*1\r\n", "!Protocol error: expected '$', got '*'" },
	{ "*1\r\n$x\r\n", "!Protocol error: invalid bulk length" },
	{ "*1\r\n$-1\r\n", "!Protocol error: invalid bulk length" },
	{ "*1\r\n$\r\n", "!Protocol error: invalid bulk length" },
	{ "*1\r\n$1025\r\n", "!Protocol error: invalid bulk length" },
	{ "*1\r\n$4294967296\r\n", "!Protocol error: invalid bulk length" },
	{ "*1\r\n$9223372036854775808\r\n", "!Protocol error: invalid bulk length" },
	{ "*1\r\n$4\r\nPING\r\n*1\r\n$y\r\n", "[PING]!Protocol error: invalid bulk length" },
};
#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

TEST(requests_and_errors_are_those_of_redis)
{
	struct meaning m;

	for (size_t i = 0; i < NR_CASES; i++) {
		mean(&m, cases[i].stream, strlen(cases[i].stream), whole);
		EXPECT_STREQ(cases[i].meaning, m.text);
	}
}

TEST(every_split_into_three_means_the_same)
{
	struct meaning m;

	for (size_t i = 0; i < NR_CASES; i++) {
		size_t len = strlen(cases[i].stream);

		mean(&m, cases[i].stream, len, bytewise);
		ASSERT_STREQ(cases[i].meaning, m.text);
		for (cut_first = 0; cut_first < len; cut_first++)
			for (cut_second = cut_first; cut_second < len; cut_second++) {
				mean(&m, cases[i].stream, len, two_cuts);
				ASSERT_STREQ(cases[i].meaning, m.text) TH_LOG("case %zu cut at %zu and %zu", i,
									     cut_first, cut_second);
			}
	}
}

TEST(every_truncation_waits_for_more)
{
	struct meaning m, shorter;

	for (size_t i = 0; i < NR_CASES; i++) {
		size_t len = strlen(cases[i].stream);

		mean(&m, cases[i].stream, len, whole);
		for (size_t n = 0; n < len; n++) {
			mean(&shorter, cases[i].stream, n, whole);
			ASSERT_EQ(0, strncmp(shorter.text, m.text, shorter.len))
				TH_LOG("case %zu, %zu bytes: %s", i, n, shorter.text);
		}
	}
}

TEST(lines_without_end_are_refused)
{
	static const struct {
		char first;
		const char *error;
	} kinds[] = {
		{ 'x', "Protocol error: too big inline request" },
		{ '*', "Protocol error: too big mbulk count string" },
		{ '$', "Protocol error: too big bulk count string" },
	};
	size_t len = RESP_MAX_LINE + 64;
	char *buf = malloc(len);

	for (int k = 0; k < 3; k++) {
		size_t head = kinds[k].first == '$' ? 4 : 0;
		enum resp_status s = RESP_MORE;
		struct resp_parser p;
		size_t n;

		memset(buf, '1', len);
		memcpy(buf, "*1\r\n", head);
		buf[head] = kinds[k].first;
		resp_init(&p, MAX_BULK);
		for (n = 1; n <= len && s == RESP_MORE; n += 61)
			s = resp_parse(&p, buf, n);
		EXPECT_EQ(RESP_ERROR, s);
		EXPECT_STREQ(kinds[k].error, p.error);
		EXPECT_GT(RESP_MAX_LINE + 200u, n);
		resp_reset(&p);
	}
	free(buf);
}

TEST(a_promised_number_of_strings_takes_no_memory)
{
	char buf[] = "*1048576\r\n$1\r\nx\r\n";
	struct resp_parser p;

	resp_init(&p, MAX_BULK);
	EXPECT_EQ(RESP_MORE, resp_parse(&p, buf, strlen(buf)));
	EXPECT_EQ(NULL, p.more);
	EXPECT_EQ(1u, p.nr_args);
	resp_reset(&p);
}

TEST(many_strings_are_kept_in_order)
{
	enum { NR = 5000 };
	char *buf = malloc(NR * 16 + 32), *at = buf;
	struct resp_parser p;

	at += sprintf(at, "*%d\r\n", NR);
	for (int i = 0; i < NR; i++)
		at += sprintf(at, "$4\r\n%04d\r\n", i);
	resp_init(&p, MAX_BULK);
	for (size_t n = 1; n < (size_t)(at - buf); n += 997)
		ASSERT_EQ(RESP_MORE, resp_parse(&p, buf, n));
	ASSERT_EQ(RESP_REQUEST, resp_parse(&p, buf, (size_t)(at - buf)));
	ASSERT_EQ((uint32_t)NR, p.nr_args);
	for (int i = 0; i < NR; i++) {
		char want[8];

		sprintf(want, "%04d", i);
		ASSERT_EQ(0, memcmp(buf + resp_args(&p)[i].off, want, 4));
	}
	resp_reset(&p);
	free(buf);
}

/* Random streams made of pieces of the protocol, and mutated valid ones: whatever they mean, they
 * mean it in every split, and nothing is read outside the buffer (sanitizers see that). */
static size_t random_stream(char *out, size_t size)
{
	static const char *const pieces[] = {
		"*", "$", "\r\n", "\n", "\r", "1", "2", "0", "-1", "10", "PING", "\"", "'", "\\", "\\x4", " ",
		"*1\r\n$4\r\nPING\r\n", "*2\r\n$1\r\na\r\n$2\r\nbc\r\n", "$3\r\n", "x", "+", "\x00y", "\xff",
	};
	size_t len = 0;

	for (int n = 1 + (int)rnd(12); n; n--) {
		const char *s = pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))];
		size_t l = *s ? strlen(s) : 2;

		if (len + l > size)
			break;
		memcpy(out + len, s, l);
		len += l;
	}
	for (int n = (int)rnd(3); n && len; n--)
		out[rnd((uint32_t)len)] = (char)rnd(256);
	return len;
}

TEST(random_streams_mean_the_same_in_every_split)
{
	const char *seed_text = getenv("RESP_SEED"), *variant = getenv("GREENSTK_TEST_VARIANT");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : 20261120;
	int rounds = variant && strcmp(variant, "plain") ? 20000 : 200000;
	struct meaning a, b;
	char stream[256];

	TH_LOG("RESP_SEED=%llu", (unsigned long long)seed);
	rng = seed * 0x9e3779b97f4a7c15ull | 1;
	for (int i = 0; i < rounds; i++) {
		size_t len = random_stream(stream, sizeof(stream));

		mean(&a, stream, len, whole);
		mean(&b, stream, len, i % 4 ? random_cut : bytewise);
		ASSERT_EQ(a.len, b.len) TH_LOG("round %d: \"%s\" but in pieces \"%s\"", i, a.text, b.text);
		ASSERT_EQ(0, memcmp(a.text, b.text, a.len)) TH_LOG("round %d", i);
	}
}

TEST_HARNESS_MAIN
