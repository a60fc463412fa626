// SPDX-License-Identifier: MIT
/* Descriptors, for stackless tasks: net.c's loops of try and wait, cut where they park. ->obj is the record of the
 * descriptor, ->arg and ->len what the call is given. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "wait/await.h"
#include "wait/fd.h"

static enum gstk_progress on_descriptor(struct gstk_future *f, enum gstk__await_op op, int fd, void *arg, size_t len,
					uint64_t deadline_ns)
{
	struct gstk__fd *record;
	int err = gstk__may_go_on();

	if (!err && arg && op != GSTK__AWAIT_READY)
		err = gstk__await_refuse(f, arg, op == GSTK__AWAIT_CONNECT ? "gstk_await_connect: the address"
								     : "gstk_await_read, gstk_await_write: the buffer");
	if (!err)
		err = gstk__fd_get(fd, &record);
	if (unlikely(err))
		return gstk__await_over(f, err);
	f->s->arg = arg;
	f->s->len = len < INT32_MAX ? (uint32_t)len : INT32_MAX; /* as read(2), which may be short */
	return gstk__await(f, op, record, deadline_ns);
}

/* One try. -EAGAIN: it has to wait. */
static inline int64_t attempt(struct gstk_future *f, struct gstk__fd *record, enum gstk__await_op op)
{
	int fd = gstk__fd_number(record);
	struct gstk__stackless *s = f->s;
	int64_t r;

	do {
		if (op == GSTK__AWAIT_READY) {
			struct pollfd p = { .fd = fd, .events = (short)(uintptr_t)s->arg };

			r = poll(&p, 1, 0);
			if (r >= 0)
				return p.revents & POLLNVAL ? -EBADF : p.revents ? p.revents : -EAGAIN;
		} else if (op == GSTK__AWAIT_READ) {
			r = read(fd, s->arg, s->len);
		} else if (op == GSTK__AWAIT_WRITE) {
			r = gstk__net_write(fd, record, s->arg, s->len);
		} else {
			r = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		}
	} while (r < 0 && (errno == EINTR || (op == GSTK__AWAIT_ACCEPT && (errno == ECONNABORTED || errno == EPROTO))));
	if (unlikely(r < 0))
		return -errno;
	if (op == GSTK__AWAIT_READ)
		gstk__fd_note_short(record, r, s->len);
	else if (op == GSTK__AWAIT_ACCEPT)
		gstk__fd_adopt((int)r, record->flags & GSTK__FD_STREAM);
	return r;
}

/* Try until it need not wait, or hang it there. @wait: a try would be in vain. */
static inline __attribute__((always_inline)) int64_t try_on(struct gstk_future *f, enum gstk__await_op op,
							     uint32_t want, bool wait)
{
	struct gstk__fd *record = f->task->obj;

	for (;;) {
		int64_t r = -EAGAIN;

		if (!wait) {
			gstk__fd_clear(record, want);
			r = attempt(f, record, op);
		}
		if (r != -EAGAIN)
			return r;
		if (unlikely(gstk__wait_expired(f->deadline_ns))) {
			if (!wait)
				return -ETIMEDOUT;
			wait = false; /* one try is left: what came may not have been told yet */
			continue;
		}
		r = gstk__fd_hang(record, f->task, want);
		if (r)
			return gstk__await_park(f, &record->lock, (int)r);
		wait = false;
	}
}

static inline __attribute__((always_inline)) int64_t again(struct gstk_future *f, enum gstk__code code,
							    enum gstk__await_op op, uint32_t want)
{
	int r = gstk__fd_waited(f->task->obj, f->task, code);

	return r ? r : try_on(f, op, want, false);
}

enum gstk_progress gstk_await_ready(gstk_future *f, int fd, short events, uint64_t deadline_ns)
{
	return on_descriptor(f, GSTK__AWAIT_READY, fd, (void *)(uintptr_t)(unsigned short)events, 0, deadline_ns);
}

static uint32_t ready_want(struct gstk_future *f)
{
	uint32_t want = gstk__fd_wanted((short)(uintptr_t)f->s->arg);

	f->why = gstk__fd_why(want);
	return want;
}

static int64_t ready_begin(struct gstk_future *f)
{
	bool in_vain = (short)(uintptr_t)f->s->arg == POLLIN && gstk__fd_take_drained(f->task->obj);

	return try_on(f, GSTK__AWAIT_READY, ready_want(f), in_vain);
}

static int64_t ready_end(struct gstk_future *f, enum gstk__code code)
{
	int told = code == GSTK__CODE_OK ? gstk__fd_told(f->task->obj, (short)(uintptr_t)f->s->arg) : 0;

	return told ? told : again(f, code, GSTK__AWAIT_READY, ready_want(f));
}

const struct gstk__await gstk__await_ready = { GSTK__WAIT_FD_READ, ready_begin, ready_end };

enum gstk_progress gstk_await_read(gstk_future *f, int fd, void *buf, size_t len, uint64_t deadline_ns)
{
	return on_descriptor(f, GSTK__AWAIT_READ, fd, buf, len, deadline_ns);
}

static int64_t read_begin(struct gstk_future *f)
{
	return try_on(f, GSTK__AWAIT_READ, GSTK__FD_READ, gstk__fd_take_drained(f->task->obj));
}

static int64_t read_end(struct gstk_future *f, enum gstk__code code)
{
	return again(f, code, GSTK__AWAIT_READ, GSTK__FD_READ);
}

const struct gstk__await gstk__await_read = { GSTK__WAIT_FD_READ, read_begin, read_end };

enum gstk_progress gstk_await_write(gstk_future *f, int fd, const void *buf, size_t len, uint64_t deadline_ns)
{
	return on_descriptor(f, GSTK__AWAIT_WRITE, fd, (void *)buf, len, deadline_ns);
}

static int64_t write_begin(struct gstk_future *f)
{
	return try_on(f, GSTK__AWAIT_WRITE, GSTK__FD_WRITE, false);
}

static int64_t write_end(struct gstk_future *f, enum gstk__code code)
{
	return again(f, code, GSTK__AWAIT_WRITE, GSTK__FD_WRITE);
}

const struct gstk__await gstk__await_write = { GSTK__WAIT_FD_WRITE, write_begin, write_end };

enum gstk_progress gstk_await_accept(gstk_future *f, int fd, uint64_t deadline_ns)
{
	return on_descriptor(f, GSTK__AWAIT_ACCEPT, fd, NULL, 0, deadline_ns);
}

static int64_t accept_begin(struct gstk_future *f)
{
	return try_on(f, GSTK__AWAIT_ACCEPT, GSTK__FD_READ, false);
}

static int64_t accept_end(struct gstk_future *f, enum gstk__code code)
{
	return again(f, code, GSTK__AWAIT_ACCEPT, GSTK__FD_READ);
}

const struct gstk__await gstk__await_accept = { GSTK__WAIT_FD_READ, accept_begin, accept_end };

enum gstk_progress gstk_await_connect(gstk_future *f, int fd, const struct sockaddr *addr, socklen_t len, uint64_t deadline_ns)
{
	if (unlikely(!addr && len))
		return gstk__await_over(f, gstk__refuse("gstk_await_connect: %u bytes of address at NULL; give where to connect to",
						       (unsigned int)len));
	return on_descriptor(f, GSTK__AWAIT_CONNECT, fd, (void *)addr, len, deadline_ns);
}

/* On its way: until it is there, or has failed. */
static int64_t connecting(struct gstk_future *f)
{
	struct gstk__fd *record = f->task->obj;
	int fd = gstk__fd_number(record);

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		socklen_t len = sizeof(int);
		int r = 0;

		gstk__fd_clear(record, GSTK__FD_WRITE);
		if (poll(&p, 1, 0) > 0 && p.revents)
			return getsockopt(fd, SOL_SOCKET, SO_ERROR, &r, &len) ? -errno : -r;
		if (unlikely(gstk__wait_expired(f->deadline_ns)))
			return -ETIMEDOUT;
		r = gstk__fd_hang(record, f->task, GSTK__FD_WRITE);
		if (r)
			return gstk__await_park(f, &record->lock, r);
	}
}

static int64_t connect_begin(struct gstk_future *f)
{
	gstk__fd_clear(f->task->obj, GSTK__FD_WRITE);
	if (!connect(gstk__fd_number(f->task->obj), f->s->arg, f->s->len))
		return 0;
	return errno == EINPROGRESS || errno == EALREADY || errno == EINTR ? connecting(f) : -errno;
}

static int64_t connect_end(struct gstk_future *f, enum gstk__code code)
{
	int r = gstk__fd_waited(f->task->obj, f->task, code);

	return r ? r : connecting(f);
}

const struct gstk__await gstk__await_connect = { GSTK__WAIT_CONNECT, connect_begin, connect_end };
