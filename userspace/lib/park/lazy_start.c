// SPDX-License-Identifier: MIT
/* Whether stacks come back lazily, from which size on, and with how much: measured at start. */
#include "park/lazy.h"

#include <errno.h>
#include "debug/seal.h"
#include "host/host.h"
#include "host/uffd.h"
#include "park/calibrate.h"
#include "park/cold.h"

#define PAGE 4096u

struct gstk__lazy gstk__lazy = { .min_bytes = GSTK__LAZY_NEVER };

#define SCRATCH (1u << 20)
#define TOUCHES 8u
#define TRIES	4
#define FAULTS	2u /* that one restore will meet, for the decision whether it pays */

static void least(uint32_t *best, uint64_t ns)
{
	if (!*best || ns < *best)
		*best = ns ? (uint32_t)ns : 1;
}

/* What it costs to let a stack come lazily, and what a touch. -errno: it does not work here. */
static int calibrate(char *p)
{
	int err = 0;

	for (int i = 0; i < TRIES && !err; i++) {
		uint64_t t0 = gstk__now_ns(), t1, t2;

		err = gstk__uffd_register(p, SCRATCH);
		if (err)
			return err;
		gstk__mem_discard(p, SCRATCH);
		t1 = gstk__now_ns();
		for (uint32_t k = 0; k < TOUCHES; k++)
			(void)((volatile char *)p)[k * (SCRATCH / TOUCHES)];
		t2 = gstk__now_ns();
		err = gstk__uffd_unregister(p, SCRATCH);
		least(&gstk__lazy.fault_ns, (t2 - t1) / TOUCHES);
		least(&gstk__lazy.fixed_ns, t1 - t0 + (gstk__now_ns() - t2));
	}
	return err;
}

static void decide(bool forced)
{
	const struct gstk__calibration *c = &gstk__calibration;
	uint32_t page_ns = 4 * c->copy_cold_ns_per_kib + c->fault_ns;
	uint32_t eager = page_ns ? gstk__lazy.fault_ns / page_ns : 1;
	uint64_t kib = (gstk__lazy.fixed_ns + FAULTS * gstk__lazy.fault_ns) / (2 * c->copy_cold_ns_per_kib + 1) + 1;

	/* Pages that together cost what one touch costs. Then: what is not copied, twice, must cost more. */
	gstk__lazy.eager_pages = forced ? 1 : eager < 1 ? 1 : eager > 16 ? 16 : eager;
	gstk__lazy.min_bytes = (gstk__lazy.eager_pages + 2) * PAGE;
	if (!forced)
		gstk__lazy.min_bytes += (uint32_t)(kib < 1u << 20 ? kib << 10 : 1u << 30);
}

int gstk__lazy_init(bool forced)
{
	int err = gstk__uffd_open();
	char *scratch;

	if (err)
		return err;
	err = gstk__pager_start();
	if (!err) {
		scratch = gstk__mem_reserve(SCRATCH, PAGE);
		err = scratch ? calibrate(scratch) : -ENOMEM;
		gstk__mem_release(scratch, SCRATCH);
	}
	if (err) {
		gstk__lazy_fini();
		gstk__uffd_unused("userfaultfd: the pager", err);
		return err;
	}
	decide(forced);
	gstk__windows.lazy = gstk__windows.present = gstk__windows.ends = true;
	return 0;
}

void gstk__lazy_fini(void)
{
	gstk__pager_stop();
	gstk__cold_fini();
	gstk__uffd_close();
	gstk__lazy = (struct gstk__lazy){ .min_bytes = GSTK__LAZY_NEVER };
	gstk__windows.lazy = false;
	gstk__windows.present = gstk__sealing;
}

void gstk__lazy_forked(void)
{
	gstk__uffd_close();
	gstk__windows.lazy = false;
	gstk__windows.present = gstk__sealing;
}
