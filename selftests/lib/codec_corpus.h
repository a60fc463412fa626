/* SPDX-License-Identifier: MIT */
/* Stacks of real, blocked call chains, as the codec will meet them. */
#ifndef CODEC_CORPUS_H
#define CODEC_CORPUS_H

#include <stddef.h>
#include <stdint.h>

struct corpus_image {
	const char *chain;	/* what it was doing */
	int copy;		/* the how many-th task of this chain */
	uintptr_t base;		/* the window's end, where the stack begins */
	size_t bytes;		/* used: [base - bytes, base) */
	uint8_t *data;
	struct corpus_image *next;
};

/*
 * Run every chain whose library is on this machine in nr_copies threads at once,
 * each on a stack that earlier chains have dirtied, let them block in a real
 * system call, and copy what they use of their stacks. The list is ordered by
 * chain. NULL if nothing could be captured (no /proc, a sanitizer's stacks).
 */
struct corpus_image *corpus_collect(int nr_copies);
void corpus_free(struct corpus_image *list);

#endif
