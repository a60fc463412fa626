// SPDX-License-Identifier: MIT
#include "pack_scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

#include "../host/range.h"

#define LEVEL		1	/* Documentation/rejected.d/codec.rst has the others */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came_back = PTHREAD_COND_INITIALIZER;
static struct gstk__scratch *pool;
static int nr_made, nr_waiting;

void gstk__scratch_free(struct gstk__scratch *s)
{
	if (!s)
		return;
	if (s->one)
		gstk__range_release(s->one, 2 * GSTK__SCRATCH_BYTES);
	ZSTD_freeCCtx(s->cctx);
	ZSTD_freeDCtx(s->dctx);
	free(s);
}

struct gstk__scratch *gstk__scratch_new(void)
{
	struct gstk__scratch *s = calloc(1, sizeof(*s));
	size_t bytes = 2 * GSTK__SCRATCH_BYTES;
	int err;

	if (!s)
		return NULL;
	s->one = gstk__range_reserve(&bytes, bytes, 4096, "scratch memory", &err);
	s->two = s->one + GSTK__SCRATCH_BYTES;
	s->cctx = ZSTD_createCCtx();
	s->dctx = ZSTD_createDCtx();
	if (s->one && s->cctx && s->dctx)
		return s;
	gstk__scratch_free(s);
	return NULL;
}

struct gstk__scratch *gstk__scratch_get(void)
{
	struct gstk__scratch *s;

	pthread_mutex_lock(&lock);
	if (!pool) {
		pthread_mutex_unlock(&lock);
		s = gstk__scratch_new();
		pthread_mutex_lock(&lock);
		nr_made += !!s;
		if (s)
			goto out;
	}
	nr_waiting++;
	while (!pool && nr_made)
		pthread_cond_wait(&came_back, &lock);
	nr_waiting--;
	s = pool;
	if (s)
		pool = s->next;
out:
	pthread_mutex_unlock(&lock);
	return s;
}

void gstk__scratch_put(struct gstk__scratch *s)
{
	pthread_mutex_lock(&lock);
	s->next = pool;
	pool = s;
	if (nr_waiting)
		pthread_cond_signal(&came_back);
	pthread_mutex_unlock(&lock);
}

void gstk__scratch_fini(void)
{
	struct gstk__scratch *s;

	pthread_mutex_lock(&lock);
	while ((s = pool)) {
		pool = s->next;
		nr_made--;
		gstk__scratch_free(s);
	}
	pthread_mutex_unlock(&lock);
}

size_t gstk__scratch_zstd_pack(struct gstk__scratch *s, void *dst, size_t cap, const void *src,
			       size_t n)
{
	size_t got = ZSTD_compressCCtx(s->cctx, dst, cap, src, n, LEVEL);

	return ZSTD_isError(got) ? 0 : got;
}

int gstk__scratch_zstd_unpack(struct gstk__scratch *s, void *dst, size_t n, const void *src,
			      size_t packed)
{
	size_t got = ZSTD_decompressDCtx(s->dctx, dst, n, src, packed);

	return ZSTD_isError(got) || got != n ? -EILSEQ : 0;
}
