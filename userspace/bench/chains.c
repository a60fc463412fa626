// SPDX-License-Identifier: MIT
/*
 * Call chains through libc and a parser that end in a wait. The wait is an argument in a structure
 * on the stack, or travels through the library as the library's own user data.
 */
#include <printf.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "chains.h"

struct ctx {
	void (*wait)(void);
	unsigned int calls;
	bool waited;
	uint64_t id;
};

static void wait_once(struct ctx *c, unsigned int at)
{
	if (c->calls++ == at) {
		c->waited = true;
		c->wait();
	}
}

/* A table of requests sorted by cost; the comparator asks somebody, so it waits. */
struct request {
	uint64_t key;
	const char *path;
	uint32_t cost, flags;
};

static int by_cost(const void *a, const void *b, void *arg)
{
	const struct request *x = a, *y = b;

	wait_once(arg, 20);
	return x->cost < y->cost ? -1 : x->cost > y->cost;
}

static BENCH_NOINLINE int sort_chain(struct ctx *c)
{
	struct request r[16];
	uint64_t seed = c->id * 2654435761u + 1;

	for (int i = 0; i < 16; i++)
		r[i] = (struct request){ c->id * 16 + (uint64_t)i, "/api/v1/items", (uint32_t)(bench_rand(&seed) % 1000), 1 };
	qsort_r(r, 16, sizeof(r[0]), by_cost, c);
	for (int i = 1; i < 16; i++)
		if (r[i - 1].cost > r[i].cost)
			return -1;
	return 0;
}

/* A log line with a conversion of its own (%Y prints a context): printf calls back into us. */
static int print_ctx(FILE *f, const struct printf_info *info, const void *const *args)
{
	struct ctx *c = *(struct ctx *const *)args[0];

	wait_once(c, 0);
	return fprintf(f, "task-%llu", (unsigned long long)c->id);
}

static int print_ctx_arginfo(const struct printf_info *info, size_t n, int *types, int *size)
{
	if (n > 0) {
		types[0] = PA_POINTER;
		size[0] = sizeof(void *);
	}
	return 1;
}

static BENCH_NOINLINE int print_chain(struct ctx *c)
{
	/* Not a literal: the compiler does not know %Y. */
	static const char *volatile format = "%s [%d] %Y: %.3f ms";
	char line[96], want[96];

	snprintf(line, sizeof(line), format, "GET", (int)(c->id % 1000), c, (double)c->id / 8);
	snprintf(want, sizeof(want), "GET [%d] task-%llu: %.3f ms", (int)(c->id % 1000),
		 (unsigned long long)c->id, (double)c->id / 8);
	return strcmp(line, want);
}

static int by_key(const void *key, const void *elem)
{
	/* bsearch has no user data: the key is the first member of a structure that has it. */
	const struct {
		uint64_t key;
		struct ctx *c;
	} *k = key;
	const uint64_t *e = elem;

	wait_once(k->c, 0);
	return k->key < *e ? -1 : k->key > *e;
}

static uint64_t keys[1024];
static void *tree;

static BENCH_NOINLINE int search_chain(struct ctx *c)
{
	struct {
		uint64_t key;
		struct ctx *c;
	} k = { keys[c->id % 1024], c };
	const uint64_t *hit = bsearch(&k, keys, 1024, sizeof(keys[0]), by_key);

	return hit != &keys[c->id % 1024];
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct visit {
	struct ctx *c;
	uint64_t sum;
	unsigned int nr;
};

static void visit_node(const void *node, VISIT which, void *arg)
{
	struct visit *v = arg;

	if (which != postorder && which != leaf)
		return;
	v->sum += **(const uint64_t *const *)node;
	if (v->nr++ == v->c->id % 31)
		v->c->wait();
}

static BENCH_NOINLINE int walk_chain(struct ctx *c)
{
	struct visit v = { .c = c };
	uint64_t want = 0;

	twalk_r(tree, visit_node, &v);
	for (int i = 0; i < 31; i++)
		want += keys[i];
	return v.sum != want;
}

/* A parser for nested lists of numbers and names, (a 1 (b 2)); its leaves' handler waits. */
struct parser {
	const char *p;
	struct ctx *c;
	uint64_t total;
	int depth;
};

static BENCH_NOINLINE void parse_atom(struct parser *p)
{
	char word[24];
	size_t n = strcspn(p->p, " ()");

	if (n >= sizeof(word))
		n = sizeof(word) - 1;
	memcpy(word, p->p, n);
	word[n] = 0;
	p->p += n;
	if (word[0] >= '0' && word[0] <= '9')
		p->total += strtoull(word, NULL, 10);
	if (p->depth == 4)
		wait_once(p->c, 0);
}

static BENCH_NOINLINE int parse_list(struct parser *p)
{
	uint64_t before = p->total;
	int items = 0;

	p->p++;
	p->depth++;
	while (*p->p && *p->p != ')') {
		if (*p->p == ' ')
			p->p++;
		else if (*p->p == '(')
			items += parse_list(p);
		else
			parse_atom(p), items++;
	}
	if (*p->p)
		p->p++;
	p->depth--;
	return p->total >= before ? items : -1;
}

static BENCH_NOINLINE int parse_chain(struct ctx *c)
{
	struct parser p = { .p = "(get (items 3 (where 4 (id 7) (sort 2 name)) 5) 6)", .c = c };

	return parse_list(&p) != 12 || p.total != 27;
}

static int (*const chains[])(struct ctx *) = {
	sort_chain, print_chain, search_chain, walk_chain, parse_chain,
};

void chains_setup(void)
{
	bench_check(!register_printf_specifier('Y', print_ctx, print_ctx_arginfo));
	for (uint64_t i = 0; i < 1024; i++)
		keys[i] = i * 3 + 1;
	for (int i = 0; i < 31; i++)
		bench_check(tsearch(&keys[i], &tree, by_value));
}

int chain_run(uint64_t id, void (*wait)(void))
{
	struct ctx c = { .wait = wait, .id = id };
	int rc = chains[id % (sizeof(chains) / sizeof(chains[0]))](&c);

	bench_use(&c);
	if (!c.waited) /* a few ids sort or search with too few comparisons: they wait here */
		wait();
	return rc;
}

/* One connection's bookkeeping: numbers that grow, pointers into a heap, flags, a name. */
struct record {
	uint64_t id;
	const void *next;
	uint64_t when_ns;
	uint32_t flags, length;
	uint32_t checksum, refs;
	char name[24];
};
_Static_assert(sizeof(struct record) == CHAIN_RECORD, "a record fills its size");

static void record_make(struct record *r, uint64_t id, uint64_t i)
{
	uint64_t seed = (id * 1000 + i) * 0x9e3779b97f4a7c15ull + 1, noise = bench_rand(&seed);

	memset(r, 0, sizeof(*r));
	r->id = id * 1000 + i;
	r->next = (const void *)(uintptr_t)(0x55d0c0000000ull + (noise & 0xfffff0));
	r->when_ns = 1700000000000000000ull + (noise >> 30);
	r->flags = 1u << (noise & 7);
	r->length = (uint32_t)(noise >> 50);
	r->checksum = (uint32_t)noise;
	r->refs = 1;
	snprintf(r->name, sizeof(r->name), "user-%llu", (unsigned long long)id);
}

void chain_fill(void *buf, size_t len, uint64_t id)
{
	for (size_t at = 0, i = 0; at < len; at += CHAIN_RECORD, i++) {
		struct record r;

		record_make(&r, id, i);
		memcpy((char *)buf + at, &r, len - at < sizeof(r) ? len - at : sizeof(r));
	}
}

int chain_verify(const void *buf, size_t len, uint64_t id)
{
	for (size_t at = 0, i = 0; at < len; at += CHAIN_RECORD, i++) {
		struct record r;

		record_make(&r, id, i);
		if (memcmp((const char *)buf + at, &r, len - at < sizeof(r) ? len - at : sizeof(r)))
			return -1;
	}
	return 0;
}
