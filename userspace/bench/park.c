// SPDX-License-Identifier: MIT
/*
 * park.BYTES.hot, .cold: a stack leaves its window and another one comes back, ns each time. One
 * window, so every wake is a claim. Hot: two tasks wake each other. Cold: as many tasks as make
 * 1 GiB of images, woken one after another in random order by a task with a window of its own; the
 * waker's post and yield are part of the figure. BYTES are the program's own; `.bytes` is what moved.
 *
 * .copy, .uffd, .module: with that backend, not the one that is chosen. .running2: another worker runs a task that
 * never parks, whose processor each flush of the TLB interrupts.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <greenstk.h>

#include "bench.h"

enum { HOT, COLD, COPY = 2, UFFD = 4, MODULE = 8, BACKENDS = 14, RUNNING2 = 16 };
#define COLD_BYTES (1ull << 30)

static gstk_sem *sems;
static uint64_t turns;
static size_t nr_tasks, live;
static size_t arrived;
static _Atomic bool over;

static void fill(unsigned char *buf, uint64_t seed)
{
	for (size_t i = 0; i < live; i++)
		buf[i] = (unsigned char)bench_rand(&seed);
}

static void check(const unsigned char *buf, uint64_t seed)
{
	for (size_t i = 0; i < live; i++)
		bench_check(buf[i] == (unsigned char)bench_rand(&seed));
}

static BENCH_NOINLINE void hot_loop(uint64_t me)
{
	for (uint64_t i = 0; i < turns; i++) {
		if (me)
			bench_check(!gstk_sem_wait(&sems[me]));
		bench_check(!gstk_sem_post(&sems[!me], 1));
		if (!me)
			bench_check(!gstk_sem_wait(&sems[me]));
	}
}

static BENCH_NOINLINE void cold_loop(uint64_t me)
{
	while (!gstk_sem_wait(&sems[me]) && turns)
		arrived++;
}

static void *holder(void *arg)
{
	uint64_t me = (uint64_t)(uintptr_t)arg;
	unsigned char *buf = __builtin_alloca(live);

	fill(buf, me + 1);
	arrived++;
	(nr_tasks == 2 ? hot_loop : cold_loop)(me);
	check(buf, me + 1);
	return NULL;
}

static struct gstk_stats stats(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	bench_check(!gstk_stats(&s));
	return s;
}

static void emit(const struct bench *b, uint64_t ns, uint64_t moves, const struct gstk_stats *before)
{
	struct gstk_stats now = stats();
	uint64_t evictions = now.evictions - before->evictions;

	/* Each turn moved two stacks, or the figure is of something else. */
	bench_check(evictions >= moves - moves / 50 && evictions <= moves + moves / 50 + 4);
	bench_emit(b->name, (double)ns / (double)moves, "ns");
	bench_emit_sub(b, "bytes", (double)(now.bytes_evicted - before->bytes_evicted) / (double)evictions, "bytes");
}

static void hot(const struct bench *b)
{
	gstk_task *t[2];
	struct gstk_stats s;
	uint64_t t0;

	for (int warm = 1; warm >= 0; warm--) {
		turns = bench_n(1000000 * 512 / (512 + live)) / (warm ? 10 : 1) + 100;
		s = stats();
		t0 = bench_now();
		for (uintptr_t i = 0; i < 2; i++) {
			sems[i] = (gstk_sem)GSTK_SEM_INIT(0);
			bench_check(!gstk_spawn(&t[i], holder, (void *)i, NULL));
		}
		for (int i = 0; i < 2; i++)
			bench_check(!gstk_join(t[i], NULL));
	}
	emit(b, bench_now() - t0, 2 * turns, &s);
}

static void cold(const struct bench *b)
{
	gstk_task **t = calloc(nr_tasks, sizeof(*t));
	uint32_t *order = bench_permutation(nr_tasks, 5);
	uint64_t t0, moves = bench_n(1000000 * 512 / (512 + live)), n = 0;
	struct gstk_stats s;

	bench_check(t);
	turns = 1;
	for (uintptr_t i = 0; i < nr_tasks; i++) {
		sems[i] = (gstk_sem)GSTK_SEM_INIT(0);
		bench_check(!gstk_spawn(&t[i], holder, (void *)i, NULL));
		while (arrived <= i)
			gstk_yield();
	}
	s = stats();
	t0 = bench_now();
	for (; n < moves; n++) {
		size_t want = arrived + 1;

		bench_check(!gstk_sem_post(&sems[order[n % nr_tasks]], 1));
		while (arrived < want)
			gstk_yield();
	}
	emit(b, bench_now() - t0, moves, &s);
	turns = 0;
	for (size_t i = 0; i < nr_tasks; i++)
		bench_check(!gstk_sem_post(&sems[i], 1));
	for (size_t i = 0; i < nr_tasks; i++)
		bench_check(!gstk_join(t[i], NULL));
	free(order);
	free(t);
}

static void *spin(void *arg)
{
	while (!over)
		__asm__ volatile("" ::: "memory");
	return arg;
}

static void *park_main(void *arg)
{
	const struct bench *b = arg;
	struct gstk_spawn_opts opts = { .size = sizeof(opts), .flags = GSTK_PRIVATE | GSTK_PINNED, .worker = 1 };
	gstk_task *other = NULL;

	sems = calloc(nr_tasks, sizeof(*sems));
	bench_check(sems);
	if (b->arg & RUNNING2)
		bench_check(!gstk_spawn(&other, spin, NULL, &opts));
	(b->arg & COLD ? cold : hot)(b);
	over = true;
	if (other)
		bench_check(!gstk_join(other, NULL));
	free(sems);
	return NULL;
}

static void park_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 1, .flags = GSTK_NO_SWEEP };

	if (b->arg & BACKENDS)
		unsetenv("GREENSTK_BACKEND"); /* the row says it */
	config.backend = b->arg & COPY ? GSTK_BACKEND_COPY : b->arg & UFFD ? GSTK_BACKEND_UFFD
			 : b->arg & MODULE ? GSTK_BACKEND_MODULE : GSTK_BACKEND_AUTO;
	if (b->arg & MODULE && access("/dev/greenstk", R_OK | W_OK))
		bench_skip("/dev/greenstk: %s", strerror(errno));
	if (b->arg & RUNNING2)
		config.workers = 2;
	if (b->arg2 > 128 << 10)
		config.window_size = 2 << 20;
	live = (size_t)b->arg2;
	nr_tasks = !(b->arg & COLD) ? 2 : bench_n(COLD_BYTES / (live + 256)) + 2;
	bench_main(park_main, (void *)b, &config);
}

#define ROW(ident, bytes, heat, suffix, arg_, nr_cpus, flags_)                                          \
	BENCH(ident##_##bytes, .name = "park." #bytes "." heat suffix, .unit = "ns",                    \
	      .what = "evict and restore " #bytes " bytes, " heat suffix,                               \
	      .also = "park." #bytes "." heat suffix ".bytes", .run = park_run, .arg = arg_, .arg2 = bytes, \
	      .cpus = nr_cpus, .flags = flags_)
#define BACKEND(ident, bytes, suffix, arg_, flags_)                                                     \
	ROW(ident##hot, bytes, "hot", suffix, (arg_) | HOT, 1, flags_);                                 \
	ROW(ident##cold, bytes, "cold", suffix, (arg_) | COLD, 1, flags_);                              \
	ROW(ident##hot2, bytes, "hot", suffix ".running2", (arg_) | HOT | RUNNING2, 2, BENCH_LONG);     \
	ROW(ident##cold2, bytes, "cold", suffix ".running2", (arg_) | COLD | RUNNING2, 2, BENCH_LONG)
#define PARK(bytes, flags_)                                  \
	BACKEND(auto_, bytes, "", 0, flags_);                \
	BACKEND(copy_, bytes, ".copy", COPY, BENCH_LONG);    \
	BACKEND(uffd_, bytes, ".uffd", UFFD, BENCH_LONG);    \
	BACKEND(module_, bytes, ".module", MODULE, BENCH_LONG)
PARK(128, 0);
PARK(512, 0);
PARK(1024, 0);
PARK(4096, 0);
PARK(16384, 0);
PARK(65536, 0);
PARK(262144, BENCH_LONG);
PARK(1048576, BENCH_LONG);
