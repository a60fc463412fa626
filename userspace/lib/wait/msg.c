// SPDX-License-Identifier: MIT
/*
 * Message blocks. Each thread has a magazine of free blocks per class; magazines exchange chains of
 * BATCH blocks with a shared list under a lock. Blocks are carved from chunks and stay pooled.
 *
 * Thread-local variables are used only in functions that do not switch and are not inlined: a task
 * may go on in another thread.
 */
#include "wait/msg.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "wait/waitq.h"

#define MIN_SHIFT 6
#define NR_CLASS  5 /* 64 .. 1024 */
#define MAX_SIZE  ((size_t)1 << (MIN_SHIFT + NR_CLASS - 1))
#define CHUNK	  65536
#define BATCH	  32u

struct block {
	struct block *next;
	struct block *batch; /* in the shared list: the next chain */
};

struct magazine {
	struct block *free[NR_CLASS];
	uint32_t nr[NR_CLASS];
	int64_t blocks, bytes; /* taken minus returned; written by its thread only */
	struct magazine *next;
	bool registered;
};

static struct {
	_Atomic uint32_t lock;
	struct block *batch[NR_CLASS];
	struct magazine *magazines;
	int64_t blocks, bytes; /* of threads that ended */
} pool;

static __thread struct magazine mag __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void account(struct magazine *m, int64_t blocks, int64_t bytes)
{
	__atomic_store_n(&m->blocks, m->blocks + blocks, __ATOMIC_RELAXED);
	__atomic_store_n(&m->bytes, m->bytes + bytes, __ATOMIC_RELAXED);
}

/* The thread ends: its blocks and counts go to the pool. */
static void retire(void *p)
{
	struct magazine *m = p, **q;

	gstk__lock(&pool.lock);
	for (int c = 0; c < NR_CLASS; c++) {
		if (m->free[c]) {
			m->free[c]->batch = pool.batch[c];
			pool.batch[c] = m->free[c];
		}
		m->free[c] = NULL;
		m->nr[c] = 0;
	}
	pool.blocks += m->blocks;
	pool.bytes += m->bytes;
	m->blocks = m->bytes = 0;
	for (q = &pool.magazines; *q; q = &(*q)->next) {
		if (*q == m) {
			*q = m->next;
			break;
		}
	}
	m->registered = false;
	gstk__unlock(&pool.lock);
}

static void make_key(void)
{
	pthread_key_create(&key, retire);
}

static void enroll(struct magazine *m)
{
	if (likely(m->registered))
		return;
	pthread_once(&once, make_key);
	pthread_setspecific(key, m);
	gstk__lock(&pool.lock);
	m->next = pool.magazines;
	pool.magazines = m;
	m->registered = true;
	gstk__unlock(&pool.lock);
}

static unsigned int class_of(size_t size)
{
	return size <= (1 << MIN_SHIFT) ? 0 : 64 - MIN_SHIFT - (unsigned int)__builtin_clzll(size - 1);
}

static struct block *refill(struct magazine *m, unsigned int c)
{
	size_t size = (size_t)1 << (MIN_SHIFT + c);
	struct block *b;
	char *chunk;

	gstk__lock(&pool.lock);
	b = pool.batch[c];
	if (b)
		pool.batch[c] = b->batch;
	gstk__unlock(&pool.lock);
	if (!b) {
		struct block *rest = NULL;

		chunk = aligned_alloc(64, CHUNK);
		if (!chunk)
			return NULL;
		/* Chains of BATCH: the first for this thread, the others for all. */
		for (size_t at = CHUNK; at; at -= BATCH * size) {
			b = NULL;
			for (size_t i = 0; i < BATCH; i++) {
				struct block *x = (struct block *)(chunk + at - (i + 1) * size);

				x->next = b;
				b = x;
			}
			b->batch = rest;
			rest = b;
		}
		rest = b->batch;
		if (rest) {
			struct block *last = rest;

			while (last->batch)
				last = last->batch;
			gstk__lock(&pool.lock);
			last->batch = pool.batch[c];
			pool.batch[c] = rest;
			gstk__unlock(&pool.lock);
		}
	}
	m->free[c] = b;
	m->nr[c] = 0;
	for (struct block *x = b; x; x = x->next) /* that of a thread that ended may be short */
		m->nr[c]++;
	return b;
}

__attribute__((noinline)) void *gstk__msg_get(size_t size)
{
	struct magazine *m = &mag;
	struct block *b;
	unsigned int c;

	enroll(m);
	if (unlikely(size > MAX_SIZE)) {
		void *p = malloc(size);

		if (p)
			account(m, 1, (int64_t)size);
		return p;
	}
	c = class_of(size);
	b = m->free[c];
	if (unlikely(!b)) {
		b = refill(m, c);
		if (!b)
			return NULL;
	}
	m->free[c] = b->next;
	m->nr[c]--;
	account(m, 1, 1 << (MIN_SHIFT + c));
	return b;
}

__attribute__((noinline)) void gstk__msg_put(void *block, size_t size)
{
	struct magazine *m = &mag;
	struct block *b = block;
	unsigned int c;

	enroll(m);
	if (unlikely(size > MAX_SIZE)) {
		account(m, -1, -(int64_t)size);
		free(block);
		return;
	}
	c = class_of(size);
	account(m, -1, -(1 << (MIN_SHIFT + c)));
	b->next = m->free[c];
	m->free[c] = b;
	if (likely(++m->nr[c] < 2 * BATCH))
		return;
	/* Keep the warm half, give the other to all. */
	for (unsigned int i = 1; i < BATCH; i++)
		b = b->next;
	gstk__lock(&pool.lock);
	b->next->batch = pool.batch[c];
	pool.batch[c] = b->next;
	gstk__unlock(&pool.lock);
	b->next = NULL;
	m->nr[c] = BATCH;
}

void gstk__msg_stats(uint64_t *blocks, uint64_t *bytes)
{
	int64_t n, b;

	gstk__lock(&pool.lock);
	n = pool.blocks;
	b = pool.bytes;
	for (struct magazine *m = pool.magazines; m; m = m->next) {
		n += __atomic_load_n(&m->blocks, __ATOMIC_RELAXED);
		b += __atomic_load_n(&m->bytes, __ATOMIC_RELAXED);
	}
	gstk__unlock(&pool.lock);
	*blocks = (uint64_t)n;
	*bytes = (uint64_t)b;
}
