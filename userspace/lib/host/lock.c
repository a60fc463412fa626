// SPDX-License-Identifier: MIT
#include "host/lock.h"

#include <sched.h>
#include "host/host.h"

void gstk__lock_slow(_Atomic uint32_t *lock)
{
	for (int spin = 0;; spin++) {
		while (atomic_load_explicit(lock, memory_order_relaxed)) {
			if (spin++ < 100)
				gstk__cpu_relax();
			else
				sched_yield();
		}
		if (!atomic_exchange_explicit(lock, 1, memory_order_acquire))
			return;
	}
}
