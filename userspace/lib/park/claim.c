// SPDX-License-Identifier: MIT
/* Stacks leave their windows and come back. */
#include "park/park.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "debug/annotate.h"
#include "debug/probe.h"
#include "debug/seal.h"
#include "debug/trace.h"
#include "host/lock.h"
#include "park/copy.h"
#include "park/lazy.h"
#include "park/packed.h"
#include "park/tier.h"
#include "park/tier_pack.h"

/* Emergency blocks that came back to who has one, for who has none: his went with a stack that another restored. Linked
 * by their first bytes. */
static struct {
	_Atomic uint32_t lock;
	uint32_t head, nr;
} spare;

static void spare_put(uint32_t block)
{
	gstk__lock(&spare.lock);
	memcpy(gstk__arena_ptr(block), &spare.head, sizeof(spare.head));
	spare.head = block;
	spare.nr++;
	gstk__unlock(&spare.lock);
}

static uint32_t spare_take(void)
{
	uint32_t block;

	gstk__lock(&spare.lock);
	block = spare.head;
	if (block) {
		memcpy(&spare.head, gstk__arena_ptr(block), sizeof(spare.head));
		spare.nr--;
	}
	gstk__unlock(&spare.lock);
	return block;
}

uint32_t gstk__park_spares(void)
{
	uint32_t nr;

	gstk__lock(&spare.lock);
	nr = spare.nr;
	gstk__unlock(&spare.lock);
	return nr;
}

static __attribute__((cold, noinline)) uint32_t emergency_take(struct gstk__park *p)
{
	uint32_t block = p->emergency ? p->emergency : spare_take();

	p->emergency = 0;
	return block;
}

int gstk__park_init(struct gstk__park *p)
{
	p->arena = calloc(1, sizeof(*p->arena));
	if (!p->arena)
		return -ENOMEM;
	p->emergency = gstk__arena_alloc(NULL, (uint32_t)gstk__windows.size);
	return p->emergency ? 0 : -ENOMEM;
}

void gstk__park_fini(struct gstk__park *p)
{
	uint32_t block;

	while ((block = emergency_take(p)))
		gstk__arena_free(NULL, block, (uint32_t)gstk__windows.size);
	if (p->arena)
		gstk__arena_cache_flush(p->arena);
	free(p->arena);
	p->arena = NULL;
}

static void __attribute__((noreturn, cold)) bad_stack(struct gstk_task *t)
{
	fprintf(stderr, "greenstk: task %u parked with stack pointer %p outside its window [%p, %p)\n",
		gstk__task_index(t), t->sp, (void *)gstk__win_limit(t->window),
		(void *)gstk__win_base(t->window));
	abort();
}

static inline int evict_copied(struct gstk__park *p, struct gstk_task *t, bool must)
{
	char *base = gstk__win_base(t->window), *sp = t->sp;
	uint32_t used = (uint32_t)(base - sp), image;

	if (__builtin_expect(sp > base || sp < gstk__win_limit(t->window), 0))
		bad_stack(t);
	image = gstk__arena_alloc(p->arena, used);
	if (__builtin_expect(!image, 0)) {
		if (!must || !(image = emergency_take(p)))
			return -ENOMEM;
		gstk__flag_set(t, GSTK__T_BIG_IMAGE);
	}
	gstk__annotate_evicted(t, sp, used);
	gstk__copy_save(image, sp, used);
	t->used = used;
	t->image = image;
	t->tier = GSTK__TIER_COPIED;
	gstk__count(&p->n.evictions);
	gstk__count_by(&p->n.bytes_evicted, used);
	gstk__gauge(&p->n.copied, 1);
	gstk__gauge(&p->n.bytes_copied, used);
	gstk__gauge(&p->n.resident, -1);
	GSTK__PROBE3(evict, t, used, GSTK__TIER_COPIED);
	GSTK__TRACE(moved(GSTK__TRACE_EVICT, t, used, GSTK__TIER_COPIED));
	return 0;
}

int gstk__evict_copied(struct gstk__park *p, struct gstk_task *t, bool must)
{
	return evict_copied(p, t, must);
}

int gstk__evict(struct gstk__park *p, struct gstk_task *t, bool must)
{
	size_t used = (size_t)(gstk__win_base(t->window) - (char *)t->sp);
	int err;

	if (__builtin_expect(used >= gstk__remap.alone_bytes && used < GSTK__REMAP_NEVER, 0))
		return gstk__remap_move(p, t, NULL, must);
	if (__builtin_expect(gstk__windows.lazy, 0) &&
	    (used >= gstk__lazy.min_bytes || gstk__win(t->window)->flags & GSTK__WIN_LAZY) && gstk__lazy_evict(p, t))
		err = 0;
	else
		err = evict_copied(p, t, must);
	if (__builtin_expect(gstk__sealing, 0) && !err)
		gstk__seal(t->window, t, false);
	return err;
}

static void image_free(struct gstk__park *p, struct gstk_task *t, uint32_t bytes)
{
	if (__builtin_expect(t->flags & GSTK__T_BIG_IMAGE, 0)) {
		gstk__flag_clear(t, GSTK__T_BIG_IMAGE);
		if (!p->emergency)
			p->emergency = t->image;
		else
			spare_put(t->image);
		return;
	}
	gstk__arena_free(p->arena, t->image, bytes);
}

void gstk__forget(struct gstk__park *p, struct gstk_task *t)
{
	if (t->tier == GSTK__TIER_COPIED) {
		gstk__gauge(&p->n.copied, -1);
		gstk__gauge(&p->n.bytes_copied, -(int64_t)t->used);
		image_free(p, t, t->used);
	} else if (t->tier == GSTK__TIER_PACKED) {
		gstk__not_packed(p, t, gstk__packed_bytes(t->image));
		gstk__packed_free(p->arena, t->image, t->used);
	} else if (gstk__in_slot(t->tier)) {
		gstk__remap_forget(p, t);
	} else if (t->tier == GSTK__TIER_RESIDENT) {
		gstk__gauge(&p->n.resident, -1);
	}
	t->tier = GSTK__TIER_NONE;
}

void gstk__restore(struct gstk__park *p, struct gstk_task *t)
{
	char *base = gstk__win_base(t->window);
	char *sp = base - t->used;
	enum gstk__tier from = t->tier;

	gstk__win_guard(t->window);
	if (__builtin_expect(gstk__in_slot(from), 0)) {
		gstk__remap_move(p, NULL, t, true);
		return;
	}
	if (__builtin_expect(gstk__windows.lazy, 0) && t->used >= gstk__lazy.min_bytes && gstk__lazy_restore(p, t))
		return;
	gstk__annotate_clean(t);
	if (from == GSTK__TIER_PACKED) {
		int err = gstk__unpack_image(sp, t->used, t->image, (uintptr_t)sp);

		if (err) {
			fprintf(stderr, "greenstk: packed image of task %u is corrupt (%d)\n",
				gstk__task_index(t), err);
			abort();
		}
		gstk__count(&p->n.unpacks);
	} else {
		gstk__copy_restore(sp, t->image, t->used);
	}
	gstk__forget(p, t);
	gstk__annotate_restored(t, sp, (size_t)(base - sp));
	t->sp = sp;
	t->tier = GSTK__TIER_RESIDENT;
	gstk__count(&p->n.restores);
	gstk__gauge(&p->n.resident, 1);
	GSTK__PROBE3(restore, t, (uint32_t)(base - sp), from);
	GSTK__TRACE(moved(GSTK__TRACE_RESTORE, t, (uint64_t)(base - sp), from));
}

int gstk__pack(struct gstk__park *p, struct gstk_task *t)
{
	uint32_t bytes, packed;
	int err;

	if (t->tier == GSTK__TIER_REMAPPED)
		return gstk__remap_pack(p, t);
	if (t->tier == GSTK__TIER_DEEP)
		return gstk__lazy_pack(p, t);
	if (t->tier == GSTK__TIER_COLD || t->tier == GSTK__TIER_DEEP_PACKED)
		return -ENOSPC; /* it is */
	err = gstk__pack_bytes(p->arena, gstk__arena_ptr(t->image), t->used,
			       (uintptr_t)(gstk__win_base(t->window) - t->used), &packed);
	if (err)
		return err;
	bytes = gstk__packed_bytes(packed);
	gstk__gauge(&p->n.copied, -1);
	gstk__gauge(&p->n.bytes_copied, -(int64_t)t->used);
	image_free(p, t, t->used);
	t->image = packed;
	gstk__packed(p, t, GSTK__TIER_PACKED, bytes);
	return 0;
}

/* The one that comes is the module's anyway: the other may go with it, in one call. */
static int exchange(struct gstk__park *p, struct gstk_task *r, struct gstk_task *t)
{
	if (gstk__used(r) < gstk__remap.batch_bytes)
		return gstk__evict(p, r, true);
	return gstk__remap_move(p, r, t, true);
}

int gstk__claim(struct gstk__park *p, struct gstk_task *t)
{
	struct gstk__window *w = gstk__win(t->window);
	uint32_t me = gstk__task_index(t);
	int err;

	if (w->resident && w->resident != me) {
		struct gstk_task *r = gstk__task(w->resident);

		if (r->tier == GSTK__TIER_RESIDENT) {
			if (__builtin_expect(gstk__in_slot(t->tier), 0))
				err = exchange(p, r, t);
			else if (__builtin_expect(gstk__is_deep(t->tier) && w->flags & GSTK__WIN_LAZY, 0) &&
				 gstk__lazy_give_way(p, r, t))
				err = 0;
			else
				err = gstk__evict(p, r, true);
			if (err)
				return err;
		}
		gstk__count(&p->n.claims);
	}
	if (w->resident != me) {
		w->resident = me;
		w->claim_stamp = p->stamp; /* its quantum begins; going on does not begin another */
	}
	if (t->tier == GSTK__TIER_NONE)
		gstk__win_guard(t->window);
	else if (t->tier != GSTK__TIER_RESIDENT)
		gstk__restore(p, t);
	return 0;
}

GSTK__RACY bool gstk__prefetch(struct gstk__park *p, struct gstk_task *t)
{
	if (t->tier != GSTK__TIER_COPIED)
		return false;
	gstk__copy_prefetch(t->image, t->used);
	gstk__count(&p->n.prefetches);
	return true;
}

GSTK__RACY void gstk__prefetch_stack(const struct gstk_task *t)
{
	const char *base = gstk__win_base(t->window), *sp = t->tier == GSTK__TIER_RESIDENT ? t->sp : base - t->used;

	/* Any address will do: all of this may be stale. */
	if (sp >= base)
		return;
	if (base > sp + GSTK__COPY_PREFETCH)
		base = sp + GSTK__COPY_PREFETCH;
	for (; sp < base; sp += 64)
		__builtin_prefetch(sp, 1, 3);
}
