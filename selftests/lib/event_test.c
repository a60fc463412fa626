// SPDX-License-Identifier: MIT
/* Events, raised by tasks, threads and signal handlers; and that handlers may do nothing else. */
#include "report_test.h"
#include "wait/chan.h"

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

/* ---- what they must not, and nothing can be done about ---- */

static void *ends_when_told(void *arg)
{
	while (!was_told())
		usleep(1000);
	_exit(0);
}

static void receives(int sig)
{
	gstk_chan_recv(chan, NULL);
}

static void locks_twice(void)
{
	struct sigaction sa = { .sa_handler = receives, .sa_flags = SA_ONSTACK };
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, ends_when_told, NULL), 0);
	CHECK_EQ(gstk_chan_create(&chan, 0, 0), 0);
	CHECK_EQ(sigaction(SIGUSR2, &sa, NULL), 0);
	gstk__lock_patience_ns = 20 * MS;
	gstk__lock(&chan->lock); /* as if gstk_chan_send() were interrupted */
	raise(SIGUSR2);
	CHECK(false);
}

static void run_locks_twice(void) { with_workers(1, locks_twice); }

TEST(a_handler_that_waits_for_what_it_has_interrupted_is_told_of)
{
	const char *const words[] = { "a signal handler waits for a lock of this library, which what it has interrupted seems to hold",
				      NULL };

	EXPECT_EQ(0, in_child_until(words, run_locks_twice)) TH_LOG("%s", report);
}

/* ---- and that they may not disturbs nobody ---- */

#define NR_HANDLERS 4 /* one a worker, so that none waits for another's lock */

static struct own {
	gstk_chan *chan;
	gstk_sem sem;
	gstk_event *event;
	gstk_waitgroup group;
	gstk_task *task;
} own[NR_HANDLERS];
static gstk_mutex held = GSTK_MUTEX_INIT;
static gstk_rwlock written = GSTK_RWLOCK_INIT;
static _Atomic int refused, wrongly;
static _Atomic bool enough;

static void waits_anywhere(int sig)
{
	int saved = errno, i = gstk_worker(), n = atomic_fetch_add(&refused, 1);
	struct own *o = &own[i];
	struct gstk_case c = { .op = GSTK_CASE_RECV };
	uint32_t v;
	long r = 0;

	if (i < 0)
		return;
	c.chan = o->chan;
	switch (n % 10) {
	case 0: r = gstk_chan_recv(o->chan, &v); break;
	case 1: r = gstk_sem_wait(&o->sem); break;
	case 2: r = gstk_event_wait(o->event); break;
	case 3: r = gstk_mutex_lock(&held); break;
	case 4: r = gstk_rwlock_read_lock(&written); break;
	case 5: r = gstk_join(o->task, NULL); break;
	case 6: r = gstk_select(&c, 1, GSTK_NEVER); break;
	case 7: r = gstk_waitgroup_wait(&o->group); break;
	case 8: r = gstk_chan_recv_until(o->chan, &v, gstk_now() + 1000 * MS); break;
	case 9: r = gstk_sleep(MS); break;
	}
	if (r != -ECANCELED)
		atomic_store(&wrongly, n % 10 + 1);
	errno = saved;
}

static void *holds(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&held), 0);
	CHECK_EQ(gstk_rwlock_write_lock(&written), 0);
	CHECK_EQ(gstk_chan_recv(arg, NULL), -EPIPE);
	CHECK_EQ(gstk_mutex_unlock(&held), 0);
	CHECK_EQ(gstk_rwlock_write_unlock(&written), 0);
	return NULL;
}

/* Two of them, each of which waits for the other by turns in many ways. */
static struct pair {
	gstk_chan *there, *back;
	gstk_sem one, other;
	gstk_mutex lock;
	uint64_t turns;
} pairs[4];

static void *first(void *arg)
{
	struct pair *p = arg;
	uint64_t v;

	for (uint64_t k = 0; !atomic_load(&enough); k++, p->turns++) {
		CHECK_EQ(gstk_chan_send(p->there, &k), 0);
		CHECK_EQ(gstk_chan_recv(p->back, &v), 0);
		CHECK_EQ(v, k + 1);
		CHECK_EQ(gstk_sem_post(&p->one, 1), 0);
		CHECK_EQ(gstk_sem_wait(&p->other), 0);
		CHECK_EQ(gstk_mutex_lock(&p->lock), 0);
		gstk_yield();
		CHECK_EQ(gstk_mutex_unlock(&p->lock), 0);
	}
	CHECK_EQ(gstk_chan_close(p->there), 0);
	return NULL;
}

static void *second(void *arg)
{
	struct pair *p = arg;
	uint64_t v;

	while (!gstk_chan_recv(p->there, &v)) {
		v++;
		CHECK_EQ(gstk_chan_send(p->back, &v), 0);
		CHECK_EQ(gstk_sem_wait(&p->one), 0);
		CHECK_EQ(gstk_sem_post(&p->other, 1), 0);
		CHECK_EQ(gstk_mutex_lock(&p->lock), 0);
		CHECK_EQ(gstk_mutex_unlock(&p->lock), 0);
	}
	return NULL;
}

static void storm(void)
{
	struct sigaction sa = { .sa_handler = waits_anywhere, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct itimerspec each = { { 0, 50000 }, { 0, 50000 } };
	struct sigevent sev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	gstk_task *t[8], *holder;
	gstk_chan *until;
	timer_t timer;

	CHECK_EQ(gstk_chan_create(&until, 0, 0), 0);
	holder = start(holds, until);
	for (int i = 0; i < NR_HANDLERS; i++) {
		own[i] = (struct own){ .sem = GSTK_SEM_INIT(0), .group = GSTK_WAITGROUP_INIT, .task = holder };
		CHECK_EQ(gstk_chan_create(&own[i].chan, sizeof(uint32_t), 0), 0);
		CHECK_EQ(gstk_event_create(&own[i].event), 0);
		CHECK_EQ(gstk_waitgroup_add(&own[i].group, 1), 0);
	}
	settle();
	for (int i = 0; i < 4; i++) {
		pairs[i] = (struct pair){ .one = GSTK_SEM_INIT(0), .other = GSTK_SEM_INIT(0), .lock = GSTK_MUTEX_INIT };
		CHECK_EQ(gstk_chan_create(&pairs[i].there, sizeof(uint64_t), 0), 0);
		CHECK_EQ(gstk_chan_create(&pairs[i].back, sizeof(uint64_t), 0), 0);
		t[2 * i] = start(first, &pairs[i]);
		t[2 * i + 1] = start(second, &pairs[i]);
	}
	CHECK_EQ(sigaction(SIGUSR2, &sa, NULL), 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &sev, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &each, NULL), 0);
	while (atomic_load(&refused) < (int)scaled(20000))
		gstk_sleep(MS);
	CHECK_EQ(timer_delete(timer), 0);
	atomic_store(&enough, true);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	CHECK_EQ(wrongly, 0);
	CHECK_EQ(gstk_chan_close(until), 0);
	finish(holder);
	for (int i = 0; i < NR_HANDLERS; i++) { /* nobody was left behind in them */
		CHECK_EQ(gstk_chan_destroy(own[i].chan), 0);
		CHECK_EQ(gstk_event_destroy(own[i].event), 0);
	}
}

static void storms(void) { with_workers(2, storm); }

TEST(whatever_a_handler_interrupts_its_waits_are_refused_and_leave_all_as_it_was)
{
	unsigned int lines = 0;

	if (UNDER_TSAN)
		SKIP(return, "it delivers signals late, and not on the signal stack");
	if (strstr(getenv("GREENSTK_DEBUG") ?: "", "locks"))
		SKIP(return, "GREENSTK_DEBUG=locks has a lock of its own, which is asked for before all others");
	ASSERT_EQ(in_child(storms), 0) TH_LOG("%s", report);
	for (const char *p = report; (p = strstr(p, "a signal handler may not wait")); p++)
		lines++;
	EXPECT_LE(1, lines);
	EXPECT_GE(50, lines);
}

TEST_HARNESS_MAIN
