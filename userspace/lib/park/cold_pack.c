// SPDX-License-Identifier: MIT
/* A stack in its slot becomes a record of packed chunks; the slot keeps its place and no page. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "debug/probe.h"
#include "debug/trace.h"
#include "park/cold_record.h"
#include "park/lazy.h"
#include "park/tier_pack.h"

#define PAGE	    4096u
#define CHUNK_BYTES (GSTK__COLD_CHUNK * PAGE)

static struct gstk__cold *record(uint32_t ref)
{
	return gstk__arena_ptr(ref);
}

static uint32_t record_bytes(uint32_t nr_pages)
{
	return (uint32_t)(sizeof(struct gstk__cold) + gstk__cold_nr_chunks(nr_pages) * sizeof(uint32_t));
}

static bool is_raw(const struct gstk__cold *d, uint32_t c)
{
	return d->raw[c / 64] >> (c % 64) & 1;
}

static uint32_t chunk_bytes(const struct gstk__cold *d, uint32_t c)
{
	return is_raw(d, c) ? gstk__cold_pages(d, c) * PAGE : gstk__packed_bytes(d->chunk[c]);
}

static uintptr_t chunk_sp(const struct gstk__cold *d, uint32_t window, uint32_t c)
{
	return (uintptr_t)gstk__place_end(window) - (c * GSTK__COLD_CHUNK + gstk__cold_pages(d, c)) * (uintptr_t)PAGE;
}

void gstk__cold_unpack(struct gstk__scratch *s, const struct gstk__cold *d, uint32_t window, uint32_t c, void *to)
{
	uint32_t bytes = gstk__cold_pages(d, c) * PAGE;
	int err = 0;

	if (is_raw(d, c))
		memcpy(to, gstk__arena_ptr(d->chunk[c]), bytes);
	else
		err = gstk__unpack_with(s, to, bytes, d->chunk[c], chunk_sp(d, window, c));
	if (err) {
		fprintf(stderr, "greenstk: packed pages of window %u are corrupt (%d)\n", window, err);
		abort();
	}
}

static void chunk_free(struct gstk__park *p, struct gstk__cold *d, uint32_t c)
{
	uint32_t bytes = gstk__cold_pages(d, c) * PAGE;

	if (!d->chunk[c])
		return;
	if (is_raw(d, c))
		gstk__arena_free(p->arena, d->chunk[c], bytes);
	else
		gstk__packed_free(p->arena, d->chunk[c], bytes);
}

void gstk__cold_destroy(struct gstk__park *p, uint32_t ref)
{
	struct gstk__cold *d = record(ref);

	for (uint32_t c = 0; c < gstk__cold_nr_chunks(d->nr_pages); c++)
		chunk_free(p, d, c);
	gstk__arena_free(p->arena, ref, record_bytes(d->nr_pages));
}

static bool pack_chunk(struct gstk__park *p, struct gstk__cold *d, uint32_t window, uint32_t c, const char *from)
{
	uint32_t bytes = gstk__cold_pages(d, c) * PAGE;
	int err = gstk__pack_bytes(p->arena, from, bytes, chunk_sp(d, window, c), &d->chunk[c]);

	if (err == -ENOSPC) {
		d->chunk[c] = gstk__arena_alloc(p->arena, bytes);
		if (!d->chunk[c])
			return false;
		memcpy(gstk__arena_ptr(d->chunk[c]), from, bytes);
		d->raw[c / 64] |= 1ull << (c % 64);
	} else if (err) {
		d->chunk[c] = 0;
		return false;
	}
	d->bytes += chunk_bytes(d, c);
	return true;
}

/* The bytes of chunk c of @d as they are now: in the slot, or packed before, in @old. */
static void gather(const struct gstk_task *t, const struct gstk__cold *d, const struct gstk__cold *old, uint32_t c,
		   char *to)
{
	struct gstk__scratch *s = NULL;

	for (uint32_t j = c * GSTK__COLD_CHUNK, n = 0; n < gstk__cold_pages(d, c); j++, n++) {
		char *page = to + gstk__cold_at(d, j);

		if (gstk__module_page(page, gstk__place_low(t) + (size_t)(d->nr_pages - 1 - j) * PAGE, PAGE))
			continue;
		memset(page, 0, PAGE); /* never touched, or cold */
		if (!old || j >= old->edge)
			continue;
		if (!s) {
			s = gstk__scratch_get();
			gstk__cold_unpack(s, old, t->window, c, s->two);
		}
		memcpy(page, s->two + gstk__cold_at(old, j), PAGE);
	}
	if (s)
		gstk__scratch_put(s);
}

/* The same pages, all of them surely as they were. */
static bool same_chunk(const struct gstk__cold *d, const struct gstk__cold *old, uint32_t c)
{
	return old && c < gstk__cold_nr_chunks(old->nr_pages) && !gstk__cold_given(old, c) &&
	       gstk__cold_pages(old, c) == gstk__cold_pages(d, c) && c * GSTK__COLD_CHUNK + gstk__cold_pages(d, c) <= old->edge;
}

/* What belongs to @from belongs to nobody any more. */
static void forget_shared(struct gstk__cold *from, const struct gstk__cold *with)
{
	for (uint32_t c = 0; c < gstk__cold_nr_chunks(from->nr_pages); c++)
		if (c < gstk__cold_nr_chunks(with->nr_pages) && from->chunk[c] == with->chunk[c])
			from->chunk[c] = 0;
}

/* A new record for the stack, which shares what has not changed with the one before. 0; -ENOMEM, -ENOSPC. */
static int make(struct gstk__park *p, const struct gstk_task *t, uint32_t *ref)
{
	uint32_t before = gstk__place(t)->cold, nr = gstk__place_pages(t->window, t->used);
	struct gstk__cold *d, *old = before ? record(before) : NULL;
	char bytes[CHUNK_BYTES];
	bool fits = true;

	*ref = gstk__arena_alloc(p->arena, record_bytes(nr));
	if (!*ref)
		return -ENOMEM;
	d = record(*ref);
	memset(d, 0, record_bytes(nr));
	d->nr_pages = d->edge = nr;
	for (uint32_t c = 0; fits && c < gstk__cold_nr_chunks(nr); c++) {
		if (same_chunk(d, old, c)) {
			d->chunk[c] = old->chunk[c];
			d->raw[c / 64] |= (uint64_t)is_raw(old, c) << (c % 64);
			d->bytes += chunk_bytes(d, c);
			continue;
		}
		gather(t, d, old, c, bytes);
		fits = pack_chunk(p, d, t->window, c, bytes);
	}
	if (fits && d->bytes <= nr * PAGE - nr * PAGE / 8)
		return 0;
	if (old)
		forget_shared(d, old);
	gstk__cold_destroy(p, *ref);
	return fits ? -ENOSPC : -ENOMEM;
}

static void packed(struct gstk__park *p, struct gstk_task *t, uint32_t ref)
{
	struct gstk__place *place = gstk__place(t);

	if (place->cold) {
		forget_shared(record(place->cold), record(ref));
		gstk__cold_free(p, place->cold);
	}
	place->cold = ref;
	t->tier = GSTK__TIER_COLD;
	gstk__gauge(&p->n.remapped, -1);
	gstk__gauge(&p->n.bytes_remapped, -(int64_t)t->used);
	gstk__count(&p->n.packs);
	gstk__gauge(&p->n.packed, 1);
	gstk__gauge(&p->n.bytes_packed, record(ref)->bytes);
	gstk__gauge(&p->n.bytes_unpacked, t->used);
	GSTK__PROBE3(pack, t, t->used, record(ref)->bytes);
	GSTK__TRACE(moved(GSTK__TRACE_PACK, t, (uint64_t)record(ref)->bytes << 32 | t->used, GSTK__TIER_COLD));
}

void gstk__cold_wakes(struct gstk__park *p, const struct gstk_task *t, uint32_t ref)
{
	gstk__gauge(&p->n.packed, -1);
	gstk__gauge(&p->n.bytes_packed, -(int64_t)record(ref)->bytes);
	gstk__gauge(&p->n.bytes_unpacked, -(int64_t)t->used);
	gstk__gauge(&p->n.bytes_lazy, record(ref)->bytes);
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
					       .bytes = (uint64_t)record(ref[n])->nr_pages * PAGE };
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
		if (gstk__place(t)->cold)
			forget_shared(record(ref[k]), record(gstk__place(t)->cold));
		gstk__cold_destroy(p, ref[k]);
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
