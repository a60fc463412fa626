// SPDX-License-Identifier: MIT
#include "debug/dump_signal.h"

#include <errno.h>
#include <greenstk/stats.h>
#include <pthread.h>
#include <signal.h>
#include "host/host.h"

enum { ASKED = 1, STOP = 2 };

static _Atomic uint32_t request;
static struct sigaction before;
static pthread_t thread;
static int signal_nr; /* 0: not installed */

static void on_signal(int sig)
{
	int saved = errno;

	atomic_fetch_or(&request, ASKED);
	gstk__futex_wake(&request, 1);
	errno = saved;
}

static void *printer(void *arg)
{
	for (;;) {
		uint32_t r = atomic_exchange(&request, 0);

		if (r & STOP)
			return NULL;
		if (r & ASKED)
			gstk_dump(2, true);
		else
			gstk__futex_wait(&request, 0, UINT64_MAX);
	}
}

int gstk__dump_signal_init(int sig)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK };
	sigset_t all, old;
	int err;

	if (sig <= 0 || sigaction(sig, NULL, &before))
		return 0;
	if (before.sa_flags & SA_SIGINFO || (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN))
		return 0;
	atomic_store(&request, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* it takes no signals of the application */
	err = -pthread_create(&thread, NULL, printer, NULL);
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
	if (!sigaction(signal_nr, NULL, &now) && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == on_signal)
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

unsigned int gstk__dump_signal_threads(void)
{
	return signal_nr != 0;
}
