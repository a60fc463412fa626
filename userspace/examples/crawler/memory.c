// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>
#include "memory.h"

static uint64_t field(const char *file, const char *name)
{
	unsigned long long kib = 0;
	FILE *f = fopen(file, "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name))) {
			sscanf(line + strlen(name), "%llu", &kib);
			break;
		}
	if (f)
		fclose(f);
	return kib * 1024;
}

uint64_t memory_resident(void)
{
	return field("/proc/self/smaps_rollup", "Rss:") + field("/proc/self/status", "VmPTE:");
}
