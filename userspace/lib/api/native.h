// SPDX-License-Identifier: MIT
/* Spawns that become native threads while there are few. */
#ifndef GSTK__API_NATIVE_H
#define GSTK__API_NATIVE_H

#include <greenstk/task.h>

/* gstk_spawn(), called at @site, with GSTK_NATIVE and options that were looked at. */
int gstk__spawn_native(gstk_task **task, gstk_fn fn, void *arg, const struct gstk_spawn_opts *opts, const void *site);

#endif
