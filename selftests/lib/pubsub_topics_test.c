// SPDX-License-Identifier: MIT
/* Subscription tables, glob patterns and output queues of the example server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <greenstk.h>
#include "glob.h"
#include "message.h"
#include "topics.h"
#include "kselftest_harness.h"

/* The meaning of a pattern in its plainest form: exponential, but short. */
static bool naive(const char *p, const char *pe, const char *t, const char *te)
{
	if (p == pe)
		return t == te;
	if (*p == '*')
		return naive(p + 1, pe, t, te) || (t < te && naive(p, pe, t + 1, te));
	if (t == te)
		return false;
	if (*p == '?')
		return naive(p + 1, pe, t + 1, te);
	if (*p == '[') {
		bool negate = false, hit = false;

		p++;
		if (p < pe && *p == '^') {
			negate = true;
			p++;
		}
		for (; p < pe && *p != ']'; p++) {
			if (*p == '\\' && p + 1 < pe) {
				p++;
				hit = hit || *p == *t;
			} else if (p + 2 < pe && p[1] == '-') {
				hit = hit || (p[0] <= *t && *t <= p[2]) || (p[2] <= *t && *t <= p[0]);
				p += 2;
			} else {
				hit = hit || *p == *t;
			}
		}
		if (p < pe)
			p++;
		return hit != negate && naive(p, pe, t + 1, te);
	}
	if (*p == '\\' && p + 1 < pe)
		p++;
	return *p == *t && naive(p + 1, pe, t + 1, te);
}

/* Every string of the alphabet with at most @max characters; returns how many. */
static int all_strings(const char *alphabet, int max, char (*out)[8])
{
	int from = 0, nr = 1;

	out[0][0] = 0;
	for (int len = 1; len <= max; len++) {
		int upto = nr;

		for (; from < upto; from++)
			for (const char *a = alphabet; *a; a++) {
				memcpy(out[nr], out[from], (size_t)len);
				out[nr][len - 1] = *a;
				out[nr][len] = 0;
				nr++;
			}
	}
	return nr;
}

TEST(every_short_pattern_matches_as_the_plain_definition)
{
	static char patterns[60000][8], texts[60000][8];
	int np = all_strings("a*?[]^-\\", 5, patterns), nt = all_strings("ac]", 4, texts);

	for (int i = 0; i < np; i++)
		for (int k = 0; k < nt; k++) {
			size_t pl = strlen(patterns[i]), tl = strlen(texts[k]);

			ASSERT_EQ(naive(patterns[i], patterns[i] + pl, texts[k], texts[k] + tl),
				  glob_match(patterns[i], pl, texts[k], tl))
				TH_LOG("pattern \"%s\" text \"%s\"", patterns[i], texts[k]);
		}
}

TEST(patterns_of_the_documentation_match)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} cases[] = {
		{ "h?llo", "hello", true },   { "h?llo", "hllo", false },    { "h*llo", "heeeello", true },
		{ "h[ae]llo", "hallo", true }, { "h[ae]llo", "hillo", false }, { "h[^e]llo", "hello", false },
		{ "h[a-b]llo", "hbllo", true }, { "news.*", "news.art", true }, { "\\*", "*", true },
		{ "\\*", "a", false },	      { "", "", true },		     { "*", "", true },
		{ "[z-a]", "m", true },	      { "[abc", "c", true },	     { "a\\", "a\\", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *p = cases[i].pattern, *t = cases[i].text;

		EXPECT_EQ(cases[i].match, glob_match(p, strlen(p), t, strlen(t))) TH_LOG("%s %s", p, t);
	}
}

TEST(a_pattern_of_many_stars_takes_no_exponential_time)
{
	char pattern[2 * 64 + 2] = "", text[4096];

	for (int i = 0; i < 64; i++)
		strcat(pattern, "*a");
	strcat(pattern, "b");
	memset(text, 'a', sizeof(text));
	EXPECT_FALSE(glob_match(pattern, strlen(pattern), text, sizeof(text)));
}

/* Topics against a table of booleans. */
#define NR_CLIENTS 40
#define NR_NAMES   24

static struct subs subs[NR_CLIENTS];
static bool model[2][NR_CLIENTS][NR_NAMES];
static int got[NR_CLIENTS][NR_NAMES + 1]; /* [NR_NAMES]: as a channel */
static char names[2][NR_NAMES][16];
static uint64_t rng = 88172645463325252ull;

static struct subs *subs_of(uint32_t client)
{
	return &subs[client];
}

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 32) * n >> 32);
}

static void note(void *user, uint32_t client, const char *pattern, uint32_t pattern_len)
{
	int i = NR_NAMES;

	if (pattern)
		for (i = 0; i < NR_NAMES && strcmp(names[1][i], pattern); i++)
			;
	got[client][i]++;
}

static void count_names(void *user, const char *name, uint32_t len)
{
	(*(int *)user)++;
}

static uint32_t model_count(int pattern, int client)
{
	uint32_t n = 0;

	for (int i = 0; i < NR_NAMES; i++)
		n += model[pattern][client][i];
	return n;
}

static bool anybody(int pattern, int name)
{
	for (int c = 0; c < NR_CLIENTS; c++)
		if (model[pattern][c][name])
			return true;
	return false;
}

/* Publishing reaches exactly those that the model names, as often as it names them. */
static const char *check_publish(int name)
{
	const char *channel = names[0][name];
	size_t len = strlen(channel), want = 0, nr;

	memset(got, 0, sizeof(got));
	nr = topics_publish(channel, (uint32_t)len, note, NULL);
	for (int c = 0; c < NR_CLIENTS; c++) {
		if (got[c][NR_NAMES] != model[0][c][name])
			return "a channel's subscriber";
		want += model[0][c][name];
		for (int i = 0; i < NR_NAMES; i++) {
			bool hit = model[1][c][i] && glob_match(names[1][i], strlen(names[1][i]), channel, len);

			if (got[c][i] != hit)
				return "a pattern's subscriber";
			want += hit;
		}
	}
	return nr == want ? NULL : "the number of deliveries";
}

static const char *step(void)
{
	uint32_t client = rnd(NR_CLIENTS), what = rnd(100);
	int pattern = rnd(3) == 0, name = (int)rnd(NR_NAMES), nr = 0, want = 0;
	const char *text = names[pattern][name];
	bool *m = &model[pattern][client][name];

	if (what < 45) {
		if (topics_subscribe(client, pattern, text, (uint32_t)strlen(text)) != !*m)
			return "the answer to subscribe";
		*m = true;
	} else if (what < 80) {
		if (topics_unsubscribe(client, pattern, text, (uint32_t)strlen(text)) != *m)
			return "the answer to unsubscribe";
		*m = false;
	} else if (what < 90) {
		return check_publish(name);
	} else if (what < 93) {
		uint32_t topic = topics_any(client, pattern), len;
		char *left;

		if (!topic != !model_count(pattern, (int)client))
			return "any";
		if (!topic)
			return NULL;
		topics_leave(client, topic, &left, &len);
		for (name = 0; strcmp(names[pattern][name], left); name++)
			;
		free(left);
		if (!model[pattern][client][name])
			return "the name of what was left";
		model[pattern][client][name] = false;
	} else if (what < 95) {
		topics_leave_all(client);
		topics_free(client);
		memset(model[0][client], 0, sizeof(model[0][client]));
		memset(model[1][client], 0, sizeof(model[1][client]));
	} else {
		topics_list(NULL, 0, count_names, &nr);
		for (int i = 0; i < NR_NAMES; i++)
			want += anybody(0, i);
		if (nr != want || topics_nr(false) != (size_t)want)
			return "the list of channels";
	}
	for (pattern = 0; pattern < 2; pattern++)
		if (topics_count(client, pattern) != model_count(pattern, (int)client))
			return "a client's count";
	return NULL;
}

TEST(random_subscriptions_agree_with_a_table)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT"), *wrong;
	int steps = variant && strcmp(variant, "plain") ? 30000 : 300000;

	for (int i = 0; i < NR_NAMES; i++) {
		static const char *const globs[] = { "c%d", "c%d*", "*%d", "c?%d", "[a-d]%d", "*" };

		snprintf(names[0][i], sizeof(names[0][i]), "c%d", i);
		snprintf(names[1][i], sizeof(names[1][i]), globs[i % 6], i);
	}
	/* "*" is there several times under one name: that is one topic. */
	for (int i = 5; i < NR_NAMES; i += 6)
		snprintf(names[1][i], sizeof(names[1][i]), "*%.*s", i / 6 + 1, "????????");
	ASSERT_EQ(0, topics_init(subs_of));
	for (int i = 0; i < steps; i++) {
		wrong = step();
		ASSERT_EQ(NULL, wrong) TH_LOG("step %d: %s", i, wrong);
	}
	for (uint32_t c = 0; c < NR_CLIENTS; c++) {
		topics_leave_all(c);
		topics_free(c);
	}
	EXPECT_EQ(0u, topics_nr(false));
	EXPECT_EQ(0u, topics_nr(true));
}

TEST(one_client_may_have_very_many)
{
	char name[16];
	int n;

	ASSERT_EQ(0, topics_init(subs_of));
	for (int i = 0; i < 50000; i++) {
		n = snprintf(name, sizeof(name), "x%d", i);
		ASSERT_EQ(1, topics_subscribe(0, false, name, (uint32_t)n));
		ASSERT_EQ(0, topics_subscribe(0, false, name, (uint32_t)n));
	}
	EXPECT_EQ(50000u, topics_count(0, false));
	topics_leave_all(0);
	topics_free(0);
	EXPECT_EQ(0u, topics_nr(false));
}

/* Queues against a flat copy of the bytes. */
TEST(queues_keep_every_byte_in_order)
{
	static char want[1 << 20];
	size_t head = 0, tail = 0;
	outq q = 0, side = 0;

	for (int i = 0; i < 200000; i++) {
		if (rnd(2) && tail < sizeof(want) - 64) {
			struct message *m = message_new(1 + rnd(40));

			for (uint32_t k = 0; k < m->len; k++)
				m->data[k] = want[tail++] = (char)rnd(256);
			/* Somebody else holds it, too. */
			if (rnd(2)) {
				ASSERT_TRUE(outq_push(rnd(8) ? &q : &side, message_get(m)));
				message_put(m);
			} else {
				ASSERT_TRUE(outq_push(side ? &side : &q, m));
			}
			if (side) {
				/* What was put aside is spliced behind the rest. */
				ASSERT_TRUE(outq_splice(&q, &side));
				ASSERT_EQ(0u, side);
			}
		} else {
			struct iovec iov[8];
			int nr = outq_iov(q, iov, 1 + (int)rnd(8));
			size_t sum = 0, n;

			ASSERT_EQ(tail - head, outq_bytes(q));
			for (int k = 0; k < nr; k++) {
				ASSERT_EQ(0, memcmp(iov[k].iov_base, want + head + sum, iov[k].iov_len));
				sum += iov[k].iov_len;
			}
			ASSERT_EQ(head == tail, sum == 0);
			n = rnd(3) ? sum : rnd((uint32_t)sum + 1);
			ASSERT_TRUE(outq_sent(&q, n));
			head += n;
			if (head == tail) {
				ASSERT_EQ(0u, q);
				head = tail = 0;
			}
		}
	}
	outq_clear(&q);
}

TEST_HARNESS_MAIN
