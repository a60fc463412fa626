/* SPDX-License-Identifier: MIT */
/*
 * Deep stacks that are packed where the module has them, and come back a few pages at a time.
 *
 * A stack that is long idle keeps its slot, as addresses without pages; its bytes are packed in chunks
 * (chunks.h; page 0 is the last one of the slot, too). When it comes, the chunks around its stack pointer are
 * unpacked into the slot, before the pages move. What else it touches the module asks for: at the page of the
 * pager's range that stands for the slot's page; pager.c gives the chunk that has it. When it leaves, the module
 * keeps what is still cold so.
 *
 * Who knows what: which pages are cold is the kernel's word; asked again, a chunk is given again, for what was
 * never warm has not changed. Here is only known which chunks were never given, so that those are cold for
 * sure. The record of a resident is its window's ->lazy, as with lazy.h: the pager answers under ->lazy_lock,
 * a record that is CLOSED, or not there, is no answer (who waits tries again), and what was given and not
 * taken is taken back before the slot can be another one's. selftests/model/cold.pml.
 */
#ifndef GSTK__PARK_COLD_H
#define GSTK__PARK_COLD_H

#include "park/pack_scratch.h"
#include "park/tier.h"

#define GSTK__COLD_CHUNKS     128u /* of the largest window that the module has */

struct gstk__cold {
	uint32_t chunks;	/* what is packed: park/chunks.h */
	uint32_t edge;		/* pages from there on are not cold: dead, or there since */
	uint32_t slot_pages;	/* while it is resident: of the slot that it came from, */
	uint32_t gave;		/* the pager gave something meanwhile */
	uint64_t slot;		/* and its first page of the parking range */
	uint64_t given[GSTK__COLD_CHUNKS / 64];
};

/* With a module that has the pager: after the windows and gstk__calibrate(). 0 or -errno. @forced: as of
 * gstk__lazy_init(). */
int gstk__cold_init(bool forced);
/* Of gstk__lazy_fini(), when the pager has ended. */
void gstk__cold_fini(void);

/* Stacks in slots that are deep enough are packed there; their ->err says how it went. Own stack only.
 * Returns how many: these are in front then. */
uint32_t gstk__cold_packs(struct gstk__park *p, struct gstk__move *m, uint32_t nr);
/* Before they come: unpack what each will touch first. */
void gstk__cold_tops(struct gstk__park *p, const struct gstk__move *m, uint32_t nr);
/* It came, with the record @ref, from a slot. */
void gstk__cold_open(struct gstk__park *p, uint32_t window, uint32_t ref, uint64_t slot_offset, uint32_t slot_pages);
/* It is about to leave, from @sp up: nobody answers any more. Its record, or 0: it has none, or is whole now. */
uint32_t gstk__cold_close(struct gstk__park *p, uint32_t window, char *sp);
/* It left; or stays, after all. */
void gstk__cold_left(uint32_t window);
void gstk__cold_stays(uint32_t window, uint32_t ref);
/* All of a resident from @sp up comes, and it is one as any other. */
void gstk__cold_whole(struct gstk__park *p, uint32_t window, char *sp);
/* The resident has ended. */
void gstk__cold_ended(struct gstk__park *p, uint32_t window);
/* But for what it shares with @but (0: nothing). */
void gstk__cold_free(struct gstk__park *p, uint32_t ref, uint32_t but);
/* A COLD one is so no more; its record is not freed. */
void gstk__cold_wakes(struct gstk__park *p, const struct gstk_task *t, uint32_t ref);
/* As gstk__remap_look() and gstk__lazy_look(). */
void gstk__cold_look(const struct gstk_task *t, void *to, size_t bytes);
void gstk__cold_look_in(uint32_t window, void *to, const char *from, size_t bytes);

/* For the pager: 0: not an address of its range; 1: answered; -EAGAIN: not now; -errno of the answer. */
int gstk__cold_answer(uintptr_t address, struct gstk__scratch *s);

#endif
