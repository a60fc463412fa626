// SPDX-License-Identifier: MIT
/* What a task has pushed or taken, and what is run or freed at its end: cleanups and memory. */
#include "api/owned.h"

#include <errno.h>
#include <greenstk/task.h>
#include <stdlib.h>
#include "host/refuse.h"
#include "sched/worker.h"

__attribute__((cold, noinline)) int gstk__outside(const char *call)
{
	return gstk__refuse("%s: outside a task; call it in the task's own function, or in what that calls", call);
}

int gstk_cleanup_push(void (*fn)(void *), void *arg)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk__ext *x = t && fn ? gstk__ext_get(t) : NULL;
	struct gstk__cleanup *c;

	if (!fn)
		return gstk__refuse("gstk_cleanup_push: the function is NULL; give what is to run at the end");
	if (!t)
		return gstk__outside("gstk_cleanup_push");
	c = x ? malloc(sizeof(*c)) : NULL;
	if (!c)
		return -ENOMEM;
	*c = (struct gstk__cleanup){ .next = x->cleanups, .fn = fn, .arg = arg };
	x->cleanups = c;
	return 0;
}

int gstk_cleanup_pop(bool run)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk__ext *x = t ? gstk__ext(t) : NULL;
	struct gstk__cleanup **p = x ? &x->cleanups : NULL, *c = NULL;

	while (p && (c = *p) && c->librarys)
		p = &c->next;
	if (!c)
		return -ENOENT;
	*p = c->next;
	if (run)
		c->fn(c->arg);
	free(c);
	return 0;
}

void *gstk_alloc(size_t bytes)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk__ext *x = t ? gstk__ext_get(t) : NULL;
	struct gstk__alloc *a;

	if (!t)
		gstk__outside("gstk_alloc");
	if (!x || bytes > SIZE_MAX / 2)
		return NULL;
	a = malloc(sizeof(*a) + bytes);
	if (!a)
		return NULL;
	gstk__allocs_add(x, a);
	return a->data;
}

void gstk_free(void *ptr)
{
	struct gstk__alloc *a;

	if (!ptr)
		return;
	a = (struct gstk__alloc *)((char *)ptr - offsetof(struct gstk__alloc, data));
	*a->pprev = a->next;
	if (a->next)
		a->next->pprev = a->pprev;
	free(a);
}
