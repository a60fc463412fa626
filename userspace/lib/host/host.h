// SPDX-License-Identifier: MIT
/* The kernel as the library sees it: the only callers of these system calls are in host/. */
#ifndef GSTK__HOST_HOST_H
#define GSTK__HOST_HOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

/* clock */
static inline uint64_t gstk__now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A cheap clock for short times: some 0.2 to 1 us a unit, it wraps after a quarter of an hour at least.
 * Only the differences of two stamps mean something. */
static inline uint32_t gstk__stamp(void)
{
#ifdef __x86_64__
	return (uint32_t)(__builtin_ia32_rdtsc() >> 10);
#else
	return (uint32_t)(gstk__now_ns() >> 10);
#endif
}

/* stamp.c: its unit is measured between these two, a few milliseconds apart. */
void gstk__stamp_begin(void);
void gstk__stamp_end(void);
extern uint32_t gstk__stamps_per_ms;

static inline uint64_t gstk__stamps_to_ns(uint32_t stamps)
{
	return stamps * 1000000ull / gstk__stamps_per_ms;
}

static inline void gstk__cpu_relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

/* mem.c */

/* Address space without memory; aligned to @align. NULL when it cannot be had. */
void *gstk__mem_reserve(size_t bytes, size_t align);
void gstk__mem_release(void *p, size_t bytes);
/* No huge pages there. */
void gstk__mem_small_pages(void *p, size_t bytes);
/* Pages of [p, p + bytes) go back to the system; reading them again gives zeroes. */
int gstk__mem_discard(void *p, size_t bytes);
/* Many ranges, one call where the kernel can. Returns the number of system calls made. */
int gstk__mem_discard_many(const struct iovec *ranges, int nr);
/* Does the kernel have MADV_GUARD_INSTALL? */
bool gstk__mem_has_guards(void);
/* Make the range fault. 0, or -errno: -EINVAL when the kernel has no MADV_GUARD_INSTALL. */
int gstk__mem_guard_install(void *p, size_t bytes);
int gstk__mem_guard_remove(void *p, size_t bytes);
int gstk__mem_protect_none(void *p, size_t bytes);
int gstk__mem_unprotect(void *p, size_t bytes);
/* One past the last byte of the mapping that has @at, by /proc; 0: there is none. For reports: may be slow. */
uintptr_t gstk__mem_end_of(uintptr_t at);
/* Which pages of [p, p + bytes) are there: a byte each. False: unknown. */
bool gstk__mem_resident(void *p, size_t bytes, unsigned char *pages);
/* Copy bytes of this process that may not be there (any more): false then, no signal. */
bool gstk__mem_peek(void *to, const void *from, size_t bytes);
/* The page of @p, whose first 16 bytes are nobody's: false where a touch would be a signal. */
bool gstk__mem_make_present(void *p);
/* Address space that the process may reserve, in bytes: RLIMIT_AS; under strict overcommit, where what is
 * reserved counts as used by all, half of what is left. */
size_t gstk__mem_limit(void);

/* futex.c */
void gstk__futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);
void gstk__futex_wake(_Atomic uint32_t *word, int nr);

/* barrier.c: a full barrier in every running thread of the process, so that the other side of a
 * store-load pair needs only the compiler to keep order. */
int gstk__membarrier_init(void);
void gstk__membarrier(void);
extern bool gstk__membarrier_missing; /* then the fast side must fence by itself */

static inline void gstk__fence_light(void)
{
#if defined(__SANITIZE_THREAD__)
	atomic_thread_fence(memory_order_seq_cst);
#else
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(gstk__membarrier_missing, 0))
		atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* cpu.c */
uint32_t gstk__cpu_count(void);

#endif
