// SPDX-License-Identifier: MIT
/* Waiting for a descriptor, for those who read and write it by other means. */
#include <greenstk/net.h>

#include <errno.h>
#include <poll.h>
#include "wait/fd.h"

/* What is there, or 0; or an error. A call, so that who waits behind it leaves no frame. */
static __attribute__((noinline)) int poll_now(int fd, struct gstk__fd *f, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int err;

	gstk__fd_clear(f, gstk__fd_wanted(events));
	err = poll(&p, 1, 0);
	if (err < 0 && errno != EINTR) /* which says that there was nothing */
		return -errno;
	return p.revents & POLLNVAL ? -EBADF : p.revents;
}

/* Its first use; then events that did not bring what was asked for, or that have an end or an error behind them. */
static __attribute__((noinline)) int poll_on(int fd, short events, uint64_t deadline_ns)
{
	uint32_t want = gstk__fd_wanted(events);
	struct gstk__fd *f;
	int r = gstk__fd_begin(fd, &f), err = 0;

	while (!r && !(r = poll_now(fd, f, events)) && !err) {
		err = gstk__fd_wait(fd, f, want, gstk__fd_why(want), deadline_ns);
		if (err && err != -ETIMEDOUT) /* then a last look: what came may not have been told yet */
			break;
	}
	return r ? r : err;
}

static int poll_end(struct gstk_task *t, enum gstk__code code, void *deadline, uint32_t events)
{
	struct gstk__fd *f = t->obj;
	int r = gstk__fd_waited(f, t, code), fd = gstk__fd_number(f);

	if (r == -ETIMEDOUT) /* a last look, as there */
		return poll_now(fd, f, (short)events) ?: r;
	if (!r)
		r = gstk__fd_told(f, (short)events);
	return r ? r : poll_on(fd, (short)events, (uintptr_t)deadline);
}

/* A system call only where an event does not tell: this is what servers do most of their time. */
int gstk_poll(int fd, short events, uint64_t deadline_ns)
{
	struct gstk__fd *f = gstk__fd_known(fd);
	int r;

	if (__builtin_expect(!f || gstk__may_go_on(), 0))
		return poll_on(fd, events, deadline_ns);
	if (events != POLLIN || !gstk__fd_take_drained(f)) {
		r = poll_now(fd, f, events);
		if (r) {
			gstk__did_not_wait();
			return r;
		}
	}
	return gstk__fd_then(f, gstk__fd_wanted(events), deadline_ns, poll_end, (void *)(uintptr_t)deadline_ns, (uint16_t)events);
}

int gstk_poll_foreign(int fd, short events, uint64_t deadline_ns)
{
	uint32_t want = gstk__fd_wanted(events);
	int err = gstk__may_go_on();

	return err ? err : gstk__fd_wait_anew(fd, want, gstk__fd_why(want), deadline_ns);
}
