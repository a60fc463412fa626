// SPDX-License-Identifier: MIT
/* What GREENSTK_DEBUG=locks says. */
#include <stdlib.h>
#include <string.h>

#include "debug/locks_table.h"
#include "debug/running.h"
#include "debug/spawned.h"
#include "host/host.h"
#include "sched/stackless.h"
#include "sched/worker.h"

#define FRAMES	16u
#define SHOWN	32u /* of those that are suspected */
#define PATIENCE_NS 100000000u /* with a task that is about to park */

bool gstk__lock_reports_go_on;

static const char *name_of(struct gstk_task *t)
{
	const struct gstk__ext *x = t ? gstk__ext(t) : NULL;

	return t && t->tier == GSTK__TIER_STACKLESS ? gstk__stackless_name(t) : x ? x->name : "";
}

void gstk__place_take(struct gstk__place *p, struct gstk_task *t, const void *site)
{
	p->task = t ? gstk__task_index(t) : 0;
	p->name[0] = 0;
	strncat(p->name, name_of(t), sizeof(p->name) - 1);
	if (t && t->tier == GSTK__TIER_STACKLESS && site == gstk__stackless_site(t)) {
		p->pc[0] = (uintptr_t)site;
		p->nr = 1;
		return;
	}
	p->nr = gstk__look_here(site, p->pc, GSTK__LOCK_FRAMES);
}

static struct gstk__looker *begin(struct gstk__out *o)
{
	*o = (struct gstk__out){ .fd = 2 };
	gstk__outf(o, "greenstk: GREENSTK_DEBUG=locks: ");
	return gstk__look_begin();
}

static void end(struct gstk__out *o, struct gstk__looker *l)
{
	if (l)
		gstk__look_end(l);
	gstk__out_flush(o);
	if (!gstk__lock_reports_go_on)
		abort();
}

static void print_site(struct gstk__out *o, struct gstk__looker *l, const char *what, const void *site)
{
	if (site && l)
		gstk__print_place(o, &l->symbols, what, site, true);
}

static void print_task(struct gstk__out *o, uint32_t index)
{
	struct gstk_task *t = gstk__task(index);
	const char *name = name_of(t);

	if (!index)
		gstk__outf(o, "a thread");
	else if (t->flags & GSTK__T_FOREIGN)
		gstk__outf(o, "thread (task %u)", (uint64_t)index);
	else
		gstk__outf(o, "task %u \"%s\"", (uint64_t)index, name[0] ? name : "task");
}

static const char *kind_name(enum gstk__lock_kind kind)
{
	return kind == GSTK__LOCK_MUTEX ? "mutex" : kind == GSTK__LOCK_READ ? "rwlock (to read)" : "rwlock (to write)";
}

static void print_lock(struct gstk__out *o, struct gstk__looker *l, const struct gstk__lock *k)
{
	gstk__outf(o, "lock %p", (uint64_t)(uintptr_t)k->at);
	if (k->class && k->class->site)
		print_site(o, l, ", of gstk_..._init() at ", k->class->site);
	if (k->rank != GSTK__NO_RANK)
		gstk__outf(o, ", rank %u", (uint64_t)k->rank);
}

static void print_class(struct gstk__out *o, struct gstk__looker *l, const struct gstk__lock_class *c)
{
	if (c->site)
		print_site(o, l, "a lock of gstk_..._init() at ", c->site);
	else
		gstk__outf(o, "lock %p", (uint64_t)(uintptr_t)c->key);
}

static void print_place(struct gstk__out *o, struct gstk__looker *l, const struct gstk__place *p)
{
	if (l)
		gstk__backtrace_pcs(o, &l->symbols, p->pc, p->nr);
}

static void print_here(struct gstk__out *o, struct gstk__looker *l, struct gstk_task *t, const void *site)
{
	struct gstk__place here;

	gstk__place_take(&here, t, site);
	print_place(o, l, &here);
}

void gstk__report_misuse(const char *does, const struct gstk__lock *k, const struct gstk__lock_hold *h,
			 struct gstk_task *t, const void *site)
{
	struct gstk__out o;
	struct gstk__looker *l = begin(&o);

	print_task(&o, t ? gstk__task_index(t) : 0);
	gstk__outf(&o, " %s: ", does);
	print_lock(&o, l, k);
	gstk__outf(&o, "\n");
	if (site)
		print_here(&o, l, t, site);
	if (h) {
		gstk__outf(&o, "greenstk: as %s it is held by ", kind_name(h->kind));
		print_task(&o, h->task);
		print_site(&o, l, ", taken at ", h->site);
		gstk__outf(&o, "\n");
	} else if (k->last_task) {
		gstk__outf(&o, "greenstk: it was last unlocked by ");
		print_task(&o, k->last_task);
		print_site(&o, l, " at ", k->last_site);
		gstk__outf(&o, "\n");
	}
	end(&o, l);
}

void gstk__report_rank(const struct gstk__lock *k, const struct gstk__lock_hold *held, struct gstk_task *t,
		       const void *site)
{
	struct gstk__out o;
	struct gstk__looker *l = begin(&o);

	print_task(&o, gstk__task_index(t));
	gstk__outf(&o, " takes ");
	print_lock(&o, l, k);
	gstk__outf(&o, ", while it holds ");
	print_lock(&o, l, held->lock);
	print_site(&o, l, ", taken at ", held->site);
	gstk__outf(&o, ": a lock is to be taken before those of higher rank\n");
	print_here(&o, l, t, site);
	end(&o, l);
}

static void print_edge(struct gstk__out *o, struct gstk__looker *l, const char *when, const struct gstk__lock_class *held,
		       const struct gstk__lock_edge *e)
{
	gstk__outf(o, "greenstk: %s: task %u \"%s\" held ", when, (uint64_t)e->place.task,
		   e->place.name[0] ? e->place.name : "task");
	print_class(o, l, held);
	print_site(o, l, ", taken at ", e->held_site);
	gstk__outf(o, ", and took ");
	print_class(o, l, e->to);
	gstk__outf(o, " at\n");
	print_place(o, l, &e->place);
}

void gstk__report_order(const struct gstk__lock *k, const struct gstk__lock_hold *held,
			const struct gstk__lock_edge *here)
{
	const struct gstk__lock_class *c = held->lock->class;
	struct gstk__out o;
	struct gstk__looker *l = begin(&o);

	gstk__outf(&o, "locks are taken in a circle, so tasks that do so at the same time may wait for each other for ever\n");
	print_edge(&o, l, "now", held->lock->class, here);
	for (; c != k->class; c = c->from)
		print_edge(&o, l, "before", c->from, c->way);
	gstk__outf(&o, "greenstk: take them in one order everywhere; gstk_mutex_rank() and gstk_rwlock_rank() can say which\n");
	end(&o, l);
}

void gstk__report_twins(const struct gstk__lock *k, const struct gstk__lock_hold *held,
			const struct gstk__lock_edge *before, const struct gstk__lock_edge *here)
{
	struct gstk__out o;
	struct gstk__looker *l = begin(&o);

	gstk__outf(&o, "locks that are alike are held together, %p and then %p, and others were the other way round by "
		   "their addresses\n", (uint64_t)(uintptr_t)held->lock->at, (uint64_t)(uintptr_t)k->at);
	print_edge(&o, l, "now", k->class, here);
	print_edge(&o, l, "before", k->class, before);
	gstk__outf(&o, "greenstk: take the one at the lower address first, or give them ranks (gstk_mutex_rank())\n");
	end(&o, l);
}

/* It has parked, or does so just now. */
static void look_patiently(struct gstk__looker *l, uint32_t index, struct gstk__look *k)
{
	uint64_t until = gstk__now_ns() + PATIENCE_NS;

	while (gstk__look(l, index, true, k) && !k->has_stack && !k->foreign && gstk__now_ns() < until)
		gstk__cpu_relax();
}

void gstk__report_deadlock(const uint32_t *task, unsigned int nr, const void *site)
{
	struct gstk__out o;
	struct gstk__looker *l = begin(&o);
	struct gstk__look k;

	gstk__outf(&o, "deadlock: %u tasks wait for each other\n", (uint64_t)nr);
	for (unsigned int i = 0; i < nr; i++) {
		const struct gstk__lock_user *u = &gstk__lock_users[task[i]];
		const struct gstk__lock_hold *h = u->waits ? u->waits->holds : NULL;
		uint32_t next = task[(i + 1) % nr];

		gstk__outf(&o, "greenstk: ");
		print_task(&o, task[i]);
		if (gstk__spawned[task[i]].site)
			print_site(&o, l, ", spawned at ", gstk__spawned[task[i]].site);
		if (gstk__locks_joined(u)) {
			gstk__outf(&o, ", waits for the end of ");
			print_task(&o, next);
		} else {
			gstk__outf(&o, ", waits as %s for ", kind_name(u->waits_kind));
			print_lock(&o, l, u->waits);
			while (h && h->task != next)
				h = h->of_lock;
			gstk__outf(&o, ", held by ");
			print_task(&o, next);
			print_site(&o, l, ", which took it at ", h ? h->site : NULL);
		}
		gstk__outf(&o, "\n");
		if (!i) {
			print_here(&o, l, gstk__task(task[i]), site);
		} else if (l) {
			look_patiently(l, task[i], &k);
			gstk__look_print(&o, l, &k, FRAMES);
		}
	}
	end(&o, l);
}

static void print_wait(struct gstk__out *o, struct gstk__looker *l, const struct gstk__lock_user *u)
{
	uint32_t other;

	if (!u->waits && !u->by_chan) {
		gstk__outf(o, " waits for the end of ");
		print_task(o, u->joins);
	} else if (!u->by_chan) {
		gstk__outf(o, " waits as %s for ", kind_name(u->waits_kind));
		print_lock(o, l, u->waits);
		if (u->waits->holds) {
			gstk__outf(o, ", held by ");
			print_task(o, u->waits->holds->task);
			print_site(o, l, ", which took it at ", u->waits->holds->site);
		}
	} else {
		gstk__outf(o, " waits to %s channel %p, which so far ",
			   u->chan_end == GSTK__CHAN_SENDS ? "receive from" : "send into", (uint64_t)(uintptr_t)u->chan);
		for (uint32_t k = 0; (other = gstk__chan_user(u->chan, u->chan_end, k)); k++) {
			gstk__outf(o, k ? ", " : "");
			print_task(o, other);
		}
		gstk__outf(o, u->chan_end == GSTK__CHAN_SENDS ? " sent into" : " received from");
	}
	gstk__outf(o, "\n");
}

void gstk__report_suspects(uint32_t high)
{
	struct gstk__out o;
	struct gstk__looker *l = begin(&o);
	uint64_t nr = 0;
	struct gstk__look k;

	for (uint32_t i = 1; i < high; i++)
		nr += gstk__lock_users[i].stuck;
	gstk__outf(&o, "%u tasks seem to wait for each other: nobody else has used those channels so far\n", nr);
	nr = 0;
	for (uint32_t i = 1; i < high; i++) {
		if (!gstk__lock_users[i].stuck || ++nr > SHOWN)
			continue;
		gstk__outf(&o, "greenstk: ");
		print_task(&o, i);
		if (gstk__spawned[i].site)
			print_site(&o, l, ", spawned at ", gstk__spawned[i].site);
		print_wait(&o, l, &gstk__lock_users[i]);
		if (l && gstk__look(l, i, true, &k))
			gstk__look_print(&o, l, &k, FRAMES);
	}
	if (nr > SHOWN)
		gstk__outf(&o, "greenstk: and %u more\n", nr - SHOWN);
	if (l)
		gstk__look_end(l);
	gstk__out_flush(&o);
}
