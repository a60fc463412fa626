// SPDX-License-Identifier: MIT
/* The end of all tasks, which a shutdown waits for. */
#ifndef GSTK__API_DRAIN_H
#define GSTK__API_DRAIN_H

#include <greenstk/runtime.h>

#include <stdbool.h>
#include <stdint.h>

/* Whether spawns are refused; and so what gstk_spawn() looks at. */
void gstk__set_closing(bool closing);
/* 0 when no task is left and no thread waits in a call; -ETIMEDOUT: then everything goes on. */
int gstk__drain(enum gstk_shutdown_mode mode, uint64_t deadline_ns);

#endif
