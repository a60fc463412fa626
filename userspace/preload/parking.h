// SPDX-License-Identifier: MIT
/*
 * Tasks that wait for something at an address: a mutex, a condition. Who changes it calls preload_unpark(),
 * from whatever thread. Each waiter has a semaphore of its own, on the heap.
 *
 *	w = preload_park_begin(addr)		from here on an unpark finds it
 *	try again				so nothing was missed before
 *	preload_park_wait(w, deadline)
 *	preload_park_end(w)			was it unparked? If it does not use that, it passes it on
 */
#ifndef GREENSTK_PRELOAD_PARKING_H
#define GREENSTK_PRELOAD_PARKING_H

#include "preload.h"

struct preload_waiter;

/* NULL: no memory. */
struct preload_waiter *preload_park_begin(const void *addr);
/* 0 when it was unparked, else as gstk_sem_wait_until(). */
int preload_park_wait(struct preload_waiter *w, uint64_t deadline_ns);
bool preload_park_end(struct preload_waiter *w);
/* The first that waits, or @all. Whether there was one. Never parks. */
bool preload_unpark(const void *addr, bool all);

/*
 * For calls that may not fail, whatever is asked of the task meanwhile: a cancel and the task's own deadline
 * have to wait. A cancel that comes in between is taken by preload_shield_again().
 */
struct preload_shield {
	bool canceled;
	uint64_t deadline_ns;
};
void preload_shield_begin(struct preload_shield *s);
void preload_shield_again(struct preload_shield *s);
void preload_shield_end(struct preload_shield *s);

/* CLOCK_REALTIME or another clock's absolute time as a deadline. -EINVAL for nonsense. */
int preload_deadline_abs(clockid_t clock, const struct timespec *abs, uint64_t *deadline_ns);

/*
 * Call @try, with @arg, until it returns anything but EBUSY; in between others run, and the task waits at
 * @addr. Not every unlock calls preload_unpark(): inside libc, or in another process. So it looks again after
 * some milliseconds. Returns what @try did, ETIMEDOUT, or ECANCELED when @cancelable.
 */
int preload_park_until(const void *addr, int (*try)(void *), void *arg, uint64_t deadline_ns, bool cancelable);

/* In a task: an error number, as pthread_mutex_lock() and its kin. */
int preload_mutex_lock(pthread_mutex_t *m, uint64_t deadline_ns);
int preload_mutex_unlock(pthread_mutex_t *m);

#endif
