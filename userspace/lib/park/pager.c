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
static struct gstk__scratch *scratch; /* its own: it must not wait for one */

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

/* Frames are left upwards: who goes on where the last answer ended will go on. */
static uint32_t how_far(struct gstk__deep *d, uint32_t k)
{
	if (!d->next || d->next != k)
		return GSTK__LAZY_ABOVE;
	return d->above < GSTK__LAZY_MOST / 2 ? 2u * d->above + 1 : GSTK__LAZY_MOST;
}

static void give(struct gstk__deep_reader *r, char *page, uint32_t k, uint32_t to)
{
	const char *bytes = gstk__deep_at(r, k);
	int err;

	for (int tries = 0;; tries++) {
		err = gstk__uffd_copy(page, bytes, (size_t)(to - k) * PAGE);
		if (err != -ENOMEM || tries == TRIES)
			break;
		sched_yield();
	}
	answered(err);
}

static bool in_chunk_of(const struct gstk__deep *d, uint32_t k, uint32_t other)
{
	return gstk__deep_cold(d, k) && gstk__deep_chunk(d, k) == gstk__deep_chunk(d, other);
}

/* Page k and what is missing around it. What is packed comes by whole chunks: that of the page, and those after it
 * when it is the next one. */
static void bring(struct gstk__deep *d, uint32_t window, uint32_t k)
{
	struct gstk__deep_reader r = gstk__deep_reader(d, window, scratch);
	uint32_t from = k, to = k + 1, above = how_far(d, k), next;
	bool cold = gstk__deep_cold(d, k);

	while (from > d->first && !gstk__deep_here(d, from - 1) &&
	       (cold ? in_chunk_of(d, from, from - 1) : k - from < GSTK__LAZY_BELOW))
		from--;
	while (to < d->nr_pages && !gstk__deep_here(d, to) &&
	       ((to - k <= above && (!cold || above > GSTK__LAZY_ABOVE)) || in_chunk_of(d, to - 1, to)))
		to++;
	d->above = (uint16_t)above;
	d->next = (uint16_t)to;
	for (uint32_t i = from; i < to; i++)
		gstk__deep_set(d, i, true);
	for (uint32_t i = from; i < to; i = next) {
		next = gstk__deep_beside(d, i, to);
		give(&r, gstk__deep_page(d, window, i), i, next);
	}
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
	int err = gstk__cold_answer(address, scratch);

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

static void release(void)
{
	gstk__mem_release(stop_page, PAGE);
	gstk__scratch_free(scratch);
	stop_page = NULL;
	scratch = NULL;
}

int gstk__pager_start(void)
{
	sigset_t all, old;
	int err;

	stop_page = gstk__mem_reserve(PAGE, PAGE);
	scratch = gstk__scratch_new();
	err = stop_page && scratch ? gstk__uffd_register(stop_page, PAGE) : -ENOMEM;
	if (!err) {
		memset(&gstk__pager_counts, 0, sizeof(gstk__pager_counts));
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		err = -pthread_create(&thread, NULL, pager, NULL);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (err)
		release();
	return err;
}

void gstk__pager_stop(void)
{
	if (!stop_page)
		return;
	(void)*(volatile char *)stop_page;
	pthread_join(thread, NULL);
	release();
}
