// SPDX-License-Identifier: MIT
/* Locks on files: tried every few milliseconds, so that those who wait keep no thread from the others. */
#include "parking.h"

#include <stdarg.h>

struct trying {
	int fd, op;
	void *arg;
};

static int try_flock(void *arg)
{
	struct trying *t = arg;

	if (!real(flock)(t->fd, t->op | LOCK_NB))
		return 0;
	return preload_errno() == EWOULDBLOCK ? EBUSY : preload_errno();
}

static int try_fcntl(void *arg)
{
	struct trying *t = arg;

	if (real(fcntl)(t->fd, t->op, t->arg) != -1)
		return 0;
	return preload_errno() == EAGAIN || preload_errno() == EACCES ? EBUSY : preload_errno();
}

static int wait_for(int (*try)(void *), struct trying *t)
{
	int err = preload_park_until(&try_flock, try, t, gstk_deadline_get(), true);

	return err ? preload_fail(err) : 0;
}

EXPORT int flock(int fd, int op)
{
	if ((op & LOCK_NB) || (op & LOCK_UN) || !IS_GREEN())
		return real(flock)(fd, op);
	return wait_for(try_flock, &(struct trying){ fd, op, NULL });
}

/* All other commands pass; their argument is a word, whatever it is. */
EXPORT int fcntl(int fd, int op, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, op);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((op != F_SETLKW && op != F_OFD_SETLKW) || !IS_GREEN())
		return real(fcntl)(fd, op, arg);
	return wait_for(try_fcntl, &(struct trying){ fd, op == F_SETLKW ? F_SETLK : F_OFD_SETLK, arg });
}

/* As libc does it: the section from the current position on. */
EXPORT int lockf(int fd, int op, off_t len)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = len };

	if (op != F_LOCK || !IS_GREEN())
		return real(lockf)(fd, op, len);
	return wait_for(try_fcntl, &(struct trying){ fd, F_SETLK, &l });
}

#if __WORDSIZE == 64
#define SAME(name, as) EXPORT __typeof__(as) name __attribute__((alias(#as)))
SAME(fcntl64, fcntl);
SAME(lockf64, lockf);
#endif
