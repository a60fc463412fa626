// SPDX-License-Identifier: MIT
/*
 * deep.SIZE.WHERE.HOW: stacks of SIZE used bytes leave their window and come back, and 8 KiB of each are
 * touched every time; ns for one that leaves and one that comes, the touches included. One window, so every
 * wake is a claim; the tasks wake one another in a ring of 64 MiB, so images come from memory.
 *
 *	top	the 8 KiB nearest the stack pointer
 *	mid	8 KiB in the middle, always the same: below the top, but as in the last stay
 *	roam	8 KiB each time somewhere else, which no restore can foresee
 *	eager	GREENSTK_BACKEND=copy
 *	lazy	GREENSTK_BACKEND=uffd
 *
 * deep.SIZE.WHERE.packed.HOW: the same for stacks that were packed meanwhile, from the wake to the end of the touches:
 * what it takes to leave, and to be packed, is in none of it. And what they take packed, as a part of what they are.
 */
#include <stdlib.h>

#include <greenstk.h>

#include "bench.h"

#define TOUCHED	   (8u << 10)
#define RING_BYTES (64u << 20)
#define MOVES	   8000
#define PACKED_MOVES 800

enum { TOP = 1, LAZY = 2, ROAM = 4, PACKED = 8 };
#define PACKED_TASKS 8u
#define PLACES 7u

static gstk_sem *sems, last, check;
static size_t live, nr_tasks;
static uint64_t turns;
static const struct bench *bench;

/* The word from which on is touched in turn @i. */
static size_t place(uint64_t i)
{
	return bench->arg & TOP ? 0 : bench->arg & ROAM ? live / 8 / (PLACES + 1) * (i * 3 % PLACES + 1) : live / 16;
}

static BENCH_NOINLINE void deep_loop(uint64_t *buf, uint64_t me)
{
	for (uint64_t i = 0; i < turns; i++) {
		size_t at = place(i);

		bench_check(!gstk_sem_wait(&sems[me]));
		for (size_t k = at; k < at + TOUCHED / 8; k++)
			bench_check(buf[k]++ == k + (bench->arg & ROAM ? i / PLACES : i));
		bench_check(!gstk_sem_post(bench->arg & PACKED ? &last : &sems[(me + 1) % nr_tasks], 1));
	}
}

static void *holder(void *arg)
{
	uint64_t me = (uint64_t)(uintptr_t)arg, bad = 0;
	uint64_t *buf = __builtin_alloca(live);

	for (size_t i = 0; i < live / 8; i++)
		buf[i] = i;
	deep_loop(buf, me);
	if (me == nr_tasks - 1 && !(bench->arg & PACKED))
		bench_check(!gstk_sem_post(&last, 1));
	bench_check(!gstk_sem_wait(&check)); /* what was not touched is looked at when the clock has stopped */
	for (uint64_t i = 0; i < turns; i++)
		for (size_t k = place(i); k < place(i) + TOUCHED / 8; k++)
			buf[k]--;
	for (size_t i = 0; i < live / 8; i++)
		bad += buf[i] != i;
	bench_check(!bad);
	return NULL;
}

static struct gstk_stats stats(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	bench_check(!gstk_stats(&s));
	return s;
}

static gstk_task **spawn_all(void)
{
	gstk_task **t = calloc(nr_tasks, sizeof(*t));

	sems = calloc(nr_tasks, sizeof(*sems));
	last = check = (gstk_sem)GSTK_SEM_INIT(0);
	bench_check(t && sems);
	for (uintptr_t i = 0; i < nr_tasks; i++) {
		sems[i] = (gstk_sem)GSTK_SEM_INIT(0);
		bench_check(!gstk_spawn(&t[i], holder, (void *)i, NULL));
	}
	return t;
}

static void join_all(gstk_task **t)
{
	bench_check(!gstk_sem_post(&check, nr_tasks));
	for (size_t i = 0; i < nr_tasks; i++)
		bench_check(!gstk_join(t[i], NULL));
	free(sems);
	free(t);
}

static struct gstk_stats until_packed(void)
{
	struct gstk_stats now;

	do {
		gstk_yield();
		now = stats();
	} while (now.tasks_packed < nr_tasks);
	return now;
}

static void *packed_main(void *arg)
{
	struct gstk_stats before, now = { 0 };
	gstk_task **t = spawn_all();
	uint64_t ns = 0;

	before = until_packed();
	for (uint64_t i = 0; i < turns; i++)
		for (size_t k = 0; k < nr_tasks; k++) {
			uint64_t t0 = bench_now();

			bench_check(!gstk_sem_post(&sems[k], 1));
			bench_check(!gstk_sem_wait(&last));
			ns += bench_now() - t0;
			now = until_packed();
		}
	join_all(t);
	bench_check(now.unpacks - before.unpacks >= nr_tasks * turns);
	if (bench->arg & LAZY && !now.lazy_restores)
		bench_skip("the threshold that was calibrated lets such stacks come whole");
	bench_emit(bench->name, (double)ns / (double)(nr_tasks * turns), "ns");
	bench_emit_sub(bench, "ratio", (double)before.bytes_packed / (double)before.bytes_unpacked, "of_the_bytes");
	return NULL;
}

static void *deep_main(void *arg)
{
	struct gstk_stats before, now;
	gstk_task **t = spawn_all();
	uint64_t t0, ns, moves;

	do { /* all have filled their stacks, and all but one have left */
		gstk_yield();
		now = stats();
	} while (now.tasks_copied < nr_tasks - 1);
	before = now;
	t0 = bench_now();
	bench_check(!gstk_sem_post(&sems[0], 1));
	bench_check(!gstk_sem_wait(&last));
	ns = bench_now() - t0;
	now = stats();
	join_all(t);
	moves = nr_tasks * turns;
	bench_check(now.restores - before.restores >= moves - moves / 50 - nr_tasks);
	if (bench->arg & LAZY && !now.lazy_restores) /* a calibration on a busy machine may say so */
		bench_skip("the threshold that was calibrated lets such stacks come whole");
	else if (bench->arg & LAZY)
		bench_check(now.lazy_restores >= moves - moves / 50 - nr_tasks && !now.lazy_refused);
	else
		bench_check(!now.lazy_restores);
	bench_emit(bench->name, (double)ns / (double)moves, "ns");
	bench_emit_sub(bench, "faults", (double)now.lazy_faults / (double)moves, "faults");
	return NULL;
}

static void deep_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 1, .window_size = 2u << 20,
		.flags = GSTK_NO_SWEEP, .backend = b->arg & LAZY ? GSTK_BACKEND_UFFD : GSTK_BACKEND_COPY };

	bench = b;
	live = (size_t)b->arg2;
	nr_tasks = b->arg & PACKED ? PACKED_TASKS : RING_BYTES / live;
	turns = bench_n(b->arg & PACKED ? PACKED_MOVES : MOVES) / nr_tasks + 4;
	if (b->arg & PACKED)
		config.flags |= GSTK_FORCE_EVICT | GSTK_FORCE_PACK;
	unsetenv("GREENSTK_BACKEND"); /* the row says it */
	bench_main(b->arg & PACKED ? packed_main : deep_main, NULL, &config);
}

#define DEEP(ident, label, bytes, where, how, arg_)                                                 \
	BENCH(deep_##ident, .name = "deep." label "." where "." how, .unit = "ns",                  \
	      .what = how ": evict and restore " label " used bytes, touch 8 KiB (" where ")",     \
	      .also = "deep." label "." where "." how ".faults", .run = deep_run, .arg = arg_, .arg2 = bytes, .cpus = 2)
DEEP(512k_top_eager, "512k", 512 << 10, "top", "eager", TOP);
DEEP(512k_top_lazy, "512k", 512 << 10, "top", "lazy", TOP | LAZY);
DEEP(1m_top_eager, "1m", 1 << 20, "top", "eager", TOP);
DEEP(1m_top_lazy, "1m", 1 << 20, "top", "lazy", TOP | LAZY);
DEEP(1m_mid_eager, "1m", 1 << 20, "mid", "eager", 0);
DEEP(1m_mid_lazy, "1m", 1 << 20, "mid", "lazy", LAZY);
DEEP(1m_roam_eager, "1m", 1 << 20, "roam", "eager", ROAM);
DEEP(1m_roam_lazy, "1m", 1 << 20, "roam", "lazy", ROAM | LAZY);
#define DEEP_PACKED(ident, label, bytes, where, how, arg_)                                                 \
	BENCH(deep_packed_##ident, .name = "deep." label "." where ".packed." how, .unit = "ns",           \
	      .what = how ": wake a packed stack of " label " used bytes, touch 8 KiB (" where ")",       \
	      .also = "deep." label "." where ".packed." how ".ratio", .run = deep_run, .arg = PACKED | arg_, .arg2 = bytes, \
	      .cpus = 2)
DEEP_PACKED(1m_top_eager, "1m", 1 << 20, "top", "eager", TOP);
DEEP_PACKED(1m_top_lazy, "1m", 1 << 20, "top", "lazy", TOP | LAZY);
DEEP_PACKED(1m_roam_eager, "1m", 1 << 20, "roam", "eager", ROAM);
DEEP_PACKED(1m_roam_lazy, "1m", 1 << 20, "roam", "lazy", ROAM | LAZY);
