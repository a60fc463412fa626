// SPDX-License-Identifier: MIT
/*
 * Looking at a task without stopping it. A waiting task is owned for as long as it takes to copy the
 * bytes of its stack (task/state.h, rules 2 and 4), then let go; the copy is unwound afterwards. A
 * task that is running, or about to, is only described.
 */
#ifndef GSTK__DEBUG_LOOK_H
#define GSTK__DEBUG_LOOK_H

#include "debug/backtrace.h"
#include "task/state.h"

#define GSTK__LOOK_ANNEXES 4u /* of a task on more, frames of the inner ones are shown */

struct gstk__look {
	uint32_t index;
	enum gstk__state state;
	bool shared, foreign, private_, busy; /* busy: its stack was in use by somebody else */
	bool has_stack;			      /* scratch holds it */
	uint8_t tier, why;
	uint32_t window, worker;	      /* worker: 1 + the one that runs it; 0: unknown */
	uint32_t tick;			      /* GSTK__TICK_UNPACKABLE: unknown */
	const void *obj;		      /* what it waits for, of some reasons */
	uint64_t used;			      /* of its window */
	uint64_t annex_used;		      /* of its annexes */
	char name[32];
	struct gstk__cfi_stack stack;
	struct gstk__cfi_stack outer[GSTK__LOOK_ANNEXES]; /* on which that was called, if it is an annex */
	struct gstk__cfi top;
};

struct gstk__looker {
	char *scratch, *annexes;	      /* bytes of each */
	size_t bytes;
	unsigned int tries;
	struct gstk__symbols symbols;
};

/* One at a time: takes a lock. NULL when memory is out. */
struct gstk__looker *gstk__look_begin(void);
void gstk__look_end(struct gstk__looker *l);

/* False when no task lives at @index. @stack: copy its stack, too, when it can be had. */
bool gstk__look(struct gstk__looker *l, uint32_t index, bool stack, struct gstk__look *out);
/* A line about it, and its frames when it has_stack. */
void gstk__look_print(struct gstk__out *o, struct gstk__looker *l, const struct gstk__look *k, unsigned int frames);

const char *gstk__why_name(unsigned int why);
/* The name of a stackless task's type. Unless it ends meanwhile: then it may be anything that was read. */
void gstk__look_stackless(struct gstk_task *t, uint32_t word, char name[32]);

#endif
