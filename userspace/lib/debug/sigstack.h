// SPDX-License-Identifier: MIT
#ifndef GSTK__DEBUG_SIGSTACK_H
#define GSTK__DEBUG_SIGSTACK_H

/*
 * An alternate signal stack for the calling thread: a task that overflowed has no stack left for a
 * handler. One that the thread has already is kept when it is large enough. @state: the thread's,
 * zero before begin. Failure leaves the thread without one.
 */
struct gstk__sigstack {
	void *map, *old;
	unsigned long bytes, old_bytes;
};

void gstk__sigstack_begin(struct gstk__sigstack *state);
void gstk__sigstack_end(struct gstk__sigstack *state);

#endif
