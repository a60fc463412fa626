/* SPDX-License-Identifier: MIT */
/* A task with a stack that is deep in pages of a pattern, which it can check and rewrite page by page. */
#ifndef GREENSTK_TEST_DEEP_STACK_H
#define GREENSTK_TEST_DEEP_STACK_H

#include "report_test.h"

#define DEEP	(600u << 10) /* bytes of live stack in pages that hold a pattern */
#define PAGES	(DEEP / 4096)
#define WORDS	(4096 / sizeof(uint64_t))

struct deep {
	uint64_t tag;
	uint64_t (*page)[WORDS];   /* PAGES of them, on its stack */
	uint8_t turn[PAGES];	   /* how often a page was written */
};

static inline uint64_t pattern(const struct deep *d, unsigned int k, unsigned int i)
{
	return d->tag * 0x9e3779b97f4a7c15u + k * 1000003u + i * 7u + ((uint64_t)d->turn[k] << 56);
}

static inline void fill(struct deep *d, unsigned int k)
{
	for (unsigned int i = 0; i < WORDS; i++)
		d->page[k][i] = pattern(d, k, i);
}

static inline uint64_t wrong(const struct deep *d, unsigned int k)
{
	uint64_t bad = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		bad += d->page[k][i] != pattern(d, k, i);
	return bad;
}

static inline void rewrite(struct deep *d, unsigned int k)
{
	d->turn[k]++;
	fill(d, k);
}

static inline unsigned int random_page(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(*seed >> 33) % PAGES;
}

/* Run with so many pages of pattern above; @fn parks as it likes. Returns what was wrong at the end. */
static __attribute__((noinline)) uintptr_t on_deep_stack(uint64_t tag, void (*fn)(struct deep *))
{
	uint64_t pages[PAGES][WORDS];
	struct deep *d = calloc(1, sizeof(*d));
	uintptr_t bad = 0;

	CHECK(d != NULL);
	d->tag = tag;
	d->page = pages;
	for (unsigned int k = 0; k < PAGES; k++)
		fill(d, k);
	fn(d);
	for (unsigned int k = 0; k < PAGES; k++)
		bad += wrong(d, k);
	free(d);
	return bad;
}

/* It is whole in a child of fork(), too. */
static inline void child_has_all(const struct deep *d)
{
	uint64_t bad = 0;
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		for (unsigned int k = 0; k < PAGES; k++)
			bad += wrong(d, k);
		_exit(bad != 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

#endif
