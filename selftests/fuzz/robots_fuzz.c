// SPDX-License-Identifier: MIT
/* robots.txt of any bytes: patterns have the length that they say, and a path gets an answer in bounded time. */
#include <errno.h>
#include "fuzz.h"
#include "robots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t path_len = choice(&data, &size, 64), rules = 0;
	struct robots r;
	char *text, *path;
	int rc;

	path_len = path_len < size ? path_len : size;
	path = exactly(data, path_len);
	text = exactly(data + path_len, size - path_len);
	rc = robots_parse(&r, "greenstk", text, size - path_len);
	HOLDS(!rc || rc == -ENOMEM);
	if (!rc) {
		for (size_t i = 0; i < r.nr; i++) {
			HOLDS(r.rules[i].len && strnlen(r.rules[i].pattern, r.rules[i].len) == r.rules[i].len);
			rules += !r.rules[i].allow;
		}
		/* Without a Disallow nothing is forbidden, and robots.txt itself never is. */
		if (!rules)
			HOLDS(robots_allow(&r, path, path_len));
		robots_allow(&r, path, path_len);
		HOLDS(robots_allow(&r, "/robots.txt", 11));
		robots_free(&r);
	}
	free(text);
	free(path);
	return 0;
}
