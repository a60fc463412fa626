// SPDX-License-Identifier: MIT
/*
 * Blocking calls: a task parks, and a thread of the pool calls its function.
 *
 * - The job is the task: function, argument, then result in ->msg; state and errno in ->obj; links of
 *   the queue. All under the queue's lock. So a call allocates nothing, and nobody touches a stack.
 * - QUEUED jobs are withdrawn by a cancel or timeout. One that is STARTED is waited for: the task parks a
 *   second time, and nothing but the end of the job wakes it.
 * - A job is announced before its task parks, and enters the queue when it has left its stack (the commit).
 *   Threads are started in between, for that must not happen on the stack of whoever comes next. While a
 *   job is announced no thread ends, so the one that was counted on will be there.
 * - Only a thread that was really created is counted, and one is created at a time: so nobody relies on
 *   another's attempt that fails.
 * - A thread that ends joins the one that ended before it: no more than one waits to be joined.
 */
#include <greenstk/call.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "debug/inject.h"
#include "host/host.h"
#include "host/needed.h"
#include "host/refuse.h"
#include "wait/blocking.h"
#include "wait/waitq.h"

uint64_t gstk__blocking_idle_ns = 10000000000u;

enum { NEW, QUEUED, STARTED, DONE, STATE_MASK = 3, ERRNO_SHIFT = 2 };

/* Under the lock of the queue, unless it is atomic. A new thread may run, and be idle no more, before its
 * creator has counted it: so the counts are signed. */
static struct {
	struct gstk__waitq queue;
	_Atomic uint32_t pushes;    /* futex of idle threads: changes with each job */
	int announced;		    /* jobs that no thread has taken yet */
	int idle;		    /* threads that run no job */
	int sleepers;		    /* of these, on the futex */
	int threads, max;
	uint32_t queued_most;
	bool stop, has_ended;
	pthread_t ended;	    /* the last one that did, not joined yet */
	_Atomic uint64_t calls;
	_Atomic uint32_t in_flight; /* jobs announced or running */
	_Atomic uint32_t alive;	    /* threads, by themselves; futex of fini */
} pool;

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static bool forked;
static __thread bool inside; /* a function of a task */

static _Atomic uint32_t *lock(void)
{
	return gstk__waitq_lock(&pool.queue);
}

static unsigned int state_of(const struct gstk_task *t)
{
	return (uintptr_t)t->obj & STATE_MASK;
}

static void set_state(struct gstk_task *t, unsigned int state, int err)
{
	t->obj = (void *)((uintptr_t)(unsigned int)err << ERRNO_SHIFT | state);
}

/* Calls of their own: where errno is may be kept across a park by the compiler. */
static __attribute__((noinline)) void set_errno(int err)
{
	errno = err;
}

/* ---- threads ---- */

/* A job that was taken from the queue, whose lock is held before and after. */
static void run(struct gstk_task *t)
{
	void *(*fn)(void *) = (void *(*)(void *))(uintptr_t)t->msg[0];
	void *arg = (void *)(uintptr_t)t->msg[1], *result;
	enum gstk__order order;
	int err = (int)((uintptr_t)t->obj >> ERRNO_SHIFT);

	set_state(t, STARTED, err);
	pool.announced--;
	pool.idle--;
	gstk__unlock(lock());
	atomic_fetch_add_explicit(&pool.calls, 1, memory_order_relaxed);
	inside = true;
	errno = err;
	result = fn(arg);
	err = errno;
	inside = false;
	if (forked) {
		fprintf(stderr, "greenstk: a function of gstk_blocking() returned in a child of fork(); end it with _exit() or exec\n");
		abort();
	}
	gstk__lock(lock());
	t->msg[0] = (uintptr_t)result;
	set_state(t, DONE, err);
	pool.idle++;
	/* Decided before it is no longer in flight: who looks for a deadlock sees one or the other. */
	order = gstk__state_wake(t, GSTK__CODE_OK, 0);
	atomic_fetch_sub(&pool.in_flight, 1);
	gstk__unlock(lock());
	if (order == GSTK__ENQUEUE)
		gstk__enqueue(t);
	gstk__lock(lock());
}

/* Lock held before and after. False: none came for so long that the thread may end. */
static bool wait_for_job(uint64_t idle_since_ns)
{
	uint32_t seen = atomic_load_explicit(&pool.pushes, memory_order_relaxed);

	GSTK__INJECT(blocking_idle);
	pool.sleepers++;
	gstk__unlock(lock());
	gstk__futex_wait(&pool.pushes, seen, gstk__blocking_idle_ns);
	gstk__lock(lock());
	pool.sleepers--;
	return pool.announced || gstk__now_ns() - idle_since_ns < gstk__blocking_idle_ns;
}

static void *thread_main(void *arg)
{
	uint64_t idle_since_ns = gstk__now_ns();
	pthread_t before;
	bool had;

	pthread_setname_np(pthread_self(), "gstk-blocking");
	gstk__thread_needed("a function of gstk_blocking(), which has to return");
	atomic_fetch_add(&pool.alive, 1);
	gstk__lock(lock());
	for (;;) {
		struct gstk_task *t = gstk__waitq_pop(&pool.queue);

		if (t) {
			run(t);
			idle_since_ns = gstk__now_ns();
		} else if (pool.stop || !wait_for_job(idle_since_ns)) {
			break;
		}
	}
	pool.threads--;
	pool.idle--;
	had = pool.has_ended;
	before = pool.ended;
	pool.ended = pthread_self();
	pool.has_ended = true;
	atomic_fetch_sub(&pool.alive, 1);
	gstk__futex_wake(&pool.alive, 1);
	gstk__unlock(lock());
	gstk__thread_needed(NULL);
	if (had)
		pthread_join(before, NULL); /* its last instructions */
	return NULL;
}

static bool enough_threads(void)
{
	return pool.announced <= pool.idle || pool.threads >= pool.max;
}

/* A job was announced for which no thread is idle. 0: some thread will come to it. -EAGAIN: there is none. */
static int add_thread(void)
{
	pthread_t thread;
	int err = 0;

	pthread_mutex_lock(&starting);
	gstk__lock(lock());
	if (!enough_threads()) {
		gstk__unlock(lock());
		err = pthread_create(&thread, NULL, thread_main, NULL);
		GSTK__INJECT(blocking_thread);
		gstk__lock(lock());
		if (!err) {
			pool.threads++;
			pool.idle++;
		} else if (pool.threads) {
			err = 0; /* those that there are do it */
		}
	}
	gstk__unlock(lock());
	pthread_mutex_unlock(&starting);
	return err ? -EAGAIN : 0;
}

/* ---- the caller ---- */

static void withdraw_locked(void)
{
	pool.announced--;
	atomic_fetch_sub(&pool.in_flight, 1);
}

int gstk__blocking_announce(struct gstk_task *t)
{
	bool enough;
	int err;

	set_state(t, NEW, errno);

	gstk__lock(lock());
	pool.announced++;
	atomic_fetch_add(&pool.in_flight, 1);
	enough = enough_threads();
	gstk__unlock(lock());
	if (enough)
		return 0;
	err = add_thread();
	if (err) {
		gstk__lock(lock());
		withdraw_locked();
		gstk__unlock(lock());
	}
	return err;
}

bool gstk__blocking_commit(struct gstk_task *t, void *arg)
{
	bool sleepers;

	gstk__lock(lock());
	t->obj = (void *)((uintptr_t)t->obj | QUEUED);
	gstk__waitq_push(&pool.queue, t);
	if (pool.queue.nr > pool.queued_most)
		__atomic_store_n(&pool.queued_most, pool.queue.nr, __ATOMIC_RELAXED);
	atomic_fetch_add_explicit(&pool.pushes, 1, memory_order_relaxed);
	sleepers = pool.sleepers;
	gstk__unlock(lock());
	if (sleepers)
		gstk__futex_wake(&pool.pushes, 1);
	return true;
}

int gstk__blocking_give_up(struct gstk_task *t, enum gstk__code code, _Atomic uint32_t **held)
{
	gstk__lock(lock());
	switch (state_of(t)) {
	case STARTED:
		*held = lock();
		return 1;
	case DONE:
		gstk__unlock(lock());
		return 0;
	default: /* QUEUED; NEW without memory for the deadline */
		if (state_of(t) == QUEUED)
			gstk__waitq_unlink(&pool.queue, t);
		withdraw_locked();
		gstk__unlock(lock());
		return gstk__code_errno(code);
	}
}

int gstk_blocking_until(void *(*fn)(void *), void *arg, void **result, uint64_t deadline_ns)
{
	struct gstk_task *t = gstk__current_task();
	enum gstk__code code;
	int err;

	if (unlikely(!fn))
		return gstk__refuse("gstk_blocking: the function is NULL; give what is to run on a thread");
	if (!t) {
		void *r = fn(arg);

		if (result)
			*result = r;
		return 0;
	}
	if (unlikely(gstk__in_shared_window(arg)))
		return gstk__refuse("gstk_blocking: the argument at %p lies on the stack of a task whose window is shared, so its bytes "
				    "may be elsewhere when the thread looks. Use gstk_blocking_copy(), spawn the caller with "
				    "GSTK_PRIVATE, or take it from gstk_alloc().", arg);
	err = gstk__may_wait();
	if (!err)
		err = gstk__may_go_on();
	if (!err && gstk__wait_expired(deadline_ns))
		err = -ETIMEDOUT;
	if (!err)
		err = gstk__blocking_announce(t);
	if (unlikely(err))
		return err;
	t->msg[0] = (uintptr_t)fn;
	t->msg[1] = (uintptr_t)arg;
	code = gstk__block(gstk__blocking_commit, NULL, GSTK__WAIT_BLOCKING, deadline_ns, true);
	if (unlikely(code != GSTK__CODE_OK)) {
		_Atomic uint32_t *held;

		err = gstk__blocking_give_up(t, code, &held);
		if (err > 0)
			gstk__block(gstk__commit_unlock, held, GSTK__WAIT_BLOCKING, GSTK_NEVER, false);
		else if (err)
			return err;
	}
	if (result)
		*result = (void *)(uintptr_t)t->msg[0];
	set_errno((int)((uintptr_t)t->obj >> ERRNO_SHIFT));
	return 0;
}

int gstk_blocking(void *(*fn)(void *), void *arg, void **result)
{
	return gstk_blocking_until(fn, arg, result, GSTK_NEVER);
}

int gstk_blocking_copy_until(void *(*fn)(void *), void *block, size_t bytes, void **result, uint64_t deadline_ns)
{
	void *copy;
	int err;

	if (unlikely(!block && bytes))
		return gstk__refuse("gstk_blocking_copy: %zu bytes at NULL; give both, or neither", bytes);
	if (!gstk__in_shared_window(block) || !gstk__current_task())
		return gstk_blocking_until(fn, block, result, deadline_ns);
	copy = malloc(bytes ? bytes : 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, block, bytes);
	err = gstk_blocking_until(fn, copy, result, deadline_ns);
	if (!err)
		memcpy(block, copy, bytes);
	free(copy); /* keeps errno */
	return err;
}

int gstk_blocking_copy(void *(*fn)(void *), void *block, size_t bytes, void **result)
{
	return gstk_blocking_copy_until(fn, block, bytes, result, GSTK_NEVER);
}

/* ---- life ---- */

void gstk__blocking_init(uint32_t max_threads)
{
	pool.max = (int)max_threads;
}

void gstk__blocking_fini(void)
{
	uint32_t alive;

	gstk__lock(lock());
	pool.stop = true;
	atomic_fetch_add_explicit(&pool.pushes, 1, memory_order_relaxed);
	gstk__unlock(lock());
	gstk__futex_wake(&pool.pushes, -1);
	gstk__lock(lock());
	while (pool.threads) {
		/* One that was just created may not have counted itself yet: it will, and then end. */
		alive = atomic_load(&pool.alive);
		gstk__unlock(lock());
		gstk__futex_wait(&pool.alive, alive, 10000000);
		gstk__lock(lock());
	}
	pool.stop = false;
	gstk__unlock(lock());
	if (pool.has_ended)
		pthread_join(pool.ended, NULL);
	pool.has_ended = false;
	pool.queued_most = 0;
	atomic_store(&pool.calls, 0);
}

void gstk__blocking_forked(void)
{
	forked = true;
}

bool gstk__blocking_inside(void)
{
	return inside;
}

void gstk__blocking_counts(struct gstk__blocking_counts *c)
{
	c->calls = atomic_load(&pool.calls);
	c->threads = atomic_load(&pool.alive);
	c->queued_most = __atomic_load_n(&pool.queued_most, __ATOMIC_RELAXED);
}

bool gstk__blocking_busy(void)
{
	return atomic_load(&pool.in_flight);
}

unsigned int gstk__blocking_threads(void)
{
	return atomic_load(&pool.alive);
}
