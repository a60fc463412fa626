// SPDX-License-Identifier: MIT
/* Events, raised by tasks, threads and signal handlers; and that handlers may do nothing else. */
#include "report_test.h"

static gstk_event *event;
static _Atomic uint64_t taken, raised;

WAIT_TEST(raises_are_counted_and_none_is_lost)
{
	CHECK_EQ(gstk_event_create(&event), 0);
	CHECK_EQ(gstk_event_wait_until(event, gstk_now() + MS), -ETIMEDOUT);
	gstk_event_raise(event);
	gstk_event_raise(event);
	CHECK_EQ(gstk_event_wait(event), 2);
	CHECK_EQ(gstk_event_wait_until(event, gstk_now() + MS), -ETIMEDOUT);
	CHECK_EQ(gstk_event_destroy(event), 0);
	CHECK_EQ(gstk_event_create(NULL), -EINVAL);
	CHECK_EQ(gstk_event_destroy(NULL), 0);
}

static _Atomic bool takes;

static void *take(void *arg)
{
	takes = true;
	for (;;) {
		int64_t n = gstk_event_wait(event);

		if (n < 0)
			return (void *)(long)n;
		atomic_fetch_add(&taken, (uint64_t)n);
	}
}

WAIT_TEST(an_event_that_is_waited_for_is_not_freed)
{
	gstk_task *t;

	CHECK_EQ(gstk_event_create(&event), 0);
	takes = false;
	t = start(take, NULL);
	while (!takes)
		gstk_yield();
	settle();
	CHECK_EQ(gstk_event_destroy(event), -EBUSY);
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(gstk_event_destroy(event), 0);
}

/* ---- from handlers ---- */

static void on_alarm(int sig)
{
	int saved = errno;

	errno = 77;
	gstk_event_raise(event);
	CHECK_EQ(errno, 77);
	errno = saved;
	atomic_fetch_add(&raised, 1);
}

/* Blocks and computes by turns, so that the handler comes in all states of a worker. */
static void *busy(void *arg)
{
	while (raised < scaled(1000))
		if (rnd(&(uint32_t){ (uint32_t)gstk_now() | 1 }) % 4)
			gstk_yield();
		else
			gstk_sleep(100000);
	return NULL;
}

WAIT_TEST(handlers_raise_events_in_whatever_they_interrupt)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART }, old;
	struct itimerspec each = { { 0, 300000 }, { 0, 300000 } };
	struct sigevent sev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	gstk_task *t, *b[4];
	timer_t timer;

	taken = raised = 0;
	CHECK_EQ(gstk_event_create(&event), 0);
	t = start(take, NULL);
	CHECK_EQ(sigaction(SIGUSR1, &sa, &old), 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &sev, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &each, NULL), 0);
	for (int i = 0; i < 4; i++)
		b[i] = start(busy, NULL);
	for (int i = 0; i < 4; i++)
		finish(b[i]);
	CHECK_EQ(timer_delete(timer), 0);
	for (int ms = 0; taken != raised; ms++) {
		CHECK(ms < 10000);
		gstk_sleep(MS);
	}
	sigaction(SIGUSR1, &old, NULL);
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(gstk_event_destroy(event), 0);
}

/* ---- what they may not ---- */

static gstk_chan *chan;
static gstk_sem sem;
static gstk_scope *scope;
static _Atomic bool handled;

static void on_signal(int sig)
{
	uint32_t v;

	CHECK_EQ(gstk_scope_end(scope), -ECANCELED);
	CHECK_EQ(gstk_chan_recv(chan, &v), -ECANCELED);
	CHECK_EQ(gstk_sem_wait(&sem), -ECANCELED);
	CHECK_EQ(gstk_sleep(MS), -ECANCELED);
	gstk_yield();
}

static int takes_its_time(void *arg)
{
	while (!atomic_load(&handled)) { /* or the handler would end the scope */
		gstk_sleep(MS);
		gstk_cancel_clear();
	}
	return 0;
}

static void *waits_in_handler(void *arg)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	uint32_t v = 5;

	CHECK_EQ(gstk_chan_create(&chan, sizeof(v), 1), 0);
	sem = (gstk_sem)GSTK_SEM_INIT(0);
	CHECK_EQ(gstk_scope_begin(&scope, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_spawn(scope, takes_its_time, NULL, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR2, &sa, NULL), 0);
	raise(SIGUSR2);
	atomic_store(&handled, true);
	/* Nothing was left behind: all can be used. */
	CHECK_EQ(gstk_chan_send(chan, &v), 0);
	CHECK_EQ(gstk_chan_recv(chan, &v), 0);
	CHECK_EQ(gstk_sem_post(&sem, 1), 0);
	CHECK_EQ(gstk_sem_wait(&sem), 0);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
	CHECK_EQ(gstk_scope_end(scope), -ECANCELED); /* it is still there, but failed */
	return NULL;
}

static void run_waits_in_handler(void)
{
	CHECK_EQ(gstk_main(waits_in_handler, NULL, NULL, NULL), 0);
}

TEST(a_handler_on_the_signal_stack_is_refused_to_wait)
{
	ASSERT_EQ(in_child(run_waits_in_handler), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("a signal handler may not wait"));
}

TEST_HARNESS_MAIN
