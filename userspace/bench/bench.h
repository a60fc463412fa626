// SPDX-License-Identifier: MIT
/*
 * What a benchmark sees. One file per noun; each benchmark registers itself:
 *
 *	static void yield_run(const struct bench *b) { ...; bench_emit(b->name, ns, "ns"); }
 *	BENCH(yield_2, .name = "yield.2", .unit = "ns", .what = "...", .run = yield_run, .cpus = 1);
 *
 * run() is called once per round, each time in a process of its own that has done nothing before
 * (fork + exec of this program), so it sets up the runtime that it wants. It warms up, measures
 * once, and emits one or more results. Medians, spread, alternation with peers, the timing lock
 * and the time limit belong to the driver (main.c, run.c, report.c).
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
#include <time.h>

enum bench_flag {
	/** Measures bytes or waits for long: takes the timing lock shared, so others may run. */
	BENCH_UNTIMED = 1u << 0,
	/** Talks to a server process: this program, or a peer that lists "serve.echo" (or ->serve). */
	BENCH_SERVER = 1u << 1,
	/** Takes minutes or many gigabytes: runs only when its full name or "all" is asked for. */
	BENCH_LONG = 1u << 2,
};

struct bench {
	const char *name;
	const char *unit;
	const char *what;		     /* one line for --list */
	const char *also;		     /* further results it emits, separated by spaces */
	void (*run)(const struct bench *b);
	long arg;			     /* parameters of the case, free for run() */
	long arg2;
	unsigned int cpus;		     /* affinity of the process and of the peers'; 0: all */
	unsigned int rounds;		     /* 0: the default of --rounds */
	unsigned int limit_s;		     /* time limit of one round; 0: 60 s */
	unsigned int flags;		     /* enum bench_flag */
	const char *serve;		     /* with BENCH_SERVER: what it serves; NULL: echo */
	struct bench *next;
};

void bench_register(struct bench *b);

#define BENCH(ident, ...)                                                           \
	static struct bench bench_##ident = { __VA_ARGS__ };                        \
	__attribute__((constructor)) static void bench_##ident##_register(void)     \
	{                                                                           \
		bench_register(&bench_##ident);                                     \
	}

/** A result of this round: one "name value unit" line for the driver. */
void bench_emit(const char *name, double value, const char *unit);
/** The same under "PREFIX.SUFFIX", for secondary results. */
void bench_emit_sub(const struct bench *b, const char *suffix, double value, const char *unit);
/** This round cannot be: reason on stderr, exit. Skipped is not failed. */
void bench_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void bench_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/** Progress on stderr. */
void bench_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define bench_check(cond)                                                           \
	do {                                                                        \
		if (!(cond))                                                        \
			bench_fail("%s:%d: %s", __FILE__, __LINE__, #cond);         \
	} while (0)

/** @n repetitions, scaled by --scale (smoke runs use 0.01), at least 1. */
uint64_t bench_n(uint64_t n);
/** Seconds to wait, scaled by --wait-scale (the idle periods of memory and idle.*). */
double bench_wait_s(double s);
/** The server program under test (BENCH_SERVER). */
const char *bench_server(void);

/** CLOCK_MONOTONIC; with --cpu-clock the process's CPU time, for work on one worker's code where
 * other programs disturb (peers do not follow it, so it excludes --peers). */
extern clockid_t bench_clock;

static inline uint64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(bench_clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/** CPU time of this process, all threads. */
static inline uint64_t bench_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/** The optimiser must believe that @v is used, and must not merge calls around it. */
#define bench_use(v) __asm__ volatile("" : : "g"(v) : "memory")
#define BENCH_NOINLINE __attribute__((noinline, noclone))

/* xorshift64*: incompressible and cheap. The state must not be 0. */
static inline uint64_t bench_rand(uint64_t *s)
{
	uint64_t x = *s;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*s = x;
	return x * 0x2545f4914f6cdd1dull;
}

/** A random permutation of 0..@nr-1 (heap). */
uint32_t *bench_permutation(size_t nr, uint64_t seed);
/** Value at @percent of @nr sorted-in-place samples. */
double bench_percentile(uint64_t *samples, size_t nr, double percent);

/** Resident bytes and page-table bytes of process @pid (0: this one); a missing field is 0. */
struct bench_mem {
	uint64_t rss, page_tables, peak_rss;
	uint64_t anon; /* private anonymous part of rss */
};
struct bench_mem bench_mem(int pid);
/** (RSS + page tables) at @after minus at @before; may be negative. */
double bench_mem_growth(const struct bench_mem *before, const struct bench_mem *after);
/** Memory that the machine could still give, in bytes. */
uint64_t bench_mem_available(void);

struct gstk_config;
/**
 * Run @fn(@arg) as the main task of a runtime with @config; fails the benchmark when that fails.
 */
void bench_main(void *(*fn)(void *), void *arg, const struct gstk_config *config);

#endif
