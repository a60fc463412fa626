// SPDX-License-Identifier: MIT
/* gstk_call_on_stack(): one call on a bigger stack, by whatever way it ends and whatever moves meanwhile. */
#include "report_test.h"
#include "annex_exceptions.h"
#include "window/window.h"

enum { BIG = 1 << 20 };

static struct gstk_stats now_(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s;
}

static unsigned char pattern(uint32_t seed, size_t i)
{
	return (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static void fill(unsigned char *p, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = pattern(seed, i);
	__asm__ volatile("" : : "r"(p) : "memory");
}

static void verify(const unsigned char *p, size_t bytes, uint32_t seed)
{
	__asm__ volatile("" : : "r"(p) : "memory");
	for (size_t i = 0; i < bytes; i++)
		CHECK_EQ(p[i], pattern(seed, i));
}

/* ---- plain ---- */

static void *uses_a_lot(void *arg)
{
	unsigned char big[BIG];

	fill(big, BIG, *(uint32_t *)arg);
	gstk_yield();
	CHECK_EQ(gstk_sleep(MS), 0);
	verify(big, BIG, *(uint32_t *)arg); /* through a pointer into the stack that was left */
	++*(uint32_t *)arg;
	return (void *)7L;
}

static void *calls_it(void *arg)
{
	unsigned char own[3000];
	uint32_t n = (uint32_t)(long)arg, before = n;
	gstk_task *me = gstk_self();
	void *r;

	for (int i = 0; i < 3; i++) {
		fill(own, sizeof(own), n);
		CHECK_EQ(gstk_call_on_stack(BIG + 8192, uses_a_lot, &n, &r), 0);
		CHECK_EQ((long)r, 7);
		CHECK_EQ(n, ++before);
		verify(own, sizeof(own), n - 1);
		CHECK(gstk_self() == me);
	}
	return NULL;
}

WAIT_TEST(tasks_that_move_and_share_windows_call_on_other_stacks)
{
	gstk_task *t[40];

	for (long i = 0; i < 40; i++)
		t[i] = start(calls_it, (void *)i);
	for (int i = 0; i < 40; i++)
		finish(t[i]);
	calls_it((void *)1L); /* a private one */
	CHECK_EQ(now_().annex_calls, 41 * 3);
}

static void *says_self(void *arg)
{
	return gstk_self() ? NULL : arg;
}

TEST(without_a_task_the_function_is_simply_called)
{
	void *r = NULL;

	EXPECT_EQ(0, gstk_call_on_stack(4096, says_self, (void *)3L, &r));
	EXPECT_EQ(3, (long)r);
	EXPECT_EQ(-EINVAL, gstk_call_on_stack(4096, NULL, NULL, NULL));
	EXPECT_EQ(-EINVAL, gstk_call_on_stack((size_t)1 << 40, says_self, NULL, NULL));
}

static int answer;

static void on_signal(int sig)
{
	answer = gstk_call_on_stack(4096, says_self, NULL, NULL);
}

/* On the worker's signal stack, from which there would be no way back. */
static void signalled(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK_EQ(answer, -EINVAL);
	CHECK_EQ(gstk_call_on_stack(4096, says_self, NULL, NULL), 0);
}

TEST(a_signal_handler_is_refused)
{
	with_workers(1, signalled);
}

static void *depth(void *arg)
{
	unsigned char bytes[20000];
	long n = (long)arg;
	void *r = NULL;

	fill(bytes, sizeof(bytes), (uint32_t)n);
	if (n)
		CHECK_EQ(gstk_call_on_stack(32768, depth, (void *)(n - 1), &r), 0);
	CHECK_EQ(gstk_sleep(MS / 10), 0);
	verify(bytes, sizeof(bytes), (uint32_t)n);
	return (void *)((long)r + 1);
}

static void *starts_deep(void *arg)
{
	CHECK_EQ(gstk_cleanup_push(free, malloc(10)), 0);
	return depth(arg);
}

WAIT_TEST(calls_may_be_nested)
{
	gstk_task *t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(starts_deep, (void *)20L);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(finish(t[i]), 21);
}

static void *doubles(void *arg)
{
	usleep(1000);
	*(long *)arg *= 2;
	return arg;
}

/* Blocking calls, objects that others use, channels: all from there. */
static void *posts(void *arg)
{
	return (void *)(long)gstk_sem_post(arg, 1);
}

static void *does_everything(void *arg)
{
	gstk_sem sem = GSTK_SEM_INIT(0); /* in a shared window this would be refused */
	long n = 21;
	gstk_task *t;

	CHECK_EQ(gstk_blocking(doubles, &n, NULL), 0);
	CHECK_EQ(n, 42);
	CHECK_EQ(gstk_spawn(&t, posts, &sem, NULL), 0);
	CHECK_EQ(gstk_sem_wait(&sem), 0);
	CHECK_EQ(finish(t), 0);
	CHECK_EQ(gstk_sem_wait_until(&sem, gstk_now() + MS), -ETIMEDOUT);
	return NULL;
}

static void *calls_everything(void *arg)
{
	CHECK_EQ(gstk_call_on_stack(65536, does_everything, NULL, NULL), 0);
	return NULL;
}

WAIT_TEST(whatever_a_task_may_do_it_may_do_there)
{
	gstk_task *t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(calls_everything, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
}

/* ---- ends ---- */

static void *exits(void *arg)
{
	if ((long)arg)
		gstk_call_on_stack(32768, exits, (void *)((long)arg - 1), NULL);
	gstk_sleep(1);
	gstk_exit((void *)5L);
}

static void *exits_there(void *arg)
{
	gstk_call_on_stack(32768, exits, arg, NULL);
	abort();
}

WAIT_TEST(a_task_may_end_there_and_leaves_nothing)
{
	uint32_t before = gstk__win_private_high();

	for (int round = 0; round < 30; round++) {
		gstk_task *t[10];

		for (long i = 0; i < 10; i++)
			t[i] = start(exits_there, (void *)(i % 3));
		for (int i = 0; i < 10; i++)
			CHECK_EQ(finish(t[i]), 5);
	}
	CHECK(gstk__win_private_high() - before <= 60);
}

static void *throws(void *arg)
{
	for (int i = 0; i < 5; i++)
		for (int levels = 1; levels < 4; levels++)
			CHECK_EQ(annex_throw_through(levels), levels + 1);
	return calls_it(arg);
}

WAIT_TEST(an_exception_leaves_it_for_the_stack_below)
{
	gstk_task *t[10];

	throws((void *)1L);
	for (long i = 0; i < 10; i++)
		t[i] = start(throws, (void *)i);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
}

static gstk_sem never;

static void *waits(void *arg)
{
	return (void *)(long)gstk_sem_wait(&never);
}

static void *waits_there(void *arg)
{
	void *r = NULL;

	CHECK_EQ(gstk_call_on_stack(65536, waits, NULL, &r), 0);
	return r;
}

WAIT_TEST(a_cancel_reaches_it_there)
{
	gstk_task *t = start(waits_there, NULL);

	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
}

static void leaves_some(void)
{
	never = (gstk_sem)GSTK_SEM_INIT(0);
	for (int i = 0; i < 10; i++)
		start(waits_there, NULL);
	settle();
}

TEST(shutdown_ends_those_that_stand_there)
{
	with_workers(2, leaves_some);
}

/* Of an unusual size, so that nobody else's mapping fits: it is the same one again and again. */
static uintptr_t seen[100];
static int nr_seen;

static void *notes_where(void *arg)
{
	seen[nr_seen++] = (uintptr_t)__builtin_frame_address(0);
	return NULL;
}

static void again_and_again(void)
{
	for (int i = 0; i < 100; i++)
		CHECK_EQ(gstk_call_on_stack(3 << 20, notes_where, NULL, NULL), 0);
	for (int i = 1; i < 100; i++)
		CHECK_EQ(seen[i], seen[0]);
}

TEST(stacks_are_used_again)
{
	with_workers(1, again_and_again);
}

static void *touches_much(void *arg)
{
	unsigned char big[8 << 20];

	fill(big, sizeof(big), 1);
	return NULL;
}

/* Twice, for once trimmed is not trimmed for ever. */
static void given_back(void)
{
	for (int i = 0; i < 2; i++) {
		uint64_t before = now_().trim_bytes;

		CHECK_EQ(gstk_call_on_stack(9 << 20, touches_much, NULL, NULL), 0);
		for (int ms = 0; now_().trim_bytes - before < 8 << 20; ms++) {
			CHECK(ms < 30000);
			gstk_sleep(MS);
		}
	}
}

TEST(their_pages_are_given_back)
{
	with_workers(1, given_back);
}

/* ---- reports ---- */

static int fall_for_ever(int n);
static int (*volatile deeper)(int) = fall_for_ever;

static __attribute__((noinline)) int fall_for_ever(int n)
{
	volatile char bytes[200];

	bytes[n % 200] = 1;
	return deeper(n + 1) + bytes[n % 200];
}

static void *falls(void *arg)
{
	return (void *)(long)fall_for_ever(0);
}

static __attribute__((noinline)) void *calls_what_falls(void *arg)
{
	CHECK_EQ(gstk_call_on_stack(BIG, falls, NULL, NULL), 0);
	return NULL;
}

static void falling(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, calls_what_falls, NULL, &(struct gstk_spawn_opts){
		.size = sizeof(struct gstk_spawn_opts), .name = "icarus" }), 0);
	gstk_join(t, NULL);
}

static void fall(void) { with_workers(2, falling); }

TEST(an_overflow_there_is_reported_with_the_frames_of_both_stacks)
{
	const char *p;
	long bytes;

	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(fall)));
	EXPECT_TRUE(reported("stack overflow in task"));
	EXPECT_TRUE(reported("\"icarus\""));
	EXPECT_TRUE(reported("gstk_call_on_stack()"));
	EXPECT_TRUE(reported("fall_for_ever+0x"));
	EXPECT_TRUE(reported("falls+0x"));
	EXPECT_TRUE(reported("calls_what_falls+0x"));
	p = strstr(report, "\": ");
	bytes = p ? strtol(p + 3, NULL, 10) : -1;
	EXPECT_LT(BIG - 4096, bytes);
	EXPECT_GT(BIG + (70 << 10), bytes);
}

static __attribute__((noinline)) void *waits_below(void *arg)
{
	volatile long keep = 1;
	void *r = NULL;

	if (arg)
		CHECK_EQ(gstk_call_on_stack(65536, waits, NULL, &r), 0);
	else
		CHECK_EQ(gstk_call_on_stack(65536, waits_below, (void *)1L, &r), 0);
	keep++;
	return r;
}

static void dumped(void)
{
	gstk_task *t;

	never = (gstk_sem)GSTK_SEM_INIT(0);
	CHECK_EQ(gstk_spawn(&t, waits_below, NULL, &(struct gstk_spawn_opts){
		.size = sizeof(struct gstk_spawn_opts), .name = "diver" }), 0);
	settle();
	CHECK_EQ(gstk_dump(2, true), 0);
	gstk_cancel(t);
	CHECK_EQ(finish(t), -ECANCELED);
}

static void dump_1(void) { with_workers(1, dumped); }

/* Twice on the way: in its window, and on the first of the other stacks. */
TEST(a_dump_shows_the_frames_of_all_its_stacks)
{
	const char *p;

	ASSERT_EQ(0, in_child(dump_1)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("\"diver\" waiting for sem"));
	p = strstr(report, "\"diver\"");
	ASSERT_NE(NULL, p = strstr(p, " waits+0x"));
	ASSERT_NE(NULL, p = strstr(p, " waits_below+0x"));
	ASSERT_NE(NULL, p = strstr(p + 1, " waits_below+0x"));
	EXPECT_EQ(NULL, strstr(report, "no unwind information"));
}

/* ---- one that runs there ---- */

static _Atomic bool told;

static __attribute__((noinline)) void *computes(void *arg)
{
	for (volatile uint64_t n = 0; !told; n++)
		;
	return NULL;
}

static void *computes_there(void *arg)
{
	CHECK_EQ(gstk_call_on_stack(65536, computes, NULL, NULL), 0);
	return NULL;
}

static void dumped_running(void)
{
	gstk_task *t = start(computes_there, NULL);

	while (now_().annex_calls < 1)
		gstk_yield();
	settle();
	while (!was_told()) { /* it is asked by a signal, and may be late with its answer */
		CHECK_EQ(gstk_dump(2, true), 0);
		gstk_sleep(5 * MS);
	}
	told = true;
	finish(t);
}

static void dump_2(void) { with_workers(2, dumped_running); }

TEST(a_dump_shows_the_frames_of_one_that_runs_there)
{
	if (UNDER_TSAN)
		SKIP(return, "it delivers signals late, when other frames are there");
	ASSERT_EQ(0, in_child_until((const char *const[]){ " computes+0x", NULL }, dump_2)) TH_LOG("%s", report);
	EXPECT_TRUE(reported(" computes+0x"));
}

TEST_HARNESS_MAIN
