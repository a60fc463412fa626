// SPDX-License-Identifier: MIT
/* Messages to the subscribers of this server. They leave with dirty_flush(@list) at the latest. */
#ifndef PUBSUB_PUBLISH_H
#define PUBSUB_PUBLISH_H

#include "session.h"

/** To those of the channel and of all patterns that match it. Returns how many get it. May park. */
size_t publish_here(struct word channel, struct word payload, unsigned int list);
/** To those of the channel only, or of one pattern only. */
size_t publish_to_channel(struct word channel, struct word payload, unsigned int list);
size_t publish_to_pattern(struct word pattern, struct word channel, struct word payload, unsigned int list);

#endif
