// SPDX-License-Identifier: MIT
/* Parking until a descriptor is ready. */
#include "preload.h"

#include <sys/time.h>

uint64_t preload_deadline_ms(int timeout_ms)
{
	return timeout_ms < 0 ? GSTK_NEVER : gstk_now() + (uint64_t)timeout_ms * NS_PER_MS;
}

uint64_t preload_deadline_ts(const struct timespec *ts)
{
	if (!ts || ts->tv_sec > 4000000000ll)
		return GSTK_NEVER;
	return gstk_now() + (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
}

static uint64_t deadline_of(int fd, int timeo)
{
	struct timeval tv;
	socklen_t len = sizeof(tv);

	if (!timeo || getsockopt(fd, SOL_SOCKET, timeo, &tv, &len) || (!tv.tv_sec && !tv.tv_usec))
		return GSTK_NEVER;
	return preload_deadline_ts(&(struct timespec){ tv.tv_sec, tv.tv_usec * 1000 });
}

int preload_wait(int fd, short events, int timeo, struct preload_try *t)
{
	int fl, err;

	if (!t->deadline_ns) {
		fl = real(fcntl)(fd, F_GETFL);
		if (fl < 0)
			return -1;
		if (fl & O_NONBLOCK)
			return preload_fail(EAGAIN);
		t->deadline_ns = deadline_of(fd, timeo);
	}
	/* A datagram socket is writable while its peer's queue is full: nothing tells when it is not. */
	if (t->vain > 2) {
		uint64_t until = gstk_now() + NS_PER_MS;

		if (until >= t->deadline_ns)
			return preload_fail(EAGAIN);
		err = gstk_sleep_until(until);
		return err ? preload_fail(-err) : 0;
	}
	t->vain++;
	err = gstk_poll_foreign(fd, events, t->deadline_ns);
	if (err == -ETIMEDOUT && gstk_now() >= t->deadline_ns)
		err = -EAGAIN;
	return err ? preload_fail(-err) : 0;
}
