// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include "threads.h"

/* As much address space as a window of the runtime has. */
#define STACK_BYTES (256 * 1024)

int gstk_main(gstk_fn fn, void *arg, void **result, const struct gstk_config *config)
{
	*result = fn(arg);
	return 0;
}

int gstk_go(gstk_fn fn, void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

uint64_t gstk_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int gstk_mutex_lock(gstk_mutex *m)
{
	return -pthread_mutex_lock(m);
}

int gstk_mutex_unlock(gstk_mutex *m)
{
	return -pthread_mutex_unlock(m);
}

int gstk_cond_wait_until(gstk_cond *c, gstk_mutex *m, uint64_t deadline_ns)
{
	struct timespec ts = { (time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u) };

	if (deadline_ns == GSTK_NEVER)
		return -pthread_cond_wait(c, m);
	return -pthread_cond_clockwait(c, m, CLOCK_MONOTONIC, &ts);
}

int gstk_cond_broadcast(gstk_cond *c)
{
	return -pthread_cond_broadcast(c);
}

int gstk_socket(int domain, int type, int protocol)
{
	int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	return fd < 0 ? -errno : fd;
}

int gstk_poll(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = gstk_now(), left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec ts = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };
		int n = ppoll(&p, 1, deadline_ns == GSTK_NEVER ? NULL : &ts, NULL);

		if (n > 0)
			return p.revents & POLLNVAL ? -EBADF : p.revents;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int gstk_connect_until(int fd, const struct sockaddr *addr, socklen_t len, uint64_t deadline_ns)
{
	int err = connect(fd, addr, len) ? errno : 0, ready;
	socklen_t size = sizeof(err);

	if (err != EINPROGRESS)
		return -err;
	ready = gstk_poll(fd, POLLOUT, deadline_ns);
	if (ready < 0)
		return ready;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) ? -errno : -err;
}

ssize_t gstk_read_until(int fd, void *buf, size_t len, uint64_t deadline_ns)
{
	for (;;) {
		ssize_t n = read(fd, buf, len);
		int ready;

		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		ready = gstk_poll(fd, POLLIN, deadline_ns);
		if (ready < 0)
			return ready;
	}
}

int gstk_write_all_until(int fd, const void *buf, size_t len, uint64_t deadline_ns)
{
	const char *p = buf;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		int ready;

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		ready = gstk_poll(fd, POLLOUT, deadline_ns);
		if (ready < 0)
			return ready;
	}
	return 0;
}

int gstk_close(int fd)
{
	return close(fd) ? -errno : 0;
}

int gstk_blocking(void *(*fn)(void *), void *arg, void **result)
{
	void *value = fn(arg);

	if (result)
		*result = value;
	return 0;
}
