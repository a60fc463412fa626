// SPDX-License-Identifier: MIT
#include "host/lock.h"

#include <sched.h>
#include "host/host.h"

#define LOOKS 4096u /* at the lock, between two at the clock */

uint64_t gstk__lock_patience_ns = 5000000000u;
void (*gstk__lock_late)(void);

/* @since: when the clock was first looked at; 0: not yet. */
static __attribute__((cold, noinline)) uint64_t look_at_clock(uint64_t since)
{
	uint64_t now = gstk__now_ns();

	if (!since || !gstk__lock_late || now - since < gstk__lock_patience_ns)
		return since ? since : now;
	gstk__lock_late();
	return now;
}

void gstk__lock_slow(_Atomic uint32_t *lock)
{
	uint64_t since = 0;

	for (uint32_t spin = 0;; spin++) {
		while (atomic_load_explicit(lock, memory_order_relaxed)) {
			if (spin++ < 100)
				gstk__cpu_relax();
			else
				sched_yield();
			if (spin % LOOKS == 0)
				since = look_at_clock(since);
		}
		if (!atomic_exchange_explicit(lock, 1, memory_order_acquire))
			return;
	}
}
