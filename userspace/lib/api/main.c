// SPDX-License-Identifier: MIT
/* gstk_main(): a runtime for as long as one task lives. */
#include <greenstk/runtime.h>
#include <greenstk/task.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include "api/config.h"
#include "api/life.h"
#include "host/host.h"
#include "host/refuse.h"
#include "sched/start.h"
#include "sched/worker.h"

static bool main_ended(void *arg)
{
	return atomic_load_explicit((_Atomic uint32_t *)arg, memory_order_acquire) & GSTK__PEER_DONE;
}

/* The first task has nobody for whose end it could wait. A window is kept for it, or there is none to be had. */
static int keep_window(size_t stack)
{
	uint32_t i = gstk__win_get_private(stack);

	if (!i) {
		fprintf(stderr, "greenstk: no address space for the main task's stack of %zu bytes; raise ulimit -v (or -d), or with strict "
			"overcommit vm.overcommit_ratio, or lower gstk_config.main_stack or GREENSTK_MAIN_STACK\n", stack);
		return -ENOMEM;
	}
	gstk__win_put_private(i);
	return 0;
}

int gstk_main(void *(*fn)(void *), void *arg, void **result, const struct gstk_config *config)
{
	struct gstk_task *t;
	int err;

	if (!fn)
		return gstk__refuse("gstk_main: the function is NULL; give what the main task is to run");
	err = gstk__init(config, true);
	if (err)
		return err;
	gstk__sched.owned_main = true;
	err = keep_window(gstk__config.main_stack);
	if (!err)
		err = gstk_spawn(&t, fn, arg, &(const struct gstk_spawn_opts){
			.size = sizeof(struct gstk_spawn_opts), .name = "main", .flags = GSTK_PRIVATE,
			.stack_size = gstk__config.main_stack });
	if (!err) {
		atomic_store(&gstk__sched.main_task, gstk__task_index(t));
		gstk__membarrier(); /* it may have ended already: partner in gstk__task_ended() */
		gstk__worker_loop(gstk__self(), main_ended, &gstk__ext(t)->peer, GSTK_NEVER);
		atomic_store(&gstk__sched.main_task, 0);
		gstk__task_take(t, result);
	}
	while (gstk_shutdown(GSTK_SHUTDOWN_CANCEL, GSTK_NEVER) == -EBUSY)
		sched_yield(); /* somebody finds out that there is a runtime already */
	return err;
}
