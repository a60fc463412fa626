// SPDX-License-Identifier: MIT
/* A lock of one byte, for sections that never park. A waiter lets other tasks run meanwhile. */
#ifndef PUBSUB_SPIN_H
#define PUBSUB_SPIN_H

#include <greenstk/task.h>
#include <stdatomic.h>

typedef _Atomic uint8_t spin;

static inline void spin_lock(spin *s)
{
	unsigned int tries = 0;

	while (atomic_exchange_explicit(s, 1, memory_order_acquire)) {
		while (atomic_load_explicit(s, memory_order_relaxed)) {
			if (++tries % 128 == 0)
				gstk_yield();
#if defined(__x86_64__)
			__builtin_ia32_pause();
#endif
		}
	}
}

static inline void spin_unlock(spin *s)
{
	atomic_store_explicit(s, 0, memory_order_release);
}

#endif
