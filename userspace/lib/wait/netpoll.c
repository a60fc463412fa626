// SPDX-License-Identifier: MIT
/* The poller contract (sched.h) over epoll: every descriptor edge-triggered, registered once. */
#include <errno.h>
#include <greenstk/base.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "host/host.h"
#include "sched/sched.h"
#include "wait/fd.h"

#define NR_EVENTS 256
#define WAKE_DATA UINT64_MAX

static int epfd = -1, wakefd = -1;
static _Atomic uint32_t registered;

int gstk__netpoll_add(int fd, uint32_t gen)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
		.data.u64 = (uint64_t)gen << 32 | (uint32_t)fd,
	};

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev)) {
		if (errno != EEXIST || epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev))
			return -errno;
	}
	atomic_fetch_add_explicit(&registered, 1, memory_order_relaxed);
	return 0;
}

static uint32_t bits_of(uint32_t events)
{
	uint32_t bits = 0;

	if (events & EPOLLIN)
		bits |= GSTK__FD_READ;
	if (events & EPOLLOUT)
		bits |= GSTK__FD_WRITE;
	if (events & EPOLLPRI)
		bits |= GSTK__FD_PRI;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		bits |= GSTK__FD_END | GSTK__FD_READ;
	if (events & (EPOLLHUP | EPOLLERR))
		bits |= GSTK__FD_WRITE | GSTK__FD_FAIL;
	return bits;
}

static int wait_events(struct epoll_event *ev, uint64_t timeout_ns)
{
	static _Atomic bool no_pwait2;
	int n;

	if (timeout_ns == 0 || timeout_ns == GSTK_NEVER)
		return epoll_wait(epfd, ev, NR_EVENTS, timeout_ns ? -1 : 0);
	if (!atomic_load_explicit(&no_pwait2, memory_order_relaxed)) {
		struct timespec ts = { (time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u) };

		n = epoll_pwait2(epfd, ev, NR_EVENTS, &ts, NULL);
		if (n >= 0 || errno != ENOSYS)
			return n;
		atomic_store_explicit(&no_pwait2, true, memory_order_relaxed);
	}
	timeout_ns = (timeout_ns + 999999) / 1000000;
	return epoll_wait(epfd, ev, NR_EVENTS, timeout_ns > 3600000 ? 3600000 : (int)timeout_ns);
}

static int poll_events(uint64_t timeout_ns)
{
	struct epoll_event ev[NR_EVENTS];
	int n, woken = 0;

	if (timeout_ns == 0 && !atomic_load_explicit(&registered, memory_order_relaxed))
		return 0;
	n = wait_events(ev, timeout_ns);
	if (n <= 0)
		return 0;
	gstk__wake_batch_begin();
	for (int i = 0; i < n; i++) {
		uint64_t data = ev[i].data.u64, count;

		if (data == WAKE_DATA) {
			/* Meant for the one who waits: a passer-by must leave it. */
			while (timeout_ns && read(wakefd, &count, sizeof(count)) < 0 && errno == EINTR)
				;
			continue;
		}
		woken += gstk__fd_event((int)(uint32_t)data, (uint32_t)(data >> 32), bits_of(ev[i].events));
	}
	gstk__wake_batch_end();
	return woken;
}

static void wake(void)
{
	uint64_t one = 1;

	while (write(wakefd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void fini(void)
{
	if (epfd >= 0)
		close(epfd);
	if (wakefd >= 0)
		close(wakefd);
	epfd = wakefd = -1;
	atomic_store(&registered, 0);
	gstk__fd_table_fini();
}

static int init(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = WAKE_DATA };
	int err = gstk__fd_table_init();

	if (err)
		return err;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (epfd < 0 || wakefd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, wakefd, &ev)) {
		err = -errno;
		fprintf(stderr, "greenstk: cannot poll descriptors: %s%s\n", strerror(-err),
			err == -EMFILE ? " (raise RLIMIT_NOFILE: ulimit -n)" : "");
		fini();
	}
	return err;
}

static int descriptor(void)
{
	return epfd;
}

static const struct gstk__poller netpoll = {
	.init = init,
	.fini = fini,
	.poll = poll_events,
	.wake = wake,
	.busy = gstk__fd_any_waiter,
	.descriptor = descriptor,
};

int gstk__netpoll_register(void)
{
	gstk__poller = &netpoll;
	return netpoll.init();
}
