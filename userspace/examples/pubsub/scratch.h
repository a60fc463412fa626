// SPDX-License-Identifier: MIT
/*
 * Buffers for one turn of a connection. Not on its stack: a stack that was once deep keeps its
 * pages until they are trimmed, while a handful of these, still in cache, serve all connections.
 */
#ifndef PUBSUB_SCRATCH_H
#define PUBSUB_SCRATCH_H

#include <stddef.h>

#define SCRATCH_BYTES (16u * 1024)

struct scratch {
	char in[SCRATCH_BYTES];
	char out[SCRATCH_BYTES];
};

/** One for the caller alone, until it is put back; it may park meanwhile. NULL: -ENOMEM. */
struct scratch *scratch_get(void);
void scratch_put(struct scratch *s);
/** Bytes in all of them. */
size_t scratch_bytes(void);

#endif
