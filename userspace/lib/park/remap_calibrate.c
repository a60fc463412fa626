// SPDX-License-Identifier: MIT
/*
 * From how many bytes on is it cheaper to move a stack's pages than its bytes? Measured at start on the
 * spare windows behind the last one, out and in again:
 *
 *	move(pages)  = fixed + pages * page		all of them at a time, and a few one by one: each is a flush
 *	copy(pages)  = pages * (out cold + in cold)	a claim
 *		     + pages * (given back + fault)	and when the sweep gives the window's pages back
 */
#include "park/tier.h"

#include <string.h>
#include "host/host.h"
#include "host/module.h"
#include "park/calibrate.h"

#define PAGE  4096u
#define FEW   4u
#define MANY  16u
#define TRIES 4
#define ALONE 4u  /* so many windows are moved one by one */
#define EAGER 16u /* a fault costs more than so many pages moved with the rest, and brings as many */

static uint32_t first_spare(void)
{
	return gstk__module.nr_windows - GSTK__WIN_SPARE;
}

/* False: over the module's cap, which would be a bus error to who touches it himself. */
static bool touch(uint32_t pages)
{
	for (uint32_t i = 0; i < GSTK__WIN_SPARE; i++) {
		char *end = gstk__module.windows + (size_t)(first_spare() + i + 1) * gstk__module.window_bytes;

		for (uint32_t k = 1; k <= pages; k++)
			if (!gstk__mem_make_present(end - k * PAGE))
				return false;
	}
	return true;
}

/* Those that were refused on their way @in are still in their slots; out, those that were not. */
static void give_up(const struct greenstk_switch *e, uint32_t nr, bool in)
{
	struct greenstk_drop d[GSTK__WIN_SPARE];
	uint32_t n = 0;

	for (uint32_t i = 0; i < nr; i++)
		if (in == !!e[i].result)
			d[n++] = (struct greenstk_drop){ .handle = in ? e[i].handle_in : e[i].handle_out };
	if (n)
		gstk__module_drop(d, n);
}

/* Out and in again, @each stacks a call; nanoseconds a stack, or 0: the module refused. */
static uint32_t round_trip(uint32_t pages, uint32_t each)
{
	uint32_t n = each == 1 ? ALONE : GSTK__WIN_SPARE;
	struct greenstk_switch e[GSTK__WIN_SPARE];
	uint64_t ns = 0, start = gstk__now_ns();

	for (int in = 0; in < 2; in++) {
		for (uint32_t i = 0; i < n; i++) {
			uint64_t handle = in ? e[i].handle_out : 0;

			e[i] = (struct greenstk_switch){ .window = first_spare() + i, .handle_in = handle,
							 .out_bytes = in ? 0 : pages * PAGE,
							 .eager_pages = GREENSTK_EAGER_ALL };
		}
		for (uint32_t i = 0; i < n; i += each)
			gstk__module_switch(e + i, each);
		for (uint32_t i = 0; i < n; i++)
			if (e[i].result) {
				give_up(e, n, in);
				return 0;
			}
	}
	ns = gstk__now_ns() - start;
	return (uint32_t)(ns / n) + 1;
}

static uint32_t best_of(uint32_t pages, uint32_t each)
{
	uint32_t best = 0;

	for (int i = 0; i < TRIES; i++) {
		uint32_t ns = round_trip(pages, each);

		if (!ns)
			return 0;
		if (!best || ns < best)
			best = ns;
	}
	return best;
}

static uint32_t break_even(uint32_t fixed_ns, uint32_t page_ns, uint32_t copy_ns)
{
	uint64_t pages;

	if (copy_ns <= page_ns)
		return GSTK__REMAP_NEVER;
	pages = fixed_ns / (copy_ns - page_ns) + 1;
	/* Less than two pages would keep more memory than it is worth: a slot has whole ones. */
	pages = pages < 2 ? 2 : pages;
	return pages * PAGE < gstk__windows.size ? (uint32_t)pages * PAGE : GSTK__REMAP_NEVER;
}

/* The fixed part of few and many pages; *page_ns: what another page costs. */
static uint32_t fixed_part(uint32_t each, uint32_t *page_ns)
{
	uint32_t few = best_of(FEW, each), many = best_of(MANY, each);

	*page_ns = many > few ? (many - few) / (MANY - FEW) : 0;
	return !few || !many ? 0 : few > FEW * *page_ns ? few - FEW * *page_ns : 1;
}

static bool forced;

static void measure(struct gstk__remap *r)
{
	const struct gstk__calibration *c = &gstk__calibration;
	uint32_t copy_ns = 2 * 4 * c->copy_cold_ns_per_kib, page_ns;
	struct greenstk_reclaim back[GSTK__WIN_SPARE];

	r->batch_ns = r->alone_ns = 0;
	if (touch(MANY)) {
		r->batch_ns = fixed_part(GSTK__WIN_SPARE, &r->page_ns);
		r->alone_ns = fixed_part(1, &page_ns);
	}
	for (uint32_t i = 0; i < GSTK__WIN_SPARE; i++)
		back[i] = (struct greenstk_reclaim){ .window = first_spare() + i };
	gstk__module_reclaim(back, GSTK__WIN_SPARE);
	if (r->batch_ns)
		r->batch_bytes = break_even(r->batch_ns, r->page_ns, copy_ns + c->fault_ns + c->discard_many_ns);
	if (r->alone_ns)
		r->alone_bytes = break_even(r->alone_ns, page_ns, copy_ns);
}

void gstk__remap_init(bool forced_)
{
	struct gstk__remap *r = &gstk__remap;

	gstk__remap_fini();
	forced = forced_;
	if (!gstk__windows.module)
		return;
	r->eager_pages = forced ? 1 : EAGER;
	measure(r);
	if (forced)
		r->batch_bytes = r->alone_bytes = 1;
}

void gstk__remap_calibrate_again(void)
{
	struct gstk__remap r = { .batch_bytes = GSTK__REMAP_NEVER, .alone_bytes = GSTK__REMAP_NEVER };

	if (!gstk__windows.module || forced)
		return;
	measure(&r);
	/* Refused for the moment: what was measured before is better than never to move. */
	if (!r.batch_ns || !r.alone_ns)
		return;
#define STORE(field) __atomic_store_n(&gstk__remap.field, r.field, __ATOMIC_RELAXED)
	STORE(batch_ns);
	STORE(alone_ns);
	STORE(page_ns);
	STORE(batch_bytes);
	STORE(alone_bytes);
#undef STORE
}
