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
#include "park/tier_pack.h"

#define PAGE 4096u

struct gstk__lazy gstk__lazy = { .min_bytes = GSTK__LAZY_NEVER };

static uint32_t record_bytes(uint32_t nr_pages)
{
	return (uint32_t)(sizeof(struct gstk__deep) + (nr_pages + 63) / 64 * sizeof(uint64_t));
}

static struct gstk__deep *deep(uint32_t ref)
{
	return gstk__arena_ptr(ref);
}

/* A record and its block: for @bytes at the end of a window, and to grow by an eighth. 0: no memory. */
static uint32_t deep_new(struct gstk__park *p, uint32_t bytes)
{
	uint32_t most = (uint32_t)(gstk__windows.stride / PAGE), nr = (bytes + bytes / 8 + PAGE - 1) / PAGE, ref;

	nr = nr < most ? nr : most;
	ref = gstk__arena_alloc(p->arena, record_bytes(nr));
	if (!ref)
		return 0;
	*deep(ref) = (struct gstk__deep){ .block = gstk__arena_alloc(p->arena, nr * PAGE), .nr_pages = nr, .first = nr };
	memset(deep(ref)->here, 0, record_bytes(nr) - sizeof(struct gstk__deep));
	if (deep(ref)->block)
		return ref;
	gstk__arena_free(p->arena, ref, record_bytes(nr));
	return 0;
}

static void deep_free(struct gstk__park *p, uint32_t ref)
{
	uint32_t nr = deep(ref)->nr_pages;

	gstk__arena_free(p->arena, deep(ref)->block, nr * PAGE);
	gstk__arena_free(p->arena, ref, record_bytes(nr));
}

/* The page of the block that has @at; the first one when @at is below it. */
static uint32_t page_of(const struct gstk__deep *d, uint32_t window, const char *at)
{
	size_t pages = (size_t)(gstk__deep_end(window) - at + PAGE - 1) / PAGE;

	return pages < d->nr_pages ? d->nr_pages - (uint32_t)pages : 0;
}

/* Where the block has the byte that belongs at @at. */
static char *in_block(const struct gstk__deep *d, uint32_t window, const char *at)
{
	return (char *)gstk__arena_ptr(d->block) + (size_t)d->nr_pages * PAGE - (size_t)(gstk__deep_end(window) - at);
}

static uint32_t set_lazy(struct gstk__window *win, uint32_t to)
{
	uint32_t old;

	gstk__lock(&win->lazy_lock);
	old = win->lazy;
	win->lazy = to;
	gstk__unlock(&win->lazy_lock);
	return old;
}

/* ---- the beginning and the end ---- */

#define SCRATCH (1u << 20)
#define TOUCHES 8u
#define TRIES	4
#define FORGET	8u /* stays */
#define FAULTS	2u /* that one restore will meet, for the decision whether it pays */

static void least(uint32_t *best, uint64_t ns)
{
	if (!*best || ns < *best)
		*best = ns ? (uint32_t)ns : 1;
}

/* What it costs to let a stack come lazily, and what a touch. -errno: it does not work here. */
static int calibrate(char *p)
{
	int err = 0;

	for (int i = 0; i < TRIES && !err; i++) {
		uint64_t t0 = gstk__now_ns(), t1, t2;

		err = gstk__uffd_register(p, SCRATCH);
		if (err)
			return err;
		gstk__mem_discard(p, SCRATCH);
		t1 = gstk__now_ns();
		for (uint32_t k = 0; k < TOUCHES; k++)
			(void)((volatile char *)p)[k * (SCRATCH / TOUCHES)];
		t2 = gstk__now_ns();
		err = gstk__uffd_unregister(p, SCRATCH);
		least(&gstk__lazy.fault_ns, (t2 - t1) / TOUCHES);
		least(&gstk__lazy.fixed_ns, t1 - t0 + (gstk__now_ns() - t2));
	}
	return err;
}

static void decide(bool forced)
{
	const struct gstk__calibration *c = &gstk__calibration;
	uint32_t page_ns = 4 * c->copy_cold_ns_per_kib + c->fault_ns;
	uint32_t eager = page_ns ? gstk__lazy.fault_ns / page_ns : 1;
	uint64_t kib = (gstk__lazy.fixed_ns + FAULTS * gstk__lazy.fault_ns) / (2 * c->copy_cold_ns_per_kib + 1) + 1;

	/* Pages that together cost what one touch costs. Then: what is not copied, twice, must cost more. */
	gstk__lazy.eager_pages = forced ? 1 : eager < 1 ? 1 : eager > 16 ? 16 : eager;
	gstk__lazy.min_bytes = (gstk__lazy.eager_pages + 2) * PAGE;
	if (!forced)
		gstk__lazy.min_bytes += (uint32_t)(kib < 1u << 20 ? kib << 10 : 1u << 30);
}

int gstk__lazy_init(bool forced)
{
	int err = gstk__uffd_open();
	char *scratch;

	if (err)
		return err;
	err = gstk__pager_start();
	if (!err) {
		scratch = gstk__mem_reserve(SCRATCH, PAGE);
		err = scratch ? calibrate(scratch) : -ENOMEM;
		gstk__mem_release(scratch, SCRATCH);
	}
	if (err) {
		gstk__lazy_fini();
		gstk__uffd_unused("userfaultfd: the pager", err);
		return err;
	}
	decide(forced);
	gstk__windows.lazy = gstk__windows.present = gstk__windows.ends = true;
	return 0;
}

void gstk__lazy_fini(void)
{
	gstk__pager_stop();
	gstk__cold_fini();
	gstk__uffd_close();
	gstk__lazy = (struct gstk__lazy){ .min_bytes = GSTK__LAZY_NEVER };
	gstk__windows.lazy = false;
	gstk__windows.present = gstk__sealing;
}

void gstk__lazy_forked(void)
{
	gstk__uffd_close();
	gstk__windows.lazy = false;
	gstk__windows.present = gstk__sealing;
}

/* ---- leaving ---- */

/* Nobody reads from the record any more. */
static uint32_t close_record(struct gstk__window *win)
{
	uint32_t ref = set_lazy(win, GSTK__LAZY_CLOSED);

	GSTK__INJECT(lazy_closed);
	return ref;
}

/* The window is one as any other. */
static void let_go(struct gstk__park *p, const struct gstk__deep *d, uint32_t window)
{
	struct gstk__window *win = gstk__win(window);
	char *from = gstk__deep_page(d, window, d->first);
	uint32_t untouched = 0;
	int err;

	for (uint32_t k = d->first; k < d->nr_pages; k++)
		untouched += !gstk__deep_here(d, k);
	err = gstk__uffd_unregister(from, (size_t)(gstk__deep_end(window) - from));
	if (err) {
		fprintf(stderr, "greenstk: userfaultfd: a window cannot be unregistered: %s\n", strerror(-err));
		abort();
	}
	set_lazy(win, 0);
	win->flags &= ~GSTK__WIN_LAZY;
	gstk__count_by(&p->n.lazy_untouched, untouched);
	gstk__gauge(&p->n.bytes_lazy, -(int64_t)d->nr_pages * PAGE);
}

/* Runs of pages, from that of @sp on, that are (@here) in the window. */
static void copy_back(struct gstk__deep *d, uint32_t window, char *sp)
{
	char *base = gstk__win_base(window), *first = gstk__deep_page(d, window, d->first);
	uint32_t k = page_of(d, window, sp), to;

	if (sp < first) {
		gstk__copy(in_block(d, window, sp), sp, (size_t)((first < base ? first : base) - sp));
		k = d->first;
	}
	for (; k < d->nr_pages; k = to) {
		char *from = gstk__deep_page(d, window, k), *end;

		for (to = k + 1; to < d->nr_pages && gstk__deep_here(d, to) == gstk__deep_here(d, k); to++)
			;
		if (!gstk__deep_here(d, k))
			continue;
		end = gstk__deep_page(d, window, to);
		from = from < sp ? sp : from;
		end = end > base ? base : end;
		if (from < end)
			gstk__copy(in_block(d, window, from), from, (size_t)(end - from));
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
	struct gstk__deep *d = deep(ref);
	uint32_t k = page_of(d, window, sp);

	let_go(p, d, window);
	for (k = k < d->first ? d->first : k; k < d->nr_pages; k++)
		if (!gstk__deep_here(d, k)) {
			char *from = gstk__deep_page(d, window, k), *end = gstk__win_base(window);

			end = end - from > PAGE ? from + PAGE : end;
			if (from < end)
				copy_in(from, in_block(d, window, from), (size_t)(end - from));
		}
	deep_free(p, ref);
}

bool gstk__lazy_evict(struct gstk__park *p, struct gstk_task *t)
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
		if (used < gstk__lazy.min_bytes || (size_t)(end - sp) > (size_t)deep(ref)->nr_pages * PAGE) {
			make_whole(p, ref, window, sp);
			ref = 0;
		}
	}
	was_lazy = ref;
	if (!ref && (used < gstk__lazy.min_bytes || !(ref = deep_new(p, (uint32_t)(end - sp)))))
		return false;
	gstk__annotate_evicted(t, sp, used);
	copy_back(deep(ref), window, sp);
	if (was_lazy)
		let_go(p, deep(ref), window);
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

void gstk__lazy_ended(struct gstk__park *p, uint32_t window)
{
	uint32_t ref;

	if (gstk__windows.module) {
		gstk__cold_ended(p, window);
		return;
	}
	ref = close_record(gstk__win(window));
	let_go(p, deep(ref), window);
	deep_free(p, ref);
}

/* ---- coming back ---- */

static void set_here(struct gstk__deep *d, uint32_t k, bool is)
{
	uint64_t bit = 1ull << (k % 64), w = atomic_load_explicit(&d->here[k / 64], memory_order_relaxed);

	atomic_store_explicit(&d->here[k / 64], is ? w | bit : w & ~bit, memory_order_relaxed);
}

/*
 * What came in the last stay is likely to be touched in this one: those pages stay marked, as many as cost what one
 * touch costs, or what it brought. Whether they are touched nobody sees, so now and then all of it is forgotten and learnt again.
 */
static void foresee(struct gstk__deep *d)
{
	uint32_t most = GSTK__LAZY_BELOW + 1 + GSTK__LAZY_ABOVE;

	most = most < gstk__lazy.eager_pages ? gstk__lazy.eager_pages : most;
	if (++d->stays % FORGET == 0)
		most = 0;

	for (uint32_t k = 0; k < d->nr_pages; k++)
		if (gstk__deep_here(d, k) && (k < d->first || !most || !most--))
			set_here(d, k, false);
}

/* They come before anybody can look: the task does not run yet. */
static void bring_foreseen(struct gstk__park *p, struct gstk__deep *d, uint32_t window)
{
	for (uint32_t k = d->first, to; k < d->nr_pages; k = to) {
		char *page = gstk__deep_page(d, window, k);

		for (to = k + 1; to < d->nr_pages && gstk__deep_here(d, to) == gstk__deep_here(d, k); to++)
			;
		if (!gstk__deep_here(d, k))
			continue;
		if (!gstk__uffd_copy(page, in_block(d, window, page), (size_t)(to - k) * PAGE)) {
			gstk__count_by(&p->n.lazy_foreseen, to - k);
			continue;
		}
		/* No memory: on touch, then. Some of it may have come, and would not be seen to be there. */
		gstk__mem_discard(page, (size_t)(to - k) * PAGE);
		for (uint32_t i = k; i < to; i++)
			set_here(d, i, false);
	}
}

/* The top of the window stays as it is, the rest becomes missing. False: refused. */
static bool open_record(struct gstk__park *p, struct gstk_task *t, uint32_t ref, char *sp)
{
	struct gstk__deep *d = deep(ref);
	uint32_t first = page_of(d, t->window, sp) + 1 + gstk__lazy.eager_pages;
	char *from, *end = gstk__deep_end(t->window);

	if (first >= d->nr_pages)
		return false;
	d->first = first;
	foresee(d);
	from = gstk__deep_page(d, t->window, first);
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
	bring_foreseen(p, d, t->window);
	set_lazy(gstk__win(t->window), ref);
	gstk__win(t->window)->flags |= GSTK__WIN_LAZY;
	gstk__count(&p->n.lazy_restores);
	gstk__gauge(&p->n.bytes_lazy, (int64_t)d->nr_pages * PAGE);
	gstk__copy(sp, in_block(d, t->window, sp), (size_t)(from - sp));
	return true;
}

/* PACKED -> DEEP. */
static bool unpack_deep(struct gstk__park *p, struct gstk_task *t)
{
	char *base = gstk__win_base(t->window), *sp = base - t->used;
	uint32_t ref = deep_new(p, (uint32_t)(gstk__deep_end(t->window) - sp)), used = t->used;

	if (!ref)
		return false;
	if (gstk__unpack_image(in_block(deep(ref), t->window, sp), used, t->image, (uintptr_t)sp)) {
		deep_free(p, ref);
		return false; /* whoever restores it then says so */
	}
	gstk__forget(p, t);
	t->image = ref;
	t->tier = GSTK__TIER_DEEP;
	gstk__count(&p->n.unpacks);
	gstk__gauge(&p->n.copied, 1);
	gstk__gauge(&p->n.bytes_copied, used);
	return true;
}

bool gstk__lazy_restore(struct gstk__park *p, struct gstk_task *t)
{
	char *base = gstk__win_base(t->window), *sp = base - t->used;
	uint32_t used = t->used, ref, from_tier = t->tier;

	if (gstk__windows.module || (t->tier == GSTK__TIER_PACKED && !unpack_deep(p, t)))
		return false;
	if (t->tier != GSTK__TIER_DEEP)
		return false;
	ref = t->image;
	gstk__annotate_clean(t);
	if (!open_record(p, t, ref, sp)) {
		gstk__copy(sp, in_block(deep(ref), t->window, sp), used);
		deep_free(p, ref);
	}
	gstk__annotate_restored(t, sp, used);
	t->sp = sp;
	t->tier = GSTK__TIER_RESIDENT;
	gstk__count(&p->n.restores);
	gstk__gauge(&p->n.copied, -1);
	gstk__gauge(&p->n.bytes_copied, -(int64_t)used);
	gstk__gauge(&p->n.resident, 1);
	GSTK__PROBE3(restore, t, used, from_tier);
	GSTK__TRACE(moved(GSTK__TRACE_RESTORE, t, used, from_tier));
	return true;
}

/* ---- elsewhere ---- */

const char *gstk__lazy_bytes(const struct gstk_task *t)
{
	return in_block(deep(t->image), t->window, gstk__win_base(t->window) - t->used);
}

void gstk__lazy_free(struct gstk__park *p, struct gstk_task *t)
{
	deep_free(p, t->image);
}

/* From the record, if that is where the page at @from is. The lock keeps the record. */
static bool look_in_record(uint32_t window, void *to, const char *from, size_t bytes)
{
	struct gstk__window *win = gstk__win(window);
	bool there = false;

	gstk__lock(&win->lazy_lock);
	if (win->lazy && win->lazy != GSTK__LAZY_CLOSED) {
		const struct gstk__deep *d = deep(win->lazy);
		uint32_t k = page_of(d, window, (const char *)((uintptr_t)from & ~(uintptr_t)(PAGE - 1)));

		there = k >= d->first && k < d->nr_pages && !gstk__deep_here(d, k);
		if (there)
			memcpy(to, in_block(d, window, from), bytes);
	}
	gstk__unlock(&win->lazy_lock);
	return there;
}

void gstk__lazy_look(uint32_t window, void *to, const char *from, size_t bytes)
{
	if (gstk__windows.module) {
		gstk__cold_look_in(window, to, from, bytes);
		return;
	}
	for (size_t n; bytes; to = (char *)to + n, from += n, bytes -= n) {
		n = PAGE - (uintptr_t)from % PAGE;
		n = n < bytes ? n : bytes;
		if (!look_in_record(window, to, from, n) && !gstk__mem_peek(to, from, n))
			memset(to, 0, n);
	}
}
