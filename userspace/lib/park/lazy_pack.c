// SPDX-License-Identifier: MIT
/* The image of a deep stack becomes packed chunks, and what was packed before and never touched since stays so. */
#include "park/lazy.h"

#include <string.h>
#include "park/packed.h"

#define PAGE 4096u

struct away {
	struct gstk__chunks_from from;
	const struct gstk__deep *d;
	struct gstk__deep_reader reader;
};

static bool same(const struct gstk__chunks_from *from, uint32_t c)
{
	const struct gstk__deep *d = ((const struct away *)from)->d;
	uint32_t pages = gstk__chunk_pages(from->nr_pages, c), last = d->nr_pages - 1 - c * GSTK__CHUNK;

	if (c >= gstk__chunks_nr(from->old->nr_pages) || gstk__chunk_pages(from->old->nr_pages, c) != pages)
		return false;
	for (uint32_t i = 0; i < pages; i++)
		if (!gstk__deep_cold(d, last - i))
			return false;
	return true;
}

static void gather(const struct gstk__chunks_from *from, uint32_t c, char *to)
{
	struct away *a = (struct away *)from;
	uint32_t pages = gstk__chunk_pages(from->nr_pages, c), k = a->d->nr_pages - c * GSTK__CHUNK - pages;

	a->reader = (struct gstk__deep_reader){ a->d, from->end, NULL, UINT32_MAX, false };
	for (uint32_t i = 0; i < pages; i++)
		memcpy(to + i * PAGE, gstk__deep_at(&a->reader, k + i), PAGE);
	gstk__deep_reader_end(&a->reader); /* packing wants one */
}

/* What of the block's pages is no part of the stack. */
static void clear_dead(struct gstk__deep *d, uint32_t window, uint32_t k, const char *sp)
{
	const char *page = gstk__deep_page(d, window, k), *base = gstk__win_base(window);

	if (!gstk__deep_cold(d, k))
		memset(gstk__deep_bytes(d, window, page), 0, (size_t)(sp - page));
	if (!gstk__deep_cold(d, d->nr_pages - 1))
		memset(gstk__deep_bytes(d, window, base), 0, (size_t)(gstk__deep_end(window) - base));
}

int gstk__lazy_pack(struct gstk__park *p, struct gstk_task *t)
{
	struct gstk__deep *d = gstk__deep(t->image);
	const char *sp = gstk__win_base(t->window) - t->used;
	uint32_t k = gstk__deep_page_of(d, t->window, sp), ref;
	struct away a = { { same, gather, d->chunks ? gstk__chunks(d->chunks) : NULL, d->nr_pages - k,
			    gstk__deep_end(t->window) }, d, { 0 } };
	int err;

	clear_dead(d, t->window, k, sp);
	err = gstk__chunks_make(p, &a.from, &ref);
	if (err)
		return err;
	if (d->chunks)
		gstk__chunks_free(p, d->chunks, ref);
	d->chunks = ref;
	for (uint32_t i = 0; i < d->nr_pages; i++)
		gstk__deep_set_cold(d, i, i >= k);
	gstk__deep_free_block(p, d);
	gstk__gauge(&p->n.copied, -1);
	gstk__gauge(&p->n.bytes_copied, -(int64_t)t->used);
	gstk__packed(p, t, GSTK__TIER_DEEP_PACKED, gstk__chunks(ref)->bytes);
	return 0;
}

void gstk__lazy_wakes(struct gstk__park *p, const struct gstk_task *t)
{
	if (t->tier == GSTK__TIER_DEEP_PACKED) {
		gstk__count(&p->n.unpacks);
		gstk__not_packed(p, t, gstk__chunks(gstk__deep(t->image)->chunks)->bytes);
	} else {
		gstk__gauge(&p->n.copied, -1);
		gstk__gauge(&p->n.bytes_copied, -(int64_t)t->used);
	}
}
