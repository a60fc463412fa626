// SPDX-License-Identifier: MIT
#include "debug/seal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "debug/spawned.h"
#include "host/host.h"
#include "host/lock.h"
#include "window/window.h"

#define QUARANTINE 4096u

bool gstk__sealing;
static struct gstk__left *left; /* by window */
static size_t left_bytes;

/* Free windows in the order in which they became free; a ring. */
static struct {
	_Atomic uint32_t lock;
	uint32_t most, next;
	uint32_t window[QUARANTINE];
} quarantine;

int gstk__seal_init(void)
{
	const struct gstk__windows *ws = &gstk__windows;

	left_bytes = (ws->nr + ws->nr_private + 1) * sizeof(*left);
	left = gstk__mem_reserve(left_bytes, 4096);
	if (!left)
		return -ENOMEM;
	memset(&quarantine, 0, sizeof(quarantine));
	quarantine.most = ws->nr / 4 < QUARANTINE ? (uint32_t)ws->nr / 4 : QUARANTINE;
	gstk__windows.present = true; /* a system call's buffer is touched before, and that is seen */
	gstk__sealing = true;
	return 0;
}

void gstk__seal_fini(void)
{
	gstk__sealing = false;
	gstk__mem_release(left, left_bytes);
	left = NULL;
}

/* All of it but the guard below. */
static char *range_of(uint32_t window, size_t *bytes)
{
	char *from = gstk__win_limit(window);

	*bytes = (((uintptr_t)gstk__win_base(window) + 4095) & ~(uintptr_t)4095) - (uintptr_t)from;
	return from;
}

static void note(struct gstk__left *l, struct gstk_task *t, bool ended)
{
	const struct gstk__ext *x = gstk__ext(t);

	l->task = gstk__task_index(t);
	l->ended = ended;
	l->fn = gstk__spawned[l->task].fn;
	l->site = gstk__spawned[l->task].site;
	memcpy(l->name, x ? x->name : "", x ? sizeof(l->name) : 1);
}

void gstk__seal(uint32_t window, struct gstk_task *t, bool ended)
{
	static _Atomic bool told;
	struct gstk__left *l = &left[window];
	size_t bytes;
	char *from = range_of(window, &bytes);
	int err = gstk__windows.guard_install ? gstk__mem_guard_install(from, bytes) : -EINVAL;

	note(l, t, ended);
	l->by_mprotect = err;
	if (err) { /* no such advice, or a locked mapping, where it is refused */
		gstk__mem_discard(from, bytes);
		err = gstk__mem_protect_none(from, bytes);
	}
	if (!err)
		gstk__win(window)->flags |= GSTK__WIN_SEALED;
	else if (!atomic_exchange_explicit(&told, true, memory_order_relaxed))
		fprintf(stderr, "greenstk: GREENSTK_DEBUG=stacks: window %u stays open: %s; foreign accesses to it go "
			"unnoticed (raise vm.max_map_count)\n", window, strerror(-err));
}

void gstk__unseal(uint32_t window)
{
	size_t bytes;
	char *from = range_of(window, &bytes);
	int err = left[window].by_mprotect ? gstk__mem_unprotect(from, bytes) : gstk__mem_guard_remove(from, bytes);

	if (err) {
		fprintf(stderr, "greenstk: GREENSTK_DEBUG=stacks: window %u cannot be opened again: %s\n", window,
			strerror(-err));
		__builtin_trap();
	}
	gstk__win(window)->flags &= ~GSTK__WIN_SEALED;
}

uint32_t gstk__seal_quarantine(uint32_t window)
{
	uint32_t out = window;

	if (!quarantine.most)
		return out;
	gstk__lock(&quarantine.lock);
	out = quarantine.window[quarantine.next];
	quarantine.window[quarantine.next] = window;
	quarantine.next = (quarantine.next + 1) % quarantine.most;
	gstk__unlock(&quarantine.lock);
	return out;
}

const struct gstk__left *gstk__seal_left(uint32_t window)
{
	return &left[window];
}
