// SPDX-License-Identifier: MIT
#include "sched/annex.h"

#include <errno.h>
#include "arch/arch.h"
#include "debug/annotate.h"
#include "sched/starved.h"
#include "sched/worker.h"

#define OWN_BYTES 1024u /* of the promised ones: what is on an annex besides the function's own frames */

struct stay {
	struct gstk_task *t;
	struct gstk__annex *annex;
	void *token; /* of the stack that was left: sanitizers */
};

static void body(void *arg)
{
	struct gstk__annex *a = arg;

	gstk__annotate_after_switch(NULL);
	a->result = a->fn(a->arg);
}

/* Back on the stack below, by return or by an exception. */
static void step_off(struct stay *s)
{
	struct gstk__annex *a = s->annex;
	struct gstk__ext *x = gstk__ext(s->t);
	uint32_t window = a->window;

	x->annex = a->outer;
	if (a->outer)
		x->annex_window = a->outer->window;
	else
		gstk__flag_clear(s->t, GSTK__T_ANNEX);
	gstk__annotate_before_switch(NULL, s->t);
	gstk__annotate_after_switch(s->token);
	gstk__win_put_private(window);
	gstk__feed();
}

static void *call_on(struct gstk_task *t, struct gstk__ext *x, struct gstk__annex *annex)
{
	struct stay s __attribute__((cleanup(step_off))) = { t, annex, NULL };
	struct gstk__annex *outer = annex->outer;

	x->annex = annex;
	x->annex_window = annex->window;
	gstk__flag_set(t, GSTK__T_ANNEX);
	gstk__annotate_annex(t);
	gstk__annotate_before_switch(&s.token, t);
	gstk__call_on(annex, body, annex, outer ? &outer->sp : &t->sp, &x->annex_sp);
	return annex->result;
}

int gstk__annex_call(struct gstk_task *t, size_t bytes, void *(*fn)(void *), void *arg, void **result)
{
	struct gstk__ext *x = gstk__ext_get(t);
	uint32_t i = x ? gstk__win_get_private(bytes + OWN_BYTES) : 0;
	struct gstk__annex *annex;

	if (!i)
		return -ENOMEM;
	gstk__count(&gstk__self()->park.n.annex_calls);
	annex = (struct gstk__annex *)gstk__win_base(i) - 1;
	*annex = (struct gstk__annex){ .outer = gstk__annex(t), .window = i, .fn = fn, .arg = arg };
	arg = call_on(t, x, annex);
	if (result)
		*result = arg;
	return 0;
}

void gstk__annex_drop(struct gstk_task *t)
{
	struct gstk__annex *outer;

	for (struct gstk__annex *a = gstk__annex(t); a; a = outer) {
		outer = a->outer;
		gstk__win_put_private(a->window);
	}
	gstk__flag_clear(t, GSTK__T_ANNEX);
}
