// SPDX-License-Identifier: MIT
/* Events are eventfds, because write(2) is what a signal handler may call. */
#include <greenstk/event.h>
#include <greenstk/net.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "host/refuse.h"

struct gstk_event {
	int fd;
	_Atomic uint32_t waiters;
};

int gstk_event_create(gstk_event **event)
{
	gstk_event *e;

	if (!event)
		return gstk__refuse("gstk_event_create: nowhere to put the event; give the address of a gstk_event *");
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (e->fd < 0) {
		int err = -errno;

		free(e);
		return err;
	}
	*event = e;
	return 0;
}

int gstk_event_destroy(gstk_event *e)
{
	if (!e)
		return 0;
	if (e->waiters)
		return -EBUSY;
	gstk_close(e->fd);
	free(e);
	return 0;
}

void gstk_event_raise(gstk_event *e)
{
	int saved = errno;
	uint64_t one = 1;

	while (write(e->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		; /* EAGAIN: 2^64 - 2 raises that nobody took */
	errno = saved;
}

int64_t gstk_event_wait_until(gstk_event *e, uint64_t deadline_ns)
{
	uint64_t count;
	ssize_t n;

	if (!e)
		return gstk__refuse("gstk_event_wait: the event is NULL; gstk_event_create() makes one");
	e->waiters++;
	n = gstk_read_until(e->fd, &count, sizeof(count), deadline_ns);
	e->waiters--;
	if (n < 0)
		return n;
	return count > INT64_MAX ? INT64_MAX : (int64_t)count;
}

int64_t gstk_event_wait(gstk_event *e)
{
	return gstk_event_wait_until(e, GSTK_NEVER);
}
