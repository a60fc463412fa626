// SPDX-License-Identifier: MIT
/*
 * Calls that have no non-blocking form: on a thread of gstk_blocking(), while the task is parked. What they
 * are given must be where another thread can reach it meanwhile: of a task in a shared window, not its stack.
 */
#ifndef GREENSTK_PRELOAD_BLOCK_H
#define GREENSTK_PRELOAD_BLOCK_H

#include "preload.h"

struct preload_call {
	void (*fn)(struct preload_call *c); /* sets ret, and errno */
	union {
		long n;
		const void *p;
	} a[7];
	long ret;
	int err;
};

/* Run it. 0: c->ret, and errno is as the call left it; else -1 and errno (ECANCELED, ETIMEDOUT, EAGAIN). */
int preload_block(struct preload_call *c);

/*
 * A copy of a string or structure for the other thread, as the kernel takes one at once: it may lie in what
 * the next task of this worker uses, too. NULL stays; no memory: -1.
 */
int preload_lend(const void **p, size_t bytes);
/* Free what preload_lend() made of @was. */
void preload_take_back(const void *p, const void *was);

/* Regular files, directories and disks: always ready, and yet one waits for them. */
bool preload_is_file(int fd);

#endif
