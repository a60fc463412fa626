// SPDX-License-Identifier: MIT
#include "debug/inject.h"

typedef int gstk__inject_not_empty;

#ifdef GSTK__INJECTION
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "host/host.h"

static uint64_t seed_of_thread(void)
{
	static _Atomic uint64_t threads;
	const char *s = getenv("GREENSTK_SEED");

	return ((s ? strtoull(s, NULL, 0) : 1) + atomic_fetch_add(&threads, 1)) * 0x9e3779b97f4a7c15ull | 1;
}

/* GREENSTK_INJECT names one point at which every thread pauses for long each time. */
static bool always(const char *name)
{
	static __thread const char *only;

	if (!only) {
		only = getenv("GREENSTK_INJECT");
		only = only ? only : "";
	}
	return *only && !strcmp(only, name);
}

__attribute__((noinline)) void gstk__inject_pause(const char *name)
{
	static __thread uint64_t s;

	if (!s)
		s = seed_of_thread();
	if (always(name)) {
		for (uint64_t end = gstk__now_ns() + 200000; gstk__now_ns() < end;)
			gstk__cpu_relax();
		return;
	}
	s ^= s << 13; /* G. Marsaglia, "Xorshift RNGs", 2003 */
	s ^= s >> 7;
	s ^= s << 17;
	if (s >> 40 & 63)
		return;
	/* Mostly too short for the other side to get far; now and then long enough for all of it. */
	if (s >> 46 & 7)
		for (uint32_t i = s >> 50 & 511; i; i--)
			gstk__cpu_relax();
	else
		sched_yield();
}
#endif
