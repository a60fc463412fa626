// SPDX-License-Identifier: MIT
/* The ways that need no module: copying, mremap, UFFDIO_MOVE, madvise. */
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cost.h"

#ifndef UFFDIO_MOVE /* linux 6.8; the value is the kernel's ABI */
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif

static char *reserve(size_t bytes)
{
	char *p = mmap(NULL, bytes + HUGE_STEP, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	p = (char *)(((uintptr_t)p + HUGE_STEP - 1) & ~(HUGE_STEP - 1));
	if (madvise(p, bytes, MADV_NOHUGEPAGE))
		die("MADV_NOHUGEPAGE");
	return p;
}

static bool plain_open(struct bench *b)
{
	int w;

	b->windows = reserve(NR_WINDOWS * b->step);
	b->parking = reserve(parking_bytes(b));
	for (w = 0; w < NR_WINDOWS; w++) {
		fill(b, w, 0, stack_low(b, w, 0));
		fill(b, w, 1, parking_of(b, w, 1));
	}
	return true;
}

static void plain_close(struct bench *b)
{
	munmap(b->windows, NR_WINDOWS * b->step);
	munmap(b->parking, parking_bytes(b));
}

static void plain_scratch(struct bench *b, int w)
{
	*(volatile char *)(stack_low(b, w, b->in[w]) - 1) = 1;
}

/* memcpy: glibc's may choose `rep movsb`, which counts an instruction a byte. */
__attribute__((target("avx"))) static void copy_pages(char *to, const char *from, int pages)
{
	const char *end = from + pages * PAGE;

	for (; from < end; from += 128, to += 128) {
		__m256i a = _mm256_loadu_si256((const void *)from);
		__m256i c = _mm256_loadu_si256((const void *)(from + 32));
		__m256i d = _mm256_loadu_si256((const void *)(from + 64));
		__m256i e = _mm256_loadu_si256((const void *)(from + 96));

		_mm256_storeu_si256((void *)to, a);
		_mm256_storeu_si256((void *)(to + 32), c);
		_mm256_storeu_si256((void *)(to + 64), d);
		_mm256_storeu_si256((void *)(to + 96), e);
	}
}

static void memcpy_exchange(struct bench *b, const int *windows, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		int w = windows[i], out = b->in[w], in = !out;

		copy_pages(parking_of(b, w, out), stack_low(b, w, out), stack_pages(b, w, out));
		copy_pages(stack_low(b, w, in), parking_of(b, w, in), stack_pages(b, w, in));
	}
}

static void move_mapping(char *from, char *to, size_t bytes)
{
	if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		die("mremap");
}

static void mremap_exchange(struct bench *b, const int *windows, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		int w = windows[i], out = b->in[w], in = !out;

		move_mapping(stack_low(b, w, out), parking_of(b, w, out), stack_pages(b, w, out) * PAGE);
		move_mapping(parking_of(b, w, in), stack_low(b, w, in), stack_pages(b, w, in) * PAGE);
	}
}

static void mremap_scratch(struct bench *b, int w)
{
	char *p = stack_low(b, w, b->in[w]) - PAGE;

	if (mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p)
		die("mmap scratch");
	*(volatile char *)p = 1;
}

static bool uffd_open(struct bench *b)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_move mv;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		die("userfaultfd");
	plain_open(b);
	reg.range.start = (uintptr_t)b->windows;
	reg.range.len = NR_WINDOWS * b->step;
	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		die("UFFDIO_REGISTER");
	reg.range.start = (uintptr_t)b->parking;
	reg.range.len = parking_bytes(b);
	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		die("UFFDIO_REGISTER");
	b->priv = (void *)(intptr_t)fd;

	mv = (struct uffdio_move){ .dst = (uintptr_t)parking_of(b, 0, 0), .src = (uintptr_t)stack_low(b, 0, 0), .len = PAGE };
	if (ioctl(fd, UFFDIO_MOVE, &mv)) {
		close(fd);
		plain_close(b);
		return false;
	}
	mv = (struct uffdio_move){ .dst = mv.src, .src = mv.dst, .len = PAGE };
	if (ioctl(fd, UFFDIO_MOVE, &mv))
		die("UFFDIO_MOVE back");
	return true;
}

static void uffd_close(struct bench *b)
{
	close((intptr_t)b->priv);
	plain_close(b);
}

static void uffd_one(struct bench *b, char *from, char *to, int pages)
{
	struct uffdio_move mv = { .dst = (uintptr_t)to, .src = (uintptr_t)from, .len = pages * PAGE };

	while (ioctl((intptr_t)b->priv, UFFDIO_MOVE, &mv)) {
		if (errno != EAGAIN)
			die("UFFDIO_MOVE");
		if (mv.move > 0) {
			mv.dst += mv.move;
			mv.src += mv.move;
			mv.len -= mv.move;
		}
	}
}

static void uffd_exchange(struct bench *b, const int *windows, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		int w = windows[i], out = b->in[w], in = !out;
		char *low = stack_low(b, w, in);

		uffd_one(b, stack_low(b, w, out), parking_of(b, w, out), stack_pages(b, w, out));
		/* UFFDIO_MOVE wants holes: the scratch page has to go first. */
		if (stack_pages(b, w, in) > stack_pages(b, w, out) && madvise(low, PAGE, MADV_DONTNEED))
			die("madvise scratch");
		uffd_one(b, parking_of(b, w, in), low, stack_pages(b, w, in));
	}
}

static void uffd_scratch(struct bench *b, int w)
{
	struct uffdio_zeropage z = {
		.range = { (uintptr_t)stack_low(b, w, b->in[w]) - PAGE, PAGE },
	};

	if (ioctl((intptr_t)b->priv, UFFDIO_ZEROPAGE, &z) && errno != EEXIST)
		die("UFFDIO_ZEROPAGE");
	*(volatile char *)(stack_low(b, w, b->in[w]) - 1) = 1;
}

static void madvise_reclaim(struct bench *b, const int *windows, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (madvise(window_base(b, windows[i]) - (b->k + 1) * PAGE, b->k * PAGE, MADV_DONTNEED))
			die("madvise");
}

static bool pmadvise_open(struct bench *b)
{
	struct iovec v;

	plain_open(b);
	b->priv = (void *)syscall(SYS_pidfd_open, getpid(), 0);
	v = (struct iovec){ window_base(b, 0) - PAGE, PAGE };
	/* Not allowed on older kernels, where only hints are. */
	if (syscall(SYS_process_madvise, (intptr_t)b->priv, &v, 1, MADV_DONTNEED, 0) >= 0)
		return true;
	close((intptr_t)b->priv);
	plain_close(b);
	return false;
}

static void pmadvise_reclaim(struct bench *b, const int *windows, int n)
{
	struct iovec v[NR_WINDOWS];
	int i;

	for (i = 0; i < n; i++)
		v[i] = (struct iovec){ window_base(b, windows[i]) - (b->k + 1) * PAGE, b->k * PAGE };
	if (syscall(SYS_process_madvise, (intptr_t)b->priv, v, n, MADV_DONTNEED, 0) != (ssize_t)(n * b->k * PAGE))
		die("process_madvise");
}

const struct way way_memcpy = { "memcpy", plain_open, plain_close, memcpy_exchange, plain_scratch, NULL };
const struct way way_mremap = { "mremap", plain_open, plain_close, mremap_exchange, mremap_scratch, NULL };
const struct way way_uffd_move = { "uffd_move", uffd_open, uffd_close, uffd_exchange, uffd_scratch, NULL };
const struct way way_madvise = { "madvise", plain_open, plain_close, NULL, NULL, madvise_reclaim };
const struct way way_process_madvise = { "process_madvise", pmadvise_open, uffd_close, NULL, NULL, pmadvise_reclaim };
