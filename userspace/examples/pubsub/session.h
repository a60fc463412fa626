// SPDX-License-Identifier: MIT
/* One turn of a connection: from bytes that have come to replies that are written. */
#ifndef PUBSUB_SESSION_H
#define PUBSUB_SESSION_H

#include "client.h"
#include "resp.h"

struct session {
	struct client *client;
	uint32_t index; /* of the client */
	struct resp_writer w;
	const struct resp_parser *request;
	const char *buf; /* what the request's offsets are of */
	unsigned int list; /* for messages that it publishes */
	bool published, corked;
	bool quit;	 /* end the connection once the replies are out */
};

struct word {
	const char *s;
	uint32_t len;
};

static inline struct word session_arg(const struct session *se, uint32_t i)
{
	const struct resp_arg *a = &resp_args(se->request)[i];

	return (struct word){ se->buf + a->off, a->len };
}

/** Carry out the request in @se->request. */
void command_run(struct session *se);
/** Its name by client.command. */
const char *command_name(uint8_t command);

/** Write what is in the reply buffer now. */
void session_flush(struct session *se);
/** Replies so far, then what came while the client was corked. */
void session_uncork(struct session *se);

/* Groups of commands, for the table. */
void command_subscribe(struct session *se);
void command_psubscribe(struct session *se);
void command_unsubscribe(struct session *se);
void command_punsubscribe(struct session *se);
void command_publish(struct session *se);
void command_pubsub(struct session *se);
void command_client(struct session *se);
void command_info(struct session *se);
void command_config(struct session *se);
/** Leave everything without replies; for RESET. */
void unsubscribe_silently(struct session *se);

/** Without regard to case. */
bool word_is(struct word w, const char *text);

#endif
