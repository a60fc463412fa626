// SPDX-License-Identifier: MIT
/*
 * What is known of spawn sites, that is, of the functions that tasks run: which keep their windows
 * against waiting mates (hogs), and which run by turns with a mate of the same window (talkers). Later
 * tasks of a hog earn windows of their own; later tasks of talkers go where no talker is. See bind.c.
 * A site is five bits of a task, a hash of its function: functions that share one are taken for one.
 */
#ifndef GSTK__SCHED_SITE_H
#define GSTK__SCHED_SITE_H

#include "task/task.h"

#define GSTK__SITES	  32u
#define GSTK__EARNED_MOST 256u /* windows of their own that hogs may have at a time */

struct gstk__sites {
	_Atomic uint32_t hogs;	  /* a set of sites */
	_Atomic uint32_t talkers; /* the same */
	_Atomic uint32_t earned;  /* windows that hogs have now */
	struct {
		_Atomic uint32_t hogged, talked;
	} site[GSTK__SITES];
};
extern struct gstk__sites gstk__sites;

/* ->poke of a new task that runs @fn. */
static inline uint8_t gstk__site_poke(const void *fn)
{
	return (uint8_t)((uint32_t)((uintptr_t)fn >> 4) * 0x9e3779b1u >> 27 << GSTK__POKE_SITE_SHIFT);
}

static inline uint32_t gstk__site(const struct gstk_task *t)
{
	return atomic_load_explicit(&t->poke, memory_order_relaxed) >> GSTK__POKE_SITE_SHIFT;
}

static inline uint32_t gstk__site_bit(const struct gstk_task *t)
{
	return 1u << gstk__site(t);
}

/* Its quantum is over and a mate waits. */
void gstk__site_hogged(const struct gstk_task *t);
/* Mates ran one right after the other. */
void gstk__site_talked(const struct gstk_task *a, const struct gstk_task *b);
/* May t have a window of its own because its site hogs? Ended by gstk__site_gave_back(). */
bool gstk__site_earns(const struct gstk_task *t);
void gstk__site_gave_back(void);
void gstk__sites_reset(void);

#endif
