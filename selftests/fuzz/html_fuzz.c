// SPDX-License-Identifier: MIT
/* Pages of any bytes: references have a bounded length, and finding them takes one pass. */
#include "fuzz.h"
#include "html.h"

static void link_found(void *arg, const char *ref, size_t len, bool base)
{
	char *copy;

	HOLDS(len <= HTML_MAX_LINK);
	copy = exactly(ref, len); /* each byte can be read */
	free(copy);
	++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *page = exactly(data, size);
	size_t found = 0, too_long = html_links(page, size, link_found, &found);

	HOLDS(found + too_long <= size);
	free(page);
	return 0;
}
