// SPDX-License-Identifier: MIT
#include "debug/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include "host/host.h"
#include "sched/stuck.h"

#define LEAST_NS 5000000u   /* between two looks ... */
#define MOST_NS	 250000000u /* ... and at most */

static struct {
	pthread_t thread;
	_Atomic uint32_t stop;
	uint64_t every_ns;
	bool runs;
} dog;

static void *watch(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "gstk-watchdog");
	while (!atomic_load(&dog.stop)) {
		gstk__futex_wait(&dog.stop, 0, dog.every_ns);
		gstk__stuck_watch(gstk__now_ns());
	}
	return NULL;
}

int gstk__watchdog_start(uint64_t report_ns)
{
	sigset_t all, old;
	int err;

	if (!report_ns)
		return 0;
	dog.every_ns = report_ns / 4 < LEAST_NS ? LEAST_NS : report_ns / 4 > MOST_NS ? MOST_NS : report_ns / 4;
	atomic_store(&dog.stop, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* it takes no signals of the application */
	err = -pthread_create(&dog.thread, NULL, watch, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	dog.runs = !err;
	return err;
}

void gstk__watchdog_stop(void)
{
	if (!dog.runs)
		return;
	dog.runs = false;
	atomic_store(&dog.stop, 1);
	gstk__futex_wake(&dog.stop, 1);
	pthread_join(dog.thread, NULL);
}

void gstk__watchdog_forked(void)
{
	dog.runs = false;
}

unsigned int gstk__watchdog_threads(void)
{
	return dog.runs;
}
