// SPDX-License-Identifier: MIT
/*
 * usage: cost instr|ipi|idle|touch [WAY] [K]
 *        cost instr|ipi bench|deep
 *   instr  instructions per stack: one CPU, the emulator's clock counts them
 *   ipi    TLB shootdown interrupts per batch, a second thread spinning
 *   idle   the same on four CPUs, two more threads that have just gone to sleep
 *   touch  instructions of the first write to a page
 *   bench  ways to exchange, up to 256 pages, alone and 64 at a time
 *   deep   stacks of 256 pages of which two are touched when they come: as the runtime moves them with the
 *          module, and copied whole; nothing is written in between, so that what did not come stays away
 * Prints "way.kK.nN[.best].what value unit" lines. vm-cost (part.mk) adds the
 * kernel's name. Data are checked in every round: a fast way that loses a page
 * is no way.
 */
#include "cost.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#define ROUNDS 8
#define IPI_ROUNDS 3
#define WARM_UP 2

static const struct way *const ways[] = {
	&way_park, &way_memcpy, &way_mremap, &way_uffd_move, &way_reclaim, &way_madvise, &way_process_madvise,
};
static const int sizes[] = { 1, 2, 4, 8, 16, 64, 0 }, bench_sizes[] = { 1, 4, 16, 64, 256, 0 }, deep_sizes[] = { 256, 0 };
static const int batches[] = { 1, 8, 64, 0 }, bench_batches[] = { 1, 64, 0 };
#define DEEP_TOP 2

static atomic_int stop, turn, asleep;
static int nr_sleepers;
static unsigned long long seed = 88172645463325252ULL;

void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned int rnd(unsigned int below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 20) % below;
}

static uint64_t stamp(int window, int which, int page)
{
	return 0x9e3779b97f4a7c15ULL * (1 + (uint64_t)page * 1000 + window * 2 + which);
}

/* Writes stack `which` of a window at low: every page, so all are dirty. */
void fill(struct bench *b, int window, int which, char *low)
{
	int p;

	for (p = 0; p < stack_pages(b, window, which); p++)
		*(volatile uint64_t *)(low + p * PAGE) = stamp(window, which, p);
}

static void check(struct bench *b, int window, int which)
{
	char *low = stack_low(b, window, which);
	int p;

	for (p = 0; p < stack_pages(b, window, which); p++)
		if (*(volatile uint64_t *)(low + p * PAGE) != stamp(window, which, p)) {
			fprintf(stderr, "%s: page %d of stack %d in window %d is lost\n",
				b->way->name, p, which, window);
			exit(1);
		}
}

static long tlb_interrupts(void)
{
	char line[512], *p;
	FILE *f = fopen("/proc/interrupts", "re");
	long sum = 0;

	if (!f)
		die("/proc/interrupts");
	while (fgets(line, sizeof(line), f)) {
		p = strstr(line, "TLB:");
		if (!p)
			continue;
		for (p += 4;; ) {
			char *end;
			long n = strtol(p, &end, 10);

			if (end == p)
				break;
			sum += n;
			p = end;
		}
	}
	fclose(f);
	return sum;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* Nothing else runs in between: a context switch would count as well. */
static void be_alone(void)
{
	struct sched_param p = { .sched_priority = 50 };
	FILE *f = fopen("/proc/sys/kernel/sched_rt_runtime_us", "we");

	if (!f || fputs("-1", f) < 0 || fclose(f) || sched_setscheduler(0, SCHED_FIFO, &p))
		die("SCHED_FIFO");
}

static void *spin(void *arg)
{
	pin((intptr_t)arg);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		_mm_pause();
	return NULL;
}

/* A worker that has just run and sleeps now: its CPU keeps the mm, lazily. */
static void *sleeper(void *arg)
{
	int seen = 0;

	pin((intptr_t)arg);
	for (;;) {
		atomic_fetch_add(&asleep, 1);
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
		seen = atomic_load(&turn);
		if (atomic_load(&stop))
			return NULL;
	}
}

static void wake_sleepers(void)
{
	if (!nr_sleepers)
		return;
	atomic_store(&asleep, 0);
	atomic_fetch_add(&turn, 1);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 64, NULL, NULL, 0);
	while (atomic_load(&asleep) < nr_sleepers)
		_mm_pause();
	usleep(2000); /* until their CPUs are idle */
}

static void shuffle(struct bench *b, int *order)
{
	int i;

	for (i = 0; i < NR_WINDOWS; i++)
		order[i] = i;
	for (i = NR_WINDOWS - 1; i > 0 && !b->best; i--) {
		int j = rnd(i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

static void prepare_exchange(struct bench *b)
{
	int w;

	if (b->top)
		return;

	for (w = 0; w < NR_WINDOWS; w++) {
		check(b, w, b->in[w]);
		fill(b, w, b->in[w], stack_low(b, w, b->in[w]));
		if (stack_pages(b, w, !b->in[w]) > stack_pages(b, w, b->in[w]))
			b->way->scratch(b, w);
	}
}

static void prepare_reclaim(struct bench *b)
{
	int w, p;

	for (w = 0; w < NR_WINDOWS; w++)
		for (p = 1; p <= b->k + 1; p++)
			*(volatile char *)(window_base(b, w) - p * PAGE) = p;
}

/* The batch and the first write to each page that came in: hidden faults count. */
static void one_batch(struct bench *b, const int *windows, int n)
{
	int i, p;

	if (b->way->reclaim) {
		b->way->reclaim(b, windows, n);
		return;
	}
	b->way->exchange(b, windows, n);
	for (i = 0; i < n; i++) {
		int w = windows[i];
		char *low;

		b->in[w] = !b->in[w];
		low = stack_low(b, w, b->in[w]);
		for (p = 0; p < (b->top ? b->top : stack_pages(b, w, b->in[w])); p++)
			((volatile uint64_t *)(low + p * PAGE))[1] = p;
	}
}

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, c = *(const double *)y;

	return a < c ? -1 : a > c;
}

static void measure(struct bench *b, int n, bool count_ipis)
{
	double value[ROUNDS];
	int order[NR_WINDOWS], rounds = count_ipis ? IPI_ROUNDS : ROUNDS, r, i;

	for (r = -WARM_UP; r < rounds; r++) {
		uint64_t sum = 0;

		shuffle(b, order);
		if (b->way->reclaim)
			prepare_reclaim(b);
		else
			prepare_exchange(b);
		for (i = 0; i < NR_WINDOWS; i += n) {
			uint64_t t0;

			wake_sleepers();
			t0 = count_ipis ? (uint64_t)tlb_interrupts() : __rdtsc();
			one_batch(b, order + i, n);
			sum += (count_ipis ? (uint64_t)tlb_interrupts() : __rdtsc()) - t0;
		}
		if (r >= 0)
			value[r] = count_ipis ? (double)sum * n / NR_WINDOWS : (double)sum / NR_WINDOWS;
	}
	qsort(value, rounds, sizeof(value[0]), by_value);
	/* Interrupts: the worst round. Instructions: the median; a timer tick hits some rounds. */
	printf("%s.k%d.n%d%s.%s ", b->way->name, b->k, n, b->best ? ".best" : b->top ? ".deep" : "",
	       !count_ipis ? "instr" : nr_sleepers ? "ipi_idle" : "ipi");
	if (count_ipis)
		printf("%g per_batch\n", value[rounds - 1]);
	else
		printf("%.0f instr\n", value[rounds / 2]);
	fflush(stdout);
}

static bool one_size(const struct way *way, int k, bool best, int top, const int *n, bool count_ipis)
{
	struct bench b = { .k = k, .best = best, .top = top, .way = way };
	int w;

	/* Room for the stack, a scratch page and a guard. */
	for (b.step = 4 * PAGE; best && b.step < (b.k + 3) * PAGE; b.step *= 2)
		;
	if (!best)
		b.step = HUGE_STEP;
	if (!way->open(&b)) {
		printf("# %s: not on this kernel\n", way->name);
		return false;
	}
	for (; *n; n++)
		measure(&b, *n, count_ipis);
	for (w = 0; top && w < NR_WINDOWS; w++)
		check(&b, w, b.in[w]);
	way->close(&b);
	return true;
}

static void all_sizes(const struct way *way, int only_k, bool count_ipis)
{
	const int *k;
	int best;

	for (k = sizes; *k; k++)
		for (best = 0; (!only_k || *k == only_k) && best < 2; best++)
			if (!one_size(way, *k, best, 0, batches, count_ipis))
				return;
}

static void bench(int top, bool count_ipis)
{
	const int *k;
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		for (k = top ? deep_sizes : bench_sizes; ways[i]->exchange && *k; k++)
			if (top && ways[i] != &way_park && ways[i] != &way_memcpy)
				continue;
			else if (!one_size(ways[i], *k, false, top, bench_batches, count_ipis))
				break;
}

static void first_touch(const struct way *way, const char *name)
{
	struct bench b = { .k = 16, .step = HUGE_STEP, .way = way };
	double value[NR_WINDOWS];
	int w;

	if (!way->open(&b))
		return;
	for (w = 0; w < NR_WINDOWS; w++) {
		volatile char *p = window_base(&b, w) - 40 * PAGE;
		uint64_t t0;

		p[2 * PAGE] = 1; /* the page table is there already */
		t0 = __rdtsc();
		p[0] = 1;
		value[w] = __rdtsc() - t0;
	}
	qsort(value, NR_WINDOWS, sizeof(value[0]), by_value);
	printf("%s.first_touch.instr %.0f instr\n", name, value[NR_WINDOWS / 2]);
	way->close(&b);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "instr", *only = argc > 2 ? argv[2] : "all";
	bool count_ipis = !strcmp(what, "ipi") || !strcmp(what, "idle");
	pthread_t t;
	size_t i;

	pin(0);
	if (!count_ipis)
		be_alone();
	if (count_ipis && pthread_create(&t, NULL, spin, (void *)1L))
		die("pthread_create");
	for (i = 0; !strcmp(what, "idle") && i < 2; i++, nr_sleepers++)
		if (pthread_create(&t, NULL, sleeper, (void *)(2 + i)))
			die("pthread_create");
	if (!strcmp(what, "touch")) {
		first_touch(&way_reclaim, "window");
		first_touch(&way_madvise, "anon");
		return 0;
	}
	if (!strcmp(only, "bench") || !strcmp(only, "deep")) {
		bench(!strcmp(only, "deep") ? DEEP_TOP : 0, count_ipis);
		return 0;
	}
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(only, "all") || !strcmp(only, ways[i]->name))
			all_sizes(ways[i], argc > 3 ? atoi(argv[3]) : 0, count_ipis);
	return 0;
}
