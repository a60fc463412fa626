// SPDX-License-Identifier: MIT
/*
 * Select. Look at the cases one by one; if none can go on, hang a node into each channel's queue
 * and park. A node lives on the heap and has its own message slot, since two channels may hand out
 * messages at once; the task's word decides which of them wins, the other takes its next waiter.
 *
 *	try the cases -> nodes -> gstk__block(hang) -> take the nodes down -> finish the winner's case
 *	    ^                          |
 *	    '--- a case looks ready ---'
 *
 * hang() runs when the task is off its stack and OWNED. A node that already hangs may be won while
 * the next is being hung: the word keeps that. When a channel looks ready meanwhile nothing is done
 * about it there (one compare-and-swap cannot decide for two tasks): the task wakes and tries again.
 * Nodes are hung in the order of the channels' addresses, so that of two selects that meet, the
 * one that comes second to their first common channel tries again, and the other stays.
 */
#include <greenstk/base.h>

#include <errno.h>
#include "sched/here.h"
#include "wait/await.h"
#include "wait/chan.h"
#include "wait/node.h"

struct select {
	struct gstk_case *cases; /* on the caller's stack, which stays where it is until hang() is over */
	unsigned int nr;
	uint32_t first; /* node of the channel with the lowest address */
	uint32_t task;
};

/* Where to begin: every case has its turn. Not inlined: the thread may change between two calls. */
static __attribute__((noinline)) uint32_t pick_start(unsigned int nr)
{
	static __thread uint32_t state __attribute__((tls_model("initial-exec"))) = 0x9e3779b9u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return (uint32_t)((uint64_t)state * nr >> 32);
}

/* The index of the case that went on, or -EAGAIN, -ENOMEM. */
static int try_all(struct gstk_case *cases, unsigned int nr)
{
	uint32_t start = pick_start(nr);

	for (unsigned int k = 0; k < nr; k++) {
		unsigned int i = start + k < nr ? start + k : start + k - nr;
		struct gstk_case *cs = &cases[i];
		int r;

		if (!cs->chan)
			continue;
		r = cs->op == GSTK_CASE_SEND ? gstk_chan_try_send(cs->chan, cs->elem)
					     : gstk_chan_try_recv(cs->chan, cs->elem);
		if (r == -EAGAIN)
			continue;
		if (unlikely(r == -ENOMEM))
			return r;
		cs->result = r;
		return (int)i;
	}
	return -EAGAIN;
}

/* Could an operation go on now? Somebody of the same select does not count. Lock held. */
static bool looks_ready(struct gstk_chan *c, uint32_t op, uint32_t self)
{
	uint32_t item = op == GSTK_CASE_SEND ? c->recv.head : c->send.head;

	if (gstk__chan_closed(c) || (op == GSTK_CASE_SEND ? c->nr < c->capacity : c->nr > 0))
		return true;
	while ((item & GSTK__NODE) && gstk__node(item)->task == self)
		item = gstk__node(item)->next;
	return item != 0;
}

static bool hang(struct gstk_task *t, void *arg)
{
	struct select *s = arg;

	for (unsigned int k = 0; k < s->nr; k++) {
		uint32_t item = s->first + k;
		struct gstk_case *cs = &s->cases[gstk__node(item)->index];
		struct gstk_chan *c = cs->chan;
		bool ready;

		if (!c)
			continue;
		/* OPTIONAL: won already, the rest need not hang. */
		if (gstk__word(t) & GSTK__NOTIFIED)
			break;
		gstk__lock(&c->lock);
		ready = looks_ready(c, cs->op, s->task);
		if (!ready)
			gstk__chanq_push(cs->op == GSTK_CASE_SEND ? &c->send : &c->recv, item);
		gstk__unlock(&c->lock);
		if (ready)
			return false;
	}
	return true;
}

/* Afterwards nobody else knows the nodes. The case that was won, or -1. */
static int take_down(struct select *s)
{
	int won = -1;

	for (unsigned int k = 0; k < s->nr; k++) {
		uint32_t item = s->first + k;
		struct gstk__node *n = gstk__node(item);
		struct gstk_case *cs = &s->cases[n->index];

		if (!cs->chan)
			continue;
		/* Also for a node that is down: whoever took it holds the lock until he has done with it. */
		gstk__lock(&cs->chan->lock);
		gstk__chanq_unlink(cs->op == GSTK_CASE_SEND ? &cs->chan->send : &cs->chan->recv, item);
		if (n->won)
			won = (int)k;
		gstk__unlock(&cs->chan->lock);
	}
	return won;
}

/* By address of the channel. Shell sort: selects are short. */
static void sort(uint16_t *order, const struct gstk_case *cases, unsigned int nr)
{
	for (unsigned int gap = nr > 16 ? nr / 3 : 1; gap; gap = gap > 1 ? (gap + 1) / 3 : 0) {
		for (unsigned int i = gap; i < nr; i++) {
			uint16_t x = order[i];
			unsigned int k = i;

			for (; k >= gap && (uintptr_t)cases[order[k - gap]].chan > (uintptr_t)cases[x].chan; k -= gap)
				order[k] = order[k - gap];
			order[k] = x;
		}
	}
}

/* Keep the channels from being freed, or let go of them: see chan.h. */
static void use(const struct gstk_case *cases, unsigned int nr, bool begin)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (cases[i].chan && begin)
			atomic_fetch_add_explicit(&cases[i].chan->users, 1, memory_order_relaxed);
		else if (cases[i].chan)
			atomic_fetch_sub_explicit(&cases[i].chan->users, 1, memory_order_release);
	}
}

/* Fill the nodes; the messages to send are copied off the stack. -ENOMEM. */
static int prepare(struct select *s)
{
	uint16_t few[16], *order = few;

	if (s->nr > 16) {
		order = gstk__msg_get(s->nr * sizeof(*order));
		if (!order)
			return -ENOMEM;
	}
	for (unsigned int i = 0; i < s->nr; i++)
		order[i] = (uint16_t)i;
	sort(order, s->cases, s->nr);
	for (unsigned int k = 0; k < s->nr; k++) {
		struct gstk__node *n = gstk__node(s->first + k);
		struct gstk_case *cs = &s->cases[order[k]];

		n->next = 0;
		n->prev = GSTK__UNLINKED;
		n->task = s->task;
		n->index = order[k];
		n->won = n->closed = 0;
		n->msg[0] = 0;
		if (!cs->chan || cs->op != GSTK_CASE_SEND)
			continue;
		if (cs->chan->elem_size <= GSTK__SLOT) {
			gstk__elem_copy(n->msg, cs->elem, cs->chan->elem_size);
		} else {
			void *block = gstk__msg_get(cs->chan->elem_size);

			/* -ENOMEM comes out of finish(), which puts those that were got */
			n->msg[0] = (uintptr_t)block;
			if (!block) {
				for (unsigned int j = k + 1; j < s->nr; j++) {
					gstk__node(s->first + j)->index = order[j];
					gstk__node(s->first + j)->msg[0] = 0;
				}
				if (order != few)
					gstk__msg_put(order, s->nr * sizeof(*order));
				return -ENOMEM;
			}
			memcpy(block, cs->elem, cs->chan->elem_size);
		}
	}
	if (order != few)
		gstk__msg_put(order, s->nr * sizeof(*order));
	return 0;
}

/* Hand the winner's message over, put the blocks that were not sent. Returns the case, or -1. */
static int finish(struct select *s, int won)
{
	int index = -1;

	for (unsigned int k = 0; k < s->nr; k++) {
		struct gstk__node *n = gstk__node(s->first + k);
		struct gstk_case *cs = &s->cases[n->index];
		void *block = (void *)(uintptr_t)n->msg[0];
		bool large = cs->chan && cs->chan->elem_size > GSTK__SLOT;

		if ((int)k == won) {
			index = n->index;
			cs->result = n->closed ? -EPIPE : 0;
			if (!n->closed) {
				if (cs->op == GSTK_CASE_SEND)
					continue;
				if (cs->elem)
					gstk__elem_copy(cs->elem, large ? block : n->msg, cs->chan->elem_size);
				if (large)
					gstk__msg_put(block, cs->chan->elem_size);
				continue;
			}
		}
		/* A loser's receive slot may hold what a sender gave to somebody else in the end. */
		if (large && cs->op == GSTK_CASE_SEND && block)
			gstk__msg_put(block, cs->chan->elem_size);
	}
	return index;
}

/* Hang, park, take down. The case, or -EAGAIN: something looked ready, but somebody else was faster. */
static int wait_once(struct select *s, struct gstk_task *t, uint64_t deadline_ns)
{
	enum gstk__code code;
	int r;

	if (unlikely(gstk__wait_expired(deadline_ns)))
		return -ETIMEDOUT;
	s->first = gstk__nodes_get(s->nr);
	if (!s->first)
		return -ENOMEM;
	r = prepare(s);
	if (likely(!r)) {
		t->obj = NULL;
		code = gstk__block(hang, s, GSTK__WAIT_SELECT, deadline_ns, true);
		r = finish(s, take_down(s));
		if (r < 0) /* OK: something looked ready */
			r = code == GSTK__CODE_OK ? try_all(s->cases, s->nr) : gstk__code_errno(code);
	} else {
		finish(s, -1);
	}
	gstk__nodes_put(s->first, s->nr);
	return r;
}

static inline bool bad_case(const struct gstk_case *c)
{
	return c->op != GSTK_CASE_RECV && c->op != GSTK_CASE_SEND;
}

static bool bad_cases(const struct gstk_case *cases, unsigned int nr)
{
	if (nr > GSTK__NODES_MAX || (nr && !cases))
		return true;
	for (unsigned int i = 0; i < nr; i++)
		if (bad_case(&cases[i]))
			return true;
	return false;
}

static __attribute__((cold, noinline)) int refuse(const struct gstk_case *cases, unsigned int nr, const char *call)
{
	unsigned int i = 0;

	if (nr > GSTK__NODES_MAX)
		return gstk__refuse("%s: %u cases; at most %u: wait for some of them in another task", call, nr, GSTK__NODES_MAX);
	if (!cases)
		return gstk__refuse("%s: %u cases at NULL; give an array of so many", call, nr);
	while (!bad_case(&cases[i]))
		i++;
	return gstk__refuse("%s: case %u has .op %u; set it to GSTK_CASE_RECV or GSTK_CASE_SEND, and .chan to NULL for a case "
			    "that is out", call, i, cases[i].op);
}

int gstk_select(struct gstk_case *cases, unsigned int nr, uint64_t deadline_ns)
{
	struct select s = { .cases = cases, .nr = nr };
	struct gstk_task *t;
	int r = gstk__wait_begin(&t, "gstk_select");

	if (unlikely(r))
		return r;
	if (unlikely(bad_cases(cases, nr)))
		return refuse(cases, nr, "gstk_select");
	s.task = gstk__task_index(t);
	r = nr ? try_all(cases, nr) : -EAGAIN;
	if (r != -EAGAIN || deadline_ns == 0)
		return r;
	if (gstk__no_wait_here())
		return gstk__wait_refused(NULL);
	use(cases, nr, true);
	do
		r = wait_once(&s, t, deadline_ns);
	while (r == -EAGAIN);
	use(cases, nr, false);
	return r;
}

/* ---- of a stackless task: ->arg and ->len are its cases, ->msg[0] is the first node ---- */

enum gstk_progress gstk_await_select(gstk_future *f, struct gstk_case *cases, unsigned int nr, uint64_t deadline_ns)
{
	if (unlikely(bad_cases(cases, nr)))
		return gstk__await_over(f, refuse(cases, nr, "gstk_await_select"));
	if (unlikely(gstk__await_refuse(f, cases, "gstk_await_select: the cases")))
		return gstk__await_over(f, -EINVAL);
	for (unsigned int i = 0; i < nr; i++)
		if (unlikely(gstk__await_refuse(f, cases[i].elem, "gstk_await_select: an element")))
			return gstk__await_over(f, -EINVAL);
	f->s->arg = cases;
	f->s->len = nr;
	return gstk__await(f, GSTK__AWAIT_SELECT, NULL, deadline_ns);
}

static struct select select_of(const struct gstk_future *f)
{
	return (struct select){ .cases = f->s->arg, .nr = f->s->len, .task = gstk__task_index(f->task),
				.first = (uint32_t)f->task->msg[0] };
}

static bool hang_stackless(struct gstk_task *t, void *f)
{
	struct select s = select_of(f);

	return hang(t, &s);
}

static int64_t select_begin(struct gstk_future *f)
{
	struct select s = select_of(f);
	int r = s.nr ? try_all(s.cases, s.nr) : -EAGAIN;

	if (r != -EAGAIN || f->deadline_ns == 0)
		return r;
	if (unlikely(gstk__wait_expired(f->deadline_ns)))
		return -ETIMEDOUT;
	s.first = gstk__nodes_get(s.nr);
	if (!s.first)
		return -ENOMEM;
	r = prepare(&s);
	if (unlikely(r)) {
		finish(&s, -1);
		gstk__nodes_put(s.first, s.nr);
		return r;
	}
	use(s.cases, s.nr, true);
	f->task->msg[0] = s.first;
	f->commit = hang_stackless;
	return GSTK__AWAIT_PARK;
}

static int64_t select_end(struct gstk_future *f, enum gstk__code code)
{
	struct select s = select_of(f);
	int64_t r = finish(&s, take_down(&s));

	gstk__nodes_put(s.first, s.nr);
	if (r < 0) /* OK: something looked ready */
		r = code == GSTK__CODE_OK ? select_begin(f) : gstk__code_errno(code);
	use(s.cases, s.nr, false); /* when it parks again it has counted anew */
	return r;
}

const struct gstk__await gstk__await_select = { GSTK__WAIT_SELECT, select_begin, select_end };
