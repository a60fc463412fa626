// SPDX-License-Identifier: MIT
/*
 * Blocks for messages that wait and do not fit into a task's slot, and for channels: size classes
 * of 64 bytes to 1 KiB, aligned to a cache line, cached by each thread; larger ones from malloc.
 */
#ifndef GSTK__WAIT_MSG_H
#define GSTK__WAIT_MSG_H

#include <stddef.h>
#include <stdint.h>

/* At least @size bytes, or NULL. */
void *gstk__msg_get(size_t size);
/* @size as it was asked for. Any thread. */
void gstk__msg_put(void *block, size_t size);
/* Blocks in use and their bytes, rounded up to the class: gauges. */
void gstk__msg_stats(uint64_t *blocks, uint64_t *bytes);

#endif
