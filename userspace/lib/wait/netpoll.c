// SPDX-License-Identifier: MIT
/* The poller contract (sched.h) over epoll: every descriptor edge-triggered, registered once. */
#include <errno.h>
#include <greenstk/base.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "host/host.h"
#include "sched/sched.h"
#include "wait/fd.h"
#include "wait/files.h"

#define NR_EVENTS 256
#define WAKE_DATA UINT64_MAX
#define TIMER_DATA (UINT64_MAX - 1)
#define FILES_DATA (UINT64_MAX - 2)

static int epfd = -1, wakefd = -1, timerfd = -1; /* the last: of an embedded runtime only */
static _Atomic uint32_t registered;

static struct epoll_event all_of(int fd, uint32_t gen)
{
	return (struct epoll_event){
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
		.data.u64 = (uint64_t)gen << 32 | (uint32_t)fd,
	};
}

int gstk__netpoll_again(int fd, uint32_t gen)
{
	struct epoll_event ev = all_of(fd, gen);

	if (!epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev))
		return 0;
	return errno == ENOENT ? gstk__netpoll_add(fd, gen) : -errno;
}

int gstk__netpoll_add(int fd, uint32_t gen)
{
	struct epoll_event ev = all_of(fd, gen);

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev)) {
		if (errno != EEXIST || epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev))
			return -errno;
	}
	atomic_fetch_add_explicit(&registered, 1, memory_order_relaxed);
	return 0;
}

int gstk__netpoll_add_files(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = FILES_DATA };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
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
		/* Older filters of containers answer EPERM to calls that they do not know. */
		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		atomic_store_explicit(&no_pwait2, true, memory_order_relaxed);
	}
	timeout_ns = (timeout_ns + 999999) / 1000000;
	return epoll_wait(epfd, ev, NR_EVENTS, timeout_ns > 3600000 ? 3600000 : (int)timeout_ns);
}

static int poll_events(uint64_t timeout_ns)
{
	struct epoll_event ev[NR_EVENTS];
	int n, woken = gstk__files_poll();

	if (woken)
		timeout_ns = 0;
	if (timeout_ns == 0 && !atomic_load_explicit(&registered, memory_order_relaxed))
		return woken;
	n = wait_events(ev, timeout_ns);
	if (n <= 0)
		return woken;
	gstk__wake_batch_begin();
	for (int i = 0; i < n; i++) {
		uint64_t data = ev[i].data.u64, count;

		if (data == WAKE_DATA) {
			/* Meant for the one who waits: a passer-by must leave it. */
			while (timeout_ns && read(wakefd, &count, sizeof(count)) < 0 && errno == EINTR)
				;
			continue;
		}
		if (data == TIMER_DATA)
			continue; /* for the application: our timers are looked at anyway */
		if (data == FILES_DATA) {
			woken += gstk__files_poll();
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
	gstk__files_fini();
	if (epfd >= 0)
		close(epfd);
	if (wakefd >= 0)
		close(wakefd);
	if (timerfd >= 0)
		close(timerfd);
	epfd = wakefd = timerfd = -1;
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
		fprintf(stderr, "greenstk: cannot poll descriptors: %s: %s%s\n",
			epfd < 0 ? "epoll_create1" : wakefd < 0 ? "eventfd" : "epoll_ctl", strerror(-err),
			err == -EMFILE ? " (raise RLIMIT_NOFILE: ulimit -n)"
			: err == -EPERM || err == -ENOSYS ? " (a filter of system calls forbids it; let it pass)" : "");
		fini();
	}
	return err;
}

static int descriptor(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = TIMER_DATA };
	int fd;

	if (timerfd >= 0)
		return epfd;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev)) {
		int err = -errno;

		close(fd);
		return err;
	}
	timerfd = fd;
	return epfd;
}

static void leave(uint64_t deadline_ns)
{
	struct itimerspec at = { 0 };

	if (timerfd < 0)
		return;
	if (deadline_ns != GSTK_NEVER) {
		at.it_value.tv_sec = (time_t)(deadline_ns / 1000000000u);
		at.it_value.tv_nsec = (long)(deadline_ns % 1000000000u);
		if (!deadline_ns)
			at.it_value.tv_nsec = 1; /* zero would switch it off */
	}
	timerfd_settime(timerfd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* The timer stays readable until leave() sets it anew. */
static void come_back(void)
{
	uint64_t count;

	while (read(wakefd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

static bool busy(void)
{
	return gstk__fd_any_waiter() || gstk__files_busy();
}

static const struct gstk__poller netpoll = {
	.init = init,
	.fini = fini,
	.poll = poll_events,
	.wake = wake,
	.busy = busy,
	.descriptor = descriptor,
	.leave = leave,
	.come_back = come_back,
};

int gstk__netpoll_register(void)
{
	gstk__poller = &netpoll;
	return netpoll.init();
}
