// SPDX-License-Identifier: MIT
#include "range.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include "host/host.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

void *gstk__range_reserve(size_t *bytes, size_t min_bytes, size_t align, const char *what, int *err)
{
	size_t wanted = *bytes, n = wanted;
	size_t limit = gstk__mem_limit();
	void *p;

	*err = 0;
	/* Half at most: the rest of the process needs addresses, too. */
	while (n > limit / 2 && n / 2 >= min_bytes)
		n /= 2;
	for (;;) {
		p = gstk__mem_reserve(n, align);
		if (p)
			break;
		if (n / 2 < min_bytes) {
			*err = -ENOMEM;
			return NULL;
		}
		n /= 2;
	}
	if (n != wanted)
		fprintf(stderr,
			"greenstk: %s: %zu MiB of address space instead of %zu (RLIMIT_AS or strict overcommit)\n",
			what, n >> 20, wanted >> 20);
	*bytes = n;
	return p;
}

void gstk__range_release(void *p, size_t bytes)
{
	munmap(p, bytes);
}

#define TRIES 8

/* EAGAIN: no memory for it at the moment, or for ever: also when it would split a mapping beyond vm.max_map_count. */
static int advise(void *p, size_t bytes, int advice)
{
	for (int tries = 1; madvise(p, bytes, advice); tries++)
		if (errno != EAGAIN || tries == TRIES)
			return -errno;
	return 0;
}

int gstk__range_give_back(void *p, size_t bytes)
{
	return advise(p, bytes, MADV_DONTNEED);
}

int gstk__range_huge(void *p, size_t bytes)
{
	return advise(p, bytes, MADV_HUGEPAGE);
}

int gstk__range_nohuge(void *p, size_t bytes)
{
	return advise(p, bytes, MADV_NOHUGEPAGE);
}

int gstk__range_collapse(void *p, size_t bytes)
{
	/* EAGAIN means "no huge page free now": not worth insisting on. */
	return madvise(p, bytes, MADV_COLLAPSE) ? -errno : 0;
}
