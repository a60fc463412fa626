// SPDX-License-Identifier: MIT
#include "park/history.h"

#include <stddef.h>
#include "host/host.h"
#include "task/task.h"

static struct gstk__history *history;
static size_t bytes;

void gstk__history_init(void)
{
	bytes = ((gstk__max_tasks + 1) * sizeof(*history) + 4095) & ~(size_t)4095;
	history = gstk__mem_reserve(bytes, 4096);
}

void gstk__history_fini(void)
{
	gstk__mem_release(history, bytes);
	history = NULL;
}

struct gstk__history gstk__history_of(const struct gstk__climate *c, uint32_t task, uint32_t parked_ms, bool *bounced)
{
	struct gstk__history h;

	*bounced = false;
	if (!history)
		return (struct gstk__history){ 0 };
	h = history[task];
	if (!h.at)
		return h;
	h = gstk__policy_history(c, h, parked_ms);
	if (h.at)
		return h;
	*bounced = h.out > history[task].out || h.pack > history[task].pack;
	history[task] = h;
	return h;
}

void gstk__history_moved(uint32_t task, struct gstk__history h, uint32_t now_ms, bool packed)
{
	if (history)
		history[task] = gstk__policy_moved(h, now_ms, packed);
}
