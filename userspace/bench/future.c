// SPDX-License-Identifier: MIT
/*
 * future.*: stackless tasks. A wake is what one pays to make the other run and wait again: a post to its
 * semaphore, its run, its next wait. memory.stackless*: a million that wait on a channel; growth of RSS and page
 * tables over their number, and the same less their state.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <greenstk.h>

#include "bench.h"

enum { WAKE, MIXED, YIELD, SPAWN };

static gstk_sem sem[2];

struct player {
	int line, side;
	uint64_t left;
};

static enum gstk_progress play(gstk_future *f, void *state)
{
	struct player *p = state;

	GSTK_FUTURE_BEGIN(p->line);
	for (; p->left; p->left--) {
		GSTK_AWAIT(p->line, gstk_await_sem(f, &sem[p->side], GSTK_NEVER));
		bench_check(!gstk_await_result(f));
		bench_check(!gstk_sem_post(&sem[!p->side], 1));
	}
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static const struct gstk_future_type player = { sizeof(player), "player", sizeof(struct player), play, NULL };

static void *play_on_a_stack(void *arg)
{
	for (uint64_t n = (uint64_t)(uintptr_t)arg; n; n--) {
		bench_check(!gstk_sem_wait(&sem[1]));
		bench_check(!gstk_sem_post(&sem[0], 1));
	}
	return NULL;
}

static enum gstk_progress yield(gstk_future *f, void *state)
{
	struct player *p = state;

	return p->left-- ? gstk_await_yield(f) : gstk_future_done(f, NULL);
}

static const struct gstk_future_type yielder = { sizeof(yielder), "yielder", sizeof(struct player), yield, NULL };

static enum gstk_progress nothing(gstk_future *f, void *state)
{
	return gstk_future_done(f, NULL);
}

static const struct gstk_future_type empty = { sizeof(empty), "empty", 16, nothing, NULL };

static gstk_task *one(const struct gstk_future_type *type, struct player p)
{
	gstk_task *t;

	bench_check(!gstk_future_spawn(&t, type, &p));
	return t;
}

/* Time of @n of each of two. */
static uint64_t two(long kind, uint64_t n)
{
	gstk_task *t[2];
	uint64_t t0;

	memset(sem, 0, sizeof(sem));
	t[0] = one(kind == YIELD ? &yielder : &player, (struct player){ .side = 0, .left = n });
	if (kind == MIXED)
		bench_check(!gstk_spawn(&t[1], play_on_a_stack, (void *)(uintptr_t)n, NULL));
	else
		t[1] = one(kind == YIELD ? &yielder : &player, (struct player){ .side = 1, .left = n });
	t0 = bench_now();
	bench_check(!gstk_sem_post(&sem[0], 1));
	for (int i = 0; i < 2; i++)
		bench_check(!gstk_join(t[i], NULL));
	return bench_now() - t0;
}

static uint64_t spawn_and_join(uint64_t n)
{
	uint64_t t0 = bench_now();

	for (uint64_t i = 0; i < n; i++)
		bench_check(!gstk_join(one(&empty, (struct player){ 0 }), NULL));
	return bench_now() - t0;
}

static void *future_main(void *arg)
{
	const struct bench *b = arg;
	uint64_t n = bench_n(2000000);

	if (b->arg == SPAWN) {
		spawn_and_join(n / 10 + 1);
		bench_emit(b->name, (double)spawn_and_join(n) / (double)n, "ns");
	} else {
		two(b->arg, n / 10 + 1);
		bench_emit(b->name, (double)two(b->arg, n) / (double)(2 * n), "ns");
	}
	return NULL;
}

static void future_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(future_main, (void *)b, &config);
}

#define CASE(ident, label, KIND, WHAT)                                                      \
	BENCH(future_##ident, .name = "future." label, .unit = "ns", .what = WHAT,          \
	      .run = future_run, .arg = KIND, .cpus = 1)
CASE(wake, "wake", WAKE, "a stackless task wakes another by a semaphore, one worker");
CASE(mixed, "wake.mixed", MIXED, "the same, by turns with a task that has a stack");
CASE(yield, "yield.2", YIELD, "a yield of a stackless task, two of them, one worker");
CASE(spawn, "spawn.join", SPAWN, "a stackless task that does nothing, spawned and joined");

/* ---- memory ---- */

struct waiter {
	int line;
	uint32_t id;
	gstk_chan *gate;
};

static _Atomic uint64_t arrived, verified, ids;
static uint64_t deadline_ns;

static enum gstk_progress wait_at_gate(gstk_future *f, void *state)
{
	struct waiter *w = state;

	GSTK_FUTURE_BEGIN(w->line);
	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	GSTK_AWAIT(w->line, gstk_await_recv(f, w->gate, NULL, deadline_ns));
	bench_check(gstk_await_result(f) == -EPIPE);
	atomic_fetch_add_explicit(&ids, w->id, memory_order_relaxed);
	atomic_fetch_add_explicit(&verified, 1, memory_order_relaxed);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static const struct gstk_future_type waiter = { sizeof(waiter), "waiter", sizeof(struct waiter), wait_at_gate, NULL };

static void *memory_main(void *arg)
{
	const struct bench *b = arg;
	uint64_t nr = bench_n(1000000);
	struct waiter w = { 0 };
	struct bench_mem m0, m1;
	double bytes;

	bench_check(!gstk_chan_create(&w.gate, 0, 0));
	deadline_ns = b->arg ? gstk_now() + 3600000000000ull : GSTK_NEVER;
	m0 = bench_mem(0);
	for (uint64_t i = 0; i < nr; i++) {
		w.id = (uint32_t)i;
		bench_check(!gstk_future_spawn(NULL, &waiter, &w));
		if (i % 256 == 255)
			gstk_yield();
	}
	while (atomic_load(&arrived) < nr)
		gstk_sleep(1000000);
	gstk_sleep(10000000); /* the last one waits */
	m1 = bench_mem(0);
	bytes = bench_mem_growth(&m0, &m1) / (double)nr;
	bench_emit(b->name, bytes, "bytes");
	bench_emit_sub(b, "overhead", bytes - (double)sizeof(w), "bytes");
	bench_check(!gstk_chan_close(w.gate));
	while (atomic_load(&verified) < nr)
		gstk_sleep(1000000);
	bench_check(atomic_load(&ids) == nr * (nr - 1) / 2);
	return NULL;
}

static void memory_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config) };

	bench_main(memory_main, (void *)b, &config);
}

#define MEMORY_CASE(ident, label, TIMED, WHAT)                                              \
	BENCH(memory_##ident, .name = "memory." label, .unit = "bytes", .what = WHAT,       \
	      .also = "memory." label ".overhead", .run = memory_run, .arg = TIMED, .rounds = 3, \
	      .limit_s = 120, .flags = BENCH_UNTIMED)
MEMORY_CASE(stackless, "stackless", 0, "a stackless task that waits, with 16 bytes of state, 1,000,000 tasks");
MEMORY_CASE(stackless_timed, "stackless.timed", 1, "the same, of those whose wait has a deadline");
