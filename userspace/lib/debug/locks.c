// SPDX-License-Identifier: MIT
#include "debug/locks.h"

#include <errno.h>
#include <greenstk/base.h>
#include <stdlib.h>
#include <string.h>
#include "debug/locks_table.h"
#include "host/host.h"
#include "host/lock.h"

#define NR_BUCKETS   1024u
#define MAX_CIRCLE   64u

bool gstk__locks_watched;
struct gstk__lock_user *gstk__lock_users;
static size_t users_bytes;
_Atomic uint32_t gstk__locks_big;
static struct gstk__lock *bucket[NR_BUCKETS];
static uint32_t search; /* number of the last one */

int gstk__locks_init(size_t max_tasks, bool warn)
{
	users_bytes = (max_tasks + 1) * sizeof(*gstk__lock_users);
	gstk__lock_users = gstk__mem_reserve(users_bytes, 4096);
	if (!gstk__lock_users)
		return -ENOMEM;
	gstk__lock_reports_go_on = warn;
	gstk__locks_watched = true;
	return gstk__locks_chan_begin();
}

void gstk__locks_fini(void)
{
	gstk__locks_watched = false;
	gstk__locks_chan_end();
	for (uint32_t i = 0; i < NR_BUCKETS; i++)
		while (bucket[i]) {
			struct gstk__lock *l = bucket[i];

			bucket[i] = l->next;
			while (l->holds) {
				struct gstk__lock_hold *h = l->holds;

				l->holds = h->of_lock;
				free(h);
			}
			free(l);
		}
	gstk__order_fini();
	gstk__mem_release(gstk__lock_users, users_bytes);
	gstk__lock_users = NULL;
}

static void *get(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort(); /* half a record of who holds what would accuse the innocent */
	return p;
}

static struct gstk__lock **place_of(const void *at)
{
	struct gstk__lock **p = &bucket[(uint32_t)((uintptr_t)at >> 3) * 0x9e3779b1u >> 22];

	while (*p && (*p)->at != at)
		p = &(*p)->next;
	return p;
}

static struct gstk__lock *lock_at(const void *at)
{
	struct gstk__lock **p = place_of(at);

	if (!*p) {
		*p = get(sizeof(**p));
		**p = (struct gstk__lock){ .at = at, .rank = GSTK__NO_RANK };
	}
	if (!(*p)->class)
		(*p)->class = gstk__order_class(at, NULL);
	return *p;
}

static struct gstk__lock_hold *hold_of(const struct gstk__lock *l, uint32_t task)
{
	struct gstk__lock_hold *h = l->holds;

	while (h && h->task != task)
		h = h->of_lock;
	return h;
}

void gstk__locks_taken(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, const void *site)
{
	struct gstk__lock_user *u = &gstk__lock_users[gstk__task_index(t)];
	struct gstk__lock_hold *h = get(sizeof(*h));

	gstk__lock(&gstk__locks_big);
	*h = (struct gstk__lock_hold){ .lock = lock_at(lock), .task = gstk__task_index(t), .kind = kind, .site = site };
	h->of_lock = h->lock->holds;
	h->lock->holds = h;
	h->of_task = u->holds;
	u->holds = h;
	u->wants = NULL;
	gstk__unlock(&gstk__locks_big);
}

static void drop(struct gstk__lock_hold *h)
{
	struct gstk__lock_hold **p;

	for (p = &h->lock->holds; *p != h; p = &(*p)->of_lock)
		;
	*p = h->of_lock;
	for (p = &gstk__lock_users[h->task].holds; *p != h; p = &(*p)->of_task)
		;
	*p = h->of_task;
	free(h);
}

void gstk__locks_released(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, const void *site)
{
	struct gstk__lock_hold *h;
	struct gstk__lock *l;

	gstk__lock(&gstk__locks_big);
	l = lock_at(lock);
	h = hold_of(l, gstk__task_index(t));
	if (!h) {
		gstk__report_misuse(l->holds ? "unlocks what another one holds" : "unlocks what nobody holds", l, l->holds,
				    t, site);
	} else if (h->kind != kind) {
		gstk__report_misuse("unlocks it the other way than it was locked", l, h, t, site);
	} else {
		l->last_task = h->task;
		l->last_site = site;
		drop(h);
	}
	gstk__unlock(&gstk__locks_big);
}

/* A way of waits from @at back to the first of @task[]; its length, or 0. @wants: of those that are about to wait, too. */
static unsigned int circle(uint32_t at, uint32_t *task, unsigned int nr, bool wants)
{
	struct gstk__lock_user *u = &gstk__lock_users[at];
	const struct gstk__lock *l = u->waits || !wants ? u->waits : u->wants;
	unsigned int n;

	if (nr && at == task[0])
		return nr;
	if (u->seen == search || nr == MAX_CIRCLE)
		return 0;
	u->seen = search;
	task[nr++] = at;
	if (gstk__locks_joined(u))
		return circle(u->joins, task, nr, wants);
	for (struct gstk__lock_hold *h = l ? l->holds : NULL; h; h = h->of_lock) {
		n = h->task == at ? 0 : circle(h->task, task, nr, wants);
		if (n)
			return n;
	}
	return 0;
}

static void look_for_circle(struct gstk_task *t)
{
	uint32_t task[MAX_CIRCLE];
	unsigned int nr;

	search++;
	nr = circle(gstk__task_index(t), task, 0, false);
	if (nr)
		gstk__report_deadlock(task, nr, NULL);
}

bool gstk__waits_for_ever(const struct gstk_task *t, uint64_t deadline_ns)
{
	return deadline_ns == GSTK_NEVER && !(t->flags & GSTK__T_DEADLINE);
}

/* Would a wait of @t for @l, without a deadline, be the last of a circle? gstk__locks_waits() will say so. */
static bool closes_circle(struct gstk__lock *l, struct gstk_task *t, uint64_t deadline_ns)
{
	uint32_t task[MAX_CIRCLE];

	gstk__lock_users[gstk__task_index(t)].wants = gstk__waits_for_ever(t, deadline_ns) ? l : NULL;
	search++;
	return circle(gstk__task_index(t), task, 0, true);
}

void gstk__locks_wanted(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, uint64_t deadline_ns, const void *site)
{
	struct gstk__lock_hold *h;
	struct gstk__lock *l;

	gstk__lock(&gstk__locks_big);
	l = lock_at(lock);
	h = hold_of(l, gstk__task_index(t));
	if (h)
		gstk__report_misuse("takes it again", l, h, t, site);
	else if (!closes_circle(l, t, deadline_ns)) /* a deadlock is not an order that may lead to one */
		gstk__order_check(l, t, site);
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_waits(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, uint64_t deadline_ns)
{
	struct gstk__lock_user *u = &gstk__lock_users[gstk__task_index(t)];

	if (!gstk__waits_for_ever(t, deadline_ns))
		return;
	gstk__lock(&gstk__locks_big);
	u->waits = lock_at(lock);
	u->waits_kind = kind;
	u->wants = NULL;
	look_for_circle(t);
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_joins(struct gstk_task *t, struct gstk_task *other, uint64_t deadline_ns)
{
	struct gstk__lock_user *u = &gstk__lock_users[gstk__task_index(t)];

	if (!gstk__waits_for_ever(t, deadline_ns))
		return;
	gstk__lock(&gstk__locks_big);
	u->joins = gstk__task_index(other);
	u->joins_birth = gstk__lock_users[u->joins].birth;
	look_for_circle(t);
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_waited(struct gstk_task *t)
{
	struct gstk__lock_user *u = &gstk__lock_users[gstk__task_index(t)];

	gstk__lock(&gstk__locks_big);
	u->waits = NULL;
	u->joins = 0;
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_ended(struct gstk_task *t)
{
	struct gstk__lock_user *u = &gstk__lock_users[gstk__task_index(t)];

	gstk__lock(&gstk__locks_big);
	while (u->holds) {
		gstk__report_misuse("has ended and holds it still", u->holds->lock, u->holds, t, NULL);
		drop(u->holds);
	}
	u->birth++;
	u->chan = NULL;
	u->wants = NULL;
	gstk__unlock(&gstk__locks_big);
}

static void forget(struct gstk__lock **p)
{
	struct gstk__lock *l = *p;

	while (l->holds)
		drop(l->holds);
	*p = l->next;
	free(l);
}

void gstk__locks_new(const void *lock, const void *site)
{
	struct gstk__lock **p;

	gstk__lock(&gstk__locks_big);
	p = place_of(lock);
	if (*p) /* another one was here, whose memory was freed */
		forget(p);
	p = place_of(lock);
	*p = get(sizeof(**p));
	**p = (struct gstk__lock){ .at = lock, .rank = GSTK__NO_RANK, .class = gstk__order_class(site, site) };
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_gone(const void *lock, bool busy, const void *site)
{
	struct gstk__lock **p;

	gstk__lock(&gstk__locks_big);
	p = place_of(lock);
	if (busy)
		gstk__report_misuse("destroys what is held or waited for", lock_at(lock), lock_at(lock)->holds, NULL, site);
	else if (*p)
		forget(p);
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_rank(const void *lock, uint32_t rank)
{
	gstk__lock(&gstk__locks_big);
	lock_at(lock)->rank = rank;
	gstk__unlock(&gstk__locks_big);
}
