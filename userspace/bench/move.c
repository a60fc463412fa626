// SPDX-License-Identifier: MIT
/*
 * move.SIZE.WAY.HEAT: what would move a stack without the module, measured without the runtime; ns for one that
 * leaves its window and comes back. One thread, and with `.running2` another one of the process runs meanwhile,
 * whose processor each flush of the TLB interrupts.
 *
 *	copy	to an image and back: what a claim does
 *	given	the same, and the window's pages go in between and come by faults: what the sweep does
 *	mremap	MREMAP_DONTUNMAP to a place of its own, 2 MiB apart, and back
 *	uffd	UFFDIO_MOVE, in windows that are registered for ever: its best case (Documentation/rejected.d/remap.rst)
 *
 * Hot: one stack again and again. Cold: as many as make 64 MiB, one after another. The page of the stack pointer
 * is touched each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#ifndef UFFDIO_MOVE /* Linux 6.8; the value is the kernel's ABI */
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
#endif

enum { COPY, GIVEN, MREMAP, UFFD, COLD = 8, RUNNING2 = 16 };
#define STEP	   (2ul << 20)
#define COLD_BYTES (64ul << 20)

static size_t size, nr;
static char *window, *parking;
static int uffd = -1;
static _Atomic bool stop;

static char *reserve(void)
{
	char *p = mmap(NULL, (nr + 1) * STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	bench_check(p != MAP_FAILED);
	p = (char *)(((uintptr_t)p + STEP - 1) & ~(STEP - 1));
	bench_check(!madvise(p, nr * STEP, MADV_NOHUGEPAGE));
	return p;
}

static void uffd_register(char *p)
{
	struct uffdio_register r = { .range = { (uintptr_t)p, nr * STEP }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	bench_check(!ioctl(uffd, UFFDIO_REGISTER, &r));
}

static void uffd_begin(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MOVE };

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (uffd < 0)
		bench_skip("userfaultfd: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api))
		bench_skip("this kernel has no UFFDIO_MOVE (Linux 6.8)");
	uffd_register(window);
	uffd_register(parking);
}

static void uffd_move(char *to, char *from)
{
	size_t at = 0;

	while (at < size) {
		struct uffdio_move m = { .dst = (uintptr_t)to + at, .src = (uintptr_t)from + at, .len = size - at };

		if (ioctl(uffd, UFFDIO_MOVE, &m) && errno != EAGAIN)
			bench_fail("UFFDIO_MOVE: %s", strerror(errno));
		at += m.move > 0 ? (size_t)m.move : 0;
	}
}

static void move(int way, char *to, char *from, bool out)
{
	switch (way) {
	case GIVEN:
	case COPY:
		memcpy(to, from, size);
		if (way == GIVEN && out)
			madvise(from, size, MADV_DONTNEED);
		break;
	case MREMAP:
		bench_check(mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to);
		break;
	default:
		uffd_move(to, from);
	}
}

static void *spin(void *arg)
{
	while (!stop)
		__asm__ volatile("" ::: "memory");
	return arg;
}

static void move_run(const struct bench *b)
{
	int way = (int)b->arg & 3;
	uint64_t rounds, t0, n = 0;
	pthread_t other;

	size = (size_t)b->arg2;
	nr = b->arg & COLD ? COLD_BYTES / size : 1;
	nr = nr > 4096 ? 4096 : nr;
	window = reserve();
	parking = reserve();
	for (size_t i = 0; i < nr; i++) {
		memset(window + i * STEP, (int)i | 1, size);
		if (way == COPY || way == GIVEN)
			memset(parking + i * STEP, 1, size);
	}
	if (way == UFFD)
		uffd_begin();
	if (b->arg & RUNNING2)
		bench_check(!pthread_create(&other, NULL, spin, NULL));
	rounds = bench_n(400000000 / (size + 20000)) / 8 + 2;
	t0 = bench_now();
	for (uint64_t i = 0; i < rounds; i++, n = n + 1 < nr ? n + 1 : 0) {
		char *w = window + n * STEP, *p = parking + n * STEP;

		move(way, p, w, true);
		move(way, w, p, false);
		*(volatile char *)w += 1;
	}
	bench_emit(b->name, (double)(bench_now() - t0) / (double)rounds, "ns");
	bench_check(window[size - 1] == 1);
	stop = true;
	if (b->arg & RUNNING2)
		bench_check(!pthread_join(other, NULL));
}

#define ONE(ident, label, bytes, way, heat, arg_, run2)                                           \
	BENCH(move_##ident, .name = "move." label "." way heat run2, .unit = "ns",                \
	      .what = "a stack of " label " leaves and comes back by " way, .run = move_run, .arg = arg_, .arg2 = bytes, \
	      .cpus = 2)
#define WAY(ident, label, bytes, way, arg_)                                             \
	ONE(ident##_h1, label, bytes, way, ".hot", arg_, "");                           \
	ONE(ident##_c1, label, bytes, way, ".cold", (arg_) | COLD, "");                 \
	ONE(ident##_h2, label, bytes, way, ".hot", (arg_) | RUNNING2, ".running2");     \
	ONE(ident##_c2, label, bytes, way, ".cold", (arg_) | COLD | RUNNING2, ".running2")
#define SIZE(ident, label, bytes)                        \
	WAY(ident##_copy, label, bytes, "copy", COPY);   \
	WAY(ident##_given, label, bytes, "given", GIVEN);\
	WAY(ident##_mremap, label, bytes, "mremap", MREMAP); \
	WAY(ident##_uffd, label, bytes, "uffd", UFFD)
SIZE(4k, "4k", 4 << 10);
SIZE(16k, "16k", 16 << 10);
SIZE(64k, "64k", 64 << 10);
SIZE(256k, "256k", 256 << 10);
SIZE(1m, "1m", 1 << 20);
