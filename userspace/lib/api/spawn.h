// SPDX-License-Identifier: MIT
/* Spawns by other parts of the API. */
#ifndef GSTK__API_SPAWN_H
#define GSTK__API_SPAWN_H

#include <greenstk/task.h>

/*
 * gstk_spawn(@task, @fn, @arg, @opts) of a task that reports, traces, and the scheduler, know by the application's
 * function @known and its call at @site instead of by @fn.
 */
int gstk__spawn_known(gstk_task **task, gstk_fn fn, void *arg, const struct gstk_spawn_opts *opts, const void *known,
		      const void *site);

#endif
