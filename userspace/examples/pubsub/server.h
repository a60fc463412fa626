// SPDX-License-Identifier: MIT
#ifndef PUBSUB_SERVER_H
#define PUBSUB_SERVER_H

#include <stdint.h>
#include <greenstk/runtime.h>

struct server {
	int port;	  /* of the first TCP listener */
	uint32_t started; /* client_clock() */
};
extern struct server server;

#endif
