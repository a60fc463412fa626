// SPDX-License-Identifier: MIT
/* Values of a task by key; those of threads are pthread's. */
#ifndef GSTK__TASK_LOCAL_H
#define GSTK__TASK_LOCAL_H

#include <greenstk/local.h>

struct gstk__ext;

void *gstk__local_of(const struct gstk__ext *x, gstk_local key);
int gstk__local_set_of(struct gstk__ext *x, gstk_local key, void *value);
/* On its own stack, at the end of the task. */
void gstk__locals_end(struct gstk__ext *x);

#endif
