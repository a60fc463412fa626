// SPDX-License-Identifier: MIT
#include "debug/mode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t gstk__debugging;

static const char *const words[] = {
#define GSTK__X(name, word) word,
	GSTK__DEBUG_WORDS(GSTK__X)
#undef GSTK__X
};
#define NR_WORDS (sizeof(words) / sizeof(*words))

static int unknown(const char *all, const char *word, size_t length)
{
	fprintf(stderr, "greenstk: GREENSTK_DEBUG=%s: \"%.*s\" is none of", all, (int)length, word);
	for (size_t i = 0; i < NR_WORDS; i++)
		fprintf(stderr, "%s %s", i ? "," : "", words[i]);
	fprintf(stderr, " (several are separated by commas)\n");
	return -EINVAL;
}

int gstk__debug_mode(uint32_t *mode)
{
	const char *all = getenv("GREENSTK_DEBUG"), *p = all;
	size_t n, i;

	*mode = 0;
	for (; p && *p; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		for (i = 0; i < NR_WORDS && (strlen(words[i]) != n || strncmp(p, words[i], n)); i++)
			;
		if (n && i == NR_WORDS)
			return unknown(all, p, n);
		if (n)
			*mode |= 1u << i;
	}
	return 0;
}
