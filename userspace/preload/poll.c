// SPDX-License-Identifier: MIT
/*
 * poll, select, epoll_wait. One descriptor is waited for by itself. Several go into an epoll instance out of
 * a pool, edge-triggered, which the task waits for as for a descriptor; they leave it afterwards, so nothing
 * is kept about descriptors between two calls.
 */
#include "preload.h"

#include <stdlib.h>
#include <string.h>

#define DIRECTLY (POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM)

struct group {
	int epfd;
	struct group *next;
};

static struct group *pool;
static uint32_t pool_lock;

static struct group *group_get(void)
{
	struct group *g;

	while (__atomic_exchange_n(&pool_lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	g = pool;
	if (g)
		pool = g->next;
	__atomic_store_n(&pool_lock, 0, __ATOMIC_RELEASE);
	if (g)
		return g;
	g = malloc(sizeof(*g));
	if (!g)
		return NULL;
	g->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (g->epfd >= 0)
		return g;
	free(g);
	return NULL;
}

static void group_put(struct group *g)
{
	while (__atomic_exchange_n(&pool_lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	g->next = pool;
	pool = g;
	__atomic_store_n(&pool_lock, 0, __ATOMIC_RELEASE);
}

/* False: one of them cannot be waited for so, and somebody has to look from time to time. */
static bool group_add(struct group *g, const struct pollfd *fds, nfds_t nr)
{
	for (nfds_t i = 0; i < nr; i++) {
		struct epoll_event ev = { .events = (uint32_t)fds[i].events | EPOLLET };

		if (fds[i].fd < 0 || !epoll_ctl(g->epfd, EPOLL_CTL_ADD, fds[i].fd, &ev))
			continue;
		if (preload_errno() == EPERM) /* always ready, for what was asked: it was looked at before */
			continue;
		ev.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET; /* there twice: for anything */
		if (preload_errno() != EEXIST || epoll_ctl(g->epfd, EPOLL_CTL_MOD, fds[i].fd, &ev))
			return false;
	}
	return true;
}

static void group_remove(struct group *g, const struct pollfd *fds, nfds_t nr)
{
	struct epoll_event ev = { 0 };

	for (nfds_t i = 0; i < nr; i++)
		if (fds[i].fd >= 0)
			epoll_ctl(g->epfd, EPOLL_CTL_DEL, fds[i].fd, &ev);
}

static int look_again_later(uint64_t deadline_ns, uint32_t vain)
{
	uint64_t at = gstk_now() + (vain < 5 ? vain + 1 : 5) * NS_PER_MS;

	return gstk_sleep_until(at < deadline_ns ? at : deadline_ns);
}

/* Returns 0, -ETIMEDOUT or -ECANCELED; there may be something now. */
static int wait_for_one(const struct pollfd *p, uint64_t deadline_ns, uint32_t vain)
{
	short events = p->events;
	int err;

	if (events & POLLRDNORM)
		events |= POLLIN;
	if (events & POLLWRNORM)
		events |= POLLOUT;
	if (vain > 3)
		return look_again_later(deadline_ns, vain);
	err = gstk_poll_foreign(p->fd, events, deadline_ns);
	if (err == -EPERM)
		return look_again_later(deadline_ns, vain);
	return err == -EBADF ? 0 : err; /* poll() reports that as an event */
}

static int wait_for_many(const struct pollfd *fds, nfds_t nr, uint64_t deadline_ns, uint32_t vain)
{
	struct group *g = vain > 3 ? NULL : group_get();
	int err;

	if (!g)
		return look_again_later(deadline_ns, vain);
	if (group_add(g, fds, nr))
		err = gstk_poll_foreign(g->epfd, POLLIN, deadline_ns);
	else
		err = look_again_later(deadline_ns, vain);
	group_remove(g, fds, nr);
	group_put(g);
	return err == -EBADF ? 0 : err;
}

static int wait_for_events(const struct pollfd *fds, nfds_t nr, uint64_t deadline_ns, uint32_t vain)
{
	const struct pollfd *one = NULL;
	nfds_t there = 0;

	for (nfds_t i = 0; i < nr; i++) {
		if (fds[i].fd < 0)
			continue;
		one = &fds[i];
		there++;
	}
	if (!there)
		return gstk_sleep_until(deadline_ns);
	if (there == 1 && !(one->events & ~DIRECTLY))
		return wait_for_one(one, deadline_ns, vain);
	return wait_for_many(fds, nr, deadline_ns, vain);
}

static int poll_until(struct pollfd *fds, nfds_t nr, uint64_t deadline_ns)
{
	for (uint32_t vain = 0;; vain++) {
		int n = real(poll)(fds, nr, 0), err;

		if (n || gstk_now() >= deadline_ns)
			return n;
		err = wait_for_events(fds, nr, deadline_ns, vain);
		if (err == -ETIMEDOUT && gstk_now() >= deadline_ns)
			continue; /* one more look */
		if (err)
			return preload_fail(-err);
	}
}

EXPORT int poll(struct pollfd *fds, nfds_t nr, int timeout)
{
	if (!timeout || !IS_GREEN())
		return real(poll)(fds, nr, timeout);
	return poll_until(fds, nr, preload_deadline_ms(timeout));
}

static bool no_time(const struct timespec *ts)
{
	return ts && (ts->tv_sec < 0 || ts->tv_nsec < 0 || (uint64_t)ts->tv_nsec >= NS_PER_S ||
		      (!ts->tv_sec && !ts->tv_nsec));
}

EXPORT int ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *timeout, const sigset_t *mask)
{
	if (no_time(timeout) || !IS_GREEN())
		return real(ppoll)(fds, nr, timeout, mask);
	return poll_until(fds, nr, preload_deadline_ts(timeout));
}

#define BITS (8 * sizeof(unsigned long))

static bool is_set(const fd_set *set, int fd)
{
	return set && ((const unsigned long *)set)[(size_t)fd / BITS] >> ((size_t)fd % BITS) & 1;
}

static void clear_all(fd_set *set, int nr)
{
	if (set)
		memset(set, 0, ((size_t)nr + BITS - 1) / BITS * sizeof(unsigned long));
}

static int put(fd_set *set, int fd, bool there)
{
	if (!there)
		return 0;
	((unsigned long *)set)[(size_t)fd / BITS] |= 1ul << ((size_t)fd % BITS);
	return 1;
}

/*
 * The kernel looks at no more bits than it has room for descriptors, and so at none behind a set of FD_SETSIZE when
 * somebody gives it getdtablesize(), which may be a million.
 */
static int bits_looked_at(int nr)
{
	int fd = nr > FD_SETSIZE ? real(open)("/proc/self/status", O_RDONLY | O_CLOEXEC) : -1, size = FD_SETSIZE;
	char text[4096], *line;
	ssize_t n;

	if (fd >= 0) {
		n = real(read)(fd, text, sizeof(text) - 1);
		real(close)(fd);
		text[n > 0 ? n : 0] = 0;
		line = strstr(text, "\nFDSize:");
		if (line)
			size = atoi(line + sizeof("\nFDSize:") - 1);
	}
	return nr < size || nr <= FD_SETSIZE ? nr : size;
}

static int select_until(int nr, fd_set *r, fd_set *w, fd_set *x, uint64_t deadline_ns)
{
	struct pollfd *p;
	int n = 0, got, bits = 0;

	nr = bits_looked_at(nr);
	p = malloc(((size_t)nr + 1) * sizeof(*p));
	if (!p)
		return preload_fail(ENOMEM);
	for (int fd = 0; fd < nr; fd++) {
		short events = (short)((is_set(r, fd) ? POLLIN : 0) | (is_set(w, fd) ? POLLOUT : 0) |
				       (is_set(x, fd) ? POLLPRI : 0));

		if (events)
			p[n++] = (struct pollfd){ .fd = fd, .events = events };
	}
	got = poll_until(p, (nfds_t)n, deadline_ns);
	for (int i = 0; i < n && got > 0; i++)
		if (p[i].revents & POLLNVAL)
			got = preload_fail(EBADF);
	if (got < 0) {
		free(p);
		return -1;
	}
	clear_all(r, nr);
	clear_all(w, nr);
	clear_all(x, nr);
	for (int i = 0; i < n; i++) {
		short e = p[i].events, is = p[i].revents;

		bits += put(r, p[i].fd, (e & POLLIN) && (is & (POLLIN | POLLHUP | POLLERR)));
		bits += put(w, p[i].fd, (e & POLLOUT) && (is & (POLLOUT | POLLERR)));
		bits += put(x, p[i].fd, (e & POLLPRI) && (is & POLLPRI));
	}
	free(p);
	return bits;
}

EXPORT int select(int nr, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout)
{
	uint64_t deadline_ns = GSTK_NEVER, now;
	int n;

	if (nr < 0 || (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0 ||
				   (!timeout->tv_sec && !timeout->tv_usec))) || !IS_GREEN())
		return real(select)(nr, r, w, x, timeout);
	if (timeout)
		deadline_ns = preload_deadline_ts(&(struct timespec){ timeout->tv_sec + timeout->tv_usec / 1000000,
								      timeout->tv_usec % 1000000 * 1000 });
	n = select_until(nr, r, w, x, deadline_ns);
	if (timeout && deadline_ns != GSTK_NEVER) { /* what is left, as Linux has it */
		now = gstk_now();
		now = deadline_ns > now ? (deadline_ns - now) / 1000 : 0;
		*timeout = (struct timeval){ (time_t)(now / 1000000), (suseconds_t)(now % 1000000) };
	}
	return n;
}

EXPORT int pselect(int nr, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout, const sigset_t *mask)
{
	if (nr < 0 || no_time(timeout) || !IS_GREEN())
		return real(pselect)(nr, r, w, x, timeout, mask);
	return select_until(nr, r, w, x, preload_deadline_ts(timeout));
}

/* The instance itself is what becomes readable. */
static int epoll_until(int epfd, struct epoll_event *ev, int max, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = epfd, .events = POLLIN };

	for (uint32_t vain = 0;; vain++) {
		int n = real(epoll_wait)(epfd, ev, max, 0), err;

		if (n || gstk_now() >= deadline_ns)
			return n;
		err = wait_for_one(&p, deadline_ns, vain);
		if (err == -ETIMEDOUT && gstk_now() >= deadline_ns)
			continue;
		if (err)
			return preload_fail(-err);
	}
}

EXPORT int epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
	if (!timeout || !IS_GREEN())
		return real(epoll_wait)(epfd, ev, max, timeout);
	return epoll_until(epfd, ev, max, preload_deadline_ms(timeout));
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
	if (!timeout || !IS_GREEN())
		return real(epoll_pwait)(epfd, ev, max, timeout, mask);
	return epoll_until(epfd, ev, max, preload_deadline_ms(timeout));
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout, const sigset_t *mask)
{
	if (no_time(timeout) || !IS_GREEN())
		return real(epoll_pwait2)(epfd, ev, max, timeout, mask);
	return epoll_until(epfd, ev, max, preload_deadline_ts(timeout));
}
