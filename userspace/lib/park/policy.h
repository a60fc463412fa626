// SPDX-License-Identifier: MIT
/*
 * Where a stack should be: a pure function of what is known of it and of the machine. No system
 * headers, no state: the model tests and the simulator run the same code.
 *
 * Hysteresis: a stack that came back soon after it was moved bounced. "Soon" is within the idle time after
 * which it was moved: then the move cost more than staying would have. Each bounce doubles that time for this
 * stack, each move after which it stayed away four times as long halves it again. Packing saves bytes for little
 * and is doubled but once. Where memory is short (PSI, the group's limit, or more than twice the budget) bounces do
 * not count.
 */
#ifndef GSTK__PARK_POLICY_H
#define GSTK__PARK_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum gstk__action {
	GSTK__KEEP,  /* leave it where it is */
	GSTK__TRIM,  /* resident: give back the pages below its stack pointer */
	GSTK__EVICT, /* resident -> copied */
	GSTK__PACK,  /* copied or remapped -> packed */
	GSTK__REMAP, /* resident -> remapped */
};

/* Why; each decision is counted by one. Those of the second list are the sweep's own, not the policy's. */
#define GSTK__REASONS(X) \
	X(MOVED_COLD, moved_cold) X(MOVED_BUDGET, moved_budget) X(MOVED_PRESSURE, moved_pressure) \
	X(PACKED_IDLE, packed_idle) X(PACKED_PRESSURE, packed_pressure) X(TRIMMED_IDLE, trimmed_idle) \
	X(KEPT_YOUNG, kept_young) X(KEPT_FEW, kept_few) X(KEPT_BOUNCING, kept_bouncing) X(KEPT_PRIVATE, kept_private) \
	\
	X(KEPT_BUSY, kept_busy) X(KEPT_FULL, kept_full) X(KEPT_UNPACKABLE, kept_unpackable)
enum gstk__reason {
#define GSTK__X(name, field) GSTK__##name,
	GSTK__REASONS(GSTK__X)
#undef GSTK__X
	GSTK__NR_REASONS,
};

struct gstk__decision {
	enum gstk__action action;
	enum gstk__reason why;
};

/* What the machine does at present. */
struct gstk__climate {
	uint64_t evict_idle_ms;	 /* idle stacks go when there is no room for them */
	uint64_t cold_idle_ms;	 /* and after this always */
	uint64_t pack_idle_ms;
	uint64_t resident_bytes; /* pages of resident stacks, estimated */
	uint64_t resident_budget;
	uint32_t pressure;	 /* PSI memory some avg10, percent */
	uint32_t filled;	 /* of the memory that the control group may use, percent; 0: it may use all */
	uint32_t min_residents;	 /* fewer stacks than this are never moved: no gain worth a fault */
	uint32_t residents;
	uint32_t evict_ns;	 /* calibrated: to move a stack of a page out and in again; 0: unknown */
	uint32_t remap_bytes;	 /* calibrated: stacks of so many bytes are moved by their pages; 0: none */
	uint32_t trim_ns;	 /* calibrated: to give a page back and fault it in again; 0: unknown */
};

#define GSTK__BOUNCES_MOST	3u
#define GSTK__PACK_BOUNCES_MOST 1u

/* Of one stack, four bytes: its last move, and how often it bounced. */
struct gstk__history {
	uint32_t at : 25;    /* when, in units of 8 ms; 0: what came of it is in the counts */
	uint32_t packed : 1; /* to PACKED; else out of its window */
	uint32_t out : 3;    /* bounces, at most GSTK__BOUNCES_MOST */
	uint32_t pack : 3;   /* at most GSTK__PACK_BOUNCES_MOST */
};

struct gstk__stack_facts {
	bool resident;
	bool may_move;	   /* not private; else its dead pages go, but not its stack */
	bool trimmed;	   /* since it last ran */
	uint32_t used;	   /* bytes */
	uint64_t idle_ms;
	struct gstk__history history; /* up to now: gstk__policy_history() */
};

struct gstk__decision gstk__policy(const struct gstk__climate *c, const struct gstk__stack_facts *s);
/* Milliseconds until the answer may change for a stack that stays idle; UINT64_MAX: never. */
uint64_t gstk__policy_next(const struct gstk__climate *c, const struct gstk__stack_facts *s);

/* A stack parked at @parked_ms: its history with what came of the last move, if it ran since. To be kept: a later
 * park would tell less. */
struct gstk__history gstk__policy_history(const struct gstk__climate *c, struct gstk__history h, uint32_t parked_ms);
/* And when it is moved now, or packed. */
struct gstk__history gstk__policy_moved(struct gstk__history h, uint32_t now_ms, bool packed);

#endif
