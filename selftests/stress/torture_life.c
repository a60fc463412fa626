// SPDX-License-Identifier: MIT
/* One runtime, of a shape at random: its tasks, who moves their stacks, what is in the way, and what is left. */
#include "torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "host/module.h"
#include "park/arena.h"
#include "park/tier.h"
#include "park/tier_pack.h"
#include "sched/worker.h"

#define MS 1000000ull

static struct body *body[TORTURE_MAX_TASKS];
static gstk_task *_Atomic handle[TORTURE_MAX_TASKS];
static uint32_t nr_movers;

struct life {
	struct rng r;
	uint64_t until_ns;
	bool failing, swept;
};

static void *mover(void *arg)
{
	struct rng r = { (uintptr_t)arg };

	while (!over) {
		for (int i = 0; i < 8; i++)
			walk(&r, handle[rnd(&r) % nr_tasks]);
		gstk_sleep(rnd(&r) % 200000);
	}
	return NULL;
}

/* Windows that still have the slot of a stack that had come in part when it ended, until the sweep sees it. */
static uint64_t attached(void)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i <= gstk__windows.nr && gstk__windows.module; i++)
		n += (gstk__win(i)->flags & GSTK__WIN_LAZY) != 0;
	return n;
}

/* Stacks that the module has and nobody knows of. The sweep may be about to let go of a slot that it has unmarked. */
static uint64_t forgotten(void)
{
	struct greenstk_stat module;
	uint64_t slots;

	for (int tries = 0; tries < 2000; tries++) {
		slots = attached();
		gstk__module_stat(&module);
		if (module.handles <= slots)
			return 0;
		gstk_sleep(MS);
	}
	return module.handles - slots;
}

/* All stacks have ended: what does any tier still have? */
static void nothing_is_left(void)
{
	struct gstk_stats st = { .size = sizeof(st) };
	struct gstk__pack_stats pack;
	struct gstk__arena_stats arena;
	uint64_t spare = gstk__park_spares();

	met(gstk_stats(&st));
	gstk__pack_stats(&pack);
	gstk__arena_stats(&arena);
	for (uint32_t i = 0; i < gstk__sched.nr; i++)
		spare += gstk__sched.worker[i]->park.emergency != 0;
#define NONE(what) \
	do { \
		uint64_t left_ = what; \
		if (left_) { \
			fprintf(stderr, "# " #what " is %llu at the end\n", (unsigned long long)left_); \
			seen->wrong++; \
		} \
	} while (0)
	NONE(st.tasks_copied); NONE(st.tasks_packed); NONE(st.tasks_remapped); NONE(st.tasks_resident - 1);
	NONE(st.bytes_copied); NONE(st.bytes_packed); NONE(st.bytes_unpacked); NONE(st.bytes_remapped); NONE(st.bytes_lazy);
	NONE(pack.nr_live); NONE(pack.source_bytes); NONE(pack.packed_bytes); NONE(pack.ref_uses);
	NONE(arena.nr_live - pack.nr_refs - spare); NONE(gstk__sched.nr - spare); NONE(forgotten());
#undef NONE
	seen->evictions += st.evictions;
	seen->lazy_restores += st.lazy_restores;
	seen->injected += failed.registers;
	seen->reported += st.lazy_refused;
	if (arena.failed < failed.allocs || st.remap_nomem < failed.moves) {
		fprintf(stderr, "# failures that were not reported: %llu of %llu for want of memory, %llu of %llu by the module\n",
			(unsigned long long)arena.failed, (unsigned long long)failed.allocs,
			(unsigned long long)st.remap_nomem, (unsigned long long)failed.moves);
		seen->wrong++;
	}
	failures.again += failed.again;
	failures.shorter += failed.shorter;
	failures.nomem += failed.nomem;
	failures.moves += failed.moves;
}

static void spawn(gstk_task **t, gstk_fn fn, void *arg, uint32_t flags)
{
	struct gstk_spawn_opts o = { .size = sizeof(o), .flags = flags };

	if (gstk_spawn(t, fn, arg, &o)) {
		seen->wrong++;
		*t = NULL;
	}
}

/* Where no sweep does it, at the same time. What the module refuses leaves nothing behind, and the old measure. */
static void measure_again(void)
{
	uint32_t alone_ns = gstk__remap.alone_ns;

	gstk__remap_calibrate_again();
	if (alone_ns && !gstk__remap.alone_ns) {
		fprintf(stderr, "# a calibration was refused, and the last one forgotten\n");
		seen->wrong++;
	}
}

/* What happens to all of them: caps that come and go, and failures. */
static void trouble(struct life *l)
{
	struct gstk__arena_stats arena;

	gstk__arena_stats(&arena);
	gstk__arena_set_limit(rnd(&l->r) % 3 == 0 ? arena.committed + 1 : 0);
	if (l->failing)
		faults = (struct faults){ .alloc = rnd(&l->r) % 16 + 2, .copy = rnd(&l->r) % 8 + 2, .reg = rnd(&l->r) % 4 + 2,
			.move = rnd(&l->r) % 8 + 2 };
	if (!l->swept)
		measure_again();
}

static void *life_main(void *arg)
{
	struct life *l = arg;
	gstk_task *t[TORTURE_MAX_TASKS], *m[8];

	for (uint32_t i = 0; i < nr_tasks; i++) {
		ring[i] = (gstk_sem)GSTK_SEM_INIT(0);
		spawn(&t[i], torture_task, body[i], 0);
		handle[i] = t[i];
	}
	for (uint32_t i = 0; i < nr_movers; i++)
		spawn(&m[i], mover, (void *)(uintptr_t)(rnd(&l->r) | 1), GSTK_PRIVATE);
	if (l->failing)
		faults_begin(rnd(&l->r));
	while (gstk_now() < l->until_ns) {
		gstk_sleep(rnd(&l->r) % (20 * MS));
		trouble(l);
	}
	over = true;
	faults_end();
	gstk__arena_set_limit(0);
	for (uint32_t i = 0; i < nr_movers; i++)
		met(gstk_join(m[i], NULL));
	for (uint32_t i = 0; i < nr_tasks; i++)
		met(gstk_join(t[i], NULL));
	nothing_is_left();
	return NULL;
}

void one_life(struct rng *r, uint32_t workers, uint32_t backend, uint64_t until_ns, bool failing)
{
	static const uint32_t windows[] = { 1, 3, 16, 400 };
	struct life l = { .r = { (uint64_t)rnd(r) << 32 | rnd(r) | 1 }, .until_ns = until_ns, .failing = failing };
	struct gstk_config c = { .size = sizeof(c), .workers = workers, .backend = backend, .window_size = 2u << 20,
		.windows = windows[rnd(r) % 4], .resident_budget = 1u << rnd(r) % 26, .evict_idle_ns = (1 + rnd(r) % 8) * MS,
		.pack_idle_ns = (1 + rnd(r) % 32) * MS, .image_bytes = 1u << 30, .max_tasks = 10000 };

	c.flags = (seen->lives % 2 ? GSTK_FORCE_REMAP : 0) | (rnd(r) % 4 ? 0 : GSTK_FORCE_EVICT) |
		  (rnd(r) % 8 ? 0 : GSTK_FORCE_PACK) | (rnd(r) % (failing ? 2 : 4) ? 0 : GSTK_NO_SWEEP);
	l.swept = !(c.flags & GSTK_NO_SWEEP);
	nr_tasks = rnd(r) % (TORTURE_MAX_TASKS - 8) + 8;
	nr_movers = rnd(r) % 4 + 1;
	over = false;
	failed = (struct failed){ 0 };
	for (uint32_t i = 0; i < nr_tasks; i++) {
		body[i] = calloc(1, sizeof(**body));
		*body[i] = (struct body){ .r = { (uint64_t)rnd(r) << 32 | rnd(r) | 1 }, .pair = { -1, -1 } };
		if (i % 8 == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, body[i]->pair))
			seen->wrong++;
	}
	if (gstk_main(life_main, &l, NULL, &c))
		seen->wrong++;
	for (uint32_t i = 0; i < nr_tasks; i++) {
		if (body[i]->pair[0] >= 0) {
			close(body[i]->pair[0]);
			close(body[i]->pair[1]);
		}
		free(body[i]);
	}
	seen->lives++;
}
