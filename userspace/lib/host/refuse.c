// SPDX-License-Identifier: MIT
#include "host/refuse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST  50u /* of a kind: addresses may come from outside, and who sends bad ones does not fill a log */
#define KINDS 128u /* the last one is for all that find no place */

static struct kind {
	const char *_Atomic fmt; /* set once */
	_Atomic unsigned int nr;
} kinds[KINDS];

static _Atomic unsigned int *count_of(const char *fmt)
{
	for (struct kind *k = kinds; k < kinds + KINDS - 1; k++) {
		const char *was = NULL;

		if (atomic_load_explicit(&k->fmt, memory_order_relaxed) == fmt ||
		    atomic_compare_exchange_strong(&k->fmt, &was, fmt) || was == fmt)
			return &k->nr;
	}
	return &kinds[KINDS - 1].nr;
}

static void say(const char *fmt, va_list args)
{
	_Atomic unsigned int *nr = count_of(fmt);
	unsigned int mine = atomic_fetch_add_explicit(nr, 1, memory_order_relaxed);
	int saved = errno, n, end;
	char line[512] = "greenstk: ";

	if (mine >= MOST) {
		atomic_store_explicit(nr, MOST, memory_order_relaxed); /* it does not come round */
		return;
	}
	n = 10 + vsnprintf(line + 10, sizeof(line) - 100, fmt, args);
	end = n < (int)sizeof(line) - 91 ? n : (int)sizeof(line) - 91;
	n = end + snprintf(line + end, sizeof(line) - (size_t)end, "\n%s",
			   mine == MOST - 1 ? "greenstk: such as this are not reported any more\n" : "");
	/* One write: lines of several threads do not mix. Not write(), in which libgreenstk-preload may park. */
	syscall(SYS_write, 2, line, (size_t)n);
	errno = saved;
}

int gstk__refuse(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return -EINVAL;
}

int gstk__refuse_with(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return err;
}
