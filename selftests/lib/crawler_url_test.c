// SPDX-License-Identifier: MIT
/* URLs: references resolved as RFC 3986 says, and equal pages with equal text. */
#include <errno.h>
#include "url.h"
#include "crawler_mutate.h"
#include "kselftest_harness.h"

/* The result as text; "!name" of the error. */
static const char *resolved(const char *base, const char *ref)
{
	static char text[URL_MAX + 1];
	struct url b, u;
	int err = base ? url_resolve(NULL, base, strlen(base), &b) : 0;

	if (!err)
		err = url_resolve(base ? &b : NULL, ref, strlen(ref), &u);
	if (err)
		return err == -EINVAL ? "!invalid" : err == -EPROTONOSUPPORT ? "!scheme" : "!long";
	memcpy(text, u.text, u.len);
	text[u.len] = 0;
	return text;
}

struct pair { const char *ref, *want; };
#define EACH(i, table) for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)

TEST(references_resolve_as_rfc_3986_lists_them)
{
	static const struct pair t[] = { /* 5.4.1 and 5.4.2, fragments left out */
		{ "g", "http://a/b/c/g" }, { "./g", "http://a/b/c/g" }, { "g/", "http://a/b/c/g/" },
		{ "/g", "http://a/g" }, { "//g", "http://g/" }, { "?y", "http://a/b/c/d;p?y" },
		{ "g?y", "http://a/b/c/g?y" }, { "#s", "http://a/b/c/d;p?q" }, { "g#s", "http://a/b/c/g" },
		{ "g?y#s", "http://a/b/c/g?y" }, { ";x", "http://a/b/c/;x" }, { "g;x", "http://a/b/c/g;x" },
		{ "", "http://a/b/c/d;p?q" }, { ".", "http://a/b/c/" }, { "./", "http://a/b/c/" }, { "..", "http://a/b/" },
		{ "../", "http://a/b/" }, { "../g", "http://a/b/g" }, { "../..", "http://a/" }, { "../../", "http://a/" },
		{ "../../g", "http://a/g" }, { "../../../g", "http://a/g" }, { "../../../../g", "http://a/g" },
		{ "/./g", "http://a/g" }, { "/../g", "http://a/g" }, { "g.", "http://a/b/c/g." }, { ".g", "http://a/b/c/.g" },
		{ "g..", "http://a/b/c/g.." }, { "..g", "http://a/b/c/..g" }, { "./../g", "http://a/b/g" },
		{ "./g/.", "http://a/b/c/g/" }, { "g/./h", "http://a/b/c/g/h" }, { "g/../h", "http://a/b/c/h" },
		{ "g;x=1/./y", "http://a/b/c/g;x=1/y" }, { "g;x=1/../y", "http://a/b/c/y" },
		{ "g?y/./x", "http://a/b/c/g?y/./x" }, { "g?y/../x", "http://a/b/c/g?y/../x" },
		{ "g#s/../x", "http://a/b/c/g" }, { "g:h", "!scheme" }, { "http:g", "!invalid" },
	};

	EACH(i, t) {
		EXPECT_STREQ(t[i].want, resolved("http://a/b/c/d;p?q", t[i].ref)) TH_LOG("%s", t[i].ref);
	}
}

TEST(equal_pages_have_equal_text)
{
	static const struct pair t[] = {
		{ "HTTP://Example.ORG", "http://example.org/" }, { "http://example.org:80/", "http://example.org/" },
		{ "http://example.org:/x", "http://example.org/x" }, { "http://example.org:0080/", "http://example.org/" },
		{ "http://example.org.:8080/", "http://example.org:8080/" }, { "https://x:443/", "https://x/" },
		{ "https://x:80/", "https://x:80/" }, { "http://x?y", "http://x/?y" }, { "http://x/?", "http://x/?" },
		{ "http://x/%7e%41%2f%3a", "http://x/~A%2F%3A" }, { "http://x/%2e%2E/a", "http://x/a" },
		{ "http://x/a b", "http://x/a%20b" }, { "http://x/\xc3\xa4?\xc3\xa4", "http://x/%C3%A4?%C3%A4" },
		{ "http://x/100%", "http://x/100%25" }, { "http://x/%zz", "http://x/%25zz" }, { " http://x/\n ", "http://x/" },
		{ "http://x/a\n\tb", "http://x/ab" }, { "http://[::1]:81/", "http://[::1]:81/" }, { "http://[::ABC]/", "http://[::abc]/" },
		{ "http://x/a//b", "http://x/a//b" }, { "http://x/\"<>", "http://x/%22%3C%3E" },
	};

	EACH(i, t) {
		EXPECT_STREQ(t[i].want, resolved(NULL, t[i].ref)) TH_LOG("%s", t[i].ref);
	}
}

TEST(what_is_no_address_is_refused)
{
	static const struct pair t[] = {
		{ "", "!invalid" }, { "x", "!invalid" }, { "//x/", "!invalid" }, { "http:", "!invalid" }, { "http://", "!invalid" },
		{ "http:///x", "!invalid" }, { "http://a b/", "!invalid" }, { "http://u:p@x/", "!invalid" },
		{ "http://x:y/", "!invalid" }, { "http://x:65536/", "!invalid" }, { "http://x:99999999999/", "!invalid" },
		{ "http://[::1/", "!invalid" }, { "http://[]/", "!invalid" }, { "http://[::1]x/", "!invalid" },
		{ "http://\xc3\xa4/", "!invalid" }, { "mailto:a@b", "!scheme" }, { "javascript:void(0)", "!scheme" },
		{ "http://x../", "!invalid" }, { "http://.x/", "!invalid" }, { "http://./", "!invalid" }, { "ftp://x/", "!scheme" }, { "httpx://x/", "!scheme" },
	};

	EACH(i, t) {
		EXPECT_STREQ(t[i].want, resolved(NULL, t[i].ref)) TH_LOG("%s", t[i].ref);
	}
}

TEST(the_length_is_bounded_after_encoding_too)
{
	char text[URL_MAX + 2] = "http://x/", dots[4 * URL_MAX];

	for (size_t i = 0; i < sizeof(dots) - 1; i++)
		dots[i] = i & 1 ? '/' : '.';
	dots[sizeof(dots) - 1] = 0;
	EXPECT_STREQ("!long", resolved("http://x/", dots));
	memset(text + 9, 'a', URL_MAX - 8);
	text[URL_MAX + 1] = 0;
	EXPECT_STREQ("!long", resolved(NULL, text));
	memset(text + 9, ' ', 800); /* three bytes each in the end */
	strcpy(text + 809, "b");
	EXPECT_STREQ("!long", resolved(NULL, text));
	memset(text + 9, 'a', 1500);
	strcpy(text + 1509, "/");
	EXPECT_STREQ("!long", resolved(text, "?                                                                           "
		"                                                                                                           "
		"                                                                                                          b"));
}

TEST(a_normal_form_stays_what_it_is_whatever_it_came_from)
{
	static const char *const seeds[] = {
		"http://Example.org:8080/a/./b/../%7Ec?x=%20y#z", "../../x/%2e/y?z", "//[::1]:80/a;b=c/d", "https://u/%e4%zz\xff",
		"/a/b/c/./../../g", "mailto:x@y", "?only=query",
	};
	uint64_t s = mutate_seed();
	struct url base, u, again;

	ASSERT_EQ(0, url_resolve(NULL, "http://a.test/b/c/d;p?q", 23, &base));
	for (unsigned int i = 0; i < mutate_rounds(); i++) {
		size_t len;
		char *text = mutate(&s, seeds[i % (sizeof(seeds) / sizeof(seeds[0]))], &len);
		int err = url_resolve(&base, text, len, &u);

		ASSERT_TRUE(err == 0 || err == -EINVAL || err == -EPROTONOSUPPORT || err == -ENAMETOOLONG);
		if (!err) {
			ASSERT_LE(u.path + u.path_len, u.len);
			ASSERT_LE(u.len, URL_MAX);
			ASSERT_EQ('/', u.text[u.path]);
			ASSERT_EQ(0, url_resolve(NULL, u.text, u.len, &again)) TH_LOG("%.*s", u.len, u.text);
			ASSERT_EQ(u.len, again.len) TH_LOG("%.*s\n%.*s", u.len, u.text, again.len, again.text);
			ASSERT_EQ(0, memcmp(u.text, again.text, u.len));
			for (int c = 0; c < u.len; c++) { /* nothing in it ends a line of the request */
				ASSERT_TRUE(u.text[c] > ' ' && u.text[c] < 0x7f);
			}
		}
		free(text);
	}
}

TEST_HARNESS_MAIN
