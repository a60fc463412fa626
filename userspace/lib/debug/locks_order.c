// SPDX-License-Identifier: MIT
/*
 * The order of locks: a graph of classes, with an edge for each pair that was ever held together, and where. A
 * new edge that closes a circle is a deadlock that may happen, also if it has not.
 *
 * Locks of one class that are held together: in one order of their addresses only. Ranks: each higher than those
 * held; locks that have one need no graph among themselves.
 */
#include <stdlib.h>

#include "debug/locks_table.h"

static struct gstk__lock_class *classes;
static uint32_t search;

static void edges_free(struct gstk__lock_edge *e)
{
	while (e) {
		struct gstk__lock_edge *next = e->next;

		free(e);
		e = next;
	}
}

void gstk__order_fini(void)
{
	while (classes) {
		struct gstk__lock_class *c = classes;

		classes = c->next;
		edges_free(c->edges);
		free(c->up);
		free(c->down);
		free(c);
	}
}

struct gstk__lock_class *gstk__order_class(const void *key, const void *site)
{
	struct gstk__lock_class *c = classes;

	while (c && (c->key != key || c->site != site))
		c = c->next;
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->key = key;
	c->site = site;
	c->next = classes;
	classes = c;
	return c;
}

static struct gstk__lock_edge *edge_new(struct gstk__lock_class *to, const struct gstk__lock_hold *held,
					struct gstk_task *t, const void *site)
{
	struct gstk__lock_edge *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->to = to;
	e->held_site = held->site;
	gstk__place_take(&e->place, t, site);
	return e;
}

/* Is there a way from @c to @to? It is in ->way and ->from. */
static bool leads(struct gstk__lock_class *c, struct gstk__lock_class *to)
{
	c->seen = search;
	if (c == to)
		return true;
	for (struct gstk__lock_edge *e = c->edges; e; e = e->next) {
		if (e->to->seen == search)
			continue;
		e->to->way = e;
		e->to->from = c;
		if (leads(e->to, to))
			return true;
	}
	return false;
}

static void twins(struct gstk__lock *l, const struct gstk__lock_hold *held, struct gstk_task *t, const void *site)
{
	struct gstk__lock_class *c = l->class;
	bool up = (uintptr_t)held->lock->at < (uintptr_t)l->at;
	struct gstk__lock_edge **mine = up ? &c->up : &c->down, *other = up ? c->down : c->up;

	if (*mine)
		return;
	*mine = edge_new(c, held, t, site);
	if (other)
		gstk__report_twins(l, held, other, *mine);
}

void gstk__order_check(struct gstk__lock *l, struct gstk_task *t, const void *site)
{
	for (struct gstk__lock_hold *h = gstk__lock_users[gstk__task_index(t)].holds; h; h = h->of_task) {
		struct gstk__lock_class *held = h->lock->class;
		struct gstk__lock_edge *e = held->edges;

		if (l->rank != GSTK__NO_RANK && h->lock->rank != GSTK__NO_RANK) {
			if (l->rank <= h->lock->rank)
				gstk__report_rank(l, h, t, site);
			continue;
		}
		if (held == l->class) {
			twins(l, h, t, site);
			continue;
		}
		while (e && e->to != l->class)
			e = e->next;
		if (e)
			continue;
		e = edge_new(l->class, h, t, site);
		search++;
		if (leads(l->class, held))
			gstk__report_order(l, h, e);
		e->next = held->edges;
		held->edges = e;
	}
}
