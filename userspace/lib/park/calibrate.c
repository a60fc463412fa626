// SPDX-License-Identifier: MIT
#include "park/calibrate.h"

#include <string.h>
#include "host/host.h"
#include "park/copy.h"

#define PAGES  64u
#define PAGE   4096u
#define TRIES  4
#define COPIES 16u

#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELAXED)
#define LOAD(field)	    __atomic_load_n(&gstk__calibration.field, __ATOMIC_RELAXED)

struct gstk__calibration gstk__calibration;

static void flush_lines(const char *p, size_t bytes)
{
#ifdef __x86_64__
	for (size_t i = 0; i < bytes; i += 64)
		__builtin_ia32_clflush(p + i);
	__builtin_ia32_mfence();
#endif
}

static void least(uint32_t *best, uint64_t ns, uint32_t by)
{
	uint32_t each = (uint32_t)(ns / by);

	if (!*best || each < *best)
		*best = each ? each : 1;
}

static uint64_t since(uint64_t *start)
{
	uint64_t now = gstk__now_ns(), ns = now - *start;

	*start = now;
	return ns;
}

static void touch(volatile char *p)
{
	for (unsigned int i = 0; i < PAGES; i++)
		p[i * PAGE] = 1;
}

static void pages(struct gstk__calibration *c, char *p)
{
	struct iovec every_other[PAGES / 2];
	uint64_t t = gstk__now_ns();

	touch(p);
	least(&c->fault_ns, since(&t), PAGES);
	for (unsigned int i = 0; i < PAGES; i++)
		gstk__mem_discard(p + i * PAGE, PAGE);
	least(&c->discard_ns, since(&t), PAGES);
	touch(p);
	for (unsigned int i = 0; i < PAGES / 2; i++)
		every_other[i] = (struct iovec){ p + 2 * i * PAGE, PAGE };
	t = gstk__now_ns();
	gstk__mem_discard_many(every_other, PAGES / 2);
	least(&c->discard_many_ns, since(&t), PAGES / 2);
	gstk__mem_discard(p, PAGES * PAGE);
}

static void copies(struct gstk__calibration *c, char *from, char *to)
{
	uint64_t t;

	flush_lines(from, COPIES * 1024);
	t = gstk__now_ns();
	for (unsigned int i = 0; i < COPIES; i++)
		gstk__copy(to + i * 1024, from + i * 1024, 1024);
	least(&c->copy_cold_ns_per_kib, since(&t), COPIES);
	for (unsigned int i = 0; i < COPIES; i++)
		gstk__copy(to + i * 1024, from + i * 1024, 1024);
	least(&c->copy_hot_ns_per_kib, since(&t), COPIES);
}

void gstk__calibrate(struct gstk__calibration *c)
{
	uint64_t start = gstk__now_ns();
	char *p = gstk__mem_reserve(2 * PAGES * PAGE, 2u << 20); /* a page table of its own */

	memset(c, 0, sizeof(*c));
	if (!p)
		return;
	for (int i = 0; i < TRIES; i++)
		pages(c, p);
	memset(p, 1, COPIES * 1024);
	memset(p + PAGES * PAGE, 1, COPIES * 1024);
	for (int i = 0; i < TRIES; i++)
		copies(c, p, p + PAGES * PAGE);
	gstk__mem_release(p, 2 * PAGES * PAGE);
	c->took_ns = (uint32_t)(gstk__now_ns() - start);
	c->running = 1;
}

void gstk__calibrate_again(uint32_t running)
{
	struct gstk__calibration *now = &gstk__calibration, c = { 0 };
	char *p = gstk__mem_reserve(PAGES * PAGE, 2u << 20);

	for (int i = 0; i < TRIES && p; i++)
		pages(&c, p);
	gstk__mem_release(p, PAGES * PAGE);
	if (p) {
		STORE(now->fault_ns, c.fault_ns);
		STORE(now->discard_ns, c.discard_ns);
		STORE(now->discard_many_ns, c.discard_many_ns);
	}
	STORE(now->running, running);
}

void gstk__calibration_read(struct gstk__calibration *out)
{
	*out = (struct gstk__calibration){
		LOAD(copy_hot_ns_per_kib), LOAD(copy_cold_ns_per_kib), LOAD(fault_ns), LOAD(discard_ns),
		LOAD(discard_many_ns), LOAD(took_ns), LOAD(running),
	};
}
