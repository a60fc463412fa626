// SPDX-License-Identifier: MIT
/* The pool of select nodes: runs of 1, 2, 4 .. 4096 nodes with adjoining numbers, never unmapped. */
#ifndef GSTK__WAIT_NODE_H
#define GSTK__WAIT_NODE_H

#include "wait/chan.h"

#define GSTK__NODES_MAX (1u << GSTK__NODE_CHUNK_SHIFT)

/* The item (with NODE set) of the first of @nr nodes, or 0 without memory. */
uint32_t gstk__nodes_get(unsigned int nr);
void gstk__nodes_put(uint32_t first, unsigned int nr);

#endif
