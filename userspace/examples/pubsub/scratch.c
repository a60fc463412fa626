// SPDX-License-Identifier: MIT
#include <stdatomic.h>
#include <stdlib.h>
#include <greenstk/task.h>
#include "scratch.h"

#define SLOTS 64u /* one a worker is kept */

static struct {
	struct scratch *_Atomic kept;
} slot[SLOTS] __attribute__((aligned(64)));
static _Atomic size_t nr;

struct scratch *scratch_get(void)
{
	struct scratch *s = atomic_exchange(&slot[(unsigned int)gstk_worker() % SLOTS].kept, NULL);

	if (!s) {
		s = malloc(sizeof(*s));
		if (s)
			atomic_fetch_add(&nr, 1);
	}
	return s;
}

void scratch_put(struct scratch *s)
{
	s = atomic_exchange(&slot[(unsigned int)gstk_worker() % SLOTS].kept, s);
	if (s) {
		free(s);
		atomic_fetch_sub(&nr, 1);
	}
}

size_t scratch_bytes(void)
{
	return atomic_load(&nr) * sizeof(struct scratch);
}
