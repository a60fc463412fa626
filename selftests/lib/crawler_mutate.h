// SPDX-License-Identifier: MIT
/* Changed at random, from a seed that is printed: what parsers must survive. The copy ends where its memory does. */
#ifndef CRAWLER_MUTATE_H
#define CRAWLER_MUTATE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* CRAWLER_SEED=N repeats a run. */
static uint64_t mutate_seed(void)
{
	const char *seed = getenv("CRAWLER_SEED");
	uint64_t s = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;

	printf("# CRAWLER_SEED=%llu\n", (unsigned long long)s);
	return s | 1;
}

static uint32_t mutate_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return (uint32_t)(*s >> 24);
}

static unsigned int mutate_rounds(void)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");

	return !variant || !strcmp(variant, "plain") ? 200000 : 4000;
}

/* A changed copy of @text, exactly *len bytes of malloc. */
static char *mutate(uint64_t *s, const char *text, size_t *len)
{
	static const char spice[] = "<>\"'=/:;&#%?[]*$.,\\ \t\r\n\0x0@-!";
	size_t n = strlen(text), at, many, room = n + 64;
	char *big = malloc(room), *out;

	memcpy(big, text, n);
	for (unsigned int i = mutate_next(s) % 6 + 1; i; i--) {
		at = n ? mutate_next(s) % n : 0;
		switch (mutate_next(s) % 5) {
		case 0: /* another byte */
			if (n)
				big[at] = (char)mutate_next(s);
			break;
		case 1: /* one that means something */
			if (n)
				big[at] = spice[mutate_next(s) % (sizeof(spice) - 1)];
			break;
		case 2: /* the rest is missing */
			if (mutate_next(s) % 4 == 0)
				n = at;
			break;
		case 3: /* a piece is missing */
			many = n - at ? mutate_next(s) % (n - at) % 16 : 0;
			memmove(big + at, big + at + many, n - at - many);
			n -= many;
			break;
		default: /* a piece comes twice */
			many = n - at ? mutate_next(s) % (n - at) % 10 : 0;
			memmove(big + at + many, big + at, n - at);
			n += many;
		}
	}
	out = malloc(n ? n : 1);
	memcpy(out, big, n);
	free(big);
	*len = n;
	return out;
}

#endif
