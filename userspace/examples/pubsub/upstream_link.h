// SPDX-License-Identifier: MIT
/* The connection to the server above, between who writes to it and who reads from it. */
#ifndef PUBSUB_UPSTREAM_LINK_H
#define PUBSUB_UPSTREAM_LINK_H

#include "upstream.h"

extern char upstream_addr[128];	   /* numeric; empty: no upstream */
extern const char *upstream_given; /* as on the command line */

/** Spawn the reader, which connects. -ENOMEM and what gstk_spawn() returns. */
int upstream_start_reader(void);
/** All subscriptions are there: said on stderr, as is the next error. With the lock. */
void upstream_note_connected(void);

#endif
