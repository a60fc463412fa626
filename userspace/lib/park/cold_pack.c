// SPDX-License-Identifier: MIT
/* A stack in its slot becomes a record of packed chunks; the slot keeps its place and no page. */
#include <errno.h>
#include <string.h>
#include "park/cold_record.h"
#include "park/lazy.h"
#include "park/packed.h"
#include "park/tier_pack.h"

#define PAGE 4096u

static struct gstk__cold *record(uint32_t ref)
{
	return gstk__arena_ptr(ref);
}

void gstk__cold_destroy(struct gstk__park *p, uint32_t ref, uint32_t but)
{
	gstk__chunks_free(p, record(ref)->chunks, but ? record(but)->chunks : 0);
	gstk__arena_free(p->arena, ref, sizeof(struct gstk__cold));
}

/* A stack in its slot, and what of it was packed before. */
struct in_slot {
	struct gstk__chunks_from from;
	const struct gstk_task *t;
	const struct gstk__cold *old;
};

/* As they are now: in the slot, or packed before. */
static void gather(const struct gstk__chunks_from *from, uint32_t c, char *to)
{
	const struct in_slot *in = (const struct in_slot *)from;
	struct gstk__scratch *s = NULL;

	for (uint32_t j = c * GSTK__CHUNK, n = 0; n < gstk__chunk_pages(from->nr_pages, c); j++, n++) {
		char *page = to + gstk__chunk_at(from->nr_pages, j);

		if (gstk__module_page(page, gstk__place_low(in->t) + (size_t)(from->nr_pages - 1 - j) * PAGE, PAGE))
			continue;
		memset(page, 0, PAGE); /* never touched, or cold */
		if (!in->old || j >= in->old->edge)
			continue;
		if (!s) {
			s = gstk__scratch_get();
			gstk__cold_unpack(s, in->old, in->t->window, c, s->two);
		}
		memcpy(page, s->two + gstk__chunk_at(gstk__cold_nr(in->old), j), PAGE);
	}
	if (s)
		gstk__scratch_put(s);
}

/* The same pages, all of them surely as they were. */
static bool same(const struct gstk__chunks_from *from, uint32_t c)
{
	const struct gstk__cold *old = ((const struct in_slot *)from)->old;
	uint32_t pages = gstk__chunk_pages(from->nr_pages, c);

	return c < gstk__chunks_nr(gstk__cold_nr(old)) && !gstk__cold_given(old, c) &&
	       gstk__chunk_pages(gstk__cold_nr(old), c) == pages && c * GSTK__CHUNK + pages <= old->edge;
}

/* A new record for the stack, which shares what has not changed with the one before. 0; -ENOMEM, -ENOSPC. */
static int make(struct gstk__park *p, const struct gstk_task *t, uint32_t *ref)
{
	uint32_t before = gstk__place(t)->cold;
	struct in_slot in = { .from = { same, gather, NULL, gstk__place_pages(t->window, t->used),
					gstk__place_end(t->window) }, .t = t };
	int err;

	if (before) {
		in.old = record(before);
		in.from.old = gstk__cold_chunks(in.old);
	}
	*ref = gstk__arena_alloc(p->arena, sizeof(struct gstk__cold));
	if (!*ref)
		return -ENOMEM;
	memset(record(*ref), 0, sizeof(struct gstk__cold));
	record(*ref)->edge = in.from.nr_pages;
	err = gstk__chunks_make(p, &in.from, &record(*ref)->chunks);
	if (err)
		gstk__arena_free(p->arena, *ref, sizeof(struct gstk__cold));
	return err;
}

static void packed(struct gstk__park *p, struct gstk_task *t, uint32_t ref)
{
	struct gstk__place *place = gstk__place(t);

	if (place->cold)
		gstk__cold_free(p, place->cold, ref);
	place->cold = ref;
	gstk__gauge(&p->n.remapped, -1);
	gstk__gauge(&p->n.bytes_remapped, -(int64_t)t->used);
	gstk__packed(p, t, GSTK__TIER_COLD, gstk__cold_chunks(record(ref))->bytes);
}

void gstk__cold_wakes(struct gstk__park *p, const struct gstk_task *t, uint32_t ref)
{
	uint32_t bytes = gstk__cold_chunks(record(ref))->bytes;

	gstk__not_packed(p, t, bytes);
	gstk__gauge(&p->n.bytes_lazy, bytes);
}

/* At most as many as one call takes. */
static void packs(struct gstk__park *p, struct gstk__move *m, uint32_t nr)
{
	struct greenstk_cold e[GSTK__MODULE_ENTRIES];
	uint32_t ref[GSTK__MODULE_ENTRIES], which[GSTK__MODULE_ENTRIES], n = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct gstk_task *t = m[i].out;

		m[i].err = make(p, t, &ref[n]);
		if (m[i].err)
			continue;
		e[n] = (struct greenstk_cold){ .handle = gstk__place(t)->handle, .result = -ECANCELED,
					       .bytes = (uint64_t)gstk__cold_nr(record(ref[n])) * PAGE };
		which[n++] = i;
	}
	if (n)
		gstk__count_by(&p->n.remap_pack_calls, (uint64_t)gstk__module_cold(e, n));
	for (uint32_t k = 0; k < n; k++) {
		struct gstk_task *t = m[which[k]].out;

		if (!e[k].result) {
			packed(p, t, ref[k]);
			continue;
		}
		m[which[k]].err = -ENOMEM;
		gstk__cold_destroy(p, ref[k], gstk__place(t)->cold);
	}
}

uint32_t gstk__cold_packs(struct gstk__park *p, struct gstk__move *m, uint32_t nr)
{
	uint32_t n = 0;

	if (!gstk__windows.lazy)
		return 0;
	for (uint32_t i = 0; i < nr; i++)
		if (m[i].out->used >= gstk__lazy.min_bytes || gstk__place(m[i].out)->cold) {
			struct gstk__move one = m[n];

			m[n++] = m[i];
			m[i] = one;
		}
	for (uint32_t i = 0, some; i < n; i += some) {
		some = n - i < GSTK__MODULE_ENTRIES ? n - i : GSTK__MODULE_ENTRIES;
		packs(p, m + i, some);
	}
	return n;
}
