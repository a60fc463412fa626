// SPDX-License-Identifier: MIT
/*
 * A thread that prints when a signal asks: all tasks to stderr, or what gstk-info(1) wants to know to the
 * socket on which that waits. The handler itself only leaves word.
 */
#include "debug/dump_signal.h"

#include <errno.h>
#include <greenstk/stats.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "debug/ask.h"
#include "debug/running.h"
#include "host/host.h"

enum { ASKED = 1, STOP = 2, COUNTERS = 4, TASKS = 8 };

static _Atomic uint32_t request;
static _Atomic int asker; /* pid of a gstk-info */
static struct sigaction before;
static pthread_t thread;
static int signal_nr; /* 0: not installed */

static void on_signal(int sig, siginfo_t *info, void *context)
{
	unsigned int value = (unsigned int)info->si_value.sival_int;
	uint32_t what = ASKED;
	int saved = errno;

	if (gstk__running_answer(info, context)) {
		errno = saved;
		return;
	}
	if (info->si_code == SI_QUEUE && (value & ~3u) == GSTK__ASK) {
		what = value & GSTK__ASK_TASKS ? TASKS | COUNTERS : COUNTERS;
		atomic_store(&asker, info->si_pid);
	}
	atomic_fetch_or(&request, what);
	gstk__futex_wake(&request, 1);
	errno = saved;
}

/* Connected to the socket on which gstk-info waits, or -1. It must be ours to be told, or root's. */
static int dial_asker(int pid)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	struct timeval most = { 5, 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, GSTK__ASK_SOCKET, pid);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	if (connect(fd, (struct sockaddr *)&a, (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)n) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || (peer.uid && peer.uid != geteuid())) {
		close(fd);
		return -1;
	}
	return fd;
}

static void answer(uint32_t what)
{
	int fd = dial_asker(atomic_load(&asker));

	if (fd < 0)
		return;
	gstk_info(fd);
	if (what & TASKS)
		gstk_dump(fd, true);
	close(fd);
}

static void *printer(void *arg)
{
	sigset_t pipes;
	char name[16];

	/* gstk-info may go away while it is told; its thread has this signal blocked, and drops it. */
	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	snprintf(name, sizeof(name), GSTK__ASK_THREAD "%d", (int)(intptr_t)arg);
	pthread_setname_np(pthread_self(), name);
	for (;;) {
		uint32_t r = atomic_exchange(&request, 0);

		if (r & STOP)
			return NULL;
		if (r & ASKED)
			gstk_dump(2, true);
		if (r & (COUNTERS | TASKS)) {
			answer(r);
			while (sigtimedwait(&pipes, NULL, &(struct timespec){ 0 }) > 0)
				;
		}
		if (!r)
			gstk__futex_wait(&request, 0, UINT64_MAX);
	}
}

int gstk__dump_signal_init(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	sigset_t all, old;
	int err;

	if (sig <= 0 || sigaction(sig, NULL, &before))
		return 0;
	if (before.sa_flags & SA_SIGINFO || (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN))
		return 0;
	atomic_store(&request, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* it takes no signals of the application */
	err = -pthread_create(&thread, NULL, printer, (void *)(intptr_t)sig);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return err;
	signal_nr = sig;
	sigaction(sig, &sa, NULL);
	return 0;
}

void gstk__dump_signal_fini(void)
{
	struct sigaction now;

	if (!signal_nr)
		return;
	if (!sigaction(signal_nr, NULL, &now) && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal)
		sigaction(signal_nr, &before, NULL);
	signal_nr = 0;
	atomic_fetch_or(&request, STOP);
	gstk__futex_wake(&request, 1);
	pthread_join(thread, NULL);
}

/* In a child of fork(): the thread that prints is not there. */
void gstk__dump_signal_forked(void)
{
	if (signal_nr)
		sigaction(signal_nr, &before, NULL);
	signal_nr = 0;
}

int gstk__dump_signal(void)
{
	return signal_nr;
}

unsigned int gstk__dump_signal_threads(void)
{
	return signal_nr != 0;
}
