// SPDX-License-Identifier: MIT
/*
 * What others do to the mapping: system calls on its range, by the process itself
 * or by another one. Rows of the event table in Documentation/uapi.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

FIXTURE(vma)
{
	struct object o;
};

FIXTURE_SETUP(vma)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
}

FIXTURE_TEARDOWN(vma)
{
	object_close(&self->o);
}

TEST_F(vma, munmap_of_the_whole_ends_the_object)
{
	struct greenstk_switch e = { .window = 0, .out_bytes = PAGE };
	uint64_t handle;

	paint(window_base(&self->o, 0), 4 * PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, 4 * PAGE, &handle));
	ASSERT_EQ(0, munmap(self->o.map, self->o.s.map_bytes));
	self->o.map = MAP_FAILED;
	EXPECT_EQ(-ENXIO, do_switch(&self->o, &e));
	EXPECT_EQ(-ENXIO, drop(&self->o, handle));
	EXPECT_EQ(0, stat_of(&self->o).pages);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->o.s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				   self->o.fd, 0));
	EXPECT_EQ(EBUSY, errno);
}

struct caller {
	struct object *o;
	volatile bool begun;
	int err;
};

/* Makes pages, moves them and gives them back, until there is nothing to do that in. */
static void *call_until_gone(void *arg)
{
	struct greenstk_switch e = { .window = 0, .out_bytes = 8 * PAGE, .eager_pages = EAGER };
	struct caller *c = arg;
	uint64_t handle;

	for (;;) {
		handle = 0;
		c->err = populate(c->o, &handle, 0, 24 * PAGE, NULL);
		c->begun = true;
		if (c->err)
			return NULL;
		e.handle_in = handle;
		c->err = do_switch(c->o, &e);
		if (c->err)
			return NULL;
		c->err = drop(c->o, e.handle_out);
		if (c->err)
			return NULL;
	}
}

/* munmap() frees pages and page tables when it holds the mm for reading only, as a call does. */
TEST_F_TIMEOUT(vma, no_call_moves_pages_while_the_whole_is_unmapped, 120)
{
	struct caller c = { 0 };
	struct object o;
	pthread_t thread;
	uint32_t i, round;

	for (round = 0; round < 12; round++) {
		/* Pages to be freed, so that it takes its time. */
		ASSERT_EQ(0, object_open(&o, (struct object_opts){ 0 }));
		for (i = 0; i < 64; i++)
			paint(window_base(&o, i), 40 * PAGE, i);
		c = (struct caller){ .o = &o };
		ASSERT_EQ(0, pthread_create(&thread, NULL, call_until_gone, &c));
		while (!c.begun)
			usleep(100);
		/* Without the one for the graves calls go on. */
		if (round & 1)
			ASSERT_EQ(0, munmap(o.grave, o.s.grave_bytes));
		ASSERT_EQ(0, munmap(o.map, o.s.map_bytes));
		pthread_join(thread, NULL);
		EXPECT_EQ(-ENXIO, c.err);
		EXPECT_EQ(0, stat_of(&o).pages);
		o.map = MAP_FAILED;
		o.grave = round & 1 ? MAP_FAILED : o.grave;
		object_close(&o);
	}
}

TEST_F(vma, munmap_of_a_part_is_refused)
{
	size_t len = self->o.s.window_bytes;

	paint(window_base(&self->o, 1), PAGE, 1);
	EXPECT_EQ(-1, munmap(self->o.map, len));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, munmap(self->o.map + len, len));
	EXPECT_EQ(-1, munmap(self->o.map + self->o.s.map_bytes - PAGE, PAGE));
	/* Mapping over a part is the same. */
	EXPECT_EQ(MAP_FAILED, mmap(self->o.map + len, len, PROT_READ,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, painted(window_base(&self->o, 1), PAGE, 1));
}

TEST_F(vma, mremap_is_refused)
{
	size_t len = self->o.s.map_bytes;
	void *to = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	paint(window_base(&self->o, 1), PAGE, 1);
	EXPECT_EQ(MAP_FAILED, mremap(self->o.map, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(MAP_FAILED, mremap(self->o.map, len, len + PAGE, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(self->o.map, 0, PAGE, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(self->o.map, len, len - PAGE, 0));
	EXPECT_EQ(MAP_FAILED, mremap(self->o.map + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				     to));
	EXPECT_EQ(MAP_FAILED, mremap(self->o.map, len, len, MREMAP_MAYMOVE | MREMAP_FIXED |
				     4 /* DONTUNMAP */, to));
	EXPECT_EQ(0, painted(window_base(&self->o, 1), PAGE, 1));
	EXPECT_EQ(1, stat_of(&self->o).pages);
}

TEST_F(vma, mprotect_is_refused)
{
	size_t len = self->o.s.map_bytes;

	EXPECT_EQ(-1, mprotect(self->o.map, len, PROT_READ));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->o.map, PAGE, PROT_NONE));
	EXPECT_EQ(-1, mprotect(self->o.map, len, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT_EQ(0, mprotect(self->o.map, len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, touch_signal(window_base(&self->o, 0) - 1, true));
}

TEST_F(vma, mlock_locks_nothing_and_stops_at_a_guard)
{
	struct rlimit none = { 0, 0 };

	EXPECT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none) && 0);
	EXPECT_EQ(-1, mlock(self->o.map, self->o.s.map_bytes));
	EXPECT_EQ(0, stat_of(&self->o).pages);
	EXPECT_EQ(0, mlockall(MCL_CURRENT));
	EXPECT_LE(stat_of(&self->o).pages, 64);
	EXPECT_EQ(0, munlockall());
}

TEST_F(vma, a_locked_or_populated_mapping_is_as_any_other)
{
	static const int how[] = { 0, MAP_POPULATE, MAP_LOCKED };
	unsigned int i;
	uint64_t handle;

	for (i = 0; i < sizeof(how) / sizeof(*how); i++) {
		struct object o = { .map = MAP_FAILED, .grave = MAP_FAILED };

		o.fd = open(GREENSTK_DEVICE, O_RDWR | O_CLOEXEC);
		ASSERT_EQ(0, object_shape(&o, (struct object_opts){ .nr_windows = 4 }));
		if (!how[i])
			ASSERT_EQ(0, mlockall(MCL_FUTURE));
		o.map = mmap(NULL, o.s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | how[i], o.fd, 0);
		ASSERT_NE(MAP_FAILED, o.map);
		munlockall();
		/* Populating ends at the first guard. */
		EXPECT_EQ(0, stat_of(&o).pages);
		paint(window_base(&o, 0), 4 * PAGE, i);
		ASSERT_EQ(0, park(&o, 0, 4 * PAGE, &handle));
		ASSERT_EQ(0, resume(&o, 1, handle, EAGER));
		EXPECT_EQ(0, painted(window_base(&o, 1), 4 * PAGE, i));
		object_close(&o);
	}
}

TEST_F(vma, dontneed_frees_and_reads_zero)
{
	char *base = window_base(&self->o, 0);
	uint64_t handle, rss;

	paint(base, 8 * PAGE, 1);
	paint(window_base(&self->o, 1), 8 * PAGE, 2);
	ASSERT_EQ(0, park(&self->o, 1, 8 * PAGE, &handle));
	rss = rss_pages();
	ASSERT_EQ(0, madvise(self->o.map, self->o.s.map_bytes, MADV_DONTNEED));
	EXPECT_GE(rss - rss_pages(), 16 - 4);
	EXPECT_TRUE(all_zero(base - 8 * PAGE, 8 * PAGE));
	ASSERT_EQ(0, resume(&self->o, 1, handle, EAGER));
	EXPECT_TRUE(all_zero(window_base(&self->o, 1) - 8 * PAGE, 8 * PAGE));
}

TEST_F(vma, other_advice_is_harmless)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_FREE, MADV_REMOVE,
		MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK,
		MADV_COLD, MADV_PAGEOUT, 22 /* POPULATE_READ */, 23 /* POPULATE_WRITE */,
		24 /* DONTNEED_LOCKED on old */, 25 /* COLLAPSE */, 102, 103 /* GUARD */,
	};
	char *base = window_base(&self->o, 0);
	uint64_t handle;
	unsigned int i;

	for (i = 0; i < sizeof(advice) / sizeof(*advice); i++) {
		paint(base, 4 * PAGE, i);
		madvise(self->o.map, self->o.s.map_bytes, advice[i]);
		/* Only DONTNEED_LOCKED may take bytes. */
		if (advice[i] != 24)
			ASSERT_EQ(0, painted(base, 4 * PAGE, i));
		paint(base, 4 * PAGE, i);
		ASSERT_EQ(0, park(&self->o, 0, 4 * PAGE, &handle));
		ASSERT_EQ(0, resume(&self->o, 0, handle, EAGER));
		ASSERT_EQ(0, painted(base, 4 * PAGE, i));
	}
}

TEST_F(vma, advice_by_another_process_is_harmless)
{
	static const int advice[] = { MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, 25 /* COLLAPSE */ };
	char *base = window_base(&self->o, 0);
	unsigned int i, k, seen = 0;
	pid_t pid, me = getpid();
	uint64_t handle;

	paint(base, 8 * PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, 8 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 0, handle, 4));
	pid = fork();
	if (!pid) {
		int fd = syscall(SYS_pidfd_open, me, 0);

		for (i = 0; i < sizeof(advice) / sizeof(*advice); i++)
			for (k = 0; k < 3; k++) {
				struct iovec v[3] = {
					{ self->o.map, self->o.s.map_bytes },
					{ base - 16 * PAGE, 16 * PAGE },
					{ self->o.park, 8 * PAGE },
				};

				seen += syscall(SYS_process_madvise, fd, &v[k], 1, advice[i], 0) > 0;
			}
		_exit(seen ? 0 : 1);	/* some of it is accepted */
	}
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_EQ(0, painted(base, 8 * PAGE, 1));
	ASSERT_EQ(0, park(&self->o, 0, 8 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 1, handle, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 1), 8 * PAGE, 1));
}

TEST_F(vma, userfaultfd_on_the_mapping_stops_switching)
{
	struct uffdio_api api = { .api = UFFD_API, .features = (1 << 13) | (1 << 15) };
	struct uffdio_register reg = {
		.range = { (uintptr_t)self->o.map, self->o.s.map_bytes },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect wp = { .range = reg.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	char *base = window_base(&self->o, 0);
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	uint64_t handle;

	ASSERT_GE(uffd, 0);
	paint(base, 4 * PAGE, 1);
	if (!ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		EXPECT_EQ(-EBUSY, park(&self->o, 0, 4 * PAGE, &handle));
		ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
		EXPECT_EQ(0, painted(base, 4 * PAGE, 1));
		/* Markers lie in holes now; touching them must end. */
		paint(base, 12 * PAGE, 2);
		EXPECT_EQ(0, painted(base, 12 * PAGE, 2));
		EXPECT_EQ(0, ioctl(uffd, UFFDIO_UNREGISTER, &reg.range));
	} else {
		TH_LOG("this kernel arms no such mapping: %s", strerror(errno));
	}
	close(uffd);
	paint(base, 16 * PAGE, 3);
	ASSERT_EQ(0, park(&self->o, 0, 16 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 1, handle, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 1), 16 * PAGE, 3));
}

TEST_F(vma, a_stranger_reads_and_writes_stack_memory)
{
	char *base = window_base(&self->o, 0);
	uint64_t value = 77, handle;
	pid_t pid, me = getpid();

	paint(base, 4 * PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, 4 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 0, handle, 1));
	pid = fork();
	if (!pid) {
		struct iovec l = { &value, 8 }, r = { base - 3 * PAGE + 16, 8 };
		uint64_t got = 1;
		struct iovec l2 = { &got, 8 }, r2 = { base - 9 * PAGE, 8 };
		struct iovec guard = { window_limit(&self->o, 0) - 8, 8 };

		if (process_vm_writev(me, &l, 1, &r, 1, 0) != 8)
			_exit(1);
		/* First touch from outside: charged to the owner, zero. */
		if (process_vm_readv(me, &l2, 1, &r2, 1, 0) != 8 || got)
			_exit(2);
		if (process_vm_readv(me, &l2, 1, &guard, 1, 0) != -1)
			_exit(3);
		_exit(0);
	}
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_EQ(0, painted(base, 4 * PAGE, 1));
	EXPECT_EQ(77, *(uint64_t *)(base - 3 * PAGE + 16));
}

TEST_F(vma, a_guard_in_a_system_call_is_efault)
{
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	EXPECT_EQ(-1, write(pipefd[1], window_limit(&self->o, 0) - 8, 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, write(pipefd[1], self->o.park, 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(8, write(pipefd[1], window_limit(&self->o, 0), 8));
}

TEST_F(vma, lazy_pages_come_in_read_write_and_vmsplice)
{
	char *base = window_base(&self->o, 0), buf[PAGE];
	struct iovec iov = { base - 2 * PAGE, PAGE };
	uint64_t handle;
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	paint(base, 32 * PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, 32 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 0, handle, 0));
	ASSERT_EQ(PAGE, write(pipefd[1], base - 20 * PAGE, PAGE));
	ASSERT_EQ(PAGE, read(pipefd[0], buf, PAGE));
	EXPECT_EQ(0, memcmp(buf, base - 20 * PAGE, PAGE));
	ASSERT_EQ(PAGE, vmsplice(pipefd[1], &iov, 1, 0));
	/* The pipe holds the page itself while the stack moves. */
	ASSERT_EQ(0, park(&self->o, 0, 32 * PAGE, &handle));
	ASSERT_EQ(PAGE, read(pipefd[0], buf, PAGE));
	ASSERT_EQ(0, resume(&self->o, 0, handle, 0));
	EXPECT_EQ(0, memcmp(buf, base - 2 * PAGE, PAGE));
	ASSERT_EQ(16, write(pipefd[1], buf, 16));
	ASSERT_EQ(16, read(pipefd[0], base - 30 * PAGE + 32, 16));
	EXPECT_EQ(0, painted(base, 32 * PAGE, 1));
}

struct storm {
	struct object *o;
	volatile bool stop;
	int bad;
};

static void *zap_all(void *arg)
{
	struct storm *s = arg;

	while (!s->stop)
		s->bad |= madvise(s->o->map, s->o->s.map_bytes, MADV_DONTNEED);
	return NULL;
}

static void *read_pagemap(void *arg)
{
	struct storm *s = arg;
	uint64_t entry[512];
	int fd = open("/proc/self/pagemap", O_RDONLY), refs = open("/proc/self/clear_refs", O_WRONLY);
	size_t i = 0;

	while (!s->stop) {
		pread(fd, entry, sizeof(entry), (((uintptr_t)s->o->map >> 12) + (i++ % 8) * 512) * 8);
		write(refs, i & 1 ? "1" : "4", 1);
	}
	close(fd);
	close(refs);
	return NULL;
}

TEST_F_TIMEOUT(vma, dontneed_and_scans_in_a_loop_against_switch, 120)
{
	struct storm s = { .o = &self->o };
	struct greenstk_switch e[16];
	uint64_t handle[16] = { 0 };
	pthread_t zap, scan;
	uint32_t i, round, done;

	ASSERT_EQ(0, pthread_create(&zap, NULL, zap_all, &s));
	ASSERT_EQ(0, pthread_create(&scan, NULL, read_pagemap, &s));
	for (round = 0; round < 400; round++) {
		for (i = 0; i < 16; i++) {
			*(volatile char *)(window_base(&self->o, i) - PAGE) = 1;
			*(volatile char *)(window_base(&self->o, i) - 5 * PAGE) = 1;
			e[i] = (struct greenstk_switch){
				.window = i, .out_bytes = (1 + (i + round) % 6) * PAGE,
				.handle_in = handle[i], .eager_pages = round % 4 ? EAGER : 1,
			};
		}
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 16, sizeof(*e), 0, &done));
		ASSERT_EQ(16, done);
		for (i = 0; i < 16; i++) {
			ASSERT_EQ(0, e[i].result);
			handle[i] = e[i].handle_out;
		}
	}
	s.stop = true;
	pthread_join(zap, NULL);
	pthread_join(scan, NULL);
	EXPECT_EQ(0, s.bad);
}

TEST_HARNESS_MAIN
