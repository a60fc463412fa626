// SPDX-License-Identifier: MIT
/* A one-word spin lock: held for tens of instructions, never across a switch of the holder's own. */
#ifndef GSTK__HOST_LOCK_H
#define GSTK__HOST_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Pauses, then sched_yield(): the holder may have been preempted. */
void gstk__lock_slow(_Atomic uint32_t *lock);
/* Who has waited for so long calls this: it may be the holder itself, in a signal handler. */
extern uint64_t gstk__lock_patience_ns;
extern void (*gstk__lock_late)(void);

static inline void gstk__lock(_Atomic uint32_t *lock)
{
	if (__builtin_expect(atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0, 0))
		gstk__lock_slow(lock);
}

static inline bool gstk__trylock(_Atomic uint32_t *lock)
{
	return __builtin_expect(atomic_exchange_explicit(lock, 1, memory_order_acquire) == 0, 1);
}

static inline void gstk__unlock(_Atomic uint32_t *lock)
{
	atomic_store_explicit(lock, 0, memory_order_release);
}

#endif
