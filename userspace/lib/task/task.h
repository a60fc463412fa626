// SPDX-License-Identifier: MIT
/*
 * A task: 64 bytes, one cache line, at an address that never changes and memory that is never
 * unmapped, so that a stale reference reads an old or a new task but never faults.
 */
#ifndef GSTK__TASK_TASK_H
#define GSTK__TASK_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a stack's bytes are. Written only by whoever owns the bytes (task/state.h). */
enum gstk__tier {
	GSTK__TIER_NONE,     /* never ran: no stack yet */
	GSTK__TIER_RESIDENT, /* in its window */
	GSTK__TIER_COPIED,   /* image: exactly ->used bytes */
	GSTK__TIER_PACKED,   /* image: packed, see park/tier_pack.h */
	GSTK__TIER_REMAPPED, /* its pages are in a slot of the module: image says which, see park/tier.h */
	GSTK__TIER_COLD,     /* the same, but all of it is packed: its slot has no page, see park/cold.h */
	GSTK__TIER_DEEP,     /* COPIED, but the image is a record and whole pages: park/lazy.h */
	GSTK__TIER_DEEP_PACKED, /* PACKED, but in chunks that the record has: park/lazy.h */
	GSTK__TIER_STACKLESS, /* there is none: sched/stackless.h; for as long as the task lives */
	GSTK__NR_TIERS,
};

/* The module has a slot of it. */
static inline bool gstk__in_slot(unsigned int tier)
{
	return tier == GSTK__TIER_REMAPPED || tier == GSTK__TIER_COLD;
}

/* Its image is a record of park/deep.h. */
static inline bool gstk__is_deep(unsigned int tier)
{
	return tier == GSTK__TIER_DEEP || tier == GSTK__TIER_DEEP_PACKED;
}

/* Why a task waits. Numbers are never reused. */
#define GSTK__WAIT_REASONS(X) \
	X(NONE, "-") X(CHAN_SEND, "chan send") X(CHAN_RECV, "chan recv") X(SELECT, "select") \
	X(JOIN, "join") X(SLEEP, "sleep") X(MUTEX, "mutex") X(RWLOCK_READ, "rwlock read") \
	X(RWLOCK_WRITE, "rwlock write") X(COND, "cond") X(SEM, "sem") X(WAITGROUP, "waitgroup") \
	X(ONCE, "once") X(FD_READ, "fd read") X(FD_WRITE, "fd write") X(ACCEPT_BACKOFF, "accept backoff") \
	X(CONNECT, "connect") X(SHUTDOWN, "shutdown") X(BLOCKING, "blocking call") X(SCOPE, "scope end") \
	X(FILE, "file")
enum gstk__why {
#define GSTK__X(name, text) GSTK__WAIT_##name,
	GSTK__WAIT_REASONS(GSTK__X)
#undef GSTK__X
	GSTK__NR_WAIT_REASONS,
};

/*
 * ->flags, fixed at spawn but for BIG_IMAGE, ANNEX and DEADLINE, and PRIVATE until it is bound. These are written by the
 * owner of the task's bytes, which a task that runs is itself: so there is one writer at a time, and relaxed stores do
 * (gstk__flag_set()). Wakers look at the others meanwhile, which stay as they are (gstk__flags()).
 */
enum gstk__task_flags {
	GSTK__T_PRIVATE = 1u << 0,
	GSTK__T_PINNED = 1u << 2,
	GSTK__T_FPMODE = 1u << 3,
	GSTK__T_FOREIGN = 1u << 4, /* stands for a thread that is not a worker; wakes go to its futex */
	GSTK__T_ANNEX = 1u << 5, /* stands on another stack than its window's: sched/annex.h; set by itself */
	GSTK__T_BIG_IMAGE = 1u << 6, /* its image is an emergency block */
	GSTK__T_DEADLINE = 1u << 7,  /* its ext has a deadline for every wait; set by itself */
};

/* ->poke: requests that the task's worker sees at its next park or yield. */
enum gstk__poke {
	GSTK__POKE_CANCEL = 1u << 0, /* gstk_cancel() */
	GSTK__POKE_WANTED = 1u << 1, /* somebody needs to share its window */
	GSTK__POKE_DUMP = 1u << 2,   /* print yourself */
	GSTK__POKE_REQUESTS = 7u,
};
#define GSTK__POKE_SITE_SHIFT 3 /* above: its spawn site, fixed; see sched/site.h */

/* ->tick of a COPIED task that packing was tried on in vain. */
#define GSTK__TICK_UNPACKABLE UINT32_MAX

/* ->peer: who joins. Low 27 bits: a task index, or an ext index with EXT. */
#define GSTK__PEER_INDEX    0x07ffffffu
#define GSTK__PEER_LOCK	    (1u << 27) /* the ending task is waking its joiner */
#define GSTK__PEER_DONE	    (1u << 28) /* ended; msg[0] is the result; may be freed */
#define GSTK__PEER_DETACHED (1u << 29)
#define GSTK__PEER_EXT	    (1u << 31) /* the real peer word is in the ext */

struct gstk_task {
	_Atomic uint32_t word; /* state, flags, result code, wait number: task/state.h */
	uint8_t tier;	       /* enum gstk__tier */
	uint8_t why;	       /* enum gstk__why */
	_Atomic uint8_t poke;  /* enum gstk__poke, and its site */
	uint8_t flags;	       /* enum gstk__task_flags */
	uint32_t next;	       /* link of run queues, window FIFOs, free lists */
	uint32_t wnext, wprev; /* links of the wait queue, under the lock of what is waited for */
	uint32_t window;       /* index; 0 before the first run */
	void *obj;	       /* what it waits for; before the first run: its function */
	uint64_t msg[2];       /* message slot; before: argument; after: result */
	union {
		void *sp; /* RESIDENT and off the CPU */
		struct gstk__stackless *stackless; /* STACKLESS */
		struct {
			uint32_t used;	/* COPIED, PACKED, REMAPPED: bytes of stack [sp, base) */
			uint32_t image; /* arena reference */
		};
	};
	uint32_t tick;	       /* worker's millisecond clock when it parked; waiting for its window: a stamp */
	_Atomic uint32_t peer; /* GSTK__PEER_... */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct gstk_task) == 64, "a task is one cache line");

/* For those who do not own its bytes: what is fixed. */
static inline unsigned int gstk__flags(const struct gstk_task *t)
{
	return __atomic_load_n(&t->flags, __ATOMIC_RELAXED);
}

static inline void gstk__flag_set(struct gstk_task *t, enum gstk__task_flags flag)
{
	__atomic_store_n(&t->flags, (uint8_t)(t->flags | flag), __ATOMIC_RELAXED);
}

static inline void gstk__flag_clear(struct gstk_task *t, enum gstk__task_flags flag)
{
	__atomic_store_n(&t->flags, (uint8_t)(t->flags & ~flag), __ATOMIC_RELAXED);
}

struct gstk__cleanup {
	struct gstk__cleanup *next;
	void (*fn)(void *);
	void *arg;
	bool librarys; /* not pushed by the application: gstk_cleanup_pop() leaves it alone */
};

/* What only some tasks need. Never moves, never unmapped. */
struct gstk__ext {
	_Atomic uint32_t peer;
	uint32_t next_free;
	uint64_t deadline_ns;
	struct gstk__cleanup *cleanups;
	struct gstk__cleanup *last; /* after all that is cleaned up: scope.c */
	struct gstk__alloc *allocs;
	struct gstk__local *locals; /* by key: local.c */
	uint32_t nr_locals;
	struct gstk__timer *timer; /* armed for the present wait */
	size_t stack_size;	   /* of a window of its own; 0: default */
	uint32_t worker;	   /* pinned */
	uint32_t block_size;
	void *block;		   /* copied arguments until the first run */
	struct gstk__annex *annex; /* with ANNEX: the stack that it stands on */
	void *annex_sp;		   /* and where, off the CPU */
	uint32_t annex_window;	   /* ->annex->window, for those who may not follow that */
	char name[32];
};

/* gstk_alloc(): blocks that go with their task. */
struct gstk__alloc {
	struct gstk__alloc *next, **pprev;
	_Alignas(16) char data[];
};

extern struct gstk_task *gstk__tasks; /* [1 .. gstk__max_tasks]; index 0 is nobody */
extern size_t gstk__max_tasks;
extern _Atomic uint32_t gstk__tasks_high; /* highest index ever handed out, plus one */

static inline struct gstk_task *gstk__task(uint32_t index)
{
	return &gstk__tasks[index];
}

static inline uint32_t gstk__task_index(const struct gstk_task *t)
{
	return (uint32_t)(t - gstk__tasks);
}

/*
 * Whether that is the place of a task, now or once: what handles are. What does not divide is large. Each join asks, so
 * it is four instructions beside two loads.
 */
static inline __attribute__((always_inline)) bool gstk__is_place(const struct gstk_task *t)
{
	uint64_t at = (uintptr_t)t - (uintptr_t)gstk__tasks;

	_Static_assert(sizeof(*t) == 64, "of which the logarithm is below");
	return __builtin_expect((at >> 6 | at << 58) - 1 <
				atomic_load_explicit(&gstk__tasks_high, memory_order_relaxed) - 1u, 1);
}

/* pool.c. A cache belongs to one worker; NULL is the locked path. All of them together keep a sixteenth of all
 * records from the others, at most. */
struct gstk__task_cache {
	uint32_t head, nr, most;
};
int gstk__task_pool_init(size_t max_tasks);
void gstk__task_cache_init(struct gstk__task_cache *c, uint32_t workers);
void gstk__task_pool_fini(void);
struct gstk_task *gstk__task_alloc_slow(struct gstk__task_cache *c);
void gstk__task_free_slow(struct gstk__task_cache *c, struct gstk_task *t);

/* A task whose fields are garbage but for word (FREE), or NULL. */
static inline struct gstk_task *gstk__task_alloc(struct gstk__task_cache *c)
{
	if (__builtin_expect(c && c->head, 1)) {
		struct gstk_task *t = gstk__task(c->head);

		c->head = t->next;
		c->nr--;
		return t;
	}
	return gstk__task_alloc_slow(c);
}

static inline void gstk__task_free(struct gstk__task_cache *c, struct gstk_task *t)
{
	if (__builtin_expect(c && c->nr < c->most, 1)) {
		t->next = c->head;
		c->head = gstk__task_index(t);
		c->nr++;
		return;
	}
	gstk__task_free_slow(c, t);
}

/* ext.c. The task's ext, made when it has none (only by itself, or before it is started). */
struct gstk__ext *gstk__ext_get(struct gstk_task *t);
void gstk__ext_free(struct gstk_task *t);
struct gstk__ext *gstk__ext_at(uint32_t index);
void gstk__allocs_add(struct gstk__ext *x, struct gstk__alloc *a);
void gstk__allocs_free(struct gstk__ext *x); /* NULL is fine */
int gstk__ext_pool_init(size_t max);
void gstk__ext_pool_fini(void);

static inline __attribute__((always_inline)) struct gstk__ext *gstk__ext(struct gstk_task *t)
{
	uint32_t p = atomic_load_explicit(&t->peer, memory_order_acquire);

	return p & GSTK__PEER_EXT ? gstk__ext_at(p & GSTK__PEER_INDEX) : NULL;
}

/* The word that joiners and the ending task agree on. */
static inline __attribute__((always_inline)) _Atomic uint32_t *gstk__peer(struct gstk_task *t)
{
	uint32_t p = atomic_load_explicit(&t->peer, memory_order_acquire);

	if (__builtin_expect(!(p & GSTK__PEER_EXT), 1))
		return &t->peer;
	return &gstk__ext_at(p & GSTK__PEER_INDEX)->peer;
}

#endif
