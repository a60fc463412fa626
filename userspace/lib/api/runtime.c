// SPDX-License-Identifier: MIT
/* The runtime's life: init, workers, main, embedding, shutdown. */
#include <greenstk/runtime.h>

#include <errno.h>
#include <limits.h>
#include <greenstk/task.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "api/config.h"
#include "api/drain.h"
#include "api/life.h"
#include "arch/arch.h"
#include "debug/annotate.h"
#include "debug/locks.h"
#include "debug/mode.h"
#include "debug/seal.h"
#include "debug/spawned.h"
#include "debug/stackprof.h"
#include "debug/trace.h"
#include "host/host.h"
#include "host/module.h"
#include "host/refuse.h"
#include "park/copy.h"
#include "park/lazy.h"
#include "park/tier.h"
#include "park/tier_pack.h"
#include "sched/foreign.h"
#include "sched/start.h"
#include "sched/starved.h"
#include "sched/timer.h"
#include "sched/worker.h"
#include "wait/blocking.h"

#define NR_PRIVATE 65536u

static pthread_t threads[GSTK__MAX_WORKERS];
static _Atomic bool changing; /* a thread is in gstk_init() or gstk_shutdown() */

static bool stopped(void *arg)
{
	return atomic_load_explicit(&gstk__sched.stop, memory_order_relaxed);
}

/* Of the C++ runtime (Itanium C++ ABI, 2.2.2), where there is one. */
extern void *__cxa_get_globals(void) __attribute__((weak));

static void worker_attach(struct gstk__worker *w)
{
	gstk__tls_worker = w;
	w->errno_ptr = &errno;
	w->eh = __cxa_get_globals ? __cxa_get_globals() : &w->no_eh;
	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELAXED);
	gstk__annotate_thread();
	gstk__life_thread_begin(w);
}

static void worker_detach(struct gstk__worker *w)
{
	gstk__life_thread_end(w);
	gstk__tls_worker = NULL;
}

static void *worker_thread(void *arg)
{
	struct gstk__worker *w = arg;

	worker_attach(w);
	gstk__worker_loop(w, stopped, NULL, GSTK_NEVER);
	worker_detach(w);
	return NULL;
}

static void worker_free(struct gstk__worker *w)
{
	if (!w)
		return;
	gstk__deque_fini(&w->ready);
	gstk__deque_fini(&w->fresh);
	gstk__park_fini(&w->park);
	free(w);
}

static struct gstk__worker *worker_new(uint32_t index)
{
	struct gstk__worker *w = aligned_alloc(128, sizeof(*w));

	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->index = index;
	w->rng = 0x9e3779b9u * (index + 1);
	w->spin_ns = 20000;
	w->handoff_budget = 64;
	gstk__task_cache_init(&w->tasks, gstk__config.workers);
	if (gstk__park_init(&w->park) || !gstk__deque_init(&w->ready, 256) || !gstk__deque_init(&w->fresh, 256)) {
		worker_free(w);
		return NULL;
	}
	return w;
}

/* Undo gstk_init(), from whatever point it reached. */
static void teardown(void)
{
	struct gstk__sched *s = &gstk__sched;

	gstk__trace_end();
	gstk__stackprof_end();
	gstk__life_fini();
	for (uint32_t i = 0; i < s->nr; i++)
		gstk__timer_wheel_fini(&gstk__timer_wheels[i]);
	gstk__starved_fini();
	gstk__foreign_life_ends();
	gstk__locks_fini(); /* its thread looks at tasks */
	for (uint32_t i = 0; i < GSTK__MAX_WORKERS; i++)
		worker_free(s->worker[i]);
	memset(s, 0, sizeof(*s));
	gstk__annotate_fini(gstk__max_tasks);
	gstk__remap_fini();
	gstk__lazy_fini();
	gstk__seal_fini();
	gstk__windows_fini();
	gstk__win_lists_reset();
	gstk__pack_fini();
	gstk__arena_fini();
	gstk__ext_pool_fini();
	gstk__task_pool_fini();
	gstk__spawned_fini();
	gstk__debugging = 0;
}

static void stop_threads(uint32_t from)
{
	struct gstk__sched *s = &gstk__sched;

	atomic_store(&s->stop, 1);
	for (uint32_t i = from; i < s->nr; i++) {
		if (!threads[i])
			continue;
		gstk__wake_worker(i);
		pthread_join(threads[i], NULL);
		threads[i] = 0;
	}
}

/* With or without the module; asked for by name and missing, that is worth a line. */
static int windows(const struct gstk_config *c)
{
	bool seal = gstk__debugging & GSTK__DEBUG_STACKS;
	int err;

	gstk__module_unused(seal ? "its windows cannot be made inaccessible (GREENSTK_DEBUG=stacks)"
			    : c->backend == GSTK_BACKEND_UFFD ? "userfaultfd was asked for (GREENSTK_BACKEND=uffd)"
							    : "copying was asked for (GREENSTK_BACKEND=copy)");
	err = gstk__windows_init(c->windows, c->window_size, NR_PRIVATE,
				 !seal && (c->backend == GSTK_BACKEND_AUTO || c->backend == GSTK_BACKEND_MODULE));
	if (!err && c->backend == GSTK_BACKEND_MODULE && !gstk__windows.module)
		fprintf(stderr, "greenstk: without the module, by copying: %s\n", gstk__module.why);
	gstk__windows.ends = gstk__debugging || gstk__profiling;
	gstk__windows.cache_most = (uint32_t)(gstk__windows.nr / (2 * c->workers));
	if (gstk__windows.cache_most > 64)
		gstk__windows.cache_most = 64;
	if (!err && seal) {
		gstk__windows.cache_most = 0; /* what becomes free goes through debug/seal.c */
		err = gstk__seal_init();
	}
	return err;
}

/* Records are reserved for so many tasks: an eighth of what there is. */
static size_t bounded_tasks(size_t max_tasks)
{
	size_t limit = gstk__mem_limit() / 8, nr = max_tasks;

	while (nr > 1024 && nr > limit / (sizeof(struct gstk_task) + sizeof(struct gstk__ext)))
		nr /= 2;
	if (nr < max_tasks)
		fprintf(stderr, "greenstk: at most %zu tasks instead of %zu (address space is limited: ulimit -v or "
			"strict overcommit)\n", nr, max_tasks);
	return nr;
}

static int no_space(const char *what, const char *less, int err)
{
	if (err == -ENOMEM)
		fprintf(stderr, "greenstk: no address space for %s; raise ulimit -v (or -d), or with strict overcommit vm.overcommit_ratio, or "
			"lower gstk_config.%s\n", what, less);
	return err;
}

static int begin(const struct gstk_config *config, bool caller_is_worker)
{
	struct gstk__sched *s = &gstk__sched;
	struct gstk_config c;
	const char *why;
	int err;

	if (s->nr)
		return -EBUSY;
	err = gstk__config_resolve(&c, config);
	if (err)
		return err;
	err = gstk__arch_check(&why);
	if (err) {
		fprintf(stderr, "greenstk: %s\n", why);
		return err;
	}
	c.max_tasks = bounded_tasks(c.max_tasks);
	gstk__config = c;
	gstk__block_init();
	gstk__stamp_begin();
	caller_is_worker |= !!(c.flags & GSTK_EMBEDDED);
	gstk__stackprof_begin();
	gstk__forced_evict = c.flags & (GSTK_FORCE_EVICT | GSTK_FORCE_PACK);
	gstk__forced_pack = c.flags & GSTK_FORCE_PACK;
	gstk__fp_save(&gstk__fp_default);
	gstk__membarrier_init();
	gstk__copy_init();
	if ((err = no_space("records of tasks", "max_tasks or GREENSTK_MAX_TASKS", gstk__task_pool_init(c.max_tasks))) ||
	    (err = no_space("records of tasks", "max_tasks or GREENSTK_MAX_TASKS", gstk__ext_pool_init(c.max_tasks))) ||
	    (err = no_space("saved stacks", "image_bytes or GREENSTK_IMAGE_BYTES", gstk__arena_init(c.image_bytes))) ||
	    ((gstk__debugging || gstk__profiling) && (err = gstk__spawned_init(c.max_tasks))) ||
	    (gstk__debugging & GSTK__DEBUG_LOCKS &&
	     (err = gstk__locks_init(c.max_tasks, gstk__debugging & GSTK__DEBUG_WARN))) ||
	    (err = no_space("windows", "windows or GREENSTK_WINDOWS", windows(&c))) ||
	    (err = gstk__annotate_init(c.max_tasks)) || (err = gstk__life_init()))
		goto undo;
	for (uint32_t i = 0; i < c.workers; i++)
		gstk__timer_wheel_init(&gstk__timer_wheels[i], gstk__now_ns());
	gstk__stamp_end();
	for (uint32_t i = 0; i < c.workers; i++) {
		s->worker[i] = worker_new(i);
		if (!s->worker[i]) {
			fprintf(stderr, "greenstk: no memory for worker %u of %u: each keeps a block as large as a window, %zu KiB, of "
				"the %zu MiB for saved stacks; raise gstk_config.image_bytes or GREENSTK_IMAGE_BYTES (and ulimit -v), "
				"or lower GREENSTK_WORKERS\n", i, c.workers, c.window_size >> 10, gstk__arena_bytes() >> 20);
			err = -ENOMEM;
			goto undo;
		}
	}
	s->cpus = gstk__cpu_count();
	s->nr = c.workers;
	s->alone = c.workers == 1;
	gstk__set_closing(false);
	s->callers = caller_is_worker;
	gstk__leave_long = gstk__forced_evict || gstk__profiling;
	gstk__trace_begin(c.max_tasks);
	gstk__life_workers();
	if (caller_is_worker)
		worker_attach(s->worker[0]);
	for (uint32_t i = caller_is_worker; i < c.workers; i++) {
		err = -pthread_create(&threads[i], NULL, worker_thread, s->worker[i]);
		if (err) {
			fprintf(stderr, "greenstk: cannot create worker %u: %s (ulimit -u, ulimit -v, cgroup pids.max)\n", i,
				strerror(-err));
			threads[i] = 0;
			stop_threads(caller_is_worker);
			if (caller_is_worker)
				worker_detach(s->worker[0]);
			goto undo;
		}
	}
	return 0;
undo:
	teardown();
	return err;
}

int gstk__init(const struct gstk_config *config, bool caller_is_worker)
{
	int err;

	if (gstk__life_forked())
		return gstk__refuse_with(-ENOTSUP, "gstk_init: in a child of fork() of a process that had a runtime; the way to another "
					 "is exec");
	if (atomic_exchange(&changing, true))
		return -EBUSY;
	err = begin(config, caller_is_worker);
	atomic_store(&changing, false);
	return err;
}

int gstk_init(const struct gstk_config *config)
{
	return gstk__init(config, false);
}

static int shut_down(struct gstk__worker *w, enum gstk_shutdown_mode mode, uint64_t deadline_ns)
{
	bool outside = w && w->batch & GSTK__BATCH_OUTSIDE;
	struct gstk__sched *s = &gstk__sched;
	int err;

	s->owned_main = true;
	if (outside) /* only then: it takes a wake, which may be meant for another worker */
		gstk__come_inside(w);
	err = gstk__drain(mode, deadline_ns);
	s->owned_main = false;
	if (err && outside)
		gstk__go_outside(w); /* the runtime goes on, and so may the loop around it */
	if (err)
		return err;
	stop_threads(w ? 1 : 0);
	if (w)
		worker_detach(w);
	teardown();
	return 0;
}

int gstk_shutdown(enum gstk_shutdown_mode mode, uint64_t deadline_ns)
{
	struct gstk__sched *s = &gstk__sched;
	struct gstk__worker *w = gstk__self();
	int err;

	if (gstk__life_forked()) {
		gstk__no_runtime("gstk_shutdown");
		return -EINVAL;
	}
	if (mode != GSTK_SHUTDOWN_JOIN && mode != GSTK_SHUTDOWN_CANCEL)
		return gstk__refuse("gstk_shutdown: mode %u; give GSTK_SHUTDOWN_JOIN or GSTK_SHUTDOWN_CANCEL", (unsigned int)mode);
	if ((w && w->current) || gstk__blocking_inside())
		return gstk__refuse_with(-EDEADLK, "gstk_shutdown: from inside a task, whose end it would wait for; call it on the "
					 "thread that called gstk_init()");
	if (atomic_exchange(&changing, true))
		return -EBUSY;
	if (!s->nr) {
		gstk__no_runtime("gstk_shutdown");
		err = -EINVAL;
	} else if (s->callers && !w) {
		err = gstk__refuse_with(-EPERM, "gstk_shutdown: the runtime runs on another thread (GSTK_EMBEDDED, or gstk_main()); "
					"call it there");
	} else {
		err = shut_down(w, mode, deadline_ns);
	}
	atomic_store(&changing, false);
	return err;
}

static bool never(void *arg)
{
	return false;
}

static bool embedded_here(const struct gstk__worker *w)
{
	return gstk__sched.nr && gstk__config.flags & GSTK_EMBEDDED && w;
}

static __attribute__((cold, noinline)) int not_here(const struct gstk__worker *w, const char *call)
{
	if (!gstk__sched.nr) {
		gstk__no_runtime(call);
		return -EINVAL;
	}
	if (!(gstk__config.flags & GSTK_EMBEDDED))
		return gstk__refuse("%s: the runtime has threads of its own; it is for one that began with GSTK_EMBEDDED", call);
	return gstk__refuse("%s: %s", call, w ? "inside a task; call it from the loop around the tasks"
					      : "not on the thread that called gstk_init(); only that one runs the tasks");
}

int gstk_run_once(int timeout_ms)
{
	struct gstk__worker *w = gstk__self();
	uint64_t runs;

	if (!embedded_here(w) || w->current)
		return not_here(w, "gstk_run_once");
	gstk__come_inside(w);
	runs = gstk__worker_loop(w, never, NULL, timeout_ms < 0 ? GSTK_NEVER - 1 : (uint64_t)timeout_ms * 1000000u);
	gstk__go_outside(w);
	return runs < INT_MAX ? (int)runs : INT_MAX;
}

int gstk_runtime_fd(void)
{
	struct gstk__worker *w = gstk__self();
	int fd;

	if (!embedded_here(w))
		return not_here(w, "gstk_runtime_fd");
	fd = gstk__poller->descriptor();
	if (fd >= 0 && !w->current)
		gstk__go_outside(w); /* what was spawned before the first gstk_run_once() counts, too */
	return fd;
}

const char *gstk_version(void)
{
	return GSTK_VERSION;
}
