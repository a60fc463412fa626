// SPDX-License-Identifier: MIT
/* Links of pages as people write them. */
#include "html.h"
#include "crawler_mutate.h"
#include "kselftest_harness.h"

static char got[4096];

static void add(void *arg, const char *ref, size_t len, bool base)
{
	size_t n = strlen(got);

	snprintf(got + n, sizeof(got) - n, "%s%.*s;", base ? "base=" : "", (int)len, ref);
}

static const char *links(const char *html)
{
	got[0] = 0;
	html_links(html, strlen(html), add, NULL);
	return got;
}

TEST(references_are_found_however_they_are_quoted)
{
	static const struct { const char *html, *want; } t[] = {
		{ "<a href=\"x\">", "x;" }, { "<a href='x'>", "x;" }, { "<a href=x>", "x;" }, { "<A HREF = x >", "x;" },
		{ "<a\n\tclass=y\n href\n=\n'x'\n>", "x;" }, { "<a/href=x/>", "x/;" }, { "<a href=x/y>", "x/y;" }, { "<a href=x target=y>", "x;" },
		{ "<a title='>' href=x>", "x;" }, { "<a href=\"a b\">", "a b;" }, { "<a href=x href=y>", "x;" }, { "<a href=\"\">", ";" },
		{ "<a href>", "" }, { "<a data-href=x>", "" }, { "<ab href=x>", "" }, { "<area href=x><frame src=y><iframe src='z'>", "x;y;z;" },
		{ "<img src=x><script src=y></script>", "" }, { "<base href=/b/><a href=x>", "base=/b/;x;" },
		{ "<a = href=x>", "x;" }, { "< a href=x>", "" }, { "1 < 2 <a href=x>", "x;" }, { "</a href=x>", "" }, { "<?php <a href=x>", "" },
		{ "<!DOCTYPE html><a href=x>", "x;" }, { "<a href=x", "" }, { "<a href='x", "" }, { "<a href='x><a href=y>", "" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		EXPECT_STREQ(t[i].want, links(t[i].html)) TH_LOG("%s", t[i].html);
	}
}

TEST(character_references_are_decoded)
{
	EXPECT_STREQ("?a=1&b=2;", links("<a href='?a=1&amp;b=2'>"));
	EXPECT_STREQ("/a\"'<>;", links("<a href='&#47;&#x61;&quot;&apos;&lt;&gt;'>"));
	EXPECT_STREQ("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80;", links("<a href='&#228;&#8364;&#x1F600;'>"));
	EXPECT_STREQ("&;&x;&#;&#x;&#0;&#xd800;&#1114112;&copy=1;", links("<a href='&;&x;&#;&#x;&#0;&#xd800;&#1114112;&copy=1'>"));
	EXPECT_STREQ("A;", links("<a href=&#65>"));
}

TEST(what_is_no_page_or_not_to_be_followed_is_left_out)
{
	EXPECT_STREQ("y;", links("<!-- <a href=x> --><a href=y>"));
	EXPECT_STREQ("y;", links("<!--><a href=y>"));
	EXPECT_STREQ("", links("<!-- <a href=x>"));
	EXPECT_STREQ("y;", links("<script>'<a href=x>' </scrip </SCRIPT ><a href=y>"));
	EXPECT_STREQ("y;", links("<style><a href=x></style><title><a href=x></title><textarea><a href=x></textarea><a href=y>"));
	EXPECT_STREQ("", links("<a href=x rel=nofollow><a href=x rel='external NoFollow'>"));
	EXPECT_STREQ("x;", links("<a href=x rel=nofollowed>"));
	EXPECT_STREQ("", links("<meta name=robots content='noindex, nofollow'><a href=x>"));
	EXPECT_STREQ("", links("<META content=none NAME=Robots><a href=x>"));
	EXPECT_STREQ("x;", links("<meta name=robots content=noindex><a href=x>"));
	EXPECT_STREQ("n;c;a;", links("<link rel=next href=n><link rel=canonical href=c><link rel=alternate href=a>"
				     "<link rel=stylesheet href=s><link rel='alternate stylesheet' href=s><link href=s>"));
}

TEST(a_refresh_leads_somewhere)
{
	EXPECT_STREQ("x;", links("<meta http-equiv=refresh content='5; url=x'>"));
	EXPECT_STREQ("x y;", links("<meta http-equiv=Refresh content=\"0;URL = 'x y' \">"));
	EXPECT_STREQ("", links("<meta http-equiv=refresh content=5>"));
	EXPECT_STREQ("", links("<meta http-equiv=refresh content='5; url='>"));
	EXPECT_STREQ("", links("<meta http-equiv=content-type content='x; url=y'>"));
}

TEST(links_too_long_are_counted)
{
	char *html = malloc(HTML_MAX_LINK + 100);

	memset(html, 'x', HTML_MAX_LINK + 99);
	memcpy(html, "<a href='", 9);
	strcpy(html + 9 + HTML_MAX_LINK, "'>");
	got[0] = 0;
	EXPECT_EQ(0u, html_links(html, strlen(html), add, NULL));
	EXPECT_EQ(HTML_MAX_LINK + 1u, strlen(got));
	strcpy(html + 9 + HTML_MAX_LINK, "x'>");
	EXPECT_EQ(1u, html_links(html, strlen(html), add, NULL));
	free(html);
}

static void bound(void *arg, const char *ref, size_t len, bool base)
{
	size_t *most = arg;

	if (len > *most)
		*most = len;
	if (len && memchr(ref, 0, 0))
		abort();
}

TEST(any_bytes_are_read)
{
	static const char *const seeds[] = {
		"<!DOCTYPE html><html><head><base href='/b/'><title>t</title><meta name=robots content='a, b'></head>",
		"<script>x</script><a class=y href=\"?a&amp;b&#x20AC;\" rel='a b'>z</a><!-- c --><a href=q>",
		"<meta http-equiv='refresh' content='5; url=\"x\"'><iframe src='a'/><style></style>",
	};
	uint64_t s = mutate_seed();

	for (unsigned int i = 0; i < mutate_rounds(); i++) {
		size_t len, most = 0;
		char *text = mutate(&s, seeds[i % 3], &len);

		html_links(text, len, bound, &most);
		ASSERT_LE(most, len);
		free(text);
	}
}

TEST_HARNESS_MAIN
