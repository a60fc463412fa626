// SPDX-License-Identifier: MIT
#include "debug/stackprof.h"

#include <stdlib.h>
#include <string.h>
#include "debug/annotate.h"
#include "debug/backtrace.h"
#include "debug/spawned.h"
#include "host/host.h"
#include "host/lock.h"
#include "task/state.h"
#include "window/window.h"

#define ZERO_RUN   64u	 /* bytes: fewer zeroes in a row are values */
#define CANDIDATES 2048u /* words that are tried as return addresses */
#define PAGE	   4096u
#ifdef GSTK__ASAN
#define OWN	   16384u
#else
#define OWN	   6144u /* bytes that all this takes of the stack that it runs on */
#endif

/* Other frames' red zones: no sanitizer may look. */
#define PLAIN __attribute__((no_sanitize("address", "thread"), noinline))

bool gstk__profiling;

static struct {
	_Atomic uint32_t lock;
	struct gstk__prof_site *bucket[GSTK__PROF_BUCKETS];
	uint32_t nr;
	uint64_t lost;
} prof;

/* The lowest byte of [from, to) that is not zero; @to: all are. Pages that never were there stay so. */
static PLAIN char *lowest_used(char *from, char *to)
{
	unsigned char there[64];
	size_t pages;

	for (; from < to; from += pages * PAGE) {
		pages = (size_t)(to - from + PAGE - 1) / PAGE;
		pages = pages < sizeof(there) ? pages : sizeof(there);
		if (!gstk__mem_resident(from, pages * PAGE, there))
			memset(there, 1, pages);
		for (size_t i = 0; i < pages; i++)
			for (char *p = from + i * PAGE; there[i] && p < from + (i + 1) * PAGE && p < to; p += 8)
				if (*(volatile uint64_t *)p)
					return p;
	}
	return to;
}

static PLAIN void make_zero(char *from, char *to)
{
	for (; from < to; from += 8)
		*(volatile uint64_t *)from = 0;
}

static PLAIN uint64_t zeroes(uintptr_t from, uintptr_t to)
{
	uint64_t sum = 0, run = 0;

	for (uintptr_t p = from & ~(uintptr_t)7; p + 8 <= to; p += 8) {
		if (!*(const volatile uint64_t *)p) {
			run += 8;
			continue;
		}
		sum += run >= ZERO_RUN ? run : 0;
		run = 0;
	}
	return sum + (run >= ZERO_RUN ? run : 0);
}

static void walk(struct gstk__prof_site *s, const char *sp, uintptr_t base)
{
	struct gstk__cfi_stack stack = { (uintptr_t)sp, base, sp, NULL };
	struct gstk__cfi f;
	uintptr_t at = (uintptr_t)sp, end;
	int step;

	gstk__cfi_parked(&f, sp, at);
	for (step = 1; step > 0 && s->nr_frames < GSTK__PROF_FRAMES; at = end) {
		struct gstk__prof_frame *frame = &s->frame[s->nr_frames++];

		frame->pc = f.reg[GSTK__CFI_PC] - !f.exact;
		step = gstk__cfi_step(&f, &stack);
		end = step > 0 && f.reg[GSTK__CFI_SP] <= base ? f.reg[GSTK__CFI_SP] : base;
		end = end < at ? at : end;
		frame->bytes = end - at;
		frame->zero = zeroes(at, end);
	}
}

/* The calls that went down to @low: from a return address that was left there, as long as each leads to a next. */
static PLAIN void walk_deep(struct gstk__prof_site *s, char *low, const char *sp, uintptr_t base)
{
	struct gstk__cfi_stack stack = { (uintptr_t)low, base, low, NULL };
	unsigned int tried = 0;

	for (char *p = low; p < sp && tried < CANDIDATES; p += 8) {
		uint64_t word = *(volatile uint64_t *)p;
		struct gstk__cfi f = { .known = 1ull << GSTK__CFI_PC | 1ull << GSTK__CFI_SP };
		unsigned int nr = 0;
		uintptr_t at = (uintptr_t)p + 8;

		if (word < PAGE)
			continue;
		tried++;
		f.reg[GSTK__CFI_PC] = word;
		f.reg[GSTK__CFI_SP] = at;
		while (nr < GSTK__PROF_DEEP && at < (uintptr_t)sp) {
			uintptr_t pc = f.reg[GSTK__CFI_PC];

			if (gstk__cfi_step(&f, &stack) <= 0 || f.reg[GSTK__CFI_SP] <= at)
				break;
			s->deep[nr].pc = pc - 1;
			s->deep[nr++].bytes = f.reg[GSTK__CFI_SP] - at;
			at = f.reg[GSTK__CFI_SP];
		}
		if (nr > 1 || (nr && at - (uintptr_t)p > PAGE)) {
			s->nr_deep = nr;
			return;
		}
	}
}

static uint64_t hash_of(const struct gstk__prof_site *s)
{
	uint64_t h = (uintptr_t)s->fn * 31 + (uintptr_t)s->spawned * 7 + s->why;

	for (uint32_t i = 0; i < s->nr_frames; i++)
		h = (h ^ s->frame[i].pc) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static bool same(const struct gstk__prof_site *a, const struct gstk__prof_site *b)
{
	if (a->hash != b->hash || a->fn != b->fn || a->spawned != b->spawned || a->why != b->why ||
	    a->nr_frames != b->nr_frames)
		return false;
	for (uint32_t i = 0; i < a->nr_frames; i++)
		if (a->frame[i].pc != b->frame[i].pc)
			return false;
	return true;
}

/* Where the like of @s is kept. NULL: no room. */
static struct gstk__prof_site *find(const struct gstk__prof_site *s)
{
	struct gstk__prof_site **p = &prof.bucket[s->hash % GSTK__PROF_BUCKETS];

	while (*p && !same(*p, s))
		p = &(*p)->next;
	if (*p || prof.nr >= GSTK__PROF_SITES)
		return *p;
	*p = calloc(1, sizeof(**p));
	if (!*p)
		return NULL;
	(*p)->hash = s->hash;
	(*p)->fn = s->fn;
	(*p)->spawned = s->spawned;
	(*p)->why = s->why;
	(*p)->nr_frames = s->nr_frames;
	for (uint32_t i = 0; i < s->nr_frames; i++)
		(*p)->frame[i].pc = s->frame[i].pc;
	prof.nr++;
	return *p;
}

/* @s, with one park in it, is added to its like. @low: NULL when nothing is known of how deep it was. */
static void add(struct gstk__prof_site *s, char *low, const char *sp, uintptr_t base)
{
	uint32_t live = (uint32_t)(base - (uintptr_t)sp), deep = low ? (uint32_t)(base - (uintptr_t)low) : 0;
	struct gstk__prof_site *to;
	bool deeper;

	s->hash = hash_of(s);
	gstk__lock(&prof.lock);
	to = find(s);
	prof.lost += !to;
	deeper = to && deep > to->deep_max;
	gstk__unlock(&prof.lock);
	if (!to)
		return;
	if (deeper)
		walk_deep(s, low, sp, base);
	gstk__lock(&prof.lock);
	to->parks++;
	to->live_sum += live;
	to->live_max = live > to->live_max ? live : to->live_max;
	for (uint32_t i = 0; i < s->nr_frames; i++) {
		to->frame[i].bytes += s->frame[i].bytes;
		to->frame[i].zero += s->frame[i].zero;
		to->zero_sum += s->frame[i].zero;
	}
	to->deeps += !!low;
	to->deep_sum += deep;
	if (deep > to->deep_max) {
		to->deep_max = deep;
		to->nr_deep = s->nr_deep;
		memcpy(to->deep, s->deep, sizeof(s->deep));
	}
	gstk__unlock(&prof.lock);
}

/* It ran on the stack of whoever comes next, who did not go down there. */
static PLAIN void wipe(void)
{
	volatile uint64_t room[OWN / 8];

	/* No call: that would leave its return address. */
	for (size_t i = 0; i < OWN / 8; i++)
		room[i] = 0;
	(void)room[0];
}

/* With mates in the window what is below was left by anybody. */
static char *look_below(struct gstk_task *t, char *sp)
{
	return gstk__word(t) & GSTK__SHARED ? NULL : lowest_used(gstk__win_limit(t->window), sp);
}

static PLAIN void left(struct gstk_task *t, bool yields)
{
	const struct gstk__spawned *sp = &gstk__spawned[gstk__task_index(t)];
	struct gstk__prof_site s = { .fn = sp->fn, .spawned = sp->site, .why = yields ? GSTK__PROF_YIELD : t->why };
	uintptr_t base = (uintptr_t)gstk__win_base(t->window);
	char *low;

	if (t->flags & GSTK__T_ANNEX) /* what it has in its window was looked at when it last parked there */
		return;
	low = look_below(t, t->sp);
	walk(&s, t->sp, base);
	add(&s, low, t->sp, base);
	if (low)
		make_zero(low, t->sp);
}

static PLAIN void ended(struct gstk_task *t)
{
	const struct gstk__spawned *sp = &gstk__spawned[gstk__task_index(t)];
	struct gstk__prof_site s = { .fn = sp->fn, .spawned = sp->site, .why = GSTK__PROF_END };
	char *base = gstk__win_base(t->window), *low = look_below(t, base);

	if (!low)
		return;
	add(&s, low, base, (uintptr_t)base);
	make_zero(low, base);
}

void gstk__stackprof_left(struct gstk_task *t, bool yields)
{
	left(t, yields);
	wipe();
}

void gstk__stackprof_ended(struct gstk_task *t)
{
	ended(t);
	wipe();
}

struct gstk__prof_site *gstk__stackprof_sites(uint32_t bucket, uint64_t *lost)
{
	*lost = prof.lost;
	return prof.bucket[bucket];
}

void gstk__stackprof_free(void)
{
	for (uint32_t i = 0; i < GSTK__PROF_BUCKETS; i++)
		while (prof.bucket[i]) {
			struct gstk__prof_site *s = prof.bucket[i];

			prof.bucket[i] = s->next;
			free(s);
		}
	prof.nr = 0;
	prof.lost = 0;
}
