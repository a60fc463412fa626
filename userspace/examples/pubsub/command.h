// SPDX-License-Identifier: MIT
/* What the files of commands share. */
#ifndef PUBSUB_COMMAND_H
#define PUBSUB_COMMAND_H

#include <stdio.h>
#include "session.h"

/* The release of Redis whose pub/sub commands and errors this follows; client libraries ask. */
#define PUBSUB_REDIS_VERSION "7.0.15"

bool word_int(struct word w, int64_t *n);
void wrong_args(struct session *se, const char *name);
/** For the subcommand in argument 1. */
void unknown_subcommand(struct session *se, const char *name);
/** Channels and patterns that the client subscribes to. */
uint32_t subscriptions(struct session *se);

/** False when an error was replied. An empty name removes it. */
bool client_set_name(struct session *se, struct word name);
void client_forget_names(struct client *c);

#endif
