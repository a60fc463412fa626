// SPDX-License-Identifier: MIT
/*
 * The thread that answers faults of stacks that came back lazily. It waits for nothing but its descriptor
 * and a window's lazy_lock, whose holders touch no window and no other lock; it touches no window itself,
 * takes no signal and allocates nothing: so whoever faults, with whatever locks, is answered.
 */
#include "park/lazy.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host/host.h"
#include "host/lock.h"
#include "host/uffd.h"
#include "park/cold.h"

#define PAGE	4096u
#define TRIES	10000 /* for memory: a second or so */
#define BATCH	16

struct gstk__pager_counts gstk__pager_counts;
static pthread_t thread;
static char *stop_page; /* a touch of it ends the thread */

static void count(_Atomic uint64_t *n, uint64_t by)
{
	atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

static void __attribute__((noreturn, cold)) die(const char *what, int err)
{
	fprintf(stderr, "greenstk: pager: %s: %s; a stack that came back in part cannot go on\n", what, strerror(-err));
	abort();
}

/* Gone, or no more registered, is fine: unregistering woke who waited. */
static void answered(int err)
{
	if (err && err != -ENOENT && err != -ESRCH)
		die("a page", err);
}

static void set_here(struct gstk__deep *d, uint32_t k)
{
	_Atomic uint64_t *w = &d->here[k / 64];

	atomic_store_explicit(w, atomic_load_explicit(w, memory_order_relaxed) | 1ull << (k % 64), memory_order_relaxed);
}

/* Page k and what is missing around it. */
static void bring(struct gstk__deep *d, uint32_t window, uint32_t k)
{
	const char *block = gstk__arena_ptr(d->block);
	uint32_t from = k, to = k + 1;
	int err;

	while (from > d->first && k - from < GSTK__LAZY_BELOW && !gstk__deep_here(d, from - 1))
		from--;
	while (to < d->nr_pages && to - k <= GSTK__LAZY_ABOVE && !gstk__deep_here(d, to))
		to++;
	for (uint32_t i = from; i < to; i++)
		set_here(d, i);
	for (int tries = 0;; tries++) {
		err = gstk__uffd_copy(gstk__deep_page(d, window, from), block + (size_t)from * PAGE,
				      (size_t)(to - from) * PAGE);
		if (err != -ENOMEM || tries == TRIES)
			break;
		sched_yield();
	}
	answered(err);
	count(&gstk__pager_counts.prefetched, to - from - 1);
}

static void zero(uintptr_t page)
{
	answered(gstk__uffd_zero((void *)page, PAGE));
}

static void answer(uintptr_t address)
{
	uintptr_t page = address & ~(uintptr_t)(PAGE - 1);
	uint32_t window = gstk__win_at((void *)address), k;
	struct gstk__window *win = gstk__win(window);
	struct gstk__deep *d;
	int err = gstk__cold_answer(address);

	if (err) {
		count(&gstk__pager_counts.faults, 1);
		answered(err == 1 || err == -EAGAIN ? 0 : err);
		return;
	}
	if (!window) { /* of no stack: calibration, and the end */
		zero(page);
		return;
	}
	count(&gstk__pager_counts.faults, 1);
	gstk__lock(&win->lazy_lock);
	if (!win->lazy) {
		gstk__uffd_wake((void *)page, PAGE); /* not yet, or no more: it tries again */
	} else if (win->lazy == GSTK__LAZY_CLOSED) {
		zero(page);
	} else {
		d = gstk__arena_ptr(win->lazy);
		k = d->nr_pages - (uint32_t)(((uintptr_t)gstk__deep_end(window) - page) / PAGE);
		if (k < d->first || k >= d->nr_pages || gstk__deep_here(d, k))
			zero(page); /* it came, and was trimmed */
		else
			bring(d, window, k);
	}
	gstk__unlock(&win->lazy_lock);
}

static void *pager(void *arg)
{
	uintptr_t address[BATCH];
	bool stop = false;

	pthread_setname_np(pthread_self(), "gstk-pager");
	while (!stop) {
		int n = gstk__uffd_read(address, BATCH);

		if (n < 0)
			die("userfaultfd", n);
		for (int i = 0; i < n; i++) {
			stop |= address[i] - (uintptr_t)stop_page < PAGE;
			answer(address[i]);
		}
	}
	return NULL;
}

int gstk__pager_start(void)
{
	sigset_t all, old;
	int err;

	stop_page = gstk__mem_reserve(PAGE, PAGE);
	if (!stop_page)
		return -ENOMEM;
	err = gstk__uffd_register(stop_page, PAGE);
	if (!err) {
		memset(&gstk__pager_counts, 0, sizeof(gstk__pager_counts));
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		err = -pthread_create(&thread, NULL, pager, NULL);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (err) {
		gstk__mem_release(stop_page, PAGE);
		stop_page = NULL;
	}
	return err;
}

void gstk__pager_stop(void)
{
	if (!stop_page)
		return;
	(void)*(volatile char *)stop_page;
	pthread_join(thread, NULL);
	gstk__mem_release(stop_page, PAGE);
	stop_page = NULL;
}
