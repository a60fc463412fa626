// SPDX-License-Identifier: MIT
/*
 * What belongs to the thread, in tasks that change threads: errno, the runtime's own pointer, and a user's
 * thread-local, in functions that the compiler sees as a whole. Built at several levels and with LTO, the
 * library too, by tls_matrix.mk. A run in which no task changed its thread proves nothing and fails.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "wait_test.h"

#define WORKERS 4u
#define TASKS	16
#define ROUNDS	400

static __thread int tid;       /* of this thread, once it was asked for */
static __thread long visits;   /* by tasks */
static __thread long block[4]; /* its address is that of no member */
GSTK_THREAD_ADDRESS(tid_here, tid)
GSTK_THREAD_ADDRESS(visits_here, visits)
GSTK_THREAD_ADDRESS(block_here, block)

static _Atomic int thread_of[WORKERS];
static _Atomic long moves;

static int kernel_tid(void)
{
	return (int)syscall(SYS_gettid);
}

/* Gets off the worker, by each of the ways; counts if it comes back on another one. */
static inline __attribute__((always_inline)) bool go_on(int i)
{
	int before = kernel_tid(), now;

	if (i % 8)
		gstk_yield();
	else
		CHECK_EQ(gstk_sleep(1000 + (uint64_t)i), 0);
	for (volatile int n = 0; n < 300; n++)
		;
	now = kernel_tid();
	moves += now != before;
	return now != before;
}

static gstk_fn of_all;

static void run_tasks(void)
{
	gstk_task *t[TASKS];

	moves = 0;
	for (int turn = 0; turn < 50 && moves < 20; turn++) {
		for (long i = 0; i < TASKS; i++)
			t[i] = start(of_all, (void *)(i + 1));
		for (int i = 0; i < TASKS; i++)
			finish(t[i]);
	}
	CHECK(moves > 0);
}

static void run_all(gstk_fn fn)
{
	of_all = fn;
	with_workers(WORKERS, run_tasks);
}

static void *keeps_errno(void *arg)
{
	int mine = (int)(long)arg;

	errno = mine;
	for (int i = 0; i < ROUNDS; i++) {
		go_on(i);
		CHECK_EQ(errno, mine);
		if (i % 16 == 0) {
			CHECK_EQ(close(-1), -1);
			CHECK_EQ(errno, EBADF);
			errno = mine;
		}
	}
	return NULL;
}

TEST(errno_is_the_tasks_in_one_function)
{
	run_all(keeps_errno);
}

static void *fails_on_both_sides(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(close(-1) < 0 && errno == EBADF);
		go_on(i);
		CHECK(lseek(-1, 0, 0) < 0 && errno == EBADF);
		errno = 0;
		CHECK(dup2(0, -1) < 0);
		CHECK_EQ(errno, EBADF);
	}
	return NULL;
}

TEST(a_call_that_fails_after_a_park_sets_the_errno_that_is_read)
{
	run_all(fails_on_both_sides);
}

/* The worker that the runtime believes to be on is the thread that runs. */
static void *asks_for_its_worker(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int w = gstk_worker(), now = kernel_tid(), none = 0;

		CHECK(w >= 0 && w < (int)WORKERS);
		if (!atomic_compare_exchange_strong(&thread_of[w], &none, now))
			CHECK_EQ(none, now);
		go_on(i);
		CHECK(gstk_self());
	}
	return NULL;
}

TEST(the_runtime_knows_its_worker_after_every_park)
{
	for (unsigned int i = 0; i < WORKERS; i++)
		thread_of[i] = 0;
	run_all(asks_for_its_worker);
}

static void *counts_visits(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int now = kernel_tid();

		if (!*tid_here())
			*tid_here() = now;
		CHECK_EQ(*tid_here(), now);
		++*visits_here();
		(*block_here())[i % 4] = now;
		go_on(i);
		now = kernel_tid();
		CHECK(!*tid_here() || *tid_here() == now);
		CHECK(!(*block_here())[i % 4] || (*block_here())[i % 4] == now);
	}
	return NULL;
}

TEST(an_accessor_finds_the_variable_of_the_thread_that_runs)
{
	run_all(counts_visits);
}

/* Nothing that the runtime could help: the address is the first thread's. */
static void *keeps_the_address(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		long *mine = *block_here();

		CHECK_EQ(go_on(i), mine != *block_here());
	}
	return NULL;
}

TEST(a_kept_address_is_that_of_the_thread_that_was_left)
{
	run_all(keeps_the_address);
}

static void *uses_it_freely(void *arg)
{
	int me = kernel_tid();

	for (int i = 0; i < ROUNDS; i++) {
		tid = me;
		block[i % 4] = i;
		CHECK(!go_on(i));
		CHECK_EQ(tid, me);
	}
	return NULL;
}

static void run_pinned(void)
{
	gstk_task *t[TASKS];

	for (unsigned int i = 0; i < TASKS; i++)
		CHECK_EQ(gstk_spawn(&t[i], uses_it_freely, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PINNED,
									   .worker = i % WORKERS)), 0);
	for (int i = 0; i < TASKS; i++)
		finish(t[i]);
}

TEST(a_pinned_task_uses_thread_locals_as_ever)
{
	with_workers(WORKERS, run_pinned);
}

TEST_HARNESS_MAIN
