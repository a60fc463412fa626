// SPDX-License-Identifier: MIT
/* What is known, what waits, and which host may have one more task. */
#include "frontier.h"
#include "kselftest_harness.h"

FIXTURE(frontier) { struct frontier f; };
FIXTURE_SETUP(frontier) { frontier_init(&self->f, 1000, 7); }
FIXTURE_TEARDOWN(frontier) { frontier_fini(&self->f); }

static enum frontier_added add(struct frontier *f, const char *text)
{
	struct url u;

	if (url_resolve(NULL, text, strlen(text), &u))
		abort();
	return frontier_add(f, &u, 0, 0);
}

TEST_F(frontier, a_page_is_taken_once_however_it_is_written)
{
	struct host *h;

	EXPECT_EQ(FRONTIER_NEW, add(&self->f, "http://a/x"));
	EXPECT_EQ(FRONTIER_KNOWN, add(&self->f, "HTTP://A:80/./x#y"));
	EXPECT_EQ(FRONTIER_NEW, add(&self->f, "http://a:81/x"));
	EXPECT_EQ(FRONTIER_NEW, add(&self->f, "http://a/x?"));
	h = frontier_ready(&self->f);
	ASSERT_NE(NULL, h);
	EXPECT_STREQ("http://a/x", frontier_take(&self->f, h)->text);
	EXPECT_EQ(FRONTIER_KNOWN, add(&self->f, "http://a/x")); /* also after it was taken */
	EXPECT_STREQ("http://a/x?", frontier_take(&self->f, h)->text);
	EXPECT_EQ(NULL, frontier_take(&self->f, h));
	EXPECT_EQ(1u, self->f.nr_queued);
}

TEST_F(frontier, pages_are_bounded_and_none_is_forgotten)
{
	char text[64];

	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "http://h%d/%d", i % 37, i);
		ASSERT_EQ(FRONTIER_NEW, add(&self->f, text));
	}
	EXPECT_EQ(FRONTIER_FULL, add(&self->f, "http://h0/one-more"));
	EXPECT_EQ(37u, self->f.nr_hosts);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "http://h%d/%d", i % 37, i);
		ASSERT_EQ(FRONTIER_KNOWN, add(&self->f, text));
	}
}

TEST_F(frontier, a_host_gets_no_more_tasks_than_it_may_have)
{
	struct host *a, *b;

	add(&self->f, "http://a/1");
	add(&self->f, "http://a/2");
	add(&self->f, "http://a/3");
	add(&self->f, "http://a/4");
	add(&self->f, "http://b/1");
	a = frontier_ready(&self->f);
	b = frontier_ready(&self->f);
	ASSERT_NE(a, b);
	EXPECT_EQ(NULL, frontier_ready(&self->f)); /* one each while their rules are unknown */
	frontier_take(&self->f, a);
	frontier_widen(&self->f, a, 2);
	EXPECT_EQ(a, frontier_ready(&self->f));
	EXPECT_EQ(NULL, frontier_ready(&self->f));
	frontier_leave(&self->f, a); /* pages are left */
	EXPECT_EQ(a, frontier_ready(&self->f));
	frontier_take(&self->f, b);
	frontier_leave(&self->f, b);
	EXPECT_EQ(NULL, frontier_ready(&self->f));
	EXPECT_EQ(FRONTIER_NEW, add(&self->f, "http://b/2")); /* comes back with work */
	EXPECT_EQ(b, frontier_ready(&self->f));
	frontier_widen(&self->f, b, 2); /* the only page is for the task that is there */
	EXPECT_EQ(NULL, frontier_ready(&self->f));
}

TEST_F(frontier, pauses_between_requests_are_reserved_one_after_another)
{
	struct host *h;

	add(&self->f, "http://a/1");
	h = frontier_ready(&self->f);
	h->delay_ns = 100;
	EXPECT_EQ(1000u, host_reserve(h, 1000));
	EXPECT_EQ(1100u, host_reserve(h, 1000));
	EXPECT_EQ(1200u, host_reserve(h, 1050));
	EXPECT_EQ(5000u, host_reserve(h, 5000));
	EXPECT_EQ(1u, host_tasks(h));
	h->delay_ns = 0;
	EXPECT_EQ(host_limits.tasks, host_tasks(h));
}

TEST_HARNESS_MAIN
