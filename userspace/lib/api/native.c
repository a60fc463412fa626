// SPDX-License-Identifier: MIT
/*
 * A native instance is a green task that waits for its function in gstk_blocking(): so handles, joins and
 * shutdown are those of any task. How many instances of a function are native is counted in a small table;
 * a function that finds no place there is always green.
 */
#include "api/native.h"

#include <errno.h>
#include <greenstk/call.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "api/spawn.h"
#include "sched/worker.h"

#define PLACES 256u

static struct place {
	_Atomic uintptr_t fn; /* for good */
	_Atomic uint32_t native;
} places[PLACES];

struct instance {
	struct place *place;
	gstk_fn fn;
	void *arg;
	_Alignas(16) char block[];
};

static struct place *place_of(gstk_fn fn)
{
	uint32_t hash = (uint32_t)((uint64_t)(uintptr_t)fn * 0x9e3779b97f4a7c15ull >> 56);

	for (uint32_t i = 0; i < PLACES; i++) {
		struct place *p = &places[(hash + i) % PLACES];
		uintptr_t taken = 0;

		if (atomic_compare_exchange_strong(&p->fn, &taken, (uintptr_t)fn) || taken == (uintptr_t)fn)
			return p;
	}
	return NULL;
}

static bool may_be_native(struct place *p, uint32_t most)
{
	uint32_t nr = p ? atomic_load(&p->native) : most;

	while (nr < most)
		if (atomic_compare_exchange_weak(&p->native, &nr, nr + 1))
			return true;
	return false;
}

static struct gstk__alloc *memory_of(struct instance *n)
{
	return (struct gstk__alloc *)((char *)n - offsetof(struct gstk__alloc, data));
}

static void *runs(void *arg)
{
	struct instance *n = arg;
	void *result = NULL;
	int err = gstk_blocking(n->fn, n->arg, &result);

	atomic_fetch_sub(&n->place->native, 1);
	if (!err) {
		free(memory_of(n));
		return result;
	}
	/* No thread to be had, or cancelled or late before it began, which it sees itself: a green one like any, that may
	 * end in gstk_exit(). It has an extension from the spawn. */
	gstk__allocs_add(gstk__ext(gstk__current_task()), memory_of(n));
	return n->fn(n->arg);
}

int gstk__spawn_native(gstk_task **task, gstk_fn fn, void *arg, const struct gstk_spawn_opts *opts, const void *site)
{
	struct gstk_spawn_opts o = *opts;
	struct place *p = place_of(fn);
	struct gstk__alloc *a;
	struct instance *n;
	int err;

	o.size = sizeof(o);
	o.flags &= ~(uint32_t)GSTK_NATIVE;
	if (!may_be_native(p, o.native ? o.native : gstk__sched.cpus))
		return gstk__spawn_known(task, fn, arg, &o, (void *)fn, site);
	a = malloc(sizeof(*a) + sizeof(*n) + o.block_size);
	if (!a) {
		atomic_fetch_sub(&p->native, 1);
		return -ENOMEM;
	}
	n = (struct instance *)a->data;
	if (o.block_size)
		memcpy(n->block, o.block, o.block_size);
	n->place = p;
	n->fn = fn;
	n->arg = o.block_size ? n->block : arg;
	o.block = NULL;
	o.block_size = 0;
	if (!o.name)
		o.name = ""; /* and so an extension, or ENOMEM now */
	err = gstk__spawn_known(task, runs, n, &o, (void *)fn, site);
	if (err) {
		atomic_fetch_sub(&p->native, 1);
		free(a);
	}
	return err;
}
