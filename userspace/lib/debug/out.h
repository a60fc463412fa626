// SPDX-License-Identifier: MIT
/* Text to a descriptor without malloc, locks or stdio: usable in a signal handler. */
#ifndef GSTK__DEBUG_OUT_H
#define GSTK__DEBUG_OUT_H

#include <stddef.h>
#include <stdint.h>

struct gstk__out {
	int fd;
	int err;   /* -errno of the first write that failed; nothing is written after it */
	size_t used;
	char buf[2048];
};

/* %s string, %u uint64_t, %x uint64_t in hex, %p the same as an address. All numbers are uint64_t. */
void gstk__outf(struct gstk__out *o, const char *format, ...);
/* Write out what is buffered; returns ->err. Ends lines of several threads where it is called. */
int gstk__out_flush(struct gstk__out *o);

#endif
