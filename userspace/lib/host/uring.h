// SPDX-License-Identifier: MIT
/*
 * io_uring: two rings that the kernel shares with us, over its raw system calls.
 *
 * Submissions: the caller owns the tail, the kernel the head. An entry is filled first, then published by a
 * release store of the tail (partner: the kernel's acquire of it in io_uring_enter). Completions: the kernel
 * owns the tail, we the head; an entry is read after an acquire load of the tail, and given back by a release
 * store of the head. Who calls what at a time is the caller's matter: one thread at a time for each ring's end,
 * and any for gstk__uring_enter().
 */
#ifndef GSTK__HOST_URING_H
#define GSTK__HOST_URING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gstk__uring {
	int fd;
	uint32_t sq_entries, sq_mask, cq_entries, cq_mask;
	_Atomic uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	void *rings;
	size_t ring_bytes;
};

/*
 * A ring with @entries submissions and @completions at a time that can do all of @ops (IORING_OP_...), whose
 * kernel threads are at most @threads for each thread that submits. 0, or -errno, and *@why in either case.
 */
int gstk__uring_open(struct gstk__uring *r, uint32_t entries, uint32_t completions, const uint8_t *ops, int nr_ops,
		     uint32_t threads, const char **why);
void gstk__uring_close(struct gstk__uring *r);
/* In a child of fork(): the memory did not come along, and the parent's ring does not stay for us. */
void gstk__uring_forked(struct gstk__uring *r);
/* Hand what is published to the kernel. 0; -EAGAIN, -EBUSY: it has no memory, try again later. */
int gstk__uring_enter(struct gstk__uring *r);

/* Room for another submission, or NULL; it is at @index of the ring. */
static inline struct io_uring_sqe *gstk__uring_room(struct gstk__uring *r, uint32_t *index)
{
	*index = atomic_load_explicit(r->sq_tail, memory_order_relaxed);
	if (*index - atomic_load_explicit(r->sq_head, memory_order_acquire) >= r->sq_entries)
		return NULL;
	return &r->sqes[*index & r->sq_mask];
}

static inline void gstk__uring_publish(struct gstk__uring *r, uint32_t index)
{
	atomic_store_explicit(r->sq_tail, index + 1, memory_order_release);
}

/* Has the kernel taken the submission at @index? */
static inline bool gstk__uring_taken(struct gstk__uring *r, uint32_t index)
{
	return (int32_t)(atomic_load_explicit(r->sq_head, memory_order_acquire) - index) > 0;
}

static inline bool gstk__uring_completions(struct gstk__uring *r)
{
	return atomic_load_explicit(r->cq_tail, memory_order_acquire) !=
	       atomic_load_explicit(r->cq_head, memory_order_relaxed);
}

/* The oldest completion: false when there is none. */
static inline bool gstk__uring_next(struct gstk__uring *r, struct io_uring_cqe *out)
{
	uint32_t head = atomic_load_explicit(r->cq_head, memory_order_relaxed);

	if (head == atomic_load_explicit(r->cq_tail, memory_order_acquire))
		return false;
	*out = r->cqes[head & r->cq_mask];
	atomic_store_explicit(r->cq_head, head + 1, memory_order_release);
	return true;
}

#endif
