// SPDX-License-Identifier: MIT
/*
 * Where a stack should be: a pure function of what is known of it and of the machine. No system
 * headers, no state: the model tests and the simulator run the same code.
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

/* What the machine does at present. */
struct gstk__climate {
	uint64_t evict_idle_ms;	 /* idle stacks go when there is no room for them */
	uint64_t cold_idle_ms;	 /* and after this always */
	uint64_t pack_idle_ms;
	uint64_t resident_bytes; /* pages of resident stacks, estimated */
	uint64_t resident_budget;
	uint32_t pressure;	 /* PSI memory some avg10, percent */
	uint32_t min_residents;	 /* fewer stacks than this are never moved: no gain worth a fault */
	uint32_t residents;
	uint32_t evict_ns;	 /* calibrated: to move a stack of a page out and in again; 0: unknown */
	uint32_t remap_bytes;	 /* calibrated: stacks of so many bytes are moved by their pages; 0: none */
	uint32_t trim_ns;	 /* calibrated: to give a page back and fault it in again; 0: unknown */
};

struct gstk__stack_facts {
	bool resident;
	bool may_move;	   /* not private; else its dead pages go, but not its stack */
	bool trimmed;	   /* since it last ran */
	uint32_t used;	   /* bytes */
	uint64_t idle_ms;
};

enum gstk__action gstk__policy(const struct gstk__climate *c, const struct gstk__stack_facts *s);
/* Milliseconds until the answer may change for a stack that stays idle; UINT64_MAX: never. */
uint64_t gstk__policy_next(const struct gstk__climate *c, const struct gstk__stack_facts *s);

#endif
