// SPDX-License-Identifier: MIT
#include "api/misspelt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MOST   32u /* letters after the prefix */
#define NEARLY 2u  /* letters too many, too few, or others */

/* Those of greenstk(7), of which scripts/check-man.sh sees to it; without the prefix. */
static const char *const known[] = {
	"BACKEND", "BLOCKING_THREADS", "DEBUG", "DUMP_SIGNAL", "EVICT_IDLE_NS", "FILES", "FORCE_EVICT", "FORCE_PACK",
	"FORCE_REMAP", "IMAGE_BYTES", "MAIN_STACK", "MAX_TASKS", "NO_SWEEP", "PACK_IDLE_NS", "PRIVATE_TASKS",
	"RESIDENT_BUDGET", "STACKPROF", "STUCK_REPORT_NS", "TRACE", "WINDOWS", "WINDOW_SIZE", "WORKERS",
};

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Letters to put in, leave out or change (Levenshtein, 1966): a row of the table at a time. */
static unsigned int distance(const char *a, size_t bytes, const char *b)
{
	unsigned int row[MOST + 1], to = (unsigned int)strlen(b);

	for (unsigned int k = 0; k <= to; k++)
		row[k] = k;
	for (unsigned int i = 0; i < bytes; i++) {
		unsigned int before = row[0]++;

		for (unsigned int k = 1; k <= to; k++) {
			unsigned int change = before + (a[i] != b[k - 1]);

			before = row[k];
			row[k] = least(change, least(row[k], row[k - 1]) + 1);
		}
	}
	return row[to];
}

/* A time without its unit. */
static bool lacks_unit(const char *a, size_t bytes, const char *b)
{
	return !strncmp(a, b, bytes) && !strcmp(b + bytes, "_NS");
}

const char *gstk__misspelt(const char *variable, size_t bytes)
{
	const size_t prefix = sizeof("GREENSTK_") - 1;
	const char *nearest = NULL;
	unsigned int best = NEARLY + 1;

	if (bytes < prefix || bytes - prefix > MOST || strncmp(variable, "GREENSTK_", prefix))
		return NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		unsigned int d = distance(variable + prefix, bytes - prefix, known[i]);

		if (!d)
			return NULL;
		if (lacks_unit(variable + prefix, bytes - prefix, known[i]))
			d = 1;
		if (d < best) {
			best = d;
			nearest = known[i];
		}
	}
	return nearest;
}

void gstk__misspelt_tell(char *const *environment)
{
	static bool told;

	if (told || !environment)
		return;
	told = true;
	for (; *environment; environment++) {
		size_t bytes = strcspn(*environment, "=");
		const char *nearest = gstk__misspelt(*environment, bytes);

		if (nearest)
			fprintf(stderr, "greenstk: there is no variable %.*s; is GREENSTK_%s meant? man 7 greenstk has them all\n",
				(int)bytes, *environment, nearest);
	}
}
