// SPDX-License-Identifier: MIT
#include "park/deep.h"

#include <string.h>
#include "park/copy.h"

#define FORGET 8u /* stays */

static uint32_t record_bytes(uint32_t nr_pages)
{
	return (uint32_t)(sizeof(struct gstk__deep) + 3 * gstk__deep_words(nr_pages) * sizeof(uint64_t));
}

uint32_t gstk__deep_new(struct gstk__park *p, uint32_t bytes)
{
	uint32_t most = (uint32_t)(gstk__windows.stride / GSTK__DEEP_PAGE), ref;
	uint32_t nr = (bytes + bytes / 8 + GSTK__DEEP_PAGE - 1) / GSTK__DEEP_PAGE;

	nr = nr < most ? nr : most;
	ref = gstk__arena_alloc(p->arena, record_bytes(nr));
	if (!ref)
		return 0;
	memset(gstk__deep(ref), 0, record_bytes(nr));
	gstk__deep(ref)->nr_pages = gstk__deep(ref)->first = nr;
	if (gstk__deep_room(p, gstk__deep(ref)))
		return ref;
	gstk__arena_free(p->arena, ref, record_bytes(nr));
	return 0;
}

bool gstk__deep_room(struct gstk__park *p, struct gstk__deep *d)
{
	if (!d->block)
		d->block = gstk__arena_alloc(p->arena, d->nr_pages * GSTK__DEEP_PAGE);
	return d->block;
}

void gstk__deep_free_block(struct gstk__park *p, struct gstk__deep *d)
{
	if (d->block)
		gstk__arena_free(p->arena, d->block, d->nr_pages * GSTK__DEEP_PAGE);
	d->block = 0;
}

void gstk__deep_free(struct gstk__park *p, uint32_t ref)
{
	struct gstk__deep *d = gstk__deep(ref);

	gstk__deep_free_block(p, d);
	if (d->chunks)
		gstk__chunks_free(p, d->chunks, 0);
	gstk__arena_free(p->arena, ref, record_bytes(d->nr_pages));
}

/* ---- reading ---- */

void gstk__deep_reader_end(struct gstk__deep_reader *r)
{
	if (r->own)
		gstk__scratch_put(r->scratch);
}

uint32_t gstk__deep_beside(const struct gstk__deep *d, uint32_t k, uint32_t to)
{
	bool cold = gstk__deep_cold(d, k);
	uint32_t end = k + 1;

	if (!d->chunks)
		return to;
	while (end < to && gstk__deep_cold(d, end) == cold && (!cold || gstk__deep_chunk(d, end) == gstk__deep_chunk(d, k)))
		end++;
	return end;
}

const char *gstk__deep_at(struct gstk__deep_reader *r, uint32_t k)
{
	const struct gstk__deep *d = r->d;
	const struct gstk__chunks *chunks;

	if (!gstk__deep_cold(d, k))
		return (const char *)gstk__arena_ptr(d->block) + (size_t)k * GSTK__DEEP_PAGE;
	chunks = gstk__chunks(d->chunks);
	if (!r->scratch) {
		r->scratch = gstk__scratch_get();
		r->own = true;
	}
	if (r->chunk != gstk__deep_chunk(d, k)) {
		r->chunk = gstk__deep_chunk(d, k);
		gstk__chunks_unpack(r->scratch, chunks, r->end, r->chunk, r->scratch->two);
	}
	return (const char *)r->scratch->two + gstk__chunk_at(chunks->nr_pages, d->nr_pages - 1 - k);
}

void gstk__deep_read(struct gstk__deep_reader *r, void *to, const char *at, size_t bytes)
{
	const struct gstk__deep *d = r->d;

	for (size_t n; bytes; to = (char *)to + n, at += n, bytes -= n) {
		uint32_t k = d->nr_pages - 1 - (uint32_t)((size_t)(r->end - 1 - at) / GSTK__DEEP_PAGE);
		uint32_t beside = gstk__deep_beside(d, k, d->nr_pages);
		size_t in = (uintptr_t)at % GSTK__DEEP_PAGE;

		n = (size_t)(beside - k) * GSTK__DEEP_PAGE - in;
		n = n < bytes ? n : bytes;
		gstk__copy(to, gstk__deep_at(r, k) + in, n);
	}
}

/*
 * What was touched in two stays is likely to be touched in the next. Of a stay in which something came unasked nobody
 * knows whether that was touched: so only those without are learnt from, and now and then nothing is foreseen, to
 * learn again. Who touches another place each time has nothing brought in vain.
 */
void gstk__deep_foresee(struct gstk__deep *d, uint32_t most)
{
	uint32_t n = gstk__deep_words(d->nr_pages);
	bool learn = !d->foreseen;

	if (++d->stays % FORGET == 0)
		most = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t last = atomic_load_explicit(&d->here[i], memory_order_relaxed);
		uint64_t before = atomic_load_explicit(&d->here[n + i], memory_order_relaxed);

		atomic_store_explicit(&d->here[i], last & before, memory_order_relaxed);
		if (learn)
			atomic_store_explicit(&d->here[n + i], last, memory_order_relaxed);
	}
	d->foreseen = 0;
	for (uint32_t k = 0; k < d->nr_pages; k++) {
		if (!gstk__deep_here(d, k))
			continue;
		if (k < d->first || !most) {
			gstk__deep_set(d, k, false);
			continue;
		}
		most--;
		d->foreseen = 1;
	}
}
