// SPDX-License-Identifier: MIT
/* Address space and its pages. */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#ifndef PIDFD_SELF_THREAD_GROUP
#define PIDFD_SELF_THREAD_GROUP (-10001)
#endif

void *gstk__mem_reserve(size_t bytes, size_t align)
{
	size_t span;
	char *p, *q;

	bytes = (bytes + 4095) & ~(size_t)4095; /* munmap() below takes whole pages */
	span = bytes + align;
	p = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	q = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
	if (q > p)
		munmap(p, (size_t)(q - p));
	if (q + bytes < p + span)
		munmap(q + bytes, (size_t)(p + span - (q + bytes)));
	return q;
}

void gstk__mem_small_pages(void *p, size_t bytes)
{
	madvise(p, bytes, MADV_NOHUGEPAGE);
}

void gstk__mem_release(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

int gstk__mem_discard(void *p, size_t bytes)
{
	return madvise(p, bytes, MADV_DONTNEED) ? -errno : 0;
}

int gstk__mem_discard_many(const struct iovec *ranges, int nr)
{
	static _Atomic int vectored = 1; /* process_madvise(MADV_DONTNEED) on self: Linux 6.13 */
	int calls = 0;

	while (nr > 0 && atomic_load_explicit(&vectored, memory_order_relaxed)) {
		size_t done;
		ssize_t r = syscall(SYS_process_madvise, PIDFD_SELF_THREAD_GROUP, ranges, (size_t)nr,
				    MADV_DONTNEED, 0u);

		calls++;
		if (r <= 0) {
			atomic_store_explicit(&vectored, 0, memory_order_relaxed);
			break;
		}
		for (done = (size_t)r; nr > 0 && done >= ranges->iov_len; nr--)
			done -= (ranges++)->iov_len;
		if (done > 0) /* stopped inside a range: the plain call below says why */
			break;
	}
	for (; nr > 0; nr--, ranges++, calls++)
		madvise(ranges->iov_base, ranges->iov_len, MADV_DONTNEED);
	return calls;
}

bool gstk__mem_has_guards(void)
{
	void *probe = gstk__mem_reserve(4096, 4096);
	bool has = probe && !gstk__mem_guard_install(probe, 4096);

	/* Emulators take every advice and follow none: also one that does not exist. */
	has = has && madvise(probe, 4096, -1);
	gstk__mem_release(probe, 4096);
	return has;
}

int gstk__mem_guard_install(void *p, size_t bytes)
{
	return madvise(p, bytes, MADV_GUARD_INSTALL) ? -errno : 0;
}

int gstk__mem_guard_remove(void *p, size_t bytes)
{
	return madvise(p, bytes, MADV_GUARD_REMOVE) ? -errno : 0;
}

int gstk__mem_protect_none(void *p, size_t bytes)
{
	return mprotect(p, bytes, PROT_NONE) ? -errno : 0;
}

int gstk__mem_unprotect(void *p, size_t bytes)
{
	return mprotect(p, bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
}

bool gstk__mem_resident(void *p, size_t bytes, unsigned char *pages)
{
	return !mincore(p, bytes, pages);
}

uintptr_t gstk__mem_end_of(uintptr_t at)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uintptr_t v = 0, from = 0, end = 0;
	bool rest = false; /* of a line: only its two addresses matter */
	char buf[512];
	ssize_t n;

	while (fd >= 0 && !end && (n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n && !end; i++) {
			if (buf[i] == '\n') {
				rest = false;
				v = 0;
			} else if (rest) {
				continue;
			} else if (buf[i] == '-') {
				from = v;
				v = 0;
			} else if (buf[i] == ' ') {
				rest = true;
				end = at >= from && at < v ? v : 0;
			} else {
				v = v << 4 | (uintptr_t)(buf[i] <= '9' ? buf[i] - '0' : buf[i] - 'a' + 10);
			}
		}
	if (fd >= 0)
		close(fd);
	return end;
}

/* Through a pipe, whose writer gets EFAULT. */
static bool peek_by_pipe(char *to, const char *from, size_t bytes)
{
	int fds[2];
	bool ok = !pipe2(fds, O_CLOEXEC);

	if (!ok)
		return false;
	for (size_t n; ok && bytes; to += n, from += n, bytes -= n) {
		n = bytes < 4096 ? bytes : 4096;
		ok = write(fds[1], from, n) == (ssize_t)n && read(fds[0], to, n) == (ssize_t)n;
	}
	close(fds[0]);
	close(fds[1]);
	return ok;
}

bool gstk__mem_peek(void *to, const void *from, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)from, bytes };
	int saved = errno;
	bool ok = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes;

	/* Containers forbid it at times, emulators do not have it. */
	if (!ok && (errno == ENOSYS || errno == EPERM))
		ok = peek_by_pipe(to, from, bytes);
	errno = saved;
	return ok;
}

/* Bytes that may still be committed; SIZE_MAX where nobody counts them. */
static size_t commit_left(void)
{
	unsigned long long limit = 0, used = 0;
	char line[128];
	int mode = 0;
	FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");

	if (f && fscanf(f, "%d", &mode) != 1)
		mode = 0;
	if (f)
		fclose(f);
	if (mode != 2 || !(f = fopen("/proc/meminfo", "re")))
		return SIZE_MAX;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CommitLimit: %llu", &limit) != 1)
			sscanf(line, "Committed_AS: %llu", &used);
	fclose(f);
	return limit > used ? (size_t)(limit - used) << 10 : 0;
}

bool gstk__mem_make_present(void *p)
{
	return !syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p); /* any call that writes there: EFAULT is no signal */
}

size_t gstk__mem_limit(void)
{
	size_t left = commit_left(), most = left == SIZE_MAX ? left : left / 2;
	struct rlimit rl;

	if (!getrlimit(RLIMIT_AS, &rl) && rl.rlim_cur != RLIM_INFINITY && rl.rlim_cur < most)
		most = rl.rlim_cur;
	return most;
}
