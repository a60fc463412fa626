// SPDX-License-Identifier: MIT
/* Not liburing: see Documentation/rejected.d/files.rst. */
#include "host/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a file operation needs, all in Linux 5.6: no lost completion, arguments that may go once submitted. */
#define FEATURES (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)
#define MOST_OPS 256

static int setup(uint32_t entries, struct io_uring_params *p)
{
	int fd = (int)syscall(SYS_io_uring_setup, entries, p);

	return fd < 0 ? -errno : fd;
}

static int ask(int fd, unsigned int what, void *arg, unsigned int nr)
{
	return syscall(SYS_io_uring_register, fd, what, arg, nr) < 0 ? -errno : 0;
}

static const char *refusal(int err)
{
	switch (err) {
	case -ENOSYS:
		return "the kernel has no io_uring (ENOSYS)";
	case -EPERM:
	case -EACCES:
		return "io_uring is forbidden (EPERM): /proc/sys/kernel/io_uring_disabled, or a container's seccomp filter";
	case -ENOMEM:
		return "no memory may be locked for io_uring (ENOMEM): ulimit -l";
	case -EMFILE:
	case -ENFILE:
		return "no descriptor for io_uring: ulimit -n";
	default:
		return "io_uring cannot be set up";
	}
}

static bool has_ops(int fd, const uint8_t *ops, int nr)
{
	struct io_uring_probe *p = calloc(1, sizeof(*p) + MOST_OPS * sizeof(p->ops[0]));
	bool all = p && !ask(fd, IORING_REGISTER_PROBE, p, MOST_OPS);

	for (int i = 0; all && i < nr; i++)
		all = ops[i] <= p->last_op && p->ops[ops[i]].flags & IO_URING_OP_SUPPORTED;
	free(p);
	return all;
}

static int map(struct gstk__uring *r, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	uint32_t *array;
	char *base;

	r->ring_bytes = sq > cq ? sq : cq;
	r->sq_entries = p->sq_entries;
	r->cq_entries = p->cq_entries;
	r->rings = mmap(NULL, r->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	if (r->rings == MAP_FAILED)
		return -errno;
	r->sqes = mmap(NULL, r->sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
		       IORING_OFF_SQES);
	if (r->sqes == MAP_FAILED) {
		int err = -errno;

		munmap(r->rings, r->ring_bytes);
		return err;
	}
	madvise(r->rings, r->ring_bytes, MADV_DONTFORK);
	madvise(r->sqes, r->sq_entries * sizeof(*r->sqes), MADV_DONTFORK);
	base = r->rings;
	r->sq_head = (_Atomic uint32_t *)(base + p->sq_off.head);
	r->sq_tail = (_Atomic uint32_t *)(base + p->sq_off.tail);
	r->sq_mask = *(uint32_t *)(base + p->sq_off.ring_mask);
	r->cq_head = (_Atomic uint32_t *)(base + p->cq_off.head);
	r->cq_tail = (_Atomic uint32_t *)(base + p->cq_off.tail);
	r->cq_mask = *(uint32_t *)(base + p->cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);
	array = (uint32_t *)(base + p->sq_off.array);
	for (uint32_t i = 0; i < r->sq_entries; i++)
		array[i] = i; /* for good: the entry at a place of the ring has that number */
	return 0;
}

int gstk__uring_open(struct gstk__uring *r, uint32_t entries, uint32_t completions, const uint8_t *ops, int nr_ops,
		     uint32_t threads, const char **why)
{
	struct io_uring_params p = { .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, .cq_entries = completions };
	uint32_t limits[2] = { threads, threads }; /* of files, and of what may take for ever */
	int err;

	r->fd = setup(entries, &p);
	if (r->fd == -ENOMEM) { /* before Linux 5.12 its memory counts as locked */
		p = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE, .cq_entries = 128 };
		r->fd = setup(16, &p);
	}
	if (r->fd < 0) {
		*why = refusal(r->fd);
		return r->fd;
	}
	if ((p.features & FEATURES) != FEATURES || !has_ops(r->fd, ops, nr_ops)) {
		*why = "io_uring has not all that files need (Linux 5.6 has), or it is forbidden here";
		err = -ENOSYS;
	} else {
		err = map(r, &p);
		*why = err ? refusal(err) : "io_uring has what files need";
	}
	if (err)
		close(r->fd);
	else /* without (before Linux 5.15) they are four a CPU: it is only slower */
		ask(r->fd, IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2);
	return err;
}

void gstk__uring_close(struct gstk__uring *r)
{
	munmap(r->sqes, r->sq_entries * sizeof(*r->sqes));
	munmap(r->rings, r->ring_bytes);
	close(r->fd);
}

void gstk__uring_forked(struct gstk__uring *r)
{
	close(r->fd);
}

int gstk__uring_enter(struct gstk__uring *r)
{
	long n;

	do
		n = syscall(SYS_io_uring_enter, r->fd, r->sq_entries, 0, 0, NULL, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
