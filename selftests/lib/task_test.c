// SPDX-License-Identifier: MIT
/* Tasks: spawn, join, detach, cancel, deadlines, cleanups, errno, FP modes, sharing of windows. */
#include <errno.h>
#include <fenv.h>
#include <greenstk/net.h>
#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>
#include "wait_test.h"

static void *give_back(void *arg)
{
	return arg;
}

WAIT_TEST(join_gives_the_result)
{
	gstk_task *t;
	void *r = NULL;

	CHECK_EQ(gstk_spawn(&t, give_back, (void *)42, NULL), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK(r == (void *)42);
}

WAIT_TEST(spawn_refuses_nonsense)
{
	struct gstk_spawn_opts o = { .size = sizeof(o) };
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, NULL, NULL, NULL), -EINVAL);
	o.flags = 1u << 30;
	CHECK_EQ(gstk_spawn(&t, give_back, NULL, &o), -EINVAL);
	o.flags = GSTK_PINNED;
	o.worker = 10000;
	CHECK_EQ(gstk_spawn(&t, give_back, NULL, &o), -EINVAL);
	o = (struct gstk_spawn_opts){ .size = 2 };
	CHECK_EQ(gstk_spawn(&t, give_back, NULL, &o), -EINVAL);
	o = (struct gstk_spawn_opts){ .size = sizeof(o), .block = &o, .block_size = 1u << 30 };
	CHECK_EQ(gstk_spawn(&t, give_back, NULL, &o), -EINVAL);
	o = (struct gstk_spawn_opts){ .size = sizeof(o), .stack_size = SIZE_MAX / 2 };
	CHECK_EQ(gstk_spawn(&t, give_back, NULL, &o), -EINVAL);
	CHECK_EQ(gstk_join(NULL, NULL), -EINVAL);
	CHECK_EQ(gstk_detach(NULL), -EINVAL);
	CHECK_EQ(gstk_cancel(NULL), -EINVAL);
}

static void *spawn_with_local(void *arg)
{
	int local = 1;
	gstk_task *t = NULL;
	int err = gstk_spawn(&t, give_back, &local, NULL);

	if (!err)
		gstk_join(t, NULL);
	return (void *)(long)err;
}

WAIT_TEST(private_and_shared_at_once_is_nonsense)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, spawn_with_local, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PRIVATE | GSTK_SHARED)),
		 -EINVAL);
}

WAIT_TEST(an_argument_on_a_shared_stack_is_refused_and_on_a_private_one_is_not)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, spawn_with_local, NULL, NULL), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, -EINVAL);
	CHECK_EQ(gstk_spawn(&t, spawn_with_local, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PRIVATE)), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, 0);
}

struct block {
	int a, b;
	char text[100];
};

static void *read_block(void *arg)
{
	struct block *b = arg;

	gstk_yield();
	CHECK_EQ(strcmp(b->text, "copied"), 0);
	return (void *)(long)(b->a + b->b);
}

WAIT_TEST(a_block_of_arguments_is_copied)
{
	struct block b = { 3, 4, "copied" };
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, read_block, NULL, GSTK_OPTS(gstk_spawn_opts, .block = &b, .block_size = sizeof(b))), 0);
	memset(&b, 0, sizeof(b));
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, 7);
}

static void *long_sleep(void *arg)
{
	return (void *)(long)gstk_sleep(3600ull * 1000000000);
}

WAIT_TEST(cancel_ends_a_sleep_and_stays_until_cleared)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, long_sleep, NULL, NULL), 0);
	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, -ECANCELED);
	/* Before it ran at all. */
	CHECK_EQ(gstk_spawn(&t, long_sleep, NULL, NULL), 0);
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, -ECANCELED);
}

static void *clear_and_wait(void *arg)
{
	CHECK_EQ(gstk_sleep(3600ull * 1000000000), -ECANCELED);
	CHECK(gstk_canceled());
	CHECK_EQ(gstk_sleep(1000), -ECANCELED);
	CHECK(gstk_cancel_clear());
	CHECK(!gstk_canceled());
	return (void *)(long)gstk_sleep(1000);
}

WAIT_TEST(after_cancel_clear_a_task_can_block_again)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, clear_and_wait, NULL, NULL), 0);
	settle();
	gstk_cancel(t);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, 0);
}

WAIT_TEST(join_until_times_out_and_leaves_the_task_joinable)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, long_sleep, NULL, NULL), 0);
	CHECK_EQ(gstk_join_until(t, &r, gstk_now() + 5000000), -ETIMEDOUT);
	CHECK_EQ(gstk_join_until(t, &r, 0), -ETIMEDOUT);
	gstk_cancel(t);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, -ECANCELED);
}

static gstk_task *victim;
static _Atomic int joining;

static void *join_victim(void *arg)
{
	atomic_store(&joining, 1);
	return (void *)(long)gstk_join(victim, NULL);
}

WAIT_TEST(a_second_joiner_is_refused_and_a_cancelled_one_withdraws)
{
	gstk_task *j;
	void *r;

	CHECK_EQ(gstk_spawn(&victim, long_sleep, NULL, NULL), 0);
	atomic_store(&joining, 0);
	CHECK_EQ(gstk_spawn(&j, join_victim, NULL, NULL), 0);
	while (!atomic_load(&joining))
		gstk_sleep(MS);
	settle();
	CHECK_EQ(gstk_join(victim, NULL), -EBUSY);
	CHECK_EQ(gstk_detach(victim), -EBUSY);
	gstk_cancel(j);
	CHECK_EQ(gstk_join(j, &r), 0);
	CHECK_EQ((long)r, -ECANCELED);
	gstk_cancel(victim);
	CHECK_EQ(gstk_join(victim, &r), 0);
	CHECK_EQ((long)r, -ECANCELED);
}

static void *join_self(void *arg)
{
	return (void *)(long)gstk_join(gstk_self(), NULL);
}

static void *where(void *arg)
{
	return (void *)(long)gstk_worker();
}

WAIT_TEST(a_task_is_joined_once)
{
	for (int named = 0; named < 2; named++) {
		gstk_task *t, *a, *b;
		void *r;

		CHECK_EQ(gstk_spawn(&t, where, NULL, named ? GSTK_OPTS(gstk_spawn_opts, .name = "once") : NULL), 0);
		CHECK_EQ(gstk_join(t, NULL), 0);
		CHECK_EQ(gstk_join(t, &r), -EINVAL);
		CHECK_EQ(gstk_join_until(t, &r, gstk_now() + 20000 * MS), -EINVAL);
		CHECK_EQ(gstk_detach(t), -EINVAL);
		a = start(where, NULL);
		b = start(where, NULL);
		CHECK(a != b);
		finish(a);
		finish(b);
	}
}

WAIT_TEST(nobody_joins_itself)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, join_self, NULL, NULL), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, -EDEADLK);
}

static _Atomic int ran;

static void *count_run(void *arg)
{
	gstk_yield();
	ran++;
	return NULL;
}

WAIT_TEST(detached_tasks_free_themselves)
{
	struct gstk_stats st = { .size = sizeof(st) };
	gstk_task *t;

	for (int i = 0; i < 500; i++)
		CHECK_EQ(gstk_go(count_run, NULL), 0);
	for (int i = 0; i < 500; i++) {
		CHECK_EQ(gstk_spawn(&t, count_run, NULL, NULL), 0);
		CHECK_EQ(gstk_detach(t), 0);
	}
	for (int i = 0; ran < 1000 && i < 10000; i++)
		gstk_sleep(100000);
	CHECK_EQ(ran, 1000);
	settle();
	CHECK_EQ(gstk_stats(&st), 0);
	CHECK_EQ(st.tasks, 1);
}

static char order[8];
static int nr_order;

static void note(void *arg)
{
	order[nr_order++] = (char)(long)arg;
}

static void *with_cleanups(void *arg)
{
	CHECK_EQ(gstk_cleanup_push(note, (void *)'a'), 0);
	CHECK_EQ(gstk_cleanup_push(note, (void *)'b'), 0);
	CHECK_EQ(gstk_cleanup_push(note, (void *)'c'), 0);
	CHECK_EQ(gstk_cleanup_pop(true), 0);
	CHECK(gstk_alloc(1000) != NULL);
	gstk_free(gstk_alloc(10));
	gstk_exit((void *)5);
}

WAIT_TEST(cleanups_run_last_pushed_first_also_at_gstk_exit)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, with_cleanups, NULL, NULL), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, 5);
	CHECK_EQ(strcmp(order, "cba"), 0);
	CHECK_EQ(gstk_cleanup_pop(true), -ENOENT);
}

static void *with_deadline(void *arg)
{
	uint64_t start = gstk_now();

	CHECK_EQ(gstk_deadline_get(), GSTK_NEVER);
	CHECK_EQ(gstk_deadline_set(start + 10000000), 0);
	CHECK_EQ(gstk_deadline_get(), start + 10000000);
	CHECK_EQ(gstk_sleep(3600ull * 1000000000), -ETIMEDOUT);
	CHECK(gstk_now() - start >= 10000000);
	gstk_deadline_set(GSTK_NEVER);
	return (void *)(long)gstk_sleep(1000);
}

WAIT_TEST(a_tasks_own_deadline_reaches_its_blocking_calls)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, with_deadline, NULL, NULL), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, 0);
}

/* Compilers keep &errno across calls, but never across these. */
static __attribute__((noinline)) void set_errno(int e)
{
	errno = e;
	__asm__ volatile("");
}

static __attribute__((noinline)) int get_errno(void)
{
	__asm__ volatile("");
	return errno;
}

static void *keep_errno(void *arg)
{
	for (int i = 0; i < 200; i++) {
		set_errno((int)(long)arg);
		gstk_yield();
		if (get_errno() != (int)(long)arg)
			return (void *)1;
		if (i % 20 == 0)
			gstk_sleep(100000);
		if (get_errno() != (int)(long)arg)
			return (void *)2;
	}
	return NULL;
}

WAIT_TEST(errno_belongs_to_the_task)
{
	gstk_task *t[50];
	void *r;

	for (long i = 0; i < 50; i++)
		CHECK_EQ(gstk_spawn(&t[i], keep_errno, (void *)(i + 1), NULL), 0);
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(gstk_join(t[i], &r), 0);
		CHECK_EQ((long)r, 0);
	}
}

static void *rounds_up(void *arg)
{
	fesetround(FE_UPWARD);
	for (int i = 0; i < 100; i++) {
		gstk_yield();
		if (fegetround() != FE_UPWARD)
			return (void *)1;
	}
	fesetround(FE_TONEAREST);
	return NULL;
}

static void *rounds_to_nearest(void *arg)
{
	for (int i = 0; i < 100; i++) {
		gstk_yield();
		if (fegetround() != FE_TONEAREST)
			return (void *)1;
	}
	return NULL;
}

WAIT_TEST(declared_fp_modes_stay_with_their_task)
{
	gstk_task *t[8];
	void *r;

	for (int i = 0; i < 8; i++)
		CHECK_EQ(gstk_spawn(&t[i], i % 2 ? rounds_up : rounds_to_nearest, NULL,
				    GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_FPMODE)), 0);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(gstk_join(t[i], &r), 0);
		CHECK_EQ((long)r, 0);
	}
}

static void *on_worker(void *arg)
{
	for (int i = 0; i < 50; i++) {
		if (gstk_worker() != (int)(long)arg)
			return (void *)1;
		if (i % 2)
			gstk_yield();
		else
			gstk_sleep(10000);
	}
	return NULL;
}

WAIT_TEST(pinned_tasks_stay_on_their_worker)
{
	struct gstk_stats st = { .size = sizeof(st) };
	gstk_task *t[16];
	void *r;

	CHECK_EQ(gstk_stats(&st), 0);
	for (uint32_t i = 0; i < 16; i++)
		CHECK_EQ(gstk_spawn(&t[i], on_worker, (void *)(long)(i % st.workers),
				    GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PINNED,
					      .worker = i % (uint32_t)st.workers)), 0);
	for (int i = 0; i < 16; i++) {
		CHECK_EQ(gstk_join(t[i], &r), 0);
		CHECK_EQ((long)r, 0);
	}
}

static __attribute__((noinline)) long deep(int n)
{
	volatile char page[4096];

	page[0] = (char)n;
	page[4095] = (char)n;
	return n ? deep(n - 1) + page[0] - page[4095] + 1 : (gstk_yield(), 1);
}

static void *use_big_stack(void *arg)
{
	return (void *)deep(500);
}

static void *take_local(void *arg)
{
	return (void *)(long)++*(int *)arg;
}

/* Private, so its local may be passed on; pinned, so the worker is the same after every park. */
static void *privately(void *arg)
{
	int local = (int)(long)arg, on = gstk_worker();
	gstk_task *t;

	CHECK(!gstk_movable(&local) && !gstk_movable(arg) && !gstk_movable(privately));
	CHECK_EQ(gstk_spawn(&t, take_local, &local, NULL), 0);
	CHECK_EQ(finish(t), (long)arg + 1);
	CHECK_EQ(local, (long)arg + 1);
	for (int i = 0; i < 50; i++) {
		gstk_yield();
		CHECK_EQ(gstk_worker(), on);
	}
	return (void *)(long)on;
}

static void *refused_local(void *arg)
{
	int local = 0;
	gstk_task *t;

	CHECK(gstk_movable(&local));
	CHECK_EQ(gstk_spawn(&t, take_local, &local, NULL), -EINVAL);
	return NULL;
}

static void *private_tasks(void *arg)
{
	long ran_on[2] = { 0 };
	gstk_task *t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(privately, (void *)(long)i);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	for (int i = 0; i < 10; i++)
		t[i] = start(where, NULL);
	for (int i = 0; i < 10; i++)
		ran_on[finish(t[i])]++;
	CHECK(ran_on[0] == 5 && ran_on[1] == 5); /* dealt out */
	CHECK_EQ(gstk_spawn(&t[0], refused_local, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_SHARED)), 0);
	finish(t[0]);
	CHECK_EQ(gstk_spawn(&t[0], privately, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PINNED, .worker = 1)), 0);
	CHECK_EQ(finish(t[0]), 1);
	return NULL;
}

TEST(tasks_are_private_and_stay_on_their_worker_where_the_configuration_says_so)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .flags = GSTK_PRIVATE_TASKS };

	alarm(120);
	ASSERT_EQ(0, gstk_main(private_tasks, NULL, NULL, &config));
}

WAIT_TEST(a_bigger_stack_gets_a_window_of_its_own_size)
{
	gstk_task *t[4];
	void *r;

	for (int i = 0; i < 4; i++)
		CHECK_EQ(gstk_spawn(&t[i], use_big_stack, NULL, GSTK_OPTS(gstk_spawn_opts, .stack_size = 4 << 20)), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(gstk_join(t[i], &r), 0);
		CHECK_EQ((long)r, 501);
	}
}

/* Nor does it begin in one that the worker has at hand, of a task that has just ended. */
WAIT_TEST(a_bigger_stack_is_no_window_that_is_left_over)
{
	enum { NR = 20 };
	gstk_task *t[NR];

	for (int i = 0; i < NR; i++)
		t[i] = start(give_back, NULL);
	for (int i = 0; i < NR; i++)
		finish(t[i]);
	for (int i = 0; i < NR; i++)
		CHECK_EQ(gstk_spawn(&t[i], use_big_stack, NULL, GSTK_OPTS(gstk_spawn_opts, .stack_size = 4 << 20)), 0);
	for (int i = 0; i < NR; i++)
		CHECK_EQ(finish(t[i]), 501);
}

WAIT_TEST(names_are_kept_and_cut)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, give_back, NULL, GSTK_OPTS(gstk_spawn_opts, .name = "acceptor")), 0);
	CHECK_EQ(strcmp(gstk_task_name(t), "acceptor"), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(gstk_spawn(&t, give_back, NULL,
			    GSTK_OPTS(gstk_spawn_opts, .name = "0123456789012345678901234567890123456789")), 0);
	CHECK_EQ(strlen(gstk_task_name(t)), 31);
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(strcmp(gstk_task_name(gstk_self()), "main"), 0);
}

WAIT_TEST(ids_of_live_tasks_differ)
{
	enum { NR = 50 };
	gstk_task *t[NR];
	uint64_t id[NR];

	for (int i = 0; i < NR; i++) {
		t[i] = start(give_back, NULL);
		id[i] = gstk_task_id(t[i]);
		CHECK(id[i] != gstk_task_id(gstk_self()));
		for (int k = 0; k < i; k++)
			CHECK(id[i] != id[k]);
	}
	for (int i = 0; i < NR; i++)
		finish(t[i]);
}

static _Atomic bool stop_yielding;

static void *yields_for_ever(void *arg)
{
	while (!stop_yielding)
		gstk_yield();
	return NULL;
}

static void *say_done(void *arg)
{
	gstk_yield();
	stop_yielding = true;
	return NULL;
}

WAIT_TEST(tasks_that_always_yield_starve_nobody)
{
	gstk_task *t[10];

	stop_yielding = false;
	for (int i = 0; i < 9; i++)
		CHECK_EQ(gstk_spawn(&t[i], yields_for_ever, NULL, NULL), 0);
	gstk_yield();
	CHECK_EQ(gstk_spawn(&t[9], say_done, NULL, NULL), 0);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
}

static void *jumps(void *arg)
{
	jmp_buf env;
	volatile int n = 0;

	if (setjmp(env) < 3) {
		gstk_yield();
		longjmp(env, ++n);
	}
	return (void *)(long)n;
}

WAIT_TEST(longjmp_within_a_task_works_across_parks)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, jumps, NULL, NULL), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, 3);
}

static void *forks(void *arg)
{
	char local[64] = "before";
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(strcmp(local, "before") ? 1 : 7);
	if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7)
		return (void *)1;
	/* system() and posix_spawn() use vfork-like children on this very stack. */
	return (void *)(long)(WEXITSTATUS(system("exit 5")) != 5);
}

WAIT_TEST(fork_and_system_work_from_a_task)
{
	gstk_task *t;
	void *r;

	CHECK_EQ(gstk_spawn(&t, forks, NULL, NULL), 0);
	CHECK_EQ(gstk_join(t, &r), 0);
	CHECK_EQ((long)r, 0);
}

static int fds[2];

static void *pipe_writer(void *arg)
{
	char c = 0;

	for (int i = 0; i < 100; i++, c++)
		if (gstk_write(fds[1], &c, 1) != 1)
			return (void *)1;
	gstk_close(fds[1]);
	return NULL;
}

static void *pipe_reader(void *arg)
{
	char buf[3], want = 0;
	ssize_t n;

	while ((n = gstk_read(fds[0], buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != want++)
				return (void *)1;
	gstk_close(fds[0]);
	return (void *)(long)(n || want != 100);
}

WAIT_TEST(a_pipes_reader_and_writer_may_share_a_window)
{
	gstk_task *r, *w;
	void *res;

	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(gstk_spawn(&r, pipe_reader, NULL, NULL), 0);
	CHECK_EQ(gstk_spawn(&w, pipe_writer, NULL, NULL), 0);
	CHECK_EQ(gstk_join(r, &res), 0);
	CHECK_EQ((long)res, 0);
	CHECK_EQ(gstk_join(w, &res), 0);
	CHECK_EQ((long)res, 0);
}

static void *fresh_page_reader(void *arg)
{
	volatile char page[16384];
	long sum = 0;

	__asm__ volatile("" : : "r"(page) : "memory"); /* as good as written, to the compiler */
	/* Reads before writes: zeroes or what an earlier stack left, never a fault. */
	for (size_t i = 0; i < sizeof(page); i += 512)
		sum += page[i];
	__asm__ volatile("" : : "r"(sum));
	return NULL;
}

WAIT_TEST(fresh_stack_pages_can_be_read_first)
{
	gstk_task *t;

	for (int i = 0; i < 100; i++) {
		CHECK_EQ(gstk_spawn(&t, fresh_page_reader, NULL, NULL), 0);
		CHECK_EQ(gstk_join(t, NULL), 0);
	}
}

TEST_HARNESS_MAIN
