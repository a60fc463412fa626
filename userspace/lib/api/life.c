// SPDX-License-Identifier: MIT
#include "api/life.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include "api/config.h"
#include "debug/deadlock_report.h"
#include "debug/dump_signal.h"
#include "debug/overflow.h"
#include "debug/seal.h"
#include "debug/sigstack.h"
#include "debug/stuck_report.h"
#include "debug/watchdog.h"
#include "host/needed.h"
#include "host/uffd.h"
#include "park/calibrate.h"
#include "park/cold.h"
#include "park/lazy.h"
#include "park/tier.h"
#include "sched/foreign.h"
#include "sched/site.h"
#include "sched/sweeper.h"
#include "sched/worker.h"
#include "wait/await.h"
#include "wait/blocking.h"
#include "wait/fd.h"
#include "wait/files.h"
#include "window/present.h"

static __thread struct gstk__sigstack thread_sigstack;

static bool forked;
static pthread_once_t at_fork = PTHREAD_ONCE_INIT;

/* The child has no pager: the stack that it goes on with comes whole, and what it left there for another one. */
static void before_fork(void)
{
	struct gstk__worker *w = gstk__self();
	const char *sp = __builtin_frame_address(0);
	struct gstk_task *t = w ? w->current : NULL;

	if (!gstk__windows.lazy || !t)
		return;
	if (t->flags & GSTK__T_ANNEX)
		sp = t->sp;
	if (gstk__win_at(sp) == t->window)
		gstk__present(sp, (size_t)(gstk__win_base(t->window) - sp));
}

/* Only the calling thread came along, and locks of the others may be taken for ever. */
static void in_child(void)
{
	gstk__thread_needed(NULL); /* here it is a thread as any other */
	if (!gstk__sched.nr)
		return;
	forked = true;
	gstk__sched.nr = 0;
	atomic_store(&gstk__sched.plain, false);
	gstk__foreign_forked();
	gstk__tls_worker = NULL;
	gstk__dump_signal_forked();
	gstk__watchdog_forked();
	gstk__blocking_forked();
	gstk__files_forked();
	gstk__lazy_forked();
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, NULL, in_child);
}

bool gstk__life_forked(void)
{
	return forked;
}

/*
 * Packed stacks that the module has may come back page by page. Where the kernel itself may not wait for the
 * pager, system calls into them fail (EFAULT): only who asked for the module gets that.
 */
static void pages_on_touch(void)
{
	bool asked = gstk__config.backend == GSTK_BACKEND_MODULE;

	if (gstk__cold_init(gstk__config.flags & GSTK_FORCE_REMAP) || gstk__uffd.kernel_faults || asked)
		return;
	gstk__lazy_fini();
	gstk__uffd_unused("GREENSTK_BACKEND=module allows it: what system calls touch would have to be there", -EPERM);
}

int gstk__life_init(void)
{
	int err;

	gstk__sites_reset();
	gstk__awaits_register();
	gstk__blocking_init(gstk__config.blocking_threads);
	gstk__files_init(gstk__config.files, gstk__config.blocking_threads);
	pthread_once(&at_fork, watch_forks);
	err = gstk__netpoll_register();
	if (!err && (gstk__sealing || !(gstk__config.flags & GSTK_NO_SEGV_HANDLER)))
		err = gstk__overflow_init();
	if (!gstk__calibration.took_ns) /* once a process */
		gstk__calibrate(&gstk__calibration);
	gstk__remap_init(gstk__config.flags & GSTK_FORCE_REMAP);
	if (gstk__windows.module)
		pages_on_touch();
	if (gstk__config.backend == GSTK_BACKEND_UFFD && gstk__lazy_init(gstk__config.flags & GSTK_FORCE_REMAP))
		fprintf(stderr, "greenstk: deep stacks come back whole, by copying: %s\n", gstk__uffd.why);
	if (!err && !(gstk__config.flags & GSTK_NO_SWEEP))
		err = gstk__sweeper_start(gstk__config.evict_idle_ns, gstk__config.pack_idle_ns,
					  gstk__config.resident_budget);
	gstk__deadlock_report_init(gstk__config.flags & GSTK_DEADLOCK_CONTINUE);
	gstk__stuck_report_init(gstk__config.stuck_report_ns);
	if (!err && gstk__dump_signal_init(gstk__config.dump_signal))
		fprintf(stderr, "greenstk: no thread for the signal that prints all tasks (ulimit -u, ulimit -v, cgroup pids.max)\n");
	return err;
}

void gstk__life_workers(void)
{
	if (gstk__watchdog_start(gstk__config.stuck_report_ns))
		fprintf(stderr, "greenstk: no thread that looks for stuck workers: only other workers report them (ulimit -u, ulimit -v, cgroup pids.max)\n");
}

void gstk__life_fini(void)
{
	gstk__blocking_fini();
	gstk__dump_signal_fini();
	gstk__deadlock_report_fini();
	gstk__watchdog_stop();
	gstk__stuck_report_fini();
	gstk__overflow_fini();
	gstk__sweeper_stop();
	if (gstk__poller)
		gstk__poller->fini();
	gstk__poller = NULL;
}

void gstk__life_thread_begin(struct gstk__worker *w)
{
	stack_t ss;

	if (!(gstk__config.flags & GSTK_EMBEDDED)) /* that thread is the application's own */
		gstk__thread_needed("a task; gstk_exit() ends a task");
	gstk__sigstack_begin(&thread_sigstack);
	if (sigaltstack(NULL, &ss) || ss.ss_flags & SS_DISABLE)
		return;
	w->signal_from = (uintptr_t)ss.ss_sp;
	w->signal_bytes = ss.ss_size;
}

void gstk__life_thread_end(struct gstk__worker *w)
{
	gstk__sigstack_end(&thread_sigstack);
	gstk__thread_needed(NULL);
}
