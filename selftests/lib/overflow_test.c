// SPDX-License-Identifier: MIT
/* Stack overflows are reported by task; any other SIGSEGV belongs to the application. */
#include <setjmp.h>
#include <sys/mman.h>
#include "report_test.h"
#include "window/window.h"

/*
 * Through a pointer, so that the compiler neither inlines nor warns. Not for the thread sanitizer, whose runtime would
 * meet the guard with a lock held that the report needs.
 */
#define FALLS __attribute__((noinline, no_sanitize("thread")))
static int fall_for_ever(int depth);
static int (*volatile deeper)(int) = fall_for_ever;

static FALLS int fall_for_ever(int depth)
{
	volatile char bytes[200];

	bytes[depth % 200] = 1;
	return deeper(depth + 1) + bytes[depth % 200];
}

static void *falls(void *arg)
{
	return (void *)(long)fall_for_ever(0);
}

static void run_named(const char *name, uint32_t flags, size_t stack_size)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, falls, NULL, &(struct gstk_spawn_opts){ .size = sizeof(struct gstk_spawn_opts),
		.name = name, .flags = flags, .stack_size = stack_size }), 0);
	gstk_join(t, NULL);
}

static void main_shared(void) { run_named("shallow", 0, 0); }
static void main_private(void) { run_named("loner", GSTK_PRIVATE, 0); }
static void main_large(void) { run_named("large", 0, 2 << 20); }
static void main_itself(void) { fall_for_ever(0); }
static void shared(void) { with_workers(2, main_shared); }
static void private_(void) { with_workers(2, main_private); }
static void large(void) { with_workers(1, main_large); }
static void itself(void) { with_workers(1, main_itself); }

static long depth(const char *end)
{
	const char *p = strstr(report, "\": ");

	return p ? strtol(p + 3, (char **)&end, 10) : -1;
}

static void *by_page(void *arg);
static void *(*volatile next_page)(void *) = by_page;

static FALLS void *by_page(void *arg)
{
	volatile char big[100 << 10];

	for (int i = (int)sizeof(big) - 1; i >= 0; i -= 4096)
		big[i] = 1;
	return next_page((void *)big);
}

static void main_by_page(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, by_page, NULL, GSTK_OPTS(gstk_spawn_opts, .name = "leaps")), 0);
	gstk_join(t, NULL);
}

static void leaps(void) { with_workers(1, main_by_page); }

TEST(an_overflow_in_a_shared_window_names_task_and_depth)
{
	int status = in_child(shared);

	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	EXPECT_TRUE(reported("stack overflow in task"));
	EXPECT_TRUE(reported("\"shallow\""));
	EXPECT_TRUE(reported("fall_for_ever+0x"));
	EXPECT_TRUE(reported("falls+0x")); /* the outermost frames are there, too */
	EXPECT_TRUE(reported(" frames\n"));
	EXPECT_LT(150 << 10, depth(NULL));
	EXPECT_GT(260 << 10, depth(NULL));
}

TEST(an_overflow_in_a_private_window_is_reported)
{
	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(private_)));
	EXPECT_TRUE(reported("\"loner\""));
	EXPECT_TRUE(reported("falls+0x"));
}

TEST(the_depth_is_that_of_the_stack_that_was_asked_for)
{
	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(large)));
	EXPECT_TRUE(reported("\"large\""));
	EXPECT_LT((2 << 20) - 1000, depth(NULL));
	EXPECT_GT((2 << 20) + (66 << 10), depth(NULL));
}

TEST(the_main_task_is_watched_too)
{
	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(itself)));
	EXPECT_TRUE(reported("\"main\""));
}

TEST(frames_larger_than_a_page_are_caught)
{
	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(leaps)));
	EXPECT_TRUE(reported("\"leaps\""));
	EXPECT_TRUE(reported("by_page+0x"));
}

/* As man 7 greenstk says: a frame larger than the guard would reach past it. */
static __attribute__((optimize("stack-clash-protection"))) FALLS int leap_for_ever(int depth)
{
	volatile char bytes[600 << 10];

	bytes[depth % 200] = 1;
	return deeper(depth + 1) + bytes[depth % 200];
}

static void *leaps_far(void *arg)
{
	return (void *)(long)leap_for_ever(0);
}

static void main_far(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, leaps_far, NULL, NULL), 0);
	gstk_join(t, NULL);
}

static void far(void) { with_workers(1, main_far); }

TEST(a_frame_larger_than_the_guard_is_caught_where_the_compiler_probes_it)
{
	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(far)));
	EXPECT_TRUE(reported("stack overflow in task"));
	EXPECT_TRUE(reported("leap_for_ever")); /* optimized: a copy of it, with more behind its name */
}

/* ---- not ours ---- */

static char *trap;
static sigjmp_buf back;
static void *volatile seen_address;
static volatile int handled;

static void repair(int sig, siginfo_t *info, void *context)
{
	seen_address = info->si_addr;
	handled++;
	mprotect(trap, 4096, PROT_READ | PROT_WRITE);
}

static void escape(int sig)
{
	handled++;
	siglongjmp(back, 1);
}

static __attribute__((noipa)) void *touches(void *arg)
{
	*(volatile char *)arg = 1;
	return NULL;
}

static void install(void (*info)(int, siginfo_t *, void *), void (*plain)(int))
{
	struct sigaction sa = { 0 };

	if (info) {
		sa.sa_sigaction = info;
		sa.sa_flags = SA_SIGINFO;
	} else {
		sa.sa_handler = plain;
	}
	CHECK_EQ(sigaction(SIGSEGV, &sa, NULL), 0);
}

static void main_touch_trap(void)
{
	touches(trap + 77);
	CHECK_EQ(handled, 1);
	CHECK(seen_address == trap + 77);
	CHECK_EQ(finish(start(touches, trap + 78)), 0);
	mprotect(trap, 4096, PROT_NONE);
	CHECK_EQ(finish(start(touches, trap + 79)), 0);
	CHECK_EQ(handled, 2);
	CHECK(seen_address == trap + 79);
}

static void application_handler(void)
{
	trap = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	install(repair, NULL);
	with_workers(2, main_touch_trap);
	/* And it is back afterwards. */
	mprotect(trap, 4096, PROT_NONE);
	touches(trap + 1);
	CHECK_EQ(handled, 3);
}

static void *null_and_back(void *arg)
{
	if (!sigsetjmp(back, 1))
		touches((void *)8);
	return NULL;
}

static void main_null(void)
{
	for (int i = 1; i <= 3; i++) {
		CHECK_EQ(finish(start(null_and_back, NULL)), 0);
		CHECK_EQ(handled, i);
	}
}

static void null_with_plain_handler(void)
{
	install(NULL, escape);
	with_workers(1, main_null);
}

static void main_plain_null(void)
{
	touches((void *)16);
}

static void null_without_handler(void)
{
	install(NULL, SIG_DFL);
	with_workers(1, main_plain_null);
}

static void null_ignored(void)
{
	install(NULL, SIG_IGN);
	with_workers(1, main_plain_null);
}

static void main_sent(void)
{
	raise(SIGSEGV);
}

static void sent_without_handler(void)
{
	install(NULL, SIG_DFL);
	with_workers(1, main_sent);
}

static void sent_ignored(void)
{
	install(NULL, SIG_IGN);
	with_workers(1, main_sent);
}

/* The guard of somebody else: a wild pointer, no overflow. */
static void main_other_guard(void)
{
	gstk_task *t = start(touches, &(char){ 0 }); /* main is private */

	finish(t);
	touches(gstk__win_limit(1) - 100);
}

static void *own_guard(void *arg)
{
	gstk_yield();
	/* The own guard, from the top of the stack: still no overflow. */
	for (uint32_t i = 1; i <= gstk__windows.nr; i++)
		if ((char *)__builtin_frame_address(0) < gstk__win_base(i) && (char *)__builtin_frame_address(0) > gstk__win_limit(i))
			touches(gstk__win_limit(i) - 100);
	return NULL;
}

static void main_own_guard(void)
{
	finish(start(own_guard, NULL));
}

static void other_guard(void)
{
	install(NULL, SIG_DFL);
	with_workers(1, main_other_guard);
}

static void wild_in_own_guard(void)
{
	install(NULL, SIG_DFL);
	with_workers(1, main_own_guard);
}

static void *thread_falls(void *arg)
{
	fall_for_ever(0);
	return NULL;
}

static void main_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_falls, NULL);
	pthread_join(t, NULL);
}

static void foreign_thread(void)
{
	install(NULL, SIG_DFL);
	with_workers(1, main_thread);
}

static void no_handler(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .flags = GSTK_NO_SEGV_HANDLER };

	install(NULL, SIG_DFL);
	unsetenv("GREENSTK_DEBUG");
	gstk_main(body_, (void *)main_shared, NULL, &config);
}

TEST(a_fault_goes_to_the_handler_of_the_application_with_its_address)
{
	EXPECT_EQ(0, in_child(application_handler)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("overflow"));
}

TEST(a_plain_handler_may_jump_out)
{
	EXPECT_EQ(0, in_child(null_with_plain_handler)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("overflow"));
}

/* Without a handler a process dies of SIGSEGV as it would without us. */
static void dies_quietly(struct __test_metadata *_metadata, void (*fn)(void))
{
	int status = in_child(fn);

	ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("status %x: %s", status, report);
	EXPECT_EQ(SIGSEGV, WTERMSIG(status));
	EXPECT_TRUE(silent_about("stack overflow in task"));
}

TEST(a_null_pointer_without_a_handler_kills) { dies_quietly(_metadata, null_without_handler); }
TEST(a_null_pointer_cannot_be_ignored) { dies_quietly(_metadata, null_ignored); }
TEST(a_signal_that_was_sent_kills_without_a_handler) { dies_quietly(_metadata, sent_without_handler); }
TEST(the_guard_of_another_window_is_no_overflow) { dies_quietly(_metadata, other_guard); }
TEST(a_wild_pointer_into_the_own_guard_is_no_overflow) { dies_quietly(_metadata, wild_in_own_guard); }
TEST(an_overflow_of_a_foreign_thread_is_not_ours) { dies_quietly(_metadata, foreign_thread); }
TEST(without_the_handler_nothing_is_reported) { dies_quietly(_metadata, no_handler); }

TEST(a_signal_that_was_sent_and_is_ignored_does_nothing)
{
	EXPECT_EQ(0, in_child(sent_ignored));
}

TEST_HARNESS_MAIN
