// SPDX-License-Identifier: MIT
#include "park/lazy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "debug/annotate.h"
#include "debug/inject.h"
#include "debug/probe.h"
#include "debug/seal.h"
#include "debug/trace.h"
#include "host/host.h"
#include "host/lock.h"
#include "host/uffd.h"
#include "park/calibrate.h"
#include "park/cold.h"
#include "park/copy.h"

#define PAGE 4096u

static uint32_t set_lazy(struct gstk__window *win, uint32_t to)
{
	uint32_t old;

	gstk__lock(&win->lazy_lock);
	old = win->lazy;
	win->lazy = to;
	gstk__unlock(&win->lazy_lock);
	return old;
}

/* ---- leaving ---- */

/* Nobody reads from the record any more. */
static uint32_t close_record(struct gstk__window *win)
{
	uint32_t ref = set_lazy(win, GSTK__LAZY_CLOSED);

	GSTK__INJECT(lazy_closed);
	return ref;
}

static void count_left(struct gstk__park *p, const struct gstk__deep *d)
{
	uint32_t untouched = 0;

	for (uint32_t k = d->first; k < d->nr_pages; k++)
		untouched += !gstk__deep_here(d, k);
	gstk__count_by(&p->n.lazy_untouched, untouched);
	gstk__gauge(&p->n.bytes_lazy, -(int64_t)d->lazy_bytes);
}

/* The window is one as any other. */
static void let_go(struct gstk__park *p, const struct gstk__deep *d, uint32_t window)
{
	struct gstk__window *win = gstk__win(window);
	char *from = gstk__deep_page(d, window, d->first);
	int err = gstk__uffd_unregister(from, (size_t)(gstk__deep_end(window) - from));

	if (err) {
		fprintf(stderr, "greenstk: userfaultfd: a window cannot be unregistered: %s\n", strerror(-err));
		abort();
	}
	set_lazy(win, 0);
	win->flags &= ~GSTK__WIN_LAZY;
	count_left(p, d);
}

/* The page from which on a stack wants to be missing. What must be unpacked costs more than what is copied: of that no
 * more than the chunk with the second page after the stack pointer's. */
static uint32_t first_of(const struct gstk__deep *d, uint32_t window, const char *sp)
{
	uint32_t k = gstk__deep_page_of(d, window, sp), first = k + 1 + gstk__lazy.eager_pages, top = k + GSTK__LAZY_ABOVE;

	if (top < d->nr_pages && gstk__deep_cold(d, top) && first > gstk__deep_chunk_end(d, top))
		first = gstk__deep_chunk_end(d, top);
	return first;
}

/*
 * The window stays registered, and LAZY without a record, for @next, whose part of it is the same. Registering and
 * unregistering are most of what a stack costs of which only the top is touched.
 */
static bool hand_over(struct gstk__park *p, const struct gstk__deep *d, const struct gstk_task *next)
{
	uint32_t window = next->window;
	const struct gstk__deep *n = gstk__deep(next->image);
	uint32_t first = first_of(n, window, gstk__win_base(window) - next->used);
	char *from = gstk__deep_page(d, window, d->first);

	if (next->used < gstk__lazy.min_bytes || first >= n->nr_pages || gstk__deep_page(n, window, first) != from)
		return false;
	/* Before the pages go: the answer of who is CLOSED, zeroes, would be taken for one of @next's. */
	set_lazy(gstk__win(window), 0);
	GSTK__INJECT(lazy_handed_over);
	if (gstk__mem_discard(from, (size_t)(gstk__deep_end(window) - from)))
		return false;
	count_left(p, d);
	return true;
}

static void warm(struct gstk__deep *d, uint32_t k, uint32_t to)
{
	for (; d->chunks && k < to; k++)
		gstk__deep_set_cold(d, k, false);
}

/* Runs of pages, from that of @sp on, that are (@here) in the window. */
static void copy_back(struct gstk__deep *d, uint32_t window, char *sp)
{
	char *base = gstk__win_base(window), *first = gstk__deep_page(d, window, d->first);
	uint32_t k = gstk__deep_page_of(d, window, sp), to;

	if (sp < first) {
		gstk__copy(gstk__deep_bytes(d, window, sp), sp, (size_t)((first < base ? first : base) - sp));
		warm(d, k, d->first);
		k = d->first;
	}
	for (; k < d->nr_pages; k = to) {
		char *from = gstk__deep_page(d, window, k), *end;

		to = gstk__deep_run(d, k);
		if (!gstk__deep_here(d, k))
			continue;
		end = gstk__deep_page(d, window, to);
		from = from < sp ? sp : from;
		end = end > base ? base : end;
		if (from < end)
			gstk__copy(gstk__deep_bytes(d, window, from), from, (size_t)(end - from));
		warm(d, k, to);
	}
}

/* Into frames, red zones included: no sanitizer may look. */
__attribute__((no_sanitize("address", "thread"))) static void copy_in(char *to, const char *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((volatile uint64_t *)to)[i] = ((const volatile uint64_t *)from)[i];
}

/* What has not come is put in by hand. Nobody uses the stack meanwhile. */
static void make_whole(struct gstk__park *p, uint32_t ref, uint32_t window, char *sp)
{
	struct gstk__deep *d = gstk__deep(ref);
	struct gstk__deep_reader r = gstk__deep_reader(d, window, NULL);
	uint32_t k = gstk__deep_page_of(d, window, sp);

	let_go(p, d, window);
	for (k = k < d->first ? d->first : k; k < d->nr_pages; k++)
		if (!gstk__deep_here(d, k)) {
			char *from = gstk__deep_page(d, window, k), *end = gstk__win_base(window);

			end = end - from > PAGE ? from + PAGE : end;
			if (from < end)
				copy_in(from, gstk__deep_at(&r, k), (size_t)(end - from));
		}
	gstk__deep_reader_end(&r);
	gstk__deep_free(p, ref);
}

static bool evict(struct gstk__park *p, struct gstk_task *t, const struct gstk_task *next)
{
	uint32_t window = t->window, ref = 0, used;
	struct gstk__window *win = gstk__win(window);
	char *sp = t->sp, *base = gstk__win_base(window), *end = gstk__deep_end(window);
	bool was_lazy;

	if (gstk__windows.module) {
		gstk__cold_whole(p, window, sp);
		return false;
	}
	if (sp > base || sp < gstk__win_limit(window))
		return false; /* whoever evicts it then says so */
	used = (uint32_t)(base - sp);
	if (win->flags & GSTK__WIN_LAZY) {
		ref = close_record(win);
		if (used < gstk__lazy.min_bytes || (size_t)(end - sp) > (size_t)gstk__deep(ref)->nr_pages * PAGE ||
		    !gstk__deep_room(p, gstk__deep(ref))) {
			make_whole(p, ref, window, sp);
			ref = 0;
		}
	}
	was_lazy = ref;
	if (!ref && (used < gstk__lazy.min_bytes || !(ref = gstk__deep_new(p, (uint32_t)(end - sp)))))
		return false;
	gstk__annotate_evicted(t, sp, used);
	copy_back(gstk__deep(ref), window, sp);
	if (was_lazy && !(next && hand_over(p, gstk__deep(ref), next)))
		let_go(p, gstk__deep(ref), window);
	t->used = used;
	t->image = ref;
	t->tier = GSTK__TIER_DEEP;
	gstk__count(&p->n.evictions);
	gstk__count_by(&p->n.bytes_evicted, used);
	gstk__gauge(&p->n.copied, 1);
	gstk__gauge(&p->n.bytes_copied, used);
	gstk__gauge(&p->n.resident, -1);
	GSTK__PROBE3(evict, t, used, GSTK__TIER_DEEP);
	GSTK__TRACE(moved(GSTK__TRACE_EVICT, t, used, GSTK__TIER_DEEP));
	return true;
}

bool gstk__lazy_evict(struct gstk__park *p, struct gstk_task *t)
{
	return evict(p, t, NULL);
}

bool gstk__lazy_give_way(struct gstk__park *p, struct gstk_task *t, const struct gstk_task *next)
{
	return !gstk__windows.module && !gstk__sealing && evict(p, t, next);
}

void gstk__lazy_ended(struct gstk__park *p, uint32_t window)
{
	uint32_t ref;

	if (gstk__windows.module) {
		gstk__cold_ended(p, window);
		return;
	}
	ref = close_record(gstk__win(window));
	let_go(p, gstk__deep(ref), window);
	gstk__deep_free(p, ref);
}

/* ---- coming back ---- */

/* As many as cost what one touch costs, or what it brings. */
static uint32_t most_foreseen(void)
{
	uint32_t most = GSTK__LAZY_BELOW + 1 + GSTK__LAZY_ABOVE;

	return most < gstk__lazy.eager_pages ? gstk__lazy.eager_pages : most;
}

/* They come before anybody can look: the task does not run yet. */
static void bring_foreseen(struct gstk__park *p, struct gstk__deep *d, uint32_t window, struct gstk__deep_reader *r)
{
	for (uint32_t k = d->first, to; k < d->nr_pages; k = to) {
		char *page = gstk__deep_page(d, window, k);

		to = gstk__deep_run(d, k);
		if (!gstk__deep_here(d, k))
			continue;
		to = gstk__deep_beside(d, k, to);
		if (!gstk__uffd_copy(page, gstk__deep_at(r, k), (size_t)(to - k) * PAGE)) {
			gstk__count_by(&p->n.lazy_foreseen, to - k);
			continue;
		}
		/* No memory: on touch, then. Some of it may have come, and would not be seen to be there. */
		gstk__mem_discard(page, (size_t)(to - k) * PAGE);
		for (uint32_t i = k; i < to; i++)
			gstk__deep_set(d, i, false);
	}
}

static bool make_missing(struct gstk__park *p, char *from, const char *end)
{
	/* In this order: a touch between the two must not leave a page of zeroes there. */
	if (gstk__uffd_register(from, (size_t)(end - from))) {
		gstk__count(&p->n.lazy_refused);
		return false;
	}
	GSTK__INJECT(lazy_registered);
	if (gstk__mem_discard(from, (size_t)(end - from))) { /* locked memory: what is there would be taken for it */
		gstk__uffd_unregister(from, (size_t)(end - from));
		gstk__count(&p->n.lazy_refused);
		return false;
	}
	return true;
}

/* The top of the window stays as it is, the rest becomes missing. False: refused. */
static bool open_record(struct gstk__park *p, struct gstk_task *t, uint32_t ref, char *sp, struct gstk__deep_reader *r)
{
	struct gstk__deep *d = gstk__deep(ref);
	uint32_t first = first_of(d, t->window, sp);
	char *from, *end = gstk__deep_end(t->window);
	bool handed_over = gstk__win(t->window)->flags & GSTK__WIN_LAZY;

	if (first >= d->nr_pages)
		return false;
	d->first = first;
	gstk__deep_foresee(d, most_foreseen());
	from = gstk__deep_page(d, t->window, first);
	d->next = 0;
	if (!handed_over && !make_missing(p, from, end))
		return false;
	bring_foreseen(p, d, t->window, r);
	d->lazy_bytes = (d->block ? d->nr_pages * PAGE : 0) + (d->chunks ? gstk__chunks(d->chunks)->bytes : 0);
	set_lazy(gstk__win(t->window), ref);
	gstk__win(t->window)->flags |= GSTK__WIN_LAZY;
	gstk__count(&p->n.lazy_restores);
	gstk__gauge(&p->n.bytes_lazy, d->lazy_bytes);
	gstk__deep_read(r, sp, sp, (size_t)(from - sp));
	return true;
}

bool gstk__lazy_restore(struct gstk__park *p, struct gstk_task *t)
{
	char *base = gstk__win_base(t->window), *sp = base - t->used;
	uint32_t used = t->used, ref = t->image, from_tier = t->tier;
	struct gstk__deep_reader r;

	if (!gstk__is_deep(t->tier))
		return false;
	r = gstk__deep_reader(gstk__deep(ref), t->window, NULL);
	gstk__lazy_wakes(p, t);
	gstk__annotate_clean(t);
	if (!open_record(p, t, ref, sp, &r)) {
		gstk__deep_read(&r, sp, sp, used);
		gstk__deep_free(p, ref);
	}
	gstk__deep_reader_end(&r);
	gstk__annotate_restored(t, sp, used);
	t->sp = sp;
	t->tier = GSTK__TIER_RESIDENT;
	gstk__count(&p->n.restores);
	gstk__gauge(&p->n.resident, 1);
	GSTK__PROBE3(restore, t, used, from_tier);
	GSTK__TRACE(moved(GSTK__TRACE_RESTORE, t, used, from_tier));
	return true;
}
