/* SPDX-License-Identifier: MIT */
/* Reserved address ranges: memory that costs nothing until it is touched. */
#ifndef GSTK__HOST_RANGE_H
#define GSTK__HOST_RANGE_H

#include <stddef.h>

/* Reserve *bytes of address space, readable and writable, uncommitted, aligned
 * to `align` (a power of two). Halves *bytes while the system refuses, or while
 * it is more than half of RLIMIT_AS, down to min_bytes; a lowered size is told
 * on stderr under the name `what`. NULL and -ENOMEM in *err when even that fails. */
void *gstk__range_reserve(size_t *bytes, size_t min_bytes, size_t align, const char *what, int *err);
void gstk__range_release(void *p, size_t bytes);

/* All return 0 or -errno. */
int gstk__range_give_back(void *p, size_t bytes);	/* pages read as zero afterwards */
int gstk__range_huge(void *p, size_t bytes);		/* huge pages on first touch */
int gstk__range_nohuge(void *p, size_t bytes);
int gstk__range_collapse(void *p, size_t bytes);	/* -EINVAL on kernels before 6.1 */

#endif
