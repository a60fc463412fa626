// SPDX-License-Identifier: MIT
/* Records of packed pages, while their stack is in its window: the pager answers from them. */
#include "park/cold.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "debug/inject.h"
#include "host/host.h"
#include "host/lock.h"
#include "host/uffd.h"
#include "park/cold_record.h"
#include "park/lazy.h"

#define PAGE  4096u
#define TRIES 10000 /* for memory, as the pager does */

static struct {
	char *range; /* the pager's: a page for each of the parking range */
	size_t bytes;
	_Atomic uint32_t *owner; /* by the first page of the slot that a resident came from: its window */
} cold;

static struct gstk__cold *record(uint32_t ref)
{
	return gstk__arena_ptr(ref);
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

int gstk__cold_init(bool forced)
{
	const uint64_t needed = GREENSTK_FEATURE_PAGER | GREENSTK_FEATURE_COLD_MOVES;
	uint64_t nr = gstk__module.park_bytes / PAGE;
	int err;

	if ((gstk__module.features & needed) != needed) {
		gstk__uffd_unused("the module was loaded without pager=1", -EOPNOTSUPP);
		return -EOPNOTSUPP;
	}
	err = gstk__lazy_init(forced);
	if (err)
		return err;
	cold.bytes = gstk__module.park_bytes;
	cold.range = gstk__mem_reserve(cold.bytes, PAGE);
	if (cold.range) /* else each first fault of 2 MiB clears as many, and gives them back */
		gstk__mem_small_pages(cold.range, cold.bytes);
	cold.owner = gstk__mem_reserve(nr * sizeof(*cold.owner), PAGE);
	err = !cold.range || !cold.owner ? -ENOMEM : gstk__uffd_register(cold.range, cold.bytes);
	if (!err)
		err = gstk__module_pager(cold.range, cold.bytes);
	if (err) {
		gstk__lazy_fini();
		gstk__uffd_unused("the module's pager", err);
	}
	return err;
}

void gstk__cold_fini(void)
{
	gstk__mem_release(cold.range, cold.bytes);
	gstk__mem_release((void *)cold.owner, cold.bytes / PAGE * sizeof(*cold.owner));
	memset(&cold, 0, sizeof(cold));
}

/* ---- coming ---- */

static void own_slot(const struct gstk__cold *d, uint32_t window)
{
	atomic_store_explicit(&cold.owner[d->slot], window, memory_order_release);
}

void gstk__cold_open(struct gstk__park *p, uint32_t window, uint32_t ref, uint64_t slot_offset, uint32_t slot_pages)
{
	struct gstk__cold *d = record(ref);

	d->slot = (slot_offset - gstk__module.park_offset) / PAGE;
	d->slot_pages = slot_pages;
	d->gave = 0;
	own_slot(d, window);
	set_lazy(gstk__win(window), ref);
	gstk__count(&p->n.lazy_restores);
}

/* Pages [@lo, @hi) of the top are in its slot now, and zero: their bytes. */
static void fill(const struct gstk_task *t, struct gstk__cold *d, uint32_t lo, uint32_t hi)
{
	uint32_t nr = gstk__place_pages(t->window, t->used);
	struct gstk__scratch *s = gstk__scratch_get();

	for (uint32_t c = lo / GSTK__CHUNK; c * GSTK__CHUNK < hi; c++) {
		gstk__cold_unpack(s, d, t->window, c, s->two);
		for (uint32_t j = c * GSTK__CHUNK; j < hi && j < (c + 1) * GSTK__CHUNK; j++)
			memcpy(gstk__place_low(t) + (size_t)(nr - 1 - j) * PAGE, s->two + gstk__chunk_at(gstk__cold_nr(d), j), PAGE);
		gstk__cold_give(d, c);
	}
	gstk__scratch_put(s);
}

/* The pages around the stack pointer that are surely cold: [*lo, *hi), whole chunks from *lo on. */
static bool top_of(const struct gstk_task *t, const struct gstk__cold *d, uint32_t *lo, uint32_t *hi)
{
	uint32_t nr = gstk__place_pages(t->window, t->used), most = 1 + gstk__lazy.eager_pages, least, c;

	*hi = nr < d->edge ? nr : d->edge;
	least = nr > most ? nr - most : 0;
	if (*hi <= least)
		return false;
	for (c = (*hi - 1) / GSTK__CHUNK; !gstk__cold_given(d, c); c--) {
		*lo = c * GSTK__CHUNK;
		if (*lo <= least)
			return true;
	}
	*lo = (c + 1) * GSTK__CHUNK;
	return *lo < *hi;
}

void gstk__cold_tops(struct gstk__park *p, const struct gstk__move *m, uint32_t nr)
{
	struct greenstk_populate e[GSTK__MODULE_ENTRIES];
	uint32_t which[GSTK__MODULE_ENTRIES], lo[GSTK__MODULE_ENTRIES], hi[GSTK__MODULE_ENTRIES], n = 0;

	for (uint32_t i = 0; i < nr; i++) {
		const struct gstk_task *t = m[i].in;

		if (!t || !gstk__place(t)->cold || !top_of(t, record(gstk__place(t)->cold), &lo[n], &hi[n]))
			continue;
		e[n] = (struct greenstk_populate){
			.handle = gstk__place(t)->handle, .result = -ECANCELED,
			.offset = (uint64_t)(gstk__place_pages(t->window, t->used) - hi[n]) * PAGE,
			.bytes = (uint64_t)(hi[n] - lo[n]) * PAGE };
		which[n++] = i;
	}
	if (n)
		gstk__count_by(&p->n.remap_pack_calls, (uint64_t)gstk__module_populate(e, n));
	for (uint32_t k = 0; k < n; k++) /* refused: they come on touch, or the pager says why not */
		if (!e[k].result)
			fill(m[which[k]].in, record(gstk__place(m[which[k]].in)->cold), lo[k], hi[k]);
}

/* ---- leaving ---- */

/* Nobody is answered any more, and nothing that was given waits where another slot may be. */
static uint32_t close_record(uint32_t window)
{
	uint32_t ref = set_lazy(gstk__win(window), GSTK__LAZY_CLOSED);
	struct gstk__cold *d = record(ref);

	GSTK__INJECT(cold_closed);
	atomic_store_explicit(&cold.owner[d->slot], 0, memory_order_relaxed);
	if (d->gave)
		gstk__mem_discard(cold.range + d->slot * PAGE, (size_t)d->slot_pages * PAGE);
	return ref;
}

uint32_t gstk__cold_close(struct gstk__park *p, uint32_t window, char *sp)
{
	uint32_t used = (uint32_t)(gstk__win_base(window) - sp), ref, pages;

	if (!gstk__win(window)->lazy)
		return 0;
	if (used < gstk__lazy.min_bytes) {
		gstk__cold_whole(p, window, sp);
		return 0;
	}
	ref = close_record(window);
	pages = gstk__place_pages(window, used);
	if (record(ref)->edge > pages)
		record(ref)->edge = pages;
	return ref;
}

void gstk__cold_left(uint32_t window)
{
	set_lazy(gstk__win(window), 0);
}

void gstk__cold_stays(uint32_t window, uint32_t ref)
{
	own_slot(record(ref), window);
	set_lazy(gstk__win(window), ref);
}

/* What is still cold in the window is dead: the module forgets the slot, which it would ask for. */
static void let_go(struct gstk__park *p, uint32_t window)
{
	struct greenstk_switch e = { .window = gstk__win_number(window) };
	uint32_t ref = close_record(window);

	gstk__count_by(&p->n.remap_calls, (uint64_t)gstk__module_switch(&e, 1));
	if (e.result) {
		fprintf(stderr, "greenstk: a window cannot be let go: %s\n", strerror(-e.result));
		abort();
	}
	gstk__cold_left(window);
	gstk__win(window)->flags &= ~GSTK__WIN_LAZY;
	gstk__cold_free(p, ref, 0);
}

__attribute__((no_sanitize("address", "thread"))) static void touch(const char *from, const char *to)
{
	for (; from < to; from = (const char *)(((uintptr_t)from | (PAGE - 1)) + 1))
		(void)*(const volatile char *)from;
}

void gstk__cold_whole(struct gstk__park *p, uint32_t window, char *sp)
{
	if (!gstk__win(window)->lazy)
		return;
	touch(sp, gstk__place_end(window));
	let_go(p, window);
}

void gstk__cold_ended(struct gstk__park *p, uint32_t window)
{
	if (gstk__win(window)->lazy)
		let_go(p, window);
}

void gstk__cold_free(struct gstk__park *p, uint32_t ref, uint32_t but)
{
	struct gstk__cold *d = record(ref);
	uint32_t untouched = 0;

	for (uint32_t c = 0; c < gstk__chunks_nr(gstk__cold_nr(d)); c++)
		untouched += !gstk__cold_given(d, c);
	gstk__count_by(&p->n.lazy_untouched, untouched * GSTK__CHUNK);
	gstk__gauge(&p->n.bytes_lazy, -(int64_t)gstk__cold_chunks(d)->bytes);
	gstk__cold_destroy(p, ref, but);
}

/* ---- looking ---- */

static void unpack_page(const struct gstk__cold *d, uint32_t window, uint32_t j, struct gstk__scratch *s, void *to,
			size_t at, size_t bytes)
{
	gstk__cold_unpack(s, d, window, j / GSTK__CHUNK, s->two);
	memcpy(to, s->two + gstk__chunk_at(gstk__cold_nr(d), j) + at, bytes);
}

void gstk__cold_look(const struct gstk_task *t, void *to, size_t bytes)
{
	const struct gstk__cold *d = record(gstk__place(t)->cold);
	uint32_t nr = gstk__place_pages(t->window, t->used);
	size_t at = ((uintptr_t)gstk__win_base(t->window) - t->used) % PAGE, n;
	struct gstk__scratch *s = gstk__scratch_get();

	for (uint32_t j = nr - 1; bytes; j--, at = 0, to = (char *)to + n, bytes -= n) {
		const char *page = gstk__place_low(t) + (size_t)(nr - 1 - j) * PAGE;

		n = PAGE - at < bytes ? PAGE - at : bytes;
		if (gstk__cold_surely(d, j) || (!gstk__module_page(to, page + at, n) && j < d->edge))
			unpack_page(d, t->window, j, s, to, at, n);
	}
	gstk__scratch_put(s);
}

/* From the record of a resident, if the page is surely not in the window. */
static bool look_in_record(struct gstk__scratch *s, uint32_t window, void *to, const char *from, size_t bytes)
{
	struct gstk__window *win = gstk__win(window);
	uint32_t j = (uint32_t)(gstk__place_end(window) - 1 - from) / PAGE;
	bool there = false;

	gstk__lock(&win->lazy_lock);
	if (win->lazy && win->lazy != GSTK__LAZY_CLOSED && gstk__cold_surely(record(win->lazy), j)) {
		unpack_page(record(win->lazy), window, j, s, to, (uintptr_t)from % PAGE, bytes);
		there = true;
	}
	gstk__unlock(&win->lazy_lock);
	return there;
}

void gstk__cold_look_in(uint32_t window, void *to, const char *from, size_t bytes)
{
	struct gstk__scratch *s = gstk__scratch_get();

	for (size_t n; bytes; to = (char *)to + n, from += n, bytes -= n) {
		n = PAGE - (uintptr_t)from % PAGE;
		n = n < bytes ? n : bytes;
		if (!look_in_record(s, window, to, from, n) && !gstk__mem_peek(to, from, n))
			memset(to, 0, n);
	}
	gstk__scratch_put(s);
}

/* ---- the pager's side: never waits, allocates nothing ---- */

/* A slot is at most a window long, and lies before no other one's first page. */
static uint32_t owner_of(uint64_t page)
{
	uint64_t low = page > GSTK__COLD_CHUNKS * GSTK__CHUNK ? page - GSTK__COLD_CHUNKS * GSTK__CHUNK : 0;

	for (uint64_t at = page + 1; at-- > low;) {
		uint32_t window = atomic_load_explicit(&cold.owner[at], memory_order_acquire);

		if (window)
			return window;
	}
	return 0;
}

/* The chunk with page j, as far as the slot goes. */
static int bring(struct gstk__cold *d, uint32_t window, uint32_t j, struct gstk__scratch *s)
{
	uint32_t c = j / GSTK__CHUNK, lo = c * GSTK__CHUNK, hi = lo + GSTK__CHUNK;
	char *at;
	int err;

	hi = hi < gstk__cold_nr(d) ? hi : gstk__cold_nr(d);
	hi = hi < d->slot_pages ? hi : d->slot_pages;
	at = cold.range + (d->slot + d->slot_pages - hi) * PAGE;
	if (j >= hi)
		return -EINVAL;
	gstk__cold_unpack(s, d, window, c, s->two);
	gstk__cold_give(d, c);
	d->gave = 1;
	for (int tries = 0;; tries++) {
		err = gstk__uffd_copy(at, s->two + gstk__chunk_at(gstk__cold_nr(d), hi - 1), (size_t)(hi - lo) * PAGE);
		if (err != -ENOMEM || tries == TRIES)
			break;
		sched_yield();
	}
	atomic_fetch_add_explicit(&gstk__pager_counts.prefetched, hi - lo - 1, memory_order_relaxed);
	return err;
}

int gstk__cold_answer(uintptr_t address, struct gstk__scratch *s)
{
	size_t at = address - (uintptr_t)cold.range;
	struct gstk__window *win;
	uint64_t page = at / PAGE;
	uint32_t window;
	int err = -EAGAIN;

	if (at >= cold.bytes)
		return 0;
	window = owner_of(page);
	if (window) {
		win = gstk__win(window);
		gstk__lock(&win->lazy_lock);
		if (win->lazy && win->lazy != GSTK__LAZY_CLOSED) {
			struct gstk__cold *d = record(win->lazy);

			if (page - d->slot < d->slot_pages)
				err = bring(d, window, (uint32_t)(d->slot + d->slot_pages - 1 - page), s);
		}
		gstk__unlock(&win->lazy_lock);
	}
	if (err == -EAGAIN) /* not yet, or no more: it tries again */
		gstk__uffd_wake(cold.range + page * PAGE, PAGE);
	return err ? err : 1;
}
