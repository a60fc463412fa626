// SPDX-License-Identifier: MIT
/*
 * What the runtime knows of a file descriptor: 32 bytes, indexed by number.
 *
 * Readiness is edge-triggered. An event sets bits in ->events and wakes the waiters that want one
 * of them, under ->lock. A caller clears its bits before the system call, never after: what arrives
 * in between sets them again. Waiting re-checks the bits under the lock, so no edge is lost.
 *
 * ->drained: the last read of a TCP stream was short, so the next one would find nothing: it waits
 * first, unless an event came meanwhile. Not after RDHUP, HUP, ERR or PRI (there an end of file or
 * an error is still to be read), not for datagrams or Unix sockets (boundaries end a read early).
 */
#ifndef GSTK__WAIT_FD_H
#define GSTK__WAIT_FD_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "sched/sched.h"

#define GSTK__FD_READ  0x01u
#define GSTK__FD_WRITE 0x02u
#define GSTK__FD_PRI   0x04u
#define GSTK__FD_FAIL  0x08u /* HUP or ERR: wakes everybody, then cleared like the rest */
#define GSTK__FD_END   0x10u /* RDHUP, HUP, ERR was seen: sticky, forbids DRAINED */

#define GSTK__FD_KNOWN	    0x01u /* non-blocking, kind known */
#define GSTK__FD_REGISTERED 0x02u
#define GSTK__FD_STREAM	    0x04u /* TCP */
#define GSTK__FD_NO_SOCKET  0x08u /* a pipe, a file: send(2) does not do */
#define GSTK__FD_CLOSING    0x10u /* between closing() and closed(): who comes now must not wait for what goes */

struct gstk__fd {
	_Atomic uint32_t lock;
	_Atomic uint32_t events;
	_Atomic uint32_t head;	/* waiting tasks, under the lock; looked at without it: any_waiter() */
	uint32_t tail;		/* msg[0] of a waiting task: events wanted */
	uint32_t gen;	     /* changes when the number is closed */
	_Atomic uint32_t flags; /* written under the lock once registered */
	_Atomic uint32_t drained;
	uint32_t spare;
};

int gstk__fd_table_init(void);
void gstk__fd_table_fini(void);

/* The record of a descriptor, made known on first use: non-blocking, kind looked up. -EBADF. */
int gstk__fd_get(int fd, struct gstk__fd **out);
/* Every call of ours begins here: so that a cancel or the task's own deadline also reaches who never waits. */
static inline int gstk__fd_begin(int fd, struct gstk__fd **f)
{
	int err = gstk__may_go_on();

	return __builtin_expect(err != 0, 0) ? err : gstk__fd_get(fd, f);
}
/* A descriptor that was just created here: @stream when it is TCP; already non-blocking. */
void gstk__fd_adopt(int fd, bool stream);

/*
 * Park until one of @want is there (or was since it was last cleared). 0, -ETIMEDOUT, -ECANCELED,
 * -EBADF when it is closed meanwhile, or what registering failed with (-EPERM: always ready).
 */
int gstk__fd_wait(int fd, struct gstk__fd *f, uint32_t want, uint32_t why, uint64_t deadline_ns);
/*
 * The same where the number may have been closed and used again, with no one telling: registered anew
 * each time, so that what is ready already is an event. @fd may be unknown, and stays so.
 */
int gstk__fd_wait_anew(int fd, uint32_t want, uint32_t why, uint64_t deadline_ns);
/* The first, as the last thing that the caller does: @end goes on, its task's ->obj is @f (sched.h). */
int gstk__fd_then(struct gstk__fd *f, uint32_t want, uint64_t deadline_ns, gstk__end_fn end, void *arg, uint32_t n);
/* The record of a descriptor that was used before, or NULL. */
struct gstk__fd *gstk__fd_known(int fd);
/* The halves of that, before and after a park. hang: 1 when @t hangs at @f, whose lock is held; else as above. */
int gstk__fd_hang(struct gstk__fd *f, struct gstk_task *t, uint32_t want);
int gstk__fd_waited(struct gstk__fd *f, struct gstk_task *t, enum gstk__code code);
int gstk__fd_number(const struct gstk__fd *f);
/* What a wait for @want is called. */
static inline enum gstk__why gstk__fd_why(uint32_t want)
{
	return want & GSTK__FD_WRITE ? GSTK__WAIT_FD_WRITE : GSTK__WAIT_FD_READ;
}

/* That of a record which @f may be, for reports: what a waiting task's ->obj is. -1: it is none. */
int gstk__fd_number_of(const void *f);
/* Before a system call: forget @bits and FAIL. */
static inline void gstk__fd_clear(struct gstk__fd *f, uint32_t bits)
{
	bits |= GSTK__FD_FAIL;
	if (atomic_load_explicit(&f->events, memory_order_relaxed) & bits)
		atomic_fetch_and_explicit(&f->events, ~bits, memory_order_acquire);
}

/* After a read: was it short, and so the last of what there is? */
static inline void gstk__fd_note_short(struct gstk__fd *f, ssize_t got, size_t asked)
{
	if (got > 0 && (size_t)got < asked && (f->flags & GSTK__FD_STREAM) && (f->flags & GSTK__FD_REGISTERED) &&
	    !(atomic_load_explicit(&f->events, memory_order_relaxed) &
	      (GSTK__FD_READ | GSTK__FD_END | GSTK__FD_PRI)))
		atomic_store_explicit(&f->drained, 1, memory_order_relaxed);
}

/* Would the next read find nothing? Who asks waits then, and whoever comes after that tries first. */
static inline bool gstk__fd_take_drained(struct gstk__fd *f)
{
	if (!atomic_load_explicit(&f->drained, memory_order_relaxed))
		return false;
	atomic_store_explicit(&f->drained, 0, memory_order_relaxed);
	return true;
}

/* After an event: which of @events there are, or 0 where only poll(2) can tell, as with an end or an error. */
static inline int gstk__fd_told(struct gstk__fd *f, short events)
{
	uint32_t bits = atomic_load_explicit(&f->events, memory_order_acquire);

	if (events & ~(POLLIN | POLLOUT) || bits & (GSTK__FD_FAIL | GSTK__FD_END | GSTK__FD_PRI))
		return 0;
	return events & ((bits & GSTK__FD_READ ? POLLIN : 0) | (bits & GSTK__FD_WRITE ? POLLOUT : 0));
}

/* Bits for what poll(2) calls @events. */
static inline uint32_t gstk__fd_wanted(short events)
{
	return (events & (POLLIN | POLLRDHUP) ? GSTK__FD_READ : 0) | (events & POLLOUT ? GSTK__FD_WRITE : 0) |
	       (events & POLLPRI ? GSTK__FD_PRI : 0);
}

/* net.c: write(2), without SIGPIPE from a socket. */
ssize_t gstk__net_write(int fd, struct gstk__fd *f, const void *buf, size_t len);

/* An event came (from the poller). */
int gstk__fd_event(int fd, uint32_t gen, uint32_t bits);
/* Around close(2). Waiters get -EBADF, and so does who is about to wait; the record starts anew. */
void gstk__fd_closing(int fd);
void gstk__fd_closed(int fd);
bool gstk__fd_any_waiter(void);
/* Bytes of the records up to the highest descriptor seen. */
size_t gstk__fd_bytes(void);

/* netpoll.c */
int gstk__netpoll_add(int fd, uint32_t gen);
/* For what was registered, if the number is still the same file's: then readiness is told once more. */
int gstk__netpoll_again(int fd, uint32_t gen);
/* The ring of file operations: what it completes is looked for there (wait/files.h). */
int gstk__netpoll_add_files(int fd);
int gstk__netpoll_register(void);

#endif
