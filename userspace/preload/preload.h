// SPDX-License-Identifier: MIT
/*
 * The interposed libc: what unmodified libraries call inside a task parks the task. A layer above the
 * public headers of the library, of which nothing else is used here.
 *
 * Each call begins with IS_GREEN(): is this a task that may park? Not outside of tasks, not in a signal
 * handler on the thread's signal stack, and not for the runtime's own calls. If not, the original is called
 * and nothing else happens.
 *
 * A task may come back from a park on another thread, so errno is never used through an address from
 * before it: only by preload_errno() and preload_fail().
 */
#ifndef GREENSTK_PRELOAD_H
#define GREENSTK_PRELOAD_H

#include <errno.h>
#include <greenstk.h>
#include <stdbool.h>
#include <stdint.h>
#include "originals.h"

#define EXPORT	 __attribute__((visibility("default")))
#define NOINLINE __attribute__((noinline))

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

/* May the caller, whose return address is @from, park? */
bool preload_is_green(const void *from);
#define IS_GREEN() (gstk_self() && preload_is_green(__builtin_return_address(0)))

int preload_errno(void);
/* Sets errno; -1. */
int preload_fail(int err);

/* The calling thread's, without a system call. */
uint32_t preload_tid(void);
/* False in the child of a vfork(), which has that of its parent. */
bool preload_owns_memory(void);

/* Absolute, from a relative time of poll(2), select(2); NULL or negative: never. */
uint64_t preload_deadline_ms(int timeout_ms);
struct timespec;
uint64_t preload_deadline_ts(const struct timespec *ts);

/* What a task knows of one blocking call on a descriptor; zero at its beginning. */
struct preload_try {
	uint64_t deadline_ns; /* once it has waited; SO_RCVTIMEO, SO_SNDTIMEO */
	uint32_t vain;	      /* it was ready and yet was not */
};

/*
 * The call said EAGAIN: park until @fd may have one of @events. 0: try again. Else -1 and errno: EAGAIN when
 * the descriptor is non-blocking for the application or its time is over, ECANCELED, EBADF, ETIMEDOUT
 * (the task's own deadline). @timeo: SO_RCVTIMEO, SO_SNDTIMEO, 0.
 */
int preload_wait(int fd, short events, int timeo, struct preload_try *t);

/* read(2), write(2) and their kin on whatever @fd is; wait.c and file.c share them. */
struct iovec;
struct msghdr;
ssize_t preload_recv_one(int fd, void *buf, size_t len, int flags);
ssize_t preload_send_one(int fd, const void *buf, size_t len, int flags);
ssize_t preload_recv(int fd, struct msghdr *msg, int flags);
ssize_t preload_send(int fd, const struct msghdr *msg, int flags);
/* read or write all of @iov on a file, @at an offset or -1: the current one. */
ssize_t preload_file(int fd, const struct iovec *iov, int nr, int64_t at, bool write);
/* In place: forget the first @bytes of *@iov. */
void preload_advance(struct iovec **iov, size_t *nr, size_t bytes);

#endif
