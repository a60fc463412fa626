// SPDX-License-Identifier: MIT
/* robots.txt: who is meant, and the longest pattern decides. */
#include "robots.h"
#include "crawler_mutate.h"
#include "kselftest_harness.h"

#define AGENT "greenstk-crawler"

static int allowed(const char *text, const char *path)
{
	struct robots r;
	int yes;

	if (robots_parse(&r, AGENT, text, strlen(text)))
		return -1;
	yes = robots_allow(&r, path, strlen(path));
	robots_free(&r);
	return yes;
}

static uint64_t delay(const char *text)
{
	struct robots r;
	uint64_t ns;

	if (robots_parse(&r, AGENT, text, strlen(text)))
		return UINT64_MAX;
	ns = r.delay_ns;
	robots_free(&r);
	return ns;
}

TEST(the_longest_pattern_decides_and_allow_among_equals)
{
	static const struct { const char *rules, *path; int yes; } t[] = { /* the examples of RFC 9309 and of its first authors */
		{ "", "/", 1 }, { "Disallow:", "/x", 1 }, { "Disallow: /", "/x", 0 }, { "Disallow: /x", "/y", 1 },
		{ "Allow: /p\nDisallow: /", "/page", 1 }, { "Allow: /folder\nDisallow: /folder", "/folder/page", 1 },
		{ "Disallow: /folder\nAllow: /folder", "/folder/page", 1 },
		{ "Allow: /page\nDisallow: /*.htm", "/page.htm", 0 }, { "Allow: /$\nDisallow: /", "/", 1 },
		{ "Allow: /$\nDisallow: /", "/page.htm", 0 }, { "Disallow: /fish*", "/fishheads/yummy.html", 0 },
		{ "Disallow: /fish*", "/Fish.asp", 1 }, { "Disallow: /fish/", "/fish", 1 }, { "Disallow: /*.php", "/folder/a.php?x", 0 },
		{ "Disallow: /*.php$", "/a.php?x", 1 }, { "Disallow: /*.php$", "/folder/a.php", 0 }, { "Disallow: /*.php$", "/a.php.php", 0 },
		{ "Disallow: /fish*.php", "/fishheads/catfish.php?parameters", 0 }, { "Disallow: /fish*.php", "/Fish.PHP", 1 },
		{ "Disallow: /a%3cd.html", "/a%3Cd.html", 0 }, { "Disallow: /%7Ejoe/", "/~joe/x", 0 }, { "Disallow: /a b", "/a%20b", 0 },
		{ "Disallow: /x # why", "/x", 0 }, { " disALLOW :\t/x ", "/x", 0 }, { "Disallow /x", "/x", 1 },
		{ "Disallow: *x", "/abcx", 0 }, { "Disallow: /a*b*c", "/a1b2", 1 }, { "Disallow: /a*b*c", "/aabbcc", 0 },
		{ "Disallow: /$x", "/$x", 0 }, { "Disallow: /x\r\nDisallow: /y\r", "/y", 0 },
		{ "Disallow: /", "/robots.txt", 1 }, { "Disallow: /", "/robots.txt?x", 0 },
		{ "Sitemap: http://x/\nDisallow: /x", "/x", 0 },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), "User-agent: *\n%s", t[i].rules);
		EXPECT_EQ(t[i].yes, allowed(text, t[i].path)) TH_LOG("%s: %s", t[i].rules, t[i].path);
	}
}

TEST(a_group_that_names_us_counts_and_no_other)
{
	EXPECT_EQ(1, allowed("User-agent: *\nDisallow: /\n\nUser-agent: " AGENT "\nDisallow: /x", "/y"));
	EXPECT_EQ(0, allowed("User-agent: *\nDisallow: /\n\nUser-agent: " AGENT "\nDisallow: /x", "/x"));
	EXPECT_EQ(1, allowed("User-agent: " AGENT "\nDisallow: /x\n\nUser-agent: *\nDisallow: /", "/y"));
	EXPECT_EQ(0, allowed("User-agent: GreenStk-Crawler/1.0\nDisallow: /x", "/x"));
	EXPECT_EQ(1, allowed("User-agent: greenstk\nDisallow: /x", "/x"));
	EXPECT_EQ(1, allowed("User-agent: greenstk-crawler-news\nDisallow: /x", "/x"));
	/* several names of one group; a group in two pieces; rules before any name */
	EXPECT_EQ(0, allowed("User-agent: other\nUser-agent: " AGENT "\nUser-agent: third\nDisallow: /x", "/x"));
	EXPECT_EQ(1, allowed("User-agent: other\nDisallow: /x\nUser-agent: third\nDisallow: /x", "/x"));
	EXPECT_EQ(0, allowed("User-agent: " AGENT "\nDisallow: /x\nUser-agent: o\nDisallow: /\nUser-agent: " AGENT "\nDisallow: /y", "/x"));
	EXPECT_EQ(0, allowed("User-agent: " AGENT "\nDisallow: /x\nUser-agent: o\nDisallow: /\nUser-agent: " AGENT "\nDisallow: /y", "/y"));
	EXPECT_EQ(1, allowed("Disallow: /x\nUser-agent: o\nDisallow: /", "/x"));
	EXPECT_EQ(0, allowed("\xef\xbb\xbfUser-agent: *\nDisallow: /x", "/x"));
	/* an empty line ends no group */
	EXPECT_EQ(0, allowed("User-agent: " AGENT "\n\nUser-agent: *\nDisallow: /x\nUser-agent: " AGENT "\nAllow: /", "/x"));
}

TEST(a_name_may_have_every_letter_that_the_standard_gives_it)
{
	static const char text[] = "User-agent: *\nDisallow: /\n\nUser-agent: my_bot\nDisallow: /y";
	struct robots r;

	ASSERT_EQ(0, robots_parse(&r, "my_bot", text, strlen(text)));
	EXPECT_TRUE(robots_allow(&r, "/z", 2));
	EXPECT_FALSE(robots_allow(&r, "/y", 2));
	robots_free(&r);
}

TEST(pauses_are_asked_for_in_seconds)
{
	EXPECT_EQ(1500000000u, delay("User-agent: *\nCrawl-delay: 1.5"));
	EXPECT_EQ(0u, delay("User-agent: other\nCrawl-delay: 1.5"));
	EXPECT_EQ(0u, delay("User-agent: *\nCrawl-delay: 9\nUser-agent: " AGENT "\nDisallow: /x"));
	EXPECT_EQ(0u, delay("User-agent: *\nCrawl-delay: soon"));
	EXPECT_EQ(0u, delay("User-agent: *\nCrawl-delay: -4"));
	EXPECT_EQ(0u, delay("User-agent: *\nCrawl-delay: nan"));
	EXPECT_EQ(3600000000000u, delay("User-agent: *\nCrawl-delay: 1e300"));
}

TEST(rules_are_bounded_and_patterns_do_not_explode)
{
	size_t cap = 5000 * 16, n = 0;
	char *text = malloc(cap + 32);
	struct robots r;

	n += (size_t)sprintf(text, "User-agent: *\n");
	for (int i = 0; i < 5000; i++)
		n += (size_t)snprintf(text + n, cap - n, "Allow: /%d\n", i);
	ASSERT_EQ(0, robots_parse(&r, AGENT, text, n));
	EXPECT_EQ(4096u, r.nr);
	robots_free(&r);
	memset(text, 'a', 2000);
	text[0] = '/';
	text[2000] = 0;
	EXPECT_EQ(1, allowed("User-agent: *\nDisallow: /*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab", text));
	free(text);
}

TEST(any_bytes_are_read)
{
	static const char seed[] = "User-agent: *\nDisallow: /a*b$\nAllow: /a%20c\n\nUser-agent: " AGENT
				   "\nUser-Agent: x # y\r\nDisallow: /x\nCrawl-delay: 2.5\nSitemap: http://x/\n";
	uint64_t s = mutate_seed();

	for (unsigned int i = 0; i < mutate_rounds(); i++) {
		size_t len, plen;
		char *text = mutate(&s, seed, &len), *path = mutate(&s, "/a/b%20c?x=y*z$", &plen);
		struct robots r;

		ASSERT_EQ(0, robots_parse(&r, AGENT, text, len));
		robots_allow(&r, path, plen);
		ASSERT_LE(r.delay_ns, 3600000000000u);
		robots_free(&r);
		free(text);
		free(path);
	}
}

TEST_HARNESS_MAIN
