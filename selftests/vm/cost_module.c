// SPDX-License-Identifier: MIT
/* The module's ways: SWITCH and RECLAIM on /dev/greenstk. */
#include <errno.h>
#include <fcntl.h>
#include <linux/greenstk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cost.h"

struct object {
	int fd;
	size_t map_bytes, grave_bytes;
	char *map, *grave;
	int per_step;	/* windows of the module in one step */
	uint64_t parked[NR_WINDOWS];
};

static void batch(int fd, unsigned long cmd, const char *name, void *entries, int nr, size_t size)
{
	struct greenstk_batch h = { .entries = (uintptr_t)entries, .nr = nr, .entry_size = size };

	/* A short batch is legal, and its cost belongs to the price. */
	while (h.nr) {
		if (ioctl(fd, cmd, &h))
			die(name);
		h.entries += h.done * size;
		h.nr -= h.done;
		h.done = 0;
	}
}

static void exchange(struct bench *b, const int *windows, int n, bool restore)
{
	struct greenstk_switch e[NR_WINDOWS];
	struct object *o = b->priv;
	int i;

	for (i = 0; i < n; i++) {
		int w = windows[i];

		e[i] = (struct greenstk_switch){
			.window = w * o->per_step + o->per_step - 1,
			.out_bytes = stack_pages(b, w, b->in[w]) * PAGE,
			.eager_pages = b->top ? EAGER_PAGES : GREENSTK_EAGER_ALL,
			.handle_in = restore ? o->parked[w] : 0,
		};
	}
	batch(o->fd, GREENSTK_SWITCH, "SWITCH", e, n, sizeof(e[0]));
	for (i = 0; i < n; i++) {
		if (e[i].result) {
			errno = -e[i].result;
			die("SWITCH entry");
		}
		o->parked[windows[i]] = e[i].handle_out;
	}
}

static bool module_open(struct bench *b)
{
	struct object *o = calloc(1, sizeof(*o));
	struct greenstk_setup s = { .size = sizeof(s), .guard_bytes = PAGE };
	int w;

	o->fd = open(GREENSTK_DEVICE, O_RDWR | O_CLOEXEC);
	if (o->fd < 0) {
		free(o);
		return false;
	}
	s.window_bytes = b->best ? b->step : b->k > 64 ? HUGE_STEP : HUGE_STEP / 4;
	o->per_step = b->step / s.window_bytes;
	s.nr_windows = NR_WINDOWS * o->per_step;
	s.park_bytes = 4 * parking_bytes(b) + HUGE_STEP;
	if (ioctl(o->fd, GREENSTK_SETUP, &s))
		die("SETUP");
	o->map_bytes = s.map_bytes;
	o->map = mmap(NULL, s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	if (o->map == MAP_FAILED)
		die("mmap of the object");
	/* Pages that a batch frees go there, so that its own flush covers them. */
	o->grave_bytes = s.grave_bytes;
	o->grave = s.grave_bytes ? mmap(NULL, s.grave_bytes, PROT_NONE, MAP_SHARED, o->fd, s.grave_offset) : NULL;
	if (o->grave == MAP_FAILED)
		die("mmap of the graves");
	b->windows = o->map + s.windows_offset;
	b->priv = o;
	if (!b->way->exchange)
		return true;
	for (w = 0; w < NR_WINDOWS; w++) {
		b->in[w] = 1;
		fill(b, w, 1, stack_low(b, w, 1));
		exchange(b, &w, 1, false);
		b->in[w] = 0;
		fill(b, w, 0, stack_low(b, w, 0));
	}
	return true;
}

static void module_close(struct bench *b)
{
	struct object *o = b->priv;

	munmap(o->map, o->map_bytes);
	if (o->grave)
		munmap(o->grave, o->grave_bytes);
	close(o->fd);
	free(o);
}

static void module_exchange(struct bench *b, const int *windows, int n)
{
	exchange(b, windows, n, true);
}

static void module_scratch(struct bench *b, int w)
{
	*(volatile char *)(stack_low(b, w, b->in[w]) - 1) = 1;
}

static void module_reclaim(struct bench *b, const int *windows, int n)
{
	struct greenstk_reclaim e[NR_WINDOWS];
	struct object *o = b->priv;
	int i;

	for (i = 0; i < n; i++)
		e[i] = (struct greenstk_reclaim){
			.window = windows[i] * o->per_step + o->per_step - 1,
			.keep_bytes = PAGE,
		};
	batch(o->fd, GREENSTK_RECLAIM, "RECLAIM", e, n, sizeof(e[0]));
	for (i = 0; i < n; i++)
		if (e[i].result || e[i].freed_pages != (uint64_t)b->k) {
			fprintf(stderr, "RECLAIM: result %d, freed %llu of %d\n", e[i].result,
				(unsigned long long)e[i].freed_pages, b->k);
			exit(1);
		}
}

const struct way way_park = { "park", module_open, module_close, module_exchange, module_scratch, NULL };
const struct way way_reclaim = { "reclaim", module_open, module_close, NULL, NULL, module_reclaim };
