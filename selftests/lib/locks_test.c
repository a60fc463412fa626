// SPDX-License-Identifier: MIT
/* GREENSTK_DEBUG=locks: each thing that it reports, and that it reports nothing else. */
#include "report_test.h"

static gstk_mutex a = GSTK_MUTEX_INIT, b = GSTK_MUTEX_INIT, c = GSTK_MUTEX_INIT;
static gstk_rwlock r = GSTK_RWLOCK_INIT;
static gstk_mutex alike[3];

static void watched(void (*fn)(void))
{
	setenv("GREENSTK_DEBUG", "locks", 1);
	with_workers(1, fn);
}

static void watched_by_two(void (*fn)(void))
{
	setenv("GREENSTK_DEBUG", "locks", 1);
	with_workers(2, fn);
}

static gstk_task *named(const char *name, void (*fn)(void))
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, body_, (void *)fn, GSTK_OPTS(gstk_spawn_opts, .name = name)), 0);
	return t;
}

static __attribute__((noipa)) void both(gstk_mutex *first, gstk_mutex *second)
{
	CHECK_EQ(gstk_mutex_lock(first), 0);
	CHECK_EQ(gstk_mutex_lock(second), 0);
	CHECK_EQ(gstk_mutex_unlock(second), 0);
	CHECK_EQ(gstk_mutex_unlock(first), 0);
}

/* ---- order ---- */

static __attribute__((noipa)) void ab(void) { both(&a, &b); }
static __attribute__((noipa)) void bc(void) { both(&b, &c); }
static __attribute__((noipa)) void ca(void) { both(&c, &a); }
static __attribute__((noipa)) void ba(void) { both(&b, &a); }

static void main_crossed(void)
{
	finish(named("one", ab));
	finish(named("two", ba));
}

static void main_triangle(void)
{
	finish(named("one", ab));
	finish(named("two", bc));
	finish(named("three", ca));
}

static void make_alike(void)
{
	for (int i = 0; i < 3; i++)
		CHECK_EQ(gstk_mutex_init(&alike[i]), 0);
}

static void main_twins(void)
{
	make_alike();
	both(&alike[0], &alike[2]);
	both(&alike[1], &alike[2]);
	both(&alike[2], &alike[1]);
}

static __attribute__((noipa)) void alike_under_a(void) { both(&a, &alike[0]); }
static __attribute__((noipa)) void a_under_alike(void) { both(&alike[1], &a); }

static void main_classes(void)
{
	make_alike();
	alike_under_a();
	a_under_alike();
}

static void main_ranks(void)
{
	gstk_mutex_rank(&a, 1);
	gstk_mutex_rank(&b, 2);
	gstk_rwlock_rank(&r, 2);
	ab();
	CHECK_EQ(gstk_mutex_lock(&b), 0);
	CHECK_EQ(gstk_rwlock_read_lock(&r), 0);
}

static void crossed(void) { watched(main_crossed); }
static void triangle(void) { watched(main_triangle); }
static void twins(void) { watched(main_twins); }
static void classes(void) { watched(main_classes); }
static void ranks(void) { watched(main_ranks); }

static bool aborted(void (*fn)(void))
{
	int status = in_child_until(NULL, fn);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST(locks_that_are_taken_the_other_way_round_are_reported_though_nobody_waits)
{
	EXPECT_TRUE(aborted(crossed));
	EXPECT_TRUE(reported("greenstk: GREENSTK_DEBUG=locks: locks are taken in a circle"));
	EXPECT_TRUE(reported("greenstk: now: task 2 \"two\" held lock 0x"));
	EXPECT_TRUE(reported("greenstk: before: task 2 \"one\" held lock 0x"));
	EXPECT_TRUE(reported("taken at both+0x"));
	/* The places are where the application called, each with its callers. */
	EXPECT_TRUE(reported("    #0 0x"));
	EXPECT_TRUE(reported(" ba+0x"));
	EXPECT_TRUE(reported(" ab+0x"));
	EXPECT_TRUE(silent_about("lock_watched"));
	EXPECT_TRUE(reported("gstk_mutex_rank()"));
}

TEST(a_circle_of_three_names_each_step)
{
	EXPECT_TRUE(aborted(triangle));
	EXPECT_TRUE(reported(" ab+0x"));
	EXPECT_TRUE(reported(" bc+0x"));
	EXPECT_TRUE(reported(" ca+0x"));
}

TEST(locks_that_are_alike_have_one_order_of_addresses)
{
	EXPECT_TRUE(aborted(twins));
	EXPECT_TRUE(reported("locks that are alike are held together"));
	EXPECT_TRUE(reported("the one at the lower address first"));
}

TEST(locks_of_one_init_are_one_for_the_order)
{
	EXPECT_TRUE(aborted(classes));
	EXPECT_TRUE(reported("a lock of gstk_..._init() at make_alike+0x"));
	EXPECT_TRUE(reported(" alike_under_a+0x"));
	EXPECT_TRUE(reported(" a_under_alike+0x"));
}

TEST(ranks_must_rise)
{
	EXPECT_TRUE(aborted(ranks));
	EXPECT_TRUE(reported(", rank 2, while it holds lock 0x"));
	EXPECT_TRUE(reported(" main_ranks+0x"));
}

/* ---- misuse ---- */

static void locks_a(void)
{
	CHECK_EQ(gstk_mutex_lock(&a), 0);
	gstk_sleep(1000 * MS);
}

static void main_not_mine(void)
{
	named("holder", locks_a);
	settle();
	gstk_mutex_unlock(&a);
}

static void main_twice(void)
{
	CHECK_EQ(gstk_mutex_lock(&a), 0);
	CHECK_EQ(gstk_mutex_unlock(&a), 0);
	gstk_mutex_unlock(&a);
}

static void main_again(void)
{
	CHECK_EQ(gstk_mutex_lock(&a), 0);
	gstk_mutex_lock(&a);
}

static void main_reads_again(void)
{
	CHECK_EQ(gstk_rwlock_read_lock(&r), 0);
	gstk_rwlock_read_lock(&r);
}

static void main_other_way(void)
{
	CHECK_EQ(gstk_rwlock_read_lock(&r), 0);
	gstk_rwlock_write_unlock(&r);
}

static void takes_a(void)
{
	CHECK_EQ(gstk_mutex_lock(&a), 0);
}

static void main_keeps(void)
{
	finish(named("keeper", takes_a));
}

static void *thread_takes(void *arg)
{
	takes_a();
	return NULL;
}

static void main_thread_keeps(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_takes, NULL);
	pthread_join(t, NULL);
}

static void main_destroys(void)
{
	takes_a();
	gstk_mutex_destroy(&a);
}

static void not_mine(void) { watched(main_not_mine); }
static void twice(void) { watched(main_twice); }
static void again(void) { watched(main_again); }
static void reads_again(void) { watched(main_reads_again); }
static void other_way(void) { watched(main_other_way); }
static void keeps(void) { watched(main_keeps); }
static void thread_keeps(void) { watched(main_thread_keeps); }
static void destroys(void) { watched(main_destroys); }

TEST(to_unlock_what_another_one_holds)
{
	EXPECT_TRUE(aborted(not_mine));
	EXPECT_TRUE(reported("\"main\" unlocks what another one holds: lock 0x"));
	EXPECT_TRUE(reported(" main_not_mine+0x"));
	EXPECT_TRUE(reported("as mutex it is held by task 2 \"holder\", taken at locks_a+0x"));
}

TEST(to_unlock_twice)
{
	EXPECT_TRUE(aborted(twice));
	EXPECT_TRUE(reported("unlocks what nobody holds"));
	EXPECT_TRUE(reported("it was last unlocked by task 1 \"main\" at main_twice+0x"));
}

TEST(to_take_it_again)
{
	EXPECT_TRUE(aborted(again));
	EXPECT_TRUE(reported("\"main\" takes it again: lock 0x"));
	EXPECT_TRUE(reported("taken at main_again+0x"));
	EXPECT_TRUE(aborted(reads_again));
	EXPECT_TRUE(reported("as rwlock (to read) it is held by task 1 \"main\", taken at main_reads_again+0x"));
}

TEST(to_unlock_it_the_other_way)
{
	EXPECT_TRUE(aborted(other_way));
	EXPECT_TRUE(reported("unlocks it the other way than it was locked"));
}

TEST(to_end_with_it)
{
	EXPECT_TRUE(aborted(keeps));
	EXPECT_TRUE(reported("\"keeper\" has ended and holds it still"));
	EXPECT_TRUE(reported("taken at takes_a+0x"));
	EXPECT_TRUE(aborted(thread_keeps));
	EXPECT_TRUE(reported("locks: thread (task "));
	EXPECT_TRUE(reported(") has ended and holds it still: lock 0x"));
}

TEST(to_destroy_what_is_held)
{
	EXPECT_TRUE(aborted(destroys));
	EXPECT_TRUE(reported("destroys what is held or waited for"));
	EXPECT_TRUE(reported(" main_destroys+0x"));
}

/* ---- deadlock of some, while others go on ---- */

static gstk_waitgroup met = GSTK_WAITGROUP_INIT;

static void meet(void)
{
	gstk_waitgroup_done(&met);
	CHECK_EQ(gstk_waitgroup_wait(&met), 0);
}

static __attribute__((noipa)) void a_then_b(void)
{
	gstk_mutex_lock(&a);
	meet();
	gstk_mutex_lock(&b);
}

static __attribute__((noipa)) void b_then_a(void)
{
	gstk_mutex_lock(&b);
	meet();
	gstk_mutex_lock(&a);
}

static void goes_on(void)
{
	while (!was_told())
		gstk_sleep(MS);
}

/* They may say that they wait for each other; then they are let go. */
static void let_stand(gstk_task *one, gstk_task *two)
{
	goes_on();
	gstk_cancel(one);
	gstk_cancel(two);
	finish(one);
	finish(two);
}

static void main_embrace(void)
{
	gstk_task *one;

	gstk_waitgroup_add(&met, 2);
	named("other", goes_on);
	one = named("one", a_then_b);
	let_stand(one, named("two", b_then_a));
}

static gstk_task *joined;

static void joins_with_a(void)
{
	gstk_mutex_lock(&a);
	meet();
	gstk_join(joined, NULL);
}

static void wants_a(void)
{
	meet();
	gstk_yield();
	gstk_mutex_lock(&a);
}

static void main_join(void)
{
	gstk_waitgroup_add(&met, 2);
	named("other", goes_on);
	joined = named("joined", wants_a);
	finish(named("joiner", joins_with_a));
}

static void reads_then_a(void)
{
	gstk_rwlock_read_lock(&r);
	meet();
	gstk_mutex_lock(&a);
}

static void a_then_writes(void)
{
	gstk_mutex_lock(&a);
	meet();
	gstk_rwlock_write_lock(&r);
}

static void main_rwlock(void)
{
	gstk_task *reader;

	gstk_waitgroup_add(&met, 2);
	named("other", goes_on);
	reader = named("reader", reads_then_a);
	let_stand(reader, named("writer", a_then_writes));
}

/* Of the crossed order, of the deadlock and of locks that nobody unlocks it warns only. */
static void warned(void (*fn)(void))
{
	setenv("GREENSTK_DEBUG", "locks,warn", 1);
	with_workers(2, fn);
}

static void embrace(void) { warned(main_embrace); }
static void join_circle(void) { watched(main_join); }
static void rwlock_circle(void) { warned(main_rwlock); }

static const char *const waits_told[] = { " waiting for ", NULL };

TEST(tasks_that_wait_for_each_other_while_others_go_on_are_shown_with_their_frames)
{
	EXPECT_EQ(0, in_child_until(waits_told, embrace)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("locks are taken in a circle")); /* it is no warning any more */
	EXPECT_TRUE(reported("deadlock: 2 tasks wait for each other"));
	EXPECT_TRUE(reported("\"one\", spawned at named+0x"));
	EXPECT_TRUE(reported("waits as mutex for lock 0x"));
	EXPECT_TRUE(reported("which took it at a_then_b+0x"));
	EXPECT_TRUE(reported("which took it at b_then_a+0x"));
	EXPECT_TRUE(reported("\"two\" waiting for mutex") || reported("\"one\" waiting for mutex"));
}

static void embrace_watched(void) { watched(main_embrace); }

TEST(a_deadlock_is_called_that_also_where_the_order_would_end_the_program)
{
	EXPECT_TRUE(aborted(embrace_watched));
	EXPECT_TRUE(reported("greenstk: GREENSTK_DEBUG=locks: deadlock: 2 tasks wait for each other"));
	EXPECT_TRUE(silent_about("locks are taken in a circle"));
}

TEST(a_join_is_part_of_such_a_circle)
{
	EXPECT_TRUE(aborted(join_circle));
	EXPECT_TRUE(reported("deadlock: 2 tasks wait for each other"));
	EXPECT_TRUE(reported("\"joiner\", spawned at named+0x"));
	EXPECT_TRUE(reported("waits for the end of task"));
	EXPECT_TRUE(reported(" wants_a+0x"));
	EXPECT_TRUE(reported(" joins_with_a+0x"));
}

TEST(so_are_readers_and_writers)
{
	EXPECT_EQ(0, in_child_until(waits_told, rwlock_circle)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("deadlock: 2 tasks wait for each other"));
	EXPECT_TRUE(reported("waits as rwlock (to write) for lock 0x"));
}

/* ---- channels: a suspicion ---- */

static gstk_chan *there, *back;

static void make_channels(void)
{
	CHECK_EQ(gstk_chan_create(&there, sizeof(long), 0), 0);
	CHECK_EQ(gstk_chan_create(&back, sizeof(long), 0), 0);
}

/* Each answers the other a few times; then both wait for the other to begin. */
static void asks(void)
{
	long v = 1;

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(gstk_chan_send(there, &v), 0);
		CHECK_EQ(gstk_chan_recv(back, &v), 0);
	}
	gstk_chan_recv(back, &v);
}

static void answers(void)
{
	long v;

	while (!gstk_chan_recv(there, &v))
		if (gstk_chan_send(back, &v))
			break;
}

static void main_waits_for_both(void)
{
	gstk_task *t[2];

	make_channels();
	t[0] = named("answers", answers);
	t[1] = named("asks", asks);
	goes_on();
	gstk_sleep(1200 * MS); /* and two looks more */
	for (int i = 0; i < 2; i++) {
		gstk_cancel(t[i]);
		finish(t[i]);
	}
}

/* A lock in between: one waits for a message with it, the other would send when it had that. */
static void receives_with_a(void)
{
	long v;

	CHECK_EQ(gstk_mutex_lock(&a), 0);
	CHECK_EQ(gstk_chan_recv(there, &v), 0);
	gstk_chan_recv(there, &v);
	gstk_mutex_unlock(&a);
}

static void sends_with_a(void)
{
	CHECK_EQ(gstk_chan_send(there, &(long){ 1 }), 0);
	if (gstk_mutex_lock(&a))
		return;
	gstk_chan_send(there, &(long){ 1 });
	gstk_mutex_unlock(&a);
}

static void main_lock_between(void)
{
	gstk_task *t[2];

	make_channels();
	t[0] = named("receives", receives_with_a);
	settle();
	t[1] = named("sends", sends_with_a);
	goes_on();
	for (int i = 1; i >= 0; i--) {
		gstk_cancel(t[i]);
		finish(t[i]);
	}
}

/* Not for ever, or not only for each other. */
static uint64_t patience, looks_ns; /* it looks twice a second */
static gstk_task *third;
static _Atomic bool replied;

static void replies(void)
{
	long v;

	CHECK_EQ(gstk_chan_recv(there, &v), 0);
	CHECK_EQ(gstk_chan_send(back, &v), 0);
	if (third)
		CHECK_EQ(gstk_chan_recv(there, &v), 0);
	gstk_chan_recv(there, &v);
}

static void requests(void)
{
	long v = 1;

	CHECK_EQ(gstk_chan_send(there, &v), 0);
	CHECK_EQ(gstk_chan_recv(back, &v), 0);
	atomic_store(&replied, true);
	gstk_chan_recv_until(back, &v, patience ? gstk_now() + patience : GSTK_NEVER);
}

static void sends_once(void)
{
	while (!atomic_load(&replied))
		gstk_sleep(MS);
	CHECK_EQ(gstk_chan_send(there, &(long){ 1 }), 0);
	gstk_sleep(3600 * 1000 * MS);
}

static void wait_a_while(void)
{
	gstk_task *t[2];

	make_channels();
	t[0] = named("replies", replies);
	t[1] = named("requests", requests);
	gstk_sleep(looks_ns);
	goes_on();
	for (int i = 0; i < 2; i++) {
		gstk_cancel(t[i]);
		finish(t[i]);
	}
	CHECK_EQ(gstk_chan_destroy(there), 0);
}

static void main_deadline(void)
{
	looks_ns = 1800 * MS;
	patience = 2500 * MS;
	wait_a_while();
}

static void main_others_may_send(void)
{
	looks_ns = 1800 * MS;
	third = named("third", sends_once);
	wait_a_while();
	gstk_cancel(third);
	finish(third);
}

static void ping_pong(void) { watched_by_two(main_waits_for_both); }
static void lock_between(void) { watched_by_two(main_lock_between); }
static void deadline(void) { watched_by_two(main_deadline); }
static void plain_requests(void) { watched_by_two(wait_a_while); }
static void others_may_send(void) { watched_by_two(main_others_may_send); }

static const char *const suspected[] = { "2 tasks seem to wait", NULL };

TEST(tasks_that_wait_for_each_others_messages_are_suspected_and_go_on)
{
	const char *first;

	EXPECT_EQ(0, in_child_until(suspected, ping_pong)) TH_LOG("%s", report);
	first = strstr(report, "2 tasks seem to wait for each other");
	EXPECT_TRUE(first && !strstr(first + 20, "seem to wait")) TH_LOG("%s", report); /* said once */
	EXPECT_TRUE(reported("\"answers\", spawned at named+0x"));
	EXPECT_TRUE(reported("waits to receive from channel 0x"));
	EXPECT_TRUE(reported(" \"asks\" sent into"));
	EXPECT_TRUE(reported(" \"answers\" sent into"));
	EXPECT_TRUE(reported(" asks+0x"));
	EXPECT_TRUE(reported(" answers+0x"));
}

TEST(so_are_those_that_wait_for_a_message_and_for_a_lock)
{
	EXPECT_EQ(0, in_child_until(suspected, lock_between)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("2 tasks seem to wait for each other"));
	EXPECT_TRUE(reported(" \"receives\", which took it at receives_with_a+0x"));
}

TEST(who_may_be_let_go_by_somebody_else_is_not_suspected)
{
	EXPECT_EQ(0, in_child_until(suspected, plain_requests)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("2 tasks seem to wait")); /* that is, without the others */
	EXPECT_EQ(0, in_child(others_may_send)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("seem to wait"));
	EXPECT_EQ(0, in_child(deadline)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("seem to wait"));
}

/* ---- nothing to report ---- */

static gstk_cond cond = GSTK_COND_INIT;
static int turns;

static void *works(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 50; i++) {
		CHECK_EQ(gstk_mutex_lock(&a), 0);
		while (turns % 4 != me)
			CHECK_EQ(gstk_cond_wait(&cond, &a), 0);
		turns++;
		CHECK_EQ(gstk_mutex_lock(&b), 0);
		gstk_yield();
		CHECK_EQ(gstk_mutex_unlock(&b), 0);
		CHECK_EQ(gstk_cond_broadcast(&cond), 0);
		CHECK_EQ(gstk_mutex_unlock(&a), 0);
		CHECK_EQ(gstk_rwlock_read_lock(&r), 0);
		gstk_yield();
		CHECK_EQ(gstk_rwlock_read_unlock(&r), 0);
		CHECK_EQ(gstk_rwlock_write_lock(&r), 0);
		CHECK_EQ(gstk_rwlock_write_unlock(&r), 0);
		if (!gstk_mutex_try_lock(&c))
			CHECK_EQ(gstk_mutex_unlock(&c), 0);
	}
	return NULL;
}

static void main_works(void)
{
	gstk_task *t[4];
	pthread_t p;

	for (long i = 0; i < 3; i++)
		t[i] = start(works, (void *)i);
	CHECK_EQ(pthread_create(&p, NULL, works, (void *)3), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(finish(t[i]), 0);
	pthread_join(p, NULL);
	/* One that is destroyed, and another one there. */
	for (int i = 0; i < 3; i++) {
		make_alike();
		both(&alike[0], i % 2 ? &b : &alike[1]);
		CHECK_EQ(gstk_mutex_destroy(&alike[0]), 0);
		CHECK_EQ(gstk_rwlock_init(&r), 0);
		CHECK_EQ(gstk_rwlock_destroy(&r), 0);
	}
}

static void timed(void)
{
	CHECK_EQ(gstk_mutex_lock(&b), 0);
	CHECK_EQ(gstk_mutex_lock_until(&a, gstk_now() + 5 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_mutex_unlock(&b), 0);
}

static void main_timed(void)
{
	gstk_task *t;

	gstk_mutex_rank(&a, 1);
	gstk_mutex_rank(&b, 2);
	CHECK_EQ(gstk_mutex_lock(&a), 0);
	gstk_mutex_rank(&a, 3);
	t = named("timed", timed);
	settle();
	CHECK_EQ(gstk_mutex_lock(&b), 0); /* held by who waits for a, but not for ever */
	CHECK_EQ(gstk_mutex_unlock(&b), 0);
	CHECK_EQ(gstk_mutex_unlock(&a), 0);
	finish(t);
}

static void work(void) { watched_by_two(main_works); }
static void timed_waits(void) { warned(main_timed); }

TEST(who_keeps_to_an_order_is_left_in_peace)
{
	int status = in_child(work);

	EXPECT_EQ(0, status) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("GREENSTK_DEBUG"));
}

TEST(waits_with_a_deadline_are_no_deadlock)
{
	EXPECT_EQ(0, in_child(timed_waits)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("deadlock"));
}

static void main_without(void)
{
	CHECK_EQ(gstk_mutex_lock(&a), 0);
	CHECK_EQ(gstk_mutex_lock(&a), -EDEADLK);
	CHECK_EQ(gstk_mutex_destroy(&a), -EBUSY);
	CHECK_EQ(gstk_mutex_unlock(&a), 0);
	CHECK_EQ(gstk_mutex_unlock(&a), -EPERM);
	CHECK_EQ(gstk_mutex_destroy(&a), 0);
	CHECK_EQ(gstk_mutex_destroy(NULL), 0);
	CHECK_EQ(gstk_mutex_init(NULL), -EINVAL);
	CHECK_EQ(gstk_rwlock_init(NULL), -EINVAL);
	CHECK_EQ(gstk_rwlock_destroy(NULL), 0);
	CHECK_EQ(gstk_rwlock_read_lock(&r), 0);
	CHECK_EQ(gstk_rwlock_destroy(&r), -EBUSY);
	CHECK_EQ(gstk_rwlock_read_unlock(&r), 0);
	ab();
	ba();
}

static void without(void)
{
	unsetenv("GREENSTK_DEBUG");
	with_workers(1, main_without);
}

TEST(without_it_misuse_is_an_error_code_and_no_report)
{
	EXPECT_EQ(0, in_child(without)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("GREENSTK_DEBUG"));
}

TEST_HARNESS_MAIN
