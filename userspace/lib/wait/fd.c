// SPDX-License-Identifier: MIT
#include "wait/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <greenstk/base.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "arch/far.h"
#include "host/host.h"
#include "host/refuse.h"
#include "sched/here.h"

#define MAX_FDS (1u << 22)

static struct {
	struct gstk__fd *fd;
	uint32_t nr;
	_Atomic uint32_t high;
} table;

int gstk__fd_table_init(void)
{
	struct rlimit rl;

	table.nr = MAX_FDS;
	if (!getrlimit(RLIMIT_NOFILE, &rl) && rl.rlim_max < MAX_FDS)
		table.nr = (uint32_t)rl.rlim_max;
	table.fd = gstk__mem_reserve(table.nr * sizeof(*table.fd), 4096);
	return table.fd ? 0 : -ENOMEM;
}

void gstk__fd_table_fini(void)
{
	gstk__mem_release(table.fd, table.nr * sizeof(*table.fd));
	table.fd = NULL;
	table.nr = 0; /* calls from now on find no runtime */
	atomic_store(&table.high, 0);
}

static void note_high(uint32_t fd)
{
	uint32_t high = atomic_load_explicit(&table.high, memory_order_relaxed);

	while (fd >= high && !atomic_compare_exchange_weak(&table.high, &high, fd + 1))
		;
}

size_t gstk__fd_bytes(void)
{
	return atomic_load_explicit(&table.high, memory_order_relaxed) * sizeof(*table.fd);
}

static bool is_tcp(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) || (domain != AF_INET && domain != AF_INET6))
		return false;
	len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static __attribute__((cold, noinline)) int no_descriptor(int fd)
{
	if (!table.fd)
		return gstk__no_runtime("a call on a descriptor");
	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	return gstk__refuse_with(-EBADF, "a call on a descriptor: %d is open, but beyond the %u that were allowed when the runtime began; "
				 "raise the hard limit before gstk_init() (ulimit -Hn)", fd, table.nr);
}

struct gstk__fd *gstk__fd_known(int fd)
{
	struct gstk__fd *f = &table.fd[fd];

	return (unsigned int)fd < table.nr && (f->flags & GSTK__FD_KNOWN) ? f : NULL;
}

/* A few instructions and a close(2) of another thread; then the number is nobody's, or another file's. */
static void wait_closing(struct gstk__fd *f)
{
	while (f->flags & GSTK__FD_CLOSING)
		sched_yield();
}

/* A descriptor that is known from now on. False: it is being closed, and @anew is not: it was not created just now. */
static bool adopt(int fd, bool stream, bool anew)
{
	struct gstk__fd *f = &table.fd[fd];
	bool again;

	note_high((uint32_t)fd);
	gstk__lock(&f->lock);
	if (!anew && f->flags & GSTK__FD_CLOSING) {
		gstk__unlock(&f->lock);
		return false;
	}
	/* Somebody may wait for it already, in gstk__fd_wait_anew(): tell of its readiness under the new number. */
	again = f->flags & GSTK__FD_REGISTERED;
	f->gen++;
	again = again && !gstk__netpoll_again(fd, f->gen);
	f->flags = GSTK__FD_KNOWN | (stream ? GSTK__FD_STREAM : 0) | (again ? GSTK__FD_REGISTERED : 0);
	atomic_store_explicit(&f->drained, 0, memory_order_relaxed);
	atomic_store_explicit(&f->events, 0, memory_order_relaxed);
	gstk__unlock(&f->lock);
	return true;
}

int gstk__fd_get(int fd, struct gstk__fd **out)
{
	struct gstk__fd *f;
	int fl;

	if (__builtin_expect((unsigned int)fd >= table.nr, 0))
		return no_descriptor(fd);
	f = &table.fd[fd];
	*out = f;
	if (__builtin_expect(f->flags & GSTK__FD_KNOWN, 1))
		return 0;
	do {
		wait_closing(f);
		fl = fcntl(fd, F_GETFL);
		if (fl < 0)
			return -errno;
		if (!(fl & O_NONBLOCK) && fcntl(fd, F_SETFL, fl | O_NONBLOCK))
			return -errno;
	} while (!adopt(fd, is_tcp(fd), false));
	return 0;
}

void gstk__fd_adopt(int fd, bool stream)
{
	if ((unsigned int)fd < table.nr)
		adopt(fd, stream, true);
}

static uint32_t head_of(const struct gstk__fd *f)
{
	return atomic_load_explicit(&f->head, memory_order_relaxed);
}

static void set_head(struct gstk__fd *f, uint32_t i)
{
	atomic_store_explicit(&f->head, i, memory_order_relaxed);
}

static void unlink_waiter(struct gstk__fd *f, struct gstk_task *t)
{
	uint32_t me = gstk__task_index(t);

	if (head_of(f) != me && !t->wprev)
		return; /* not linked any more */
	if (t->wprev)
		gstk__task(t->wprev)->wnext = t->wnext;
	else
		set_head(f, t->wnext);
	if (t->wnext)
		gstk__task(t->wnext)->wprev = t->wprev;
	else
		f->tail = t->wprev;
	t->wnext = t->wprev = 0;
}

/* 1: @t hangs at @f, which is locked; 0: what is wanted is there; or an error. */
static inline __attribute__((always_inline)) int hang(int fd, struct gstk__fd *f, struct gstk_task *t, uint32_t want,
						      bool anew)
{
	gstk__lock(&f->lock);
	if (__builtin_expect(f->flags & GSTK__FD_CLOSING, 0)) {
		gstk__unlock(&f->lock);
		return -EBADF;
	}
	if (anew)
		atomic_fetch_and_explicit(&f->events, ~(want | GSTK__FD_FAIL), memory_order_relaxed);
	if (anew || !(f->flags & GSTK__FD_REGISTERED)) {
		int err = f->flags & GSTK__FD_REGISTERED ? gstk__netpoll_again(fd, f->gen)
							 : gstk__netpoll_add(fd, f->gen);

		if (err) {
			gstk__unlock(&f->lock);
			return err;
		}
		f->flags |= GSTK__FD_REGISTERED;
	}
	if (atomic_load_explicit(&f->events, memory_order_relaxed) & (want | GSTK__FD_FAIL)) {
		gstk__unlock(&f->lock);
		return 0;
	}
	t->msg[0] = want | GSTK__FD_FAIL;
	t->obj = f;
	t->wnext = 0;
	t->wprev = f->tail;
	if (f->tail)
		gstk__task(f->tail)->wnext = gstk__task_index(t);
	else
		set_head(f, gstk__task_index(t));
	f->tail = gstk__task_index(t);
	return 1;
}

/* The wait has ended with @code. */
static inline __attribute__((always_inline)) int waited(struct gstk__fd *f, struct gstk_task *t, enum gstk__code code)
{
	if (__builtin_expect(code == GSTK__CODE_OK, 1))
		return 0;
	if (code == GSTK__CODE_CLOSED)
		return -EBADF;
	gstk__lock(&f->lock);
	unlink_waiter(f, t);
	gstk__unlock(&f->lock);
	return gstk__code_errno(code);
}

static int wait_end(struct gstk_task *t, enum gstk__code code, void *f, uint32_t n)
{
	return waited(f, t, code);
}

/* 0, or why the caller must not wait. */
static inline __attribute__((always_inline)) int may_hang(struct gstk_task *t)
{
	if (!t)
		return gstk__no_task("a wait for a descriptor");
	if (gstk__no_wait_here())
		return gstk__wait_refused(NULL);
	return gstk__cancel_pending(t) ? -ECANCELED : 0;
}

static inline __attribute__((always_inline)) int wait_on(int fd, struct gstk__fd *f, uint32_t want, uint32_t why,
							 uint64_t deadline_ns, bool anew)
{
	struct gstk_task *t = gstk__current();
	int r = may_hang(t);

	if (r)
		return r;
	r = hang(fd, f, t, want, anew);
	return r <= 0 ? r : gstk__block_then(&f->lock, (enum gstk__why)why, deadline_ns, wait_end, f, 0);
}

int gstk__fd_hang(struct gstk__fd *f, struct gstk_task *t, uint32_t want)
{
	return hang(gstk__fd_number(f), f, t, want, false);
}

int gstk__fd_waited(struct gstk__fd *f, struct gstk_task *t, enum gstk__code code)
{
	return waited(f, t, code);
}

int gstk__fd_number(const struct gstk__fd *f)
{
	return (int)(f - table.fd);
}

int gstk__fd_number_of(const void *f)
{
	uintptr_t at = (uintptr_t)f - (uintptr_t)table.fd;

	return at % sizeof(*table.fd) == 0 && at / sizeof(*table.fd) < table.nr ? (int)(at / sizeof(*table.fd)) : -1;
}

GSTK__FAR_RETURN int gstk__fd_wait(int fd, struct gstk__fd *f, uint32_t want, uint32_t why, uint64_t deadline_ns)
{
	return wait_on(fd, f, want, why, deadline_ns, false);
}

GSTK__FAR_RETURN int gstk__fd_then(struct gstk__fd *f, uint32_t want, uint64_t deadline_ns, gstk__end_fn end, void *arg,
				   uint32_t n)
{
	struct gstk_task *t = gstk__current();
	int r = may_hang(t);

	if (r)
		return r;
	t->obj = f;
	r = hang(gstk__fd_number(f), f, t, want, false);
	if (r < 0)
		return r;
	return r ? gstk__block_then(&f->lock, gstk__fd_why(want), deadline_ns, end, arg, n) : end(t, GSTK__CODE_OK, arg, n);
}

GSTK__FAR_RETURN int gstk__fd_wait_anew(int fd, uint32_t want, uint32_t why, uint64_t deadline_ns)
{
	if ((unsigned int)fd >= table.nr)
		return no_descriptor(fd);
	note_high((uint32_t)fd);
	wait_closing(&table.fd[fd]);
	return wait_on(fd, &table.fd[fd], want, why, deadline_ns, true);
}

int gstk__fd_event(int fd, uint32_t gen, uint32_t bits)
{
	struct gstk__fd *f = &table.fd[fd];
	uint32_t i, next;
	int woken = 0;

	gstk__lock(&f->lock);
	if (f->gen == gen) {
		atomic_fetch_or_explicit(&f->events, bits, memory_order_release);
		atomic_store_explicit(&f->drained, 0, memory_order_relaxed);
		for (i = head_of(f); i; i = next) {
			struct gstk_task *t = gstk__task(i);

			next = t->wnext;
			if (!(t->msg[0] & bits))
				continue;
			unlink_waiter(f, t);
			woken += gstk__wake(t, GSTK__CODE_OK);
		}
	}
	gstk__unlock(&f->lock);
	return woken;
}

void gstk__fd_closing(int fd)
{
	struct gstk__fd *f;
	uint32_t i;

	if ((unsigned int)fd >= table.nr)
		return;
	f = &table.fd[fd];
	gstk__lock(&f->lock);
	f->gen++;
	f->flags = GSTK__FD_CLOSING;
	atomic_store_explicit(&f->drained, 0, memory_order_relaxed);
	atomic_store_explicit(&f->events, 0, memory_order_relaxed);
	while ((i = head_of(f))) {
		unlink_waiter(f, gstk__task(i));
		gstk__wake(gstk__task(i), GSTK__CODE_CLOSED);
	}
	gstk__unlock(&f->lock);
}

void gstk__fd_closed(int fd)
{
	if ((unsigned int)fd < table.nr) /* another file may have been adopted by now, and is not */
		atomic_fetch_and_explicit(&table.fd[fd].flags, ~GSTK__FD_CLOSING, memory_order_release);
}

bool gstk__fd_any_waiter(void)
{
	for (uint32_t i = 0; i < atomic_load(&table.high); i++)
		if (head_of(&table.fd[i]))
			return true;
	return false;
}
