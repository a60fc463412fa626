// SPDX-License-Identifier: MIT
/* The example server's parser of what another server answers. */
#include <stdlib.h>
#include <string.h>
#include "resp_reply.h"
#include "kselftest_harness.h"

static const struct {
	const char *wire;
	char type;
	const char *texts[RESP_REPLY_TEXTS];
} values[] = {
	{ "+OK\r\n", '+', { "OK" } },
	{ "-ERR no\r\n", '-', { "ERR no" } },
	{ ":12\r\n", ':', { "12" } },
	{ "_\r\n", '_', { "" } },
	{ "$0\r\n\r\n", '$', { "" } },
	{ "$-1\r\n", '$', { NULL } },
	{ "$4\r\na\r\nb\r\n", '$', { "a\r\nb" } },
	{ "*0\r\n", '*', { NULL } },
	{ "*-1\r\n", '*', { NULL } },
	{ ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n", '>', { "message", "a", "hi" } },
	{ ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$0\r\n\r\n", '>', { "pmessage", "*", "a", "" } },
	{ "%2\r\n+a\r\n*2\r\n:1\r\n:2\r\n+b\r\n*0\r\n", '%', { "a", "1", "2", "b" } },
	{ "|1\r\n+ttl\r\n:3\r\n+OK\r\n", '|', { "ttl", "3", "OK" } },
	{ "*6\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n", '*', { "1", "2", "3", "4" } },
	{ "=7\r\ntxt:abc\r\n", '=', { "txt:abc" } },
};

TEST(a_value_is_found_however_much_of_it_has_come)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		size_t len = strlen(values[i].wire);
		struct resp_reply r = { .need = 0 };

		for (size_t n = 0; n < len; n++) {
			char *part = malloc(n + 1); /* of its own size: a sanitizer sees a look beyond */

			memcpy(part, values[i].wire, n);
			EXPECT_EQ(0, resp_reply_parse(part, n, &r)) TH_LOG("%zu of %s", n, values[i].wire);
			EXPECT_LT(n, r.need);
			EXPECT_LE(r.need, len);
			free(part);
		}
		ASSERT_EQ((int64_t)len, resp_reply_parse(values[i].wire, len, &r)) TH_LOG("%s", values[i].wire);
		EXPECT_EQ(values[i].type, r.type);
		for (uint32_t k = 0; k < RESP_REPLY_TEXTS; k++) {
			const char *want = values[i].texts[k];

			if (!want) {
				EXPECT_EQ(k, r.nr);
				break;
			}
			ASSERT_LT(k, r.nr);
			EXPECT_EQ(strlen(want), r.text[k].len);
			EXPECT_EQ(0, memcmp(want, values[i].wire + r.text[k].off, r.text[k].len));
		}
	}
}

TEST(what_follows_a_value_is_left)
{
	struct resp_reply r;

	EXPECT_EQ(4, resp_reply_parse(":1\r\n:2\r\n", 8, &r));
	EXPECT_EQ(1u, r.nr);
}

TEST(other_bytes_are_refused)
{
	static const char *const bad[] = {
		"x\r\n", "\r\n", "$x\r\n", "$-2\r\n", "$99999999999999999999\r\n", "$600000000\r\n", "*2000000\r\n", "+a\n", "*1\r\nx",
		"GET / HTTP/1.1\r\n",
	};
	char *line = malloc(100000);
	struct resp_reply r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-1, resp_reply_parse(bad[i], strlen(bad[i]), &r)) TH_LOG("%s", bad[i]);
	}
	EXPECT_EQ(-1, resp_reply_parse("\0\r\n", 3, &r));
	memset(line, '+', 100000);
	EXPECT_EQ(-1, resp_reply_parse(line, 100000, &r));
	free(line);
}

TEST_HARNESS_MAIN
