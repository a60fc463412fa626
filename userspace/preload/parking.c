// SPDX-License-Identifier: MIT
#include "parking.h"

#include <stdlib.h>
#include <sys/mman.h>

#define BUCKETS	   256u
#define RECHECK_MS 5u

struct preload_waiter {
	struct preload_waiter *next, *prev;
	const void *addr;
	gstk_sem sem;
	bool queued; /* under the bucket's lock */
};

static struct bucket {
	uint32_t lock;
	uint32_t nr;
	struct preload_waiter *first, *last;
} __attribute__((aligned(64))) buckets[BUCKETS] __attribute__((aligned(4096)));
_Static_assert(sizeof(buckets) % 4096 == 0, "pages of their own");

/* In a child of fork() nobody waits, and who had a lock is not there: it finds them empty, whatever it calls first. */
static __attribute__((constructor)) void begin(void)
{
	madvise(buckets, sizeof(buckets), MADV_WIPEONFORK);
}

/* The calling thread has a bucket's lock, or is about to. Not to be seen by a handler that it has interrupted. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

static NOINLINE bool *inside_here(void)
{
	return &inside;
}

static struct bucket *bucket_of(const void *addr)
{
	return &buckets[((uintptr_t)addr >> 3) * 0x9e3779b97f4a7c15ull >> 56];
}

static void lock(struct bucket *b)
{
	*inside_here() = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	while (__atomic_exchange_n(&b->lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unlock(struct bucket *b)
{
	__atomic_store_n(&b->lock, 0, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*inside_here() = false;
}

static void take_out(struct bucket *b, struct preload_waiter *w)
{
	*(w->prev ? &w->prev->next : &b->first) = w->next;
	*(w->next ? &w->next->prev : &b->last) = w->prev;
	w->queued = false;
	__atomic_store_n(&b->nr, b->nr - 1, __ATOMIC_RELAXED);
}

struct preload_waiter *preload_park_begin(const void *addr)
{
	struct bucket *b = bucket_of(addr);
	struct preload_waiter *w = malloc(sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct preload_waiter){ .addr = addr, .sem = GSTK_SEM_INIT(0), .queued = true };
	lock(b);
	w->prev = b->last;
	*(b->last ? &b->last->next : &b->first) = w;
	b->last = w;
	__atomic_store_n(&b->nr, b->nr + 1, __ATOMIC_RELAXED);
	unlock(b);
	/* Partner: preload_unpark(). Either the caller's next try sees the change, or that sees the waiter. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return w;
}

int preload_park_wait(struct preload_waiter *w, uint64_t deadline_ns)
{
	return gstk_sem_wait_until(&w->sem, deadline_ns);
}

bool preload_park_end(struct preload_waiter *w)
{
	struct bucket *b = bucket_of(w->addr);
	bool queued;

	lock(b);
	queued = w->queued;
	if (queued)
		take_out(b, w);
	unlock(b);
	free(w);
	return !queued;
}

bool preload_unpark(const void *addr, bool all)
{
	struct bucket *b = bucket_of(addr);
	struct preload_waiter *w, *next;
	bool any = false;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&b->nr, __ATOMIC_RELAXED) || *inside_here())
		return false;
	lock(b);
	for (w = b->first; w && (all || !any); w = next) {
		next = w->next;
		if (w->addr != addr)
			continue;
		take_out(b, w);
		gstk_sem_post(&w->sem, 1); /* under the lock: it cannot go away meanwhile */
		any = true;
	}
	unlock(b);
	return any;
}

void preload_shield_begin(struct preload_shield *s)
{
	s->canceled = gstk_cancel_clear();
	s->deadline_ns = gstk_deadline_get();
	if (s->deadline_ns != GSTK_NEVER)
		gstk_deadline_set(GSTK_NEVER);
}

void preload_shield_again(struct preload_shield *s)
{
	s->canceled |= gstk_cancel_clear();
}

void preload_shield_end(struct preload_shield *s)
{
	if (s->deadline_ns != GSTK_NEVER)
		gstk_deadline_set(s->deadline_ns); /* what it needs was there before */
	if (s->canceled)
		gstk_cancel(gstk_self());
}

int preload_deadline_abs(clockid_t clock, const struct timespec *abs, uint64_t *deadline_ns)
{
	struct timespec now;
	int64_t left = 0;

	if (abs->tv_nsec < 0 || (uint64_t)abs->tv_nsec >= NS_PER_S || clock_gettime(clock, &now))
		return -EINVAL;
	if (abs->tv_sec >= now.tv_sec) { /* else past, however long: the difference may be more than there are numbers */
		left = (int64_t)abs->tv_sec - now.tv_sec;
		if (left > 4000000000ll) {
			*deadline_ns = GSTK_NEVER;
			return 0;
		}
		left = left * (int64_t)NS_PER_S + abs->tv_nsec - now.tv_nsec;
	}
	*deadline_ns = gstk_now() + (left > 0 ? (uint64_t)left : 0);
	return 0;
}

/* One wait, up to the next look. 0: try again. */
static int wait_a_while(struct preload_waiter *w, uint64_t deadline_ns, uint32_t *ms)
{
	uint64_t now = gstk_now(), until = now + *ms * NS_PER_MS;
	int err;

	if (now >= deadline_ns)
		return ETIMEDOUT;
	if (*ms < RECHECK_MS)
		++*ms;
	err = w ? preload_park_wait(w, until < deadline_ns ? until : deadline_ns)
		: gstk_sleep_until(until < deadline_ns ? until : deadline_ns);
	return err == -ECANCELED ? ECANCELED : 0;
}

static int park_until(const void *addr, int (*try)(void *), void *arg, uint64_t deadline_ns, struct preload_shield *s)
{
	uint32_t ms = 1;

	for (;;) {
		struct preload_waiter *w = preload_park_begin(addr);
		int r = try(arg), err = 0;

		if (r == EBUSY)
			err = wait_a_while(w, deadline_ns, &ms);
		if (err == ECANCELED && s) {
			preload_shield_again(s);
			err = 0;
		}
		if (w && preload_park_end(w) && (r != EBUSY || err))
			preload_unpark(addr, false); /* meant for somebody who still waits */
		if (r != EBUSY || err)
			return r != EBUSY ? r : err;
	}
}

int preload_park_until(const void *addr, int (*try)(void *), void *arg, uint64_t deadline_ns, bool cancelable)
{
	struct preload_shield s;
	int r = try(arg);

	/* Short critical sections of tasks of this worker end so. */
	for (int i = 0; i < 3 && r == EBUSY; i++) {
		gstk_yield();
		r = try(arg);
	}
	if (r != EBUSY)
		return r;
	if (cancelable)
		return park_until(addr, try, arg, deadline_ns, NULL);
	preload_shield_begin(&s);
	r = park_until(addr, try, arg, deadline_ns, &s);
	preload_shield_end(&s);
	return r;
}
