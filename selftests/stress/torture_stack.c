// SPDX-License-Identifier: MIT
/* A task that fills its stack, parks in some way, and finds every byte as it was. */
#include "torture.h"

#include <errno.h>

#define PAGE 4096u

struct seen *seen;
_Atomic bool over;
gstk_sem ring[TORTURE_MAX_TASKS];
uint32_t nr_tasks;

static uint64_t pattern(const struct body *b, uint32_t i)
{
	uint32_t page = i / (PAGE / 8);
	uint64_t v = b->tag + page * 0x10001u + ((uint64_t)b->turn[page] << 40) + i % 64;

	return b->noise ? (v + i) * 0x9e3779b97f4a7c15u : v;
}

static void fill(struct body *b, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		b->word[i] = pattern(b, i);
}

static void check(const struct body *b, uint32_t from, uint32_t to)
{
	uint64_t bad = 0;

	for (uint32_t i = from; i < to; i++)
		bad += b->word[i] != pattern(b, i);
	seen->wrong += bad;
	seen->checks++;
}

void met(int err)
{
	if (err && err != -ETIMEDOUT)
		seen->wrong++;
}

/* A page of an old frame goes out by a socket, and comes back to where it was. */
static void send_page(struct body *b, uint32_t words)
{
	uint32_t at = rnd(&b->r) % words, n = (words - at < 512 ? words - at : 512) * 8, got = 0;
	char *p = (char *)&b->word[at];

	if (gstk_write(b->pair[0], p, n) != (ssize_t)n)
		seen->wrong++;
	while (got < n) {
		ssize_t more = gstk_read(b->pair[1], p + got, n - got);

		if (more <= 0) {
			seen->wrong++;
			return;
		}
		got += (uint32_t)more;
	}
	seen->trips++;
}

static void park(struct body *b, uint32_t words)
{
	switch (rnd(&b->r) % 8) {
	case 0: case 1:
		gstk_yield();
		break;
	case 2: case 3:
		met(gstk_sleep(rnd(&b->r) % 3000000));
		break;
	case 4:
		met(gstk_sleep(rnd(&b->r) % 40000000));
		break;
	case 5:
		met(gstk_sem_post(&ring[rnd(&b->r) % nr_tasks], 1));
		break;
	case 6:
		met(gstk_sem_wait_until(&ring[rnd(&b->r) % nr_tasks], gstk_now() + rnd(&b->r) % 5000000));
		break;
	default:
		if (b->pair[0] >= 0 && words)
			send_page(b, words);
	}
}

/* Parks a few times, looks at a little or all of it, and writes some of it anew. */
static void use(struct body *b, uint32_t words)
{
	for (uint32_t n = rnd(&b->r) % 6 + 1; n && !over; n--) {
		uint32_t page = rnd(&b->r) % ((words + 511) / 512), from = page * 512;
		uint32_t to = from + 512 < words ? from + 512 : words;

		park(b, words);
		if (rnd(&b->r) % 4 == 0)
			check(b, 0, words);
		check(b, from, to);
		if (rnd(&b->r) % 2) {
			b->turn[page]++;
			fill(b, from, to);
		}
	}
}

static __attribute__((noinline)) void hold(struct body *b, uint32_t bytes)
{
	uint32_t words = bytes / 8;

	b->word = __builtin_alloca(bytes);
	b->tag = rnd(&b->r);
	b->noise = rnd(&b->r) % 4 == 0;
	fill(b, 0, words);
	use(b, words);
	check(b, 0, words);
	seen->holds++;
}

void *torture_task(void *arg)
{
	struct body *b = arg;

	while (!over) { /* as many of each octave */
		uint32_t bytes = 128u << rnd(&b->r) % 14;

		hold(b, (bytes - rnd(&b->r) % (bytes / 2)) & ~7u);
	}
	return NULL;
}
