// SPDX-License-Identifier: MIT
#include "park/chunks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "park/tier_pack.h"

#define PAGE 4096u

static uint32_t record_bytes(uint32_t nr_pages)
{
	return (uint32_t)(sizeof(struct gstk__chunks) + gstk__chunks_nr(nr_pages) * sizeof(uint32_t));
}

static uintptr_t chunk_sp(uint32_t nr_pages, const char *end, uint32_t c)
{
	return (uintptr_t)end - (c * GSTK__CHUNK + gstk__chunk_pages(nr_pages, c)) * (uintptr_t)PAGE;
}

void gstk__chunks_unpack(struct gstk__scratch *s, const struct gstk__chunks *d, const char *end, uint32_t c, void *to)
{
	int err = gstk__unpack_with(s, to, gstk__chunk_pages(d->nr_pages, c) * PAGE, d->packed[c],
				    chunk_sp(d->nr_pages, end, c));

	if (err) {
		fprintf(stderr, "greenstk: packed pages of the stack that ends at %p are corrupt (%d)\n", (const void *)end, err);
		abort();
	}
}

void gstk__chunks_free(struct gstk__park *p, uint32_t ref, uint32_t but)
{
	struct gstk__chunks *d = gstk__chunks(ref);
	uint32_t nr = gstk__chunks_nr(d->nr_pages), nr_but = but ? gstk__chunks_nr(gstk__chunks(but)->nr_pages) : 0;

	for (uint32_t c = 0; c < nr; c++)
		if (d->packed[c] && !(c < nr_but && d->packed[c] == gstk__chunks(but)->packed[c]))
			gstk__packed_free(p->arena, d->packed[c], gstk__chunk_pages(d->nr_pages, c) * PAGE);
	gstk__arena_free(p->arena, ref, record_bytes(d->nr_pages));
}

/* What has been made, without what is shared. */
static void unmake(struct gstk__park *p, const struct gstk__chunks_from *from, uint32_t ref)
{
	struct gstk__chunks *d = gstk__chunks(ref);

	for (uint32_t c = 0; from->old && c < gstk__chunks_nr(d->nr_pages); c++)
		if (c < gstk__chunks_nr(from->old->nr_pages) && d->packed[c] == from->old->packed[c])
			d->packed[c] = 0;
	gstk__chunks_free(p, ref, 0);
}

int gstk__chunks_make(struct gstk__park *p, const struct gstk__chunks_from *from, uint32_t *ref)
{
	uint32_t nr = from->nr_pages;
	struct gstk__chunks *d;
	char bytes[GSTK__CHUNK_BYTES] __attribute__((aligned(64)));
	int err = 0;

	*ref = gstk__arena_alloc(p->arena, record_bytes(nr));
	if (!*ref)
		return -ENOMEM;
	d = gstk__chunks(*ref);
	memset(d, 0, record_bytes(nr));
	d->nr_pages = nr;
	for (uint32_t c = 0; !err && c < gstk__chunks_nr(nr); c++) {
		if (from->old && from->same(from, c)) {
			d->packed[c] = from->old->packed[c];
		} else {
			from->gather(from, c, bytes);
			err = gstk__pack_or_keep(p->arena, bytes, gstk__chunk_pages(nr, c) * PAGE,
						 chunk_sp(nr, from->end, c), &d->packed[c]);
			if (err)
				d->packed[c] = 0;
		}
		if (!err)
			d->bytes += gstk__packed_bytes(d->packed[c]);
	}
	if (!err && d->bytes > nr * PAGE - nr * PAGE / 8)
		err = -ENOSPC;
	if (err)
		unmake(p, from, *ref);
	return err;
}
