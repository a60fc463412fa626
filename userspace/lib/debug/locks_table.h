// SPDX-License-Identifier: MIT
/* What the parts of GREENSTK_DEBUG=locks share: locks.c keeps it, locks_order.c and locks_report.c read it. All under
 * one lock, taken by locks.c. */
#ifndef GSTK__DEBUG_LOCKS_TABLE_H
#define GSTK__DEBUG_LOCKS_TABLE_H

#include "debug/locks.h"

#define GSTK__LOCK_FRAMES 16u /* kept of a place */
#define GSTK__NO_RANK	  UINT32_MAX

struct gstk__place { /* where a task was */
	uint32_t task;
	unsigned int nr;
	uintptr_t pc[GSTK__LOCK_FRAMES];
	char name[32];
};

/* Locks that are alike: of one call of gstk_mutex_init(), or one lock alone. */
struct gstk__lock_class {
	struct gstk__lock_class *next;
	const void *key, *site; /* site: of its init; NULL: one lock, at key */
	struct gstk__lock_edge *edges;
	struct gstk__lock_edge *up, *down; /* two of this class at once, by their addresses: first seen */
	uint32_t seen;			   /* by the search that has this number */
	struct gstk__lock_edge *way;	   /* by which it came here */
	struct gstk__lock_class *from;
};

/* Somewhere a lock of class @to was taken by who held one of the class that has this. */
struct gstk__lock_edge {
	struct gstk__lock_edge *next;
	struct gstk__lock_class *to;
	const void *held_site;
	struct gstk__place place;
};

struct gstk__lock {
	struct gstk__lock *next; /* of its hash */
	const void *at;
	struct gstk__lock_class *class;
	struct gstk__lock_hold *holds;
	uint32_t rank;
	uint32_t last_task;	/* who let go of it last */
	const void *last_site;
};

struct gstk__lock_hold {
	struct gstk__lock_hold *of_lock, *of_task; /* next ones */
	struct gstk__lock *lock;
	uint32_t task;
	enum gstk__lock_kind kind;
	const void *site;
};

struct gstk__lock_user {
	struct gstk__lock_hold *holds;
	struct gstk__lock *waits; /* without a deadline */
	enum gstk__lock_kind waits_kind;
	struct gstk__lock *wants; /* the same, before it is known whether it has to wait */
	uint32_t joins, joins_birth; /* likewise; over when that one has ended */
	uint32_t seen;
	uint32_t birth;	  /* of the tasks with this index, which one */
	const void *chan; /* that it waited for last, without a deadline */
	/* Of the present look: locks_chan.c. */
	enum gstk__chan_end chan_end;
	bool by_chan, stuck;
};
extern struct gstk__lock_user *gstk__lock_users; /* by task */

/* Does it wait for the end of ->joins? */
static inline bool gstk__locks_joined(const struct gstk__lock_user *u)
{
	return u->joins && gstk__lock_users[u->joins].birth == u->joins_birth;
}

extern _Atomic uint32_t gstk__locks_big; /* the lock of all this */
bool gstk__waits_for_ever(const struct gstk_task *t, uint64_t deadline_ns);

/* locks_chan.c */
int gstk__locks_chan_begin(void);
void gstk__locks_chan_end(void);
/* The k-th task that has used an end of a channel; 0: no more. */
uint32_t gstk__chan_user(const void *chan, enum gstk__chan_end end, uint32_t k);

/* Where the caller's caller is, from @site on. */
void gstk__place_take(struct gstk__place *p, struct gstk_task *t, const void *site);

/* locks_order.c: t, which holds others, takes @l. */
void gstk__order_check(struct gstk__lock *l, struct gstk_task *t, const void *site);
struct gstk__lock_class *gstk__order_class(const void *key, const void *site);
void gstk__order_fini(void);

/* locks_report.c: each writes to stderr, and aborts unless told to go on. */
extern bool gstk__lock_reports_go_on;
/* t @does something with @l that is wrong; @h: who holds it, may be NULL. */
void gstk__report_misuse(const char *does, const struct gstk__lock *l, const struct gstk__lock_hold *h,
			 struct gstk_task *t, const void *site);
void gstk__report_rank(const struct gstk__lock *l, const struct gstk__lock_hold *held, struct gstk_task *t,
		       const void *site);
/* From @from's class there is a way, by ->way, to that of @l; @here: the edge that closes the circle. */
void gstk__report_order(const struct gstk__lock *l, const struct gstk__lock_hold *held,
			const struct gstk__lock_edge *here);
/* Two of one class, in both orders. */
void gstk__report_twins(const struct gstk__lock *l, const struct gstk__lock_hold *held,
			const struct gstk__lock_edge *before, const struct gstk__lock_edge *here);
/* All that are ->stuck. Goes on always. */
void gstk__report_suspects(uint32_t high);
/* Each waits for the next, the last for the first, which is the caller. */
void gstk__report_deadlock(const uint32_t *task, unsigned int nr, const void *site);

#endif
