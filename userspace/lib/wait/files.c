// SPDX-License-Identifier: MIT
#include "wait/files.h"

#include <errno.h>
#include <greenstk/runtime.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include "debug/inject.h"
#include "host/uring.h"
#include "wait/fd.h"
#include "wait/waitq.h"

#define SUBMISSIONS 128u /* they do not stay there */
#define COMPLETIONS 8192u
#define BATCH	    64 /* completions taken under one hold of the lock */
#define RESTART_MIN 512 /* ERESTARTSYS and its kin: a kernel thread tells what programs never see */
#define RESTART_MAX 516

/* A thread of the kernel costs more to wake than one of the pool, and less to keep busy: Documentation/rejected.d/files.rst. */
#define CROWD 16u

enum { IN_FLIGHT = 1, DONE = 2 }; /* ->obj */
enum { UNKNOWN, RING, POOL };

static const uint8_t ops[] = { IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
			       IORING_OP_OPENAT, IORING_OP_ASYNC_CANCEL };

static struct {
	_Atomic uint32_t lock; /* of both rings' ends, of what is in flight, and of the counts */
	_Atomic uint32_t in_flight;
	_Atomic uint32_t under_way; /* those, and the ones that threads do */
	_Atomic int way;
	uint32_t how, threads;
	const char *why;
	uint64_t calls, full;
	_Atomic uint64_t pool_calls;
	struct gstk__uring ring;
} files = { .why = "nothing was asked yet" };

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

/* ---- the kernel's side ---- */

/* Lock held. */
static int reap_locked(int most)
{
	struct io_uring_cqe c;
	int woken = 0;

	while (most-- && gstk__uring_next(&files.ring, &c)) {
		struct gstk_task *t = gstk__task((uint32_t)c.user_data);

		if (!c.user_data)
			continue; /* a cancel's own */
		t->msg[0] = (uint64_t)(int64_t)c.res;
		t->obj = (void *)(uintptr_t)DONE;
		woken += gstk__wake(t, GSTK__CODE_OK); /* unless it has not parked yet */
		atomic_fetch_sub(&files.in_flight, 1);
	}
	return woken;
}

/* Lock held before, not after: let the kernel have @sqe. */
static void submit_unlock(const struct io_uring_sqe *sqe, uint64_t user_data)
{
	struct io_uring_sqe *to;
	uint32_t index;

	while (!(to = gstk__uring_room(&files.ring, &index))) {
		gstk__unlock(&files.lock);
		if (gstk__uring_enter(&files.ring))
			sched_yield();
		gstk__lock(&files.lock);
	}
	*to = *sqe;
	to->user_data = user_data;
	gstk__uring_publish(&files.ring, index);
	gstk__unlock(&files.lock);
	GSTK__INJECT(files_published);
	/* Others may hand it over, or we theirs. */
	while (!gstk__uring_taken(&files.ring, index))
		if (gstk__uring_enter(&files.ring))
			sched_yield();
}

/* ---- the task's side ---- */

/* The wait ended early: nothing is over before the kernel has said so. */
static void stop(struct gstk_task *t)
{
	struct io_uring_sqe cancel = { .opcode = IORING_OP_ASYNC_CANCEL, .fd = -1, .addr = gstk__task_index(t) };

	gstk__lock(&files.lock);
	if (t->obj != (void *)(uintptr_t)DONE) {
		submit_unlock(&cancel, 0);
		gstk__lock(&files.lock);
		reap_locked(BATCH);
	}
	if (t->obj != (void *)(uintptr_t)DONE)
		gstk__block(gstk__commit_unlock, &files.lock, GSTK__WAIT_FILE, GSTK_NEVER, false);
	else
		gstk__unlock(&files.lock);
}

bool gstk__files_do(const struct io_uring_sqe *sqe, int64_t *res)
{
	struct gstk_task *t = gstk__current_task();
	enum gstk__code code = GSTK__CODE_OK;

	if (!gstk__may_park())
		return false;
	gstk__lock(&files.lock);
	if (atomic_load_explicit(&files.in_flight, memory_order_relaxed) >= files.ring.cq_entries / 2) {
		files.full++;
		gstk__unlock(&files.lock);
		return false;
	}
	files.calls++;
	atomic_fetch_add(&files.in_flight, 1);
	t->obj = (void *)(uintptr_t)IN_FLIGHT;
	submit_unlock(sqe, gstk__task_index(t));
	gstk__lock(&files.lock);
	reap_locked(BATCH);
	if (t->obj == (void *)(uintptr_t)DONE)
		gstk__unlock(&files.lock);
	else
		code = gstk__block_unlock(&files.lock, GSTK__WAIT_FILE, GSTK_NEVER);
	if (unlikely(code != GSTK__CODE_OK))
		stop(t);
	*res = (int64_t)t->msg[0];
	if (unlikely(-*res >= RESTART_MIN && -*res <= RESTART_MAX))
		*res = -EINTR;
	if (unlikely(code != GSTK__CODE_OK && (*res == -ECANCELED || *res == -EINTR)))
		*res = gstk__code_errno(code);
	return true;
}

/* ---- the poller ---- */

int gstk__files_poll(void)
{
	int woken = 0, more;

	if (atomic_load_explicit(&files.way, memory_order_acquire) != RING)
		return 0;
	while (gstk__uring_completions(&files.ring)) {
		gstk__lock(&files.lock);
		more = reap_locked(BATCH);
		gstk__unlock(&files.lock);
		woken += more;
	}
	return woken;
}

bool gstk__files_busy(void)
{
	return atomic_load(&files.in_flight);
}

/* ---- life ---- */

static int open_ring(void)
{
	int err;

	if (files.how == GSTK_FILES_POOL) {
		files.why = "the pool was asked for (GREENSTK_FILES=pool)";
		return -EPERM;
	}
	err = gstk__uring_open(&files.ring, SUBMISSIONS, COMPLETIONS, ops, sizeof(ops), files.threads, &files.why);
	if (!err) {
		err = gstk__netpoll_add_files(files.ring.fd);
		if (err) {
			files.why = "the ring cannot be polled";
			gstk__uring_close(&files.ring);
		}
	}
	if (err && files.how == GSTK_FILES_URING)
		fprintf(stderr, "greenstk: files are done by threads: %s\n", files.why);
	return err;
}

bool gstk__files_ring(void)
{
	int way = atomic_load_explicit(&files.way, memory_order_acquire);

	if (likely(way != UNKNOWN))
		return way == RING;
	pthread_mutex_lock(&opening);
	way = atomic_load_explicit(&files.way, memory_order_relaxed);
	if (way == UNKNOWN) {
		way = open_ring() ? POOL : RING;
		atomic_store_explicit(&files.way, way, memory_order_release);
	}
	pthread_mutex_unlock(&opening);
	return way == RING;
}

uint32_t gstk__files_begin(void)
{
	return atomic_fetch_add_explicit(&files.under_way, 1, memory_order_relaxed);
}

void gstk__files_end(void)
{
	atomic_fetch_sub_explicit(&files.under_way, 1, memory_order_relaxed);
}

bool gstk__files_ring_pays(uint32_t others)
{
	return (others >= CROWD || files.how == GSTK_FILES_URING) && gstk__files_ring();
}

const char *gstk__files_way(const char **why)
{
	bool ring = gstk__files_ring();

	*why = files.why;
	return ring ? "uring" : "pool";
}

void gstk__files_init(uint32_t how, uint32_t threads)
{
	files.how = how;
	files.threads = threads;
}

void gstk__files_fini(void)
{
	if (atomic_load(&files.way) == RING)
		gstk__uring_close(&files.ring);
	atomic_store(&files.way, UNKNOWN);
	atomic_store(&files.pool_calls, 0);
	files.calls = files.full = 0;
}

void gstk__files_forked(void)
{
	if (atomic_load(&files.way) == RING)
		gstk__uring_forked(&files.ring);
	atomic_store(&files.way, POOL);
}

void gstk__files_count_pool(void)
{
	atomic_fetch_add_explicit(&files.pool_calls, 1, memory_order_relaxed);
}

void gstk__files_counts(struct gstk__files_counts *c)
{
	gstk__lock(&files.lock);
	c->ring_calls = files.calls;
	c->ring_full = files.full;
	gstk__unlock(&files.lock);
	c->pool_calls = atomic_load_explicit(&files.pool_calls, memory_order_relaxed);
}
