// SPDX-License-Identifier: MIT
/*
 * Every call that parks, in one table: a cancel ends it with -ECANCELED, its deadline and the task's
 * own with -ETIMEDOUT, clean-up runs, and what it waited for can be used as before.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "wait_test.h"

static gstk_chan *chan;
static gstk_mutex mutex, cond_mutex;
static gstk_rwlock rwlock;
static gstk_cond cond;
static gstk_sem sem;
static gstk_waitgroup group;
static gstk_once once;
static gstk_timer *timer;
static gstk_task *other;
static gstk_sem hold;
static int pair[2], listening;
static struct sockaddr_un where;

static void *wait_for_hold(void *arg)
{
	CHECK_EQ(gstk_sem_wait(&hold), 0);
	return arg;
}

/* ---- what each waits for ---- */

static void chan_new(void)
{
	CHECK_EQ(gstk_chan_create(&chan, 4, 0), 0);
}

static long chan_recv(uint64_t d)
{
	uint32_t v;

	return d == GSTK_NEVER ? gstk_chan_recv(chan, &v) : gstk_chan_recv_until(chan, &v, d);
}

static long chan_send(uint64_t d)
{
	uint32_t v = 7;

	return d == GSTK_NEVER ? gstk_chan_send(chan, &v) : gstk_chan_send_until(chan, &v, d);
}

static long chan_select(uint64_t d)
{
	uint32_t in, out = 7;
	struct gstk_case c[] = { { chan, GSTK_CASE_RECV, 0, &in }, { NULL, GSTK_CASE_SEND, 0, &out } };

	return gstk_select(c, 2, d);
}

/* Nobody is left in its queue: a message is neither taken nor given. */
static void chan_free(void)
{
	uint32_t v = 1;

	CHECK_EQ(gstk_chan_try_send(chan, &v), -EAGAIN);
	CHECK_EQ(gstk_chan_try_recv(chan, &v), -EAGAIN);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
}

static void *lock_and_hold(void *arg)
{
	if (arg) {
		CHECK_EQ(gstk_rwlock_write_lock(&rwlock), 0);
		CHECK_EQ(gstk_sem_wait(&hold), 0);
		CHECK_EQ(gstk_rwlock_write_unlock(&rwlock), 0);
	} else {
		CHECK_EQ(gstk_mutex_lock(&mutex), 0);
		CHECK_EQ(gstk_sem_wait(&hold), 0);
		CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	}
	return NULL;
}

static void release_mutex(void)
{
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	gstk_yield();
}

static void release_rwlock(void)
{
	CHECK_EQ(gstk_rwlock_read_unlock(&rwlock), 0);
	gstk_yield();
}

static void mutex_hold(void)
{
	mutex = (gstk_mutex)GSTK_MUTEX_INIT;
	other = start(lock_and_hold, NULL);
	while (gstk_mutex_try_lock(&mutex) == 0)
		release_mutex();
}

static long mutex_lock(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_mutex_lock(&mutex) : gstk_mutex_lock_until(&mutex, d);
}

static void let_go(void)
{
	CHECK_EQ(gstk_sem_post(&hold, 1), 0);
	finish(other);
}

static void mutex_free(void)
{
	let_go();
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
}

static void rwlock_hold(void)
{
	rwlock = (gstk_rwlock)GSTK_RWLOCK_INIT;
	other = start(lock_and_hold, &rwlock);
	while (gstk_rwlock_try_read_lock(&rwlock) == 0)
		release_rwlock();
}

static long read_lock(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_rwlock_read_lock(&rwlock) : gstk_rwlock_read_lock_until(&rwlock, d);
}

static long write_lock(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_rwlock_write_lock(&rwlock) : gstk_rwlock_write_lock_until(&rwlock, d);
}

static void rwlock_free(void)
{
	let_go();
	CHECK_EQ(gstk_rwlock_try_write_lock(&rwlock), 0);
	CHECK_EQ(gstk_rwlock_write_unlock(&rwlock), 0);
}

static void cond_new(void)
{
	cond = (gstk_cond)GSTK_COND_INIT;
	cond_mutex = (gstk_mutex)GSTK_MUTEX_INIT;
}

/* The mutex is held again whatever ends the wait. */
static long cond_wait(uint64_t d)
{
	long r = gstk_mutex_lock(&cond_mutex);

	if (r)
		return r;
	r = d == GSTK_NEVER ? gstk_cond_wait(&cond, &cond_mutex) : gstk_cond_wait_until(&cond, &cond_mutex, d);
	CHECK_EQ(gstk_mutex_unlock(&cond_mutex), 0);
	return r;
}

static void cond_free(void)
{
	CHECK_EQ(gstk_cond_broadcast(&cond), 0);
	CHECK_EQ(gstk_mutex_try_lock(&cond_mutex), 0);
	CHECK_EQ(gstk_mutex_unlock(&cond_mutex), 0);
}

static void sem_new(void)
{
	sem = (gstk_sem)GSTK_SEM_INIT(0);
}

static long sem_wait_(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_sem_wait(&sem) : gstk_sem_wait_until(&sem, d);
}

static void sem_free(void)
{
	CHECK_EQ(gstk_sem_post(&sem, 1), 0);
	CHECK_EQ(gstk_sem_try_wait(&sem), 0);
	CHECK_EQ(gstk_sem_try_wait(&sem), -EAGAIN);
}

static void group_new(void)
{
	group = (gstk_waitgroup)GSTK_WAITGROUP_INIT;
	CHECK_EQ(gstk_waitgroup_add(&group, 1), 0);
}

static long group_wait(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_waitgroup_wait(&group) : gstk_waitgroup_wait_until(&group, d);
}

static void group_free(void)
{
	CHECK_EQ(gstk_waitgroup_done(&group), 0);
	CHECK_EQ(gstk_waitgroup_wait(&group), 0);
}

static void other_waits(void)
{
	other = start(wait_for_hold, (void *)42L);
}

static long join(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_join(other, NULL) : gstk_join_until(other, NULL, d);
}

static void join_free(void)
{
	CHECK_EQ(gstk_sem_post(&hold, 1), 0);
	CHECK_EQ(finish(other), 42);
}

static _Atomic bool once_held;

static void hold_once(void *arg)
{
	once_held = true;
	CHECK_EQ(gstk_sem_wait(&hold), 0);
}

static void *run_once(void *arg)
{
	CHECK_EQ(gstk_once_run(&once, hold_once, NULL), 0);
	return NULL;
}

static void once_new(void)
{
	once = (gstk_once)GSTK_ONCE_INIT;
	once_held = false;
	other = start(run_once, NULL);
	while (!once_held)
		gstk_yield();
}

static long once_wait(uint64_t d)
{
	return gstk_once_run(&once, hold_once, NULL);
}

static void once_free(void)
{
	let_go();
	CHECK_EQ(gstk_once_run(&once, hold_once, NULL), 0);
}

static long sleep_long(uint64_t d)
{
	return gstk_sleep(3600ull * 1000 * MS);
}

static long sleep_far(uint64_t d)
{
	return gstk_sleep_until(gstk_now() + 3600ull * 1000 * MS);
}

static void timer_new(void)
{
	CHECK_EQ(gstk_timer_create(&timer), 0);
	CHECK_EQ(gstk_timer_set(timer, gstk_now() + 3600ull * 1000 * MS, 0), 0);
}

static long timer_wait(uint64_t d)
{
	uint64_t n;

	return gstk_chan_recv_until(gstk_timer_chan(timer), &n, d);
}

static void timer_free(void)
{
	uint64_t n;

	CHECK_EQ(gstk_timer_set(timer, gstk_now(), 0), 0);
	CHECK_EQ(gstk_chan_recv(gstk_timer_chan(timer), &n), 0);
	CHECK_EQ(gstk_timer_destroy(timer), 0);
}

static void pair_new(void)
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
}

static void pair_full(void)
{
	char junk[4096] = { 0 };

	pair_new();
	while (send(pair[0], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
}

/* What was sent before arrives, and nothing else. */
static void pair_free(void)
{
	static char junk[65536];

	while (recv(pair[1], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	CHECK_EQ(gstk_write(pair[0], "a", 1), 1);
	CHECK_EQ(gstk_read(pair[1], junk, 10), 1);
	CHECK_EQ(gstk_write(pair[1], "b", 1), 1);
	CHECK_EQ(gstk_read(pair[0], junk, 10), 1);
	gstk_close(pair[0]);
	gstk_close(pair[1]);
}

static long fd_read(uint64_t d)
{
	char c;

	return d == GSTK_NEVER ? gstk_read(pair[0], &c, 1) : gstk_read_until(pair[0], &c, 1, d);
}

static long fd_readv(uint64_t d)
{
	char c;
	struct iovec v = { &c, 1 };

	return d == GSTK_NEVER ? gstk_readv(pair[0], &v, 1) : gstk_readv_until(pair[0], &v, 1, d);
}

static long fd_recv(uint64_t d)
{
	char c;

	return d == GSTK_NEVER ? gstk_recv(pair[0], &c, 1, 0) : gstk_recv_until(pair[0], &c, 1, 0, d);
}

static long fd_send(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_send(pair[0], "w", 1, 0) : gstk_send_until(pair[0], "w", 1, 0, d);
}

static long fd_recvmsg(uint64_t d)
{
	char c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	return d == GSTK_NEVER ? gstk_recvmsg(pair[0], &m, 0) : gstk_recvmsg_until(pair[0], &m, 0, d);
}

static long fd_write(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_write(pair[0], "w", 1) : gstk_write_until(pair[0], "w", 1, d);
}

static long fd_write_all(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_write_all(pair[0], "w", 1) : gstk_write_all_until(pair[0], "w", 1, d);
}

static long fd_writev(uint64_t d)
{
	struct iovec v = { "w", 1 };

	return d == GSTK_NEVER ? gstk_writev(pair[0], &v, 1) : gstk_writev_until(pair[0], &v, 1, d);
}

static long fd_sendmsg(uint64_t d)
{
	struct iovec v = { "w", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	return d == GSTK_NEVER ? gstk_sendmsg(pair[0], &m, 0) : gstk_sendmsg_until(pair[0], &m, 0, d);
}

static gstk_event *event;

static void event_new(void)
{
	CHECK_EQ(gstk_event_create(&event), 0);
}

static long event_wait(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_event_wait(event) : gstk_event_wait_until(event, d);
}

static void event_free(void)
{
	gstk_event_raise(event);
	CHECK_EQ(gstk_event_wait(event), 1);
	CHECK_EQ(gstk_event_destroy(event), 0);
}

static long fd_poll(uint64_t d)
{
	return gstk_poll(pair[0], POLLIN, d);
}

static void listener_new(void)
{
	static unsigned int nr;
	char addr[sizeof(where.sun_path)];
	int len = snprintf(addr, sizeof(addr), "unix:/tmp/gstk-wait-table-%d-%u", getpid(), nr++);

	where = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(where.sun_path, addr + 5, (size_t)len - 5);
	listening = gstk_listen(addr, 1);
	CHECK(listening >= 0);
}

static long fd_accept(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_accept(listening, NULL, NULL) : gstk_accept_until(listening, NULL, NULL, d);
}

static void listener_free(void)
{
	gstk_close(listening);
	unlink(where.sun_path);
}

static int queued[8], nr_queued;

/* Nobody accepts, and there is no more room. */
static void backlog_full(void)
{
	listener_new();
	for (nr_queued = 0; nr_queued < 8; nr_queued++) {
		queued[nr_queued] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(queued[nr_queued], (void *)&where, sizeof(where)))
			break;
	}
	CHECK_EQ(errno, EAGAIN);
	close(queued[nr_queued]);
}

static long fd_connect(uint64_t d)
{
	int fd = gstk_socket(AF_UNIX, SOCK_STREAM, 0);
	long r = d == GSTK_NEVER ? gstk_connect(fd, (void *)&where, sizeof(where)) :
		 gstk_connect_until(fd, (void *)&where, sizeof(where), d);

	gstk_close(fd);
	return r;
}

static long fd_dial(uint64_t d)
{
	char addr[120];

	snprintf(addr, sizeof(addr), "unix:%s", where.sun_path);
	return gstk_dial(addr, d);
}

static void backlog_free(void)
{
	while (nr_queued)
		close(queued[--nr_queued]);
	listener_free();
}

/* The only thread of the pool is in a function of another task. */
static _Atomic bool thread_held;

static void *holds_the_thread(void *arg)
{
	thread_held = true;
	while (thread_held)
		usleep(100);
	return NULL;
}

static void *holds(void *arg)
{
	return (void *)(long)gstk_blocking(holds_the_thread, NULL, NULL);
}

static void thread_hold(void)
{
	other = start(holds, NULL);
	while (!thread_held)
		gstk_yield();
}

static void *not_reached(void *arg)
{
	abort();
}

static long blocking(uint64_t d)
{
	return d == GSTK_NEVER ? gstk_blocking(not_reached, NULL, NULL) :
				 gstk_blocking_until(not_reached, NULL, NULL, d);
}

static long blocking_copy(uint64_t d)
{
	long block[4] = { 1 };

	return d == GSTK_NEVER ? gstk_blocking_copy(not_reached, block, sizeof(block), NULL) :
				 gstk_blocking_copy_until(not_reached, block, sizeof(block), NULL, d);
}

static void *seven(void *arg)
{
	return (void *)7L;
}

static void thread_free(void)
{
	void *r;

	thread_held = false;
	CHECK_EQ(finish(other), 0);
	CHECK_EQ(gstk_blocking(seven, NULL, &r), 0);
	CHECK_EQ((long)r, 7);
}

static void nothing(void)
{
}

/* ---- the table ---- */

enum { OWN_ONLY = 1 }; /* the call takes no deadline, or waiting for it is its job */

static const struct row {
	const char *name;
	void (*before)(void);
	long (*call)(uint64_t deadline_ns);
	void (*after)(void);
	int flags;
} rows[] = {
	{ "gstk_chan_recv", chan_new, chan_recv, chan_free, 0 },
	{ "gstk_chan_send", chan_new, chan_send, chan_free, 0 },
	{ "gstk_select", chan_new, chan_select, chan_free, 0 },
	{ "gstk_mutex_lock", mutex_hold, mutex_lock, mutex_free, 0 },
	{ "gstk_rwlock_read_lock", rwlock_hold, read_lock, rwlock_free, 0 },
	{ "gstk_rwlock_write_lock", rwlock_hold, write_lock, rwlock_free, 0 },
	{ "gstk_cond_wait", cond_new, cond_wait, cond_free, 0 },
	{ "gstk_sem_wait", sem_new, sem_wait_, sem_free, 0 },
	{ "gstk_waitgroup_wait", group_new, group_wait, group_free, 0 },
	{ "gstk_join", other_waits, join, join_free, 0 },
	{ "gstk_once_run", once_new, once_wait, once_free, OWN_ONLY },
	{ "gstk_sleep", nothing, sleep_long, nothing, OWN_ONLY },
	{ "gstk_sleep_until", nothing, sleep_far, nothing, OWN_ONLY },
	{ "a timer's channel", timer_new, timer_wait, timer_free, 0 },
	{ "gstk_read", pair_new, fd_read, pair_free, 0 },
	{ "gstk_readv", pair_new, fd_readv, pair_free, 0 },
	{ "gstk_recv", pair_new, fd_recv, pair_free, 0 },
	{ "gstk_send", pair_full, fd_send, pair_free, 0 },
	{ "gstk_recvmsg", pair_new, fd_recvmsg, pair_free, 0 },
	{ "gstk_write", pair_full, fd_write, pair_free, 0 },
	{ "gstk_write_all", pair_full, fd_write_all, pair_free, 0 },
	{ "gstk_writev", pair_full, fd_writev, pair_free, 0 },
	{ "gstk_sendmsg", pair_full, fd_sendmsg, pair_free, 0 },
	{ "gstk_event_wait", event_new, event_wait, event_free, 0 },
	{ "gstk_poll", pair_new, fd_poll, pair_free, 0 },
	{ "gstk_accept", listener_new, fd_accept, listener_free, 0 },
	{ "gstk_connect", backlog_full, fd_connect, backlog_free, 0 },
	{ "gstk_dial", backlog_full, fd_dial, backlog_free, 0 },
	{ "gstk_blocking", thread_hold, blocking, thread_free, 0 },
	{ "gstk_blocking_copy", thread_hold, blocking_copy, thread_free, 0 },
};

static const struct row *row; /* one at a time */
static _Atomic int cleaned;
static _Atomic bool begun, go;

static void clean(void *arg)
{
	cleaned++;
}

static void *park_for_ever(void *arg)
{
	CHECK_EQ(gstk_cleanup_push(clean, NULL), 0);
	begun = true;
	return (void *)row->call(GSTK_NEVER);
}

static void *park_when_told(void *arg)
{
	CHECK_EQ(gstk_cleanup_push(clean, NULL), 0);
	while (!go)
		gstk_yield();
	return (void *)row->call(GSTK_NEVER);
}

static void *park_till_own_deadline(void *arg)
{
	CHECK_EQ(gstk_cleanup_push(clean, NULL), 0);
	CHECK_EQ(gstk_deadline_set(gstk_now() + 2 * MS), 0);
	return (void *)row->call(GSTK_NEVER);
}

static void *park_till_deadline(void *arg)
{
	uint64_t end = gstk_now() + 2 * MS;
	long r = row->call(end);

	CHECK(gstk_now() >= end);
	return (void *)r;
}

static void check_result(const char *what, long got, long want)
{
	if (got == want)
		return;
	fprintf(stderr, "# %s, %s: %ld, not %ld\n", row->name, what, got, want);
	abort();
}

static void each(void (*fn)(void))
{
	hold = (gstk_sem)GSTK_SEM_INIT(0);
	for (row = rows; row < rows + sizeof(rows) / sizeof(*rows); row++) {
		row->before();
		begun = go = false;
		cleaned = 0;
		fn();
		row->after();
	}
}

static void cancel_parked(void)
{
	gstk_task *t = start(park_for_ever, NULL);

	while (!begun)
		gstk_yield();
	gstk_sleep(1 * MS * slowness());
	CHECK_EQ(gstk_cancel(t), 0);
	check_result("cancelled while it waits", finish(t), -ECANCELED);
	CHECK_EQ(cleaned, 1);
}

static void cancel_first(void)
{
	gstk_task *t = start(park_when_told, NULL);

	CHECK_EQ(gstk_cancel(t), 0);
	go = true;
	check_result("cancelled before it waits", finish(t), -ECANCELED);
	CHECK_EQ(cleaned, 1);
}

static void own_deadline(void)
{
	check_result("the task's own deadline", finish(start(park_till_own_deadline, NULL)), -ETIMEDOUT);
	CHECK_EQ(cleaned, 1);
}

static void call_deadline(void)
{
	if (!(row->flags & OWN_ONLY))
		check_result("the call's deadline", finish(start(park_till_deadline, NULL)), -ETIMEDOUT);
}

WAIT_TEST(a_cancel_ends_every_wait)
{
	each(cancel_parked);
}

WAIT_TEST(a_cancelled_task_waits_for_nothing)
{
	each(cancel_first);
}

WAIT_TEST(the_tasks_own_deadline_ends_every_wait)
{
	each(own_deadline);
}

WAIT_TEST(its_deadline_ends_every_timed_wait)
{
	each(call_deadline);
}

/* Before any runtime begins. */
static __attribute__((constructor)) void one_thread_for_blocking_calls(void)
{
	setenv("GREENSTK_BLOCKING_THREADS", "1", 1);
}

TEST_HARNESS_MAIN
