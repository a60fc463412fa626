// SPDX-License-Identifier: MIT
/* What other parts want to do when the runtime and its workers begin and end. */
#ifndef GSTK__API_LIFE_H
#define GSTK__API_LIFE_H

#include <stdbool.h>

struct gstk_config;
struct gstk__worker;

/* gstk_init(); with @caller_is_worker the caller's thread runs tasks, too: it is worker 0. */
int gstk__init(const struct gstk_config *config, bool caller_is_worker);
int gstk__life_init(void);
/* Before the first worker runs, when all are there: what looks at them. */
void gstk__life_workers(void);
void gstk__life_fini(void);
/* In a child of fork() of a process with a runtime: the workers are not there, and never will be. */
bool gstk__life_forked(void);
void gstk__life_thread_begin(struct gstk__worker *w);
void gstk__life_thread_end(struct gstk__worker *w);

#endif
