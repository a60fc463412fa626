// SPDX-License-Identifier: MIT
/* The workers' side of a trace: records, rings, and what is remembered of each task. */
#include "debug/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "host/host.h"
#include "sched/stackless.h"
#include "sched/worker.h"

bool gstk__tracing;

/* Of a task. Written by who runs it, and between its wake and its run by who wakes it. */
struct about {
	const void *fn; /* NULL: it has not run yet, or is the one in ->obj */
	uint64_t flow;
};

static struct {
	struct gstk__trace_ring *ring;
	struct about *about;
	uint32_t nr;
	size_t max_tasks;
} trace;

int gstk__trace_rings_init(uint32_t nr, size_t max_tasks)
{
	trace.nr = nr;
	trace.max_tasks = max_tasks;
	trace.ring = gstk__mem_reserve(nr * sizeof(*trace.ring), 4096);
	trace.about = gstk__mem_reserve((max_tasks + 1) * sizeof(*trace.about), 4096);
	return trace.ring && trace.about ? 0 : -ENOMEM;
}

void gstk__trace_rings_fini(void)
{
	gstk__mem_release(trace.ring, trace.nr * sizeof(*trace.ring));
	gstk__mem_release(trace.about, (trace.max_tasks + 1) * sizeof(*trace.about));
	memset(&trace, 0, sizeof(trace));
}

struct gstk__trace_ring *gstk__trace_ring(uint32_t worker)
{
	return &trace.ring[worker];
}

/* Room for one more, or NULL. put() makes it visible. */
static struct gstk__trace_record *room(struct gstk__trace_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	/* Partner: the release of the tail, after the record was read. */
	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) < GSTK__TRACE_RECORDS)
		return &r->record[head % GSTK__TRACE_RECORDS];
	atomic_store_explicit(&r->dropped, atomic_load_explicit(&r->dropped, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	return NULL;
}

static void put(struct gstk__trace_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

static void record(struct gstk__worker *w, uint64_t ns, enum gstk__trace_kind kind, uint32_t task, uint8_t how,
		   uint64_t value)
{
	struct gstk__trace_ring *r = gstk__trace_ring(w->index);
	struct gstk__trace_record *e = room(r);

	if (!e)
		return;
	e->ns = ns;
	e->kind = (uint8_t)kind;
	e->task = task;
	e->how = how;
	e->value = value;
	put(r);
}

static void record_run(struct gstk__worker *w, uint64_t ns)
{
	struct gstk_task *t = w->current;
	struct about *a = &trace.about[gstk__task_index(t)];
	struct gstk__trace_ring *r = gstk__trace_ring(w->index);
	struct gstk__trace_record *e = room(r);
	struct gstk__ext *x = gstk__ext(t);
	uint64_t flow = a->flow;

	a->flow = 0;
	if (!a->fn)
		a->fn = t->obj;
	if (!e)
		return;
	e->ns = ns;
	e->kind = GSTK__TRACE_RUN;
	e->task = gstk__task_index(t);
	e->how = 0;
	e->value = flow;
	e->fn = a->fn;
	e->name[0] = 0;
	if (t->tier == GSTK__TIER_STACKLESS)
		snprintf(e->name, sizeof(e->name), "%s", gstk__stackless_name(t));
	else if (x)
		memcpy(e->name, x->name, sizeof(e->name));
	put(r);
}

void gstk__trace_known(const struct gstk_task *t, const void *fn)
{
	trace.about[gstk__task_index(t)].fn = fn;
}

void gstk__trace_run(struct gstk__worker *w)
{
	record_run(w, gstk__now_ns());
}

/* An arrow from here to t's next run. It can only begin inside a run. */
static void point_to(struct gstk__worker *w, uint64_t ns, struct gstk_task *t, bool from_task)
{
	struct about *a = &trace.about[gstk__task_index(t)];

	a->flow = from_task ? ++gstk__trace_ring(w->index)->flows << 8 | w->index : 0;
	record(w, ns, GSTK__TRACE_WAKE, gstk__task_index(t), 0, a->flow);
}

void gstk__trace_wake(struct gstk_task *t)
{
	struct gstk__worker *w = gstk__self();

	if (w && !(gstk__flags(t) & GSTK__T_FOREIGN))
		point_to(w, gstk__now_ns(), t, w->current);
}

void gstk__trace_switch(struct gstk__worker *w)
{
	struct gstk_task *t = w->left, *n = w->current;
	struct about *a = &trace.about[gstk__task_index(t)];
	uint64_t now = gstk__now_ns();
	uint8_t how = w->after == GSTK__AFTER_EXIT ? GSTK__TRACE_ENDED
		    : w->after == GSTK__AFTER_YIELD ? GSTK__TRACE_YIELDED : t->why;

	if (how == GSTK__TRACE_ENDED) {
		a->fn = NULL;
		/* A joiner that it went to straight, past all queues: well inside the run that ends. */
		if (n && n->why == GSTK__WAIT_JOIN && n->obj == t)
			point_to(w, now - 4, n, true);
	}
	record(w, now, GSTK__TRACE_LEFT, gstk__task_index(t), how,
	       how == GSTK__TRACE_ENDED ? 0 : (uint64_t)(gstk__win_base(t->window) - (char *)t->sp));
	if (n)
		record_run(w, now);
}

void gstk__trace_left(struct gstk__worker *w, struct gstk_task *t, uint8_t how)
{
	if (how == GSTK__TRACE_ENDED)
		trace.about[gstk__task_index(t)].fn = NULL;
	record(w, gstk__now_ns(), GSTK__TRACE_LEFT, gstk__task_index(t), how, 0);
}

void gstk__trace_moved(enum gstk__trace_kind kind, const struct gstk_task *t, uint64_t value, uint8_t tier)
{
	struct gstk__worker *w = gstk__self();

	if (w)
		record(w, gstk__now_ns(), kind, gstk__task_index(t), tier, value);
}

void gstk__trace_steal(struct gstk__worker *w, uint32_t from, uint32_t item)
{
	record(w, gstk__now_ns(), GSTK__TRACE_STEAL, item, 0, from);
}
