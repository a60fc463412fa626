// SPDX-License-Identifier: MIT
/* Patterns: never outside of both texts, always quick, and for patterns without classes what the definition says. */
#include "fuzz.h"
#include "glob.h"

#define LONGEST 60

/* By the definition, a cell for each pair of prefixes. */
static bool slow(const char *p, size_t np, const char *t, size_t nt)
{
	bool at[LONGEST + 1][LONGEST + 1] = { { true } };

	for (size_t i = 0; i <= np; i++) {
		for (size_t j = 0; j <= nt; j++) {
			if (!i)
				at[i][j] = !j;
			else if (p[i - 1] == '*')
				at[i][j] = at[i - 1][j] || (j && at[i][j - 1]);
			else
				at[i][j] = j && at[i - 1][j - 1] && (p[i - 1] == '?' || p[i - 1] == t[j - 1]);
		}
	}
	return at[np][nt];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t np = choice(&data, &size, LONGEST), nt;
	char *p, *t;
	bool hit;

	np = np < size ? np : size;
	nt = size - np;
	p = exactly(data, np);
	t = exactly(data + np, nt);
	hit = glob_match(p, np, t, nt);
	if (nt <= LONGEST && !memchr(p, '[', np) && !memchr(p, '\\', np))
		HOLDS(hit == slow(p, np, t, nt));
	free(p);
	free(t);
	return 0;
}
