// SPDX-License-Identifier: MIT
/* --stack-use: a connection below whose frames lies what other servers keep on their stacks. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "client.h"

/* A number that no other stack has, and nothing: half of it packs. */
static uint64_t word(uint64_t id, size_t i)
{
	return i % 2 ? 0 : (id << 24 | i) * 0x9e3779b97f4a7c15u;
}

void *client_deep_main(void *arg)
{
	struct client *c = arg;
	size_t nr = client_limits.stack_use / sizeof(uint64_t);
	volatile uint64_t *more = __builtin_alloca(nr * sizeof(*more));
	uint64_t id = c->id;

	for (size_t i = 0; i < nr; i++)
		more[i] = word(id, i);
	client_main(c);
	for (size_t i = 0; i < nr; i++)
		if (more[i] != word(id, i)) {
			fprintf(stderr, "pubsub: the stack of connection %" PRIu64 " has changed\n", id);
			abort();
		}
	return NULL;
}
