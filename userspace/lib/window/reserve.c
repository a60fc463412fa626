// SPDX-License-Identifier: MIT
/* The reserved range of windows, and guards. */
#include "window/window.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "debug/annotate.h"
#include "debug/seal.h"
#include "host/host.h"
#include "host/module.h"

#define GUARD_BYTES (64u << 10)
#define GROUP_BYTES (2u << 20) /* what one page table spans: the sweep gives it back whole */

struct gstk__windows gstk__windows;

/* How many windows the VMA limit allows when every guard splits one in two. */
static size_t windows_by_vma_limit(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	size_t max = 65530;

	if (f) {
		if (fscanf(f, "%zu", &max) != 1)
			max = 65530;
		fclose(f);
	}
	return max > 20000 ? (max - 8000) / 2 : max / 4 + 1;
}

static void region_release(size_t bytes)
{
	if (gstk__windows.module)
		gstk__module_close();
	else
		gstk__mem_release(gstk__windows.region, bytes);
}

/* The module's windows instead of anonymous memory. */
static bool take_module(size_t *nr)
{
	struct gstk__windows *ws = &gstk__windows;
	const struct gstk__module_shape shape = { ws->size, ws->guard, (uint32_t)*nr + GSTK__WIN_SPARE };

	if (gstk__module_open(&shape))
		return false;
	if (gstk__module.nr_windows <= GSTK__WIN_SPARE) {
		gstk__module_close();
		gstk__module_unused("max_windows of the module is too small");
		return false;
	}
	if (gstk__module.nr_windows < *nr + GSTK__WIN_SPARE)
		*nr = gstk__module.nr_windows - GSTK__WIN_SPARE;
	ws->region = gstk__module.windows;
	return true;
}

static void lay_out(struct gstk__windows *ws)
{
	ws->group_shift = 0;
	while (!ws->module && ws->size << (ws->group_shift + 1) <= GROUP_BYTES)
		ws->group_shift++;
	ws->stride = ws->module ? ws->size : ws->size - GSTK__WIN_GAP * 4096;
	ws->skip_mask = ws->module ? 0 : GSTK__WIN_GAP;
	ws->drop_mask = ws->module ? GSTK__WIN_DROP : 0;
}

/* Whole groups. */
static size_t region_bytes(const struct gstk__windows *ws, size_t nr)
{
	size_t group = (size_t)1 << ws->group_shift;

	return ((nr + group - 1) & ~(group - 1)) * ws->size;
}

int gstk__windows_init(size_t nr, size_t size, size_t nr_private, bool module)
{
	struct gstk__windows *ws = &gstk__windows;
	size_t want = nr;

	ws->size = size;
	ws->shift = (unsigned int)__builtin_ctzl(size);
	ws->guard = GUARD_BYTES;
	ws->stack = size - ws->guard - 8 * 4096; /* less what bases differ by */
	while (nr > 1 && nr > gstk__mem_limit() / 4 / size)
		nr /= 2;
	ws->module = module && take_module(&nr);
	lay_out(ws);
	while (!ws->module && !(ws->region = gstk__mem_reserve(region_bytes(ws, nr), GROUP_BYTES)) && nr > 1)
		nr /= 2;
	if (!ws->region)
		return -ENOMEM;
	ws->guard_install = gstk__mem_has_guards();
	ws->nr = nr;
	ws->region_bytes = region_bytes(ws, nr);
	if (!ws->module && !ws->guard_install && nr > windows_by_vma_limit())
		ws->nr = windows_by_vma_limit();
	if (ws->nr < want)
		fprintf(stderr, "greenstk: %zu windows instead of %zu (%s)\n", ws->nr, want,
			ws->module ? "max_windows of the module"
			: nr < want ? "address space is limited: ulimit -v or strict overcommit"
				  : "this kernel has no MADV_GUARD_INSTALL: guards are bounded by vm.max_map_count");
	if (!ws->guard_install && nr_private > windows_by_vma_limit() / 2)
		nr_private = windows_by_vma_limit() / 2;
	ws->nr_private = nr_private;
	ws->win = gstk__mem_reserve((ws->nr + nr_private + 1) * sizeof(struct gstk__window), 4096);
	if (!ws->win)
		return -ENOMEM; /* the rest: fini */
	atomic_store(&ws->fresh, 1);
	return 0;
}

void gstk__windows_fini(void)
{
	struct gstk__windows *ws = &gstk__windows;

	for (size_t i = ws->nr + 1; ws->win && i <= ws->nr + ws->nr_private; i++) {
		if (ws->win[i].map)
			gstk__mem_release(ws->win[i].map, ws->win[i].map_size);
		else if (!ws->win[i].flags)
			break;
	}
	region_release(ws->region_bytes);
	gstk__mem_release(ws->win, (ws->nr + ws->nr_private + 1) * sizeof(struct gstk__window));
	*ws = (struct gstk__windows){ 0 };
}

void gstk__win_guard(uint32_t index)
{
	static _Atomic bool unguarded;
	struct gstk__windows *ws = &gstk__windows;
	struct gstk__window *w = gstk__win(index);
	char *guard = gstk__win_limit(index) - ws->guard;
	int err;

	if (__builtin_expect(w->flags & GSTK__WIN_SEALED, 0))
		gstk__unseal(index);
	if (w->flags & GSTK__WIN_GUARDED)
		return;
	if (ws->module && !(w->flags & GSTK__WIN_PRIVATE))
		err = 0;
	else
		err = ws->guard_install ? gstk__mem_guard_install(guard, ws->guard)
					: gstk__mem_protect_none(guard, ws->guard);
	if (!err)
		w->flags |= GSTK__WIN_GUARDED;
	else if (!atomic_exchange_explicit(&unguarded, true, memory_order_relaxed))
		fprintf(stderr, "greenstk: no guard below window %u: %s; an overflow there goes unnoticed%s\n", index,
			strerror(-err), err == -ENOMEM ? " (out of memory, or raise vm.max_map_count)" : "");
	gstk__annotate_stack(gstk__win_limit(index), gstk__win_base(index));
}
