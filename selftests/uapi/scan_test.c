// SPDX-License-Identifier: MIT
/*
 * Who tracks writes by looking at page tables (pagemap, soft-dirty, PAGEMAP_SCAN,
 * userfaultfd WP_ASYNC) must see what moves, and must not stop it for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

#define PRESENT (1ULL << 63)
#define SOFT_DIRTY (1ULL << 55)
#define STACK 8		/* pages */

FIXTURE(scan)
{
	struct object o;
	char *base;
	int pagemap;
};

FIXTURE_SETUP(scan)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
	self->base = window_base(&self->o, 2);
	self->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->pagemap, 0);
}

FIXTURE_TEARDOWN(scan)
{
	close(self->pagemap);
	object_close(&self->o);
}

/* How many of the pages [at, at + nr) have all these bits. */
static int pages_with(int pagemap, const char *at, int nr, uint64_t bits)
{
	uint64_t entry[64];
	int i, n = 0;

	if (pread(pagemap, entry, nr * 8, (uintptr_t)at / PAGE * 8) != nr * 8)
		return -1;
	for (i = 0; i < nr; i++)
		n += (entry[i] & bits) == bits;
	return n;
}

static void clear_refs(const char *what)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	if (write(fd, what, 1) != 1)
		perror("clear_refs");
	close(fd);
}

TEST_F(scan, pagemap_shows_a_stack_where_it_is)
{
	struct greenstk_switch e = { .window = 2, .out_bytes = STACK * PAGE };
	char *low = self->base - STACK * PAGE, *slot;

	paint(self->base, STACK * PAGE, 1);
	EXPECT_EQ(STACK, pages_with(self->pagemap, low, STACK, PRESENT));
	ASSERT_EQ(0, do_switch(&self->o, &e));
	slot = self->o.map + e.slot_offset;
	EXPECT_EQ(0, pages_with(self->pagemap, low, STACK, PRESENT));
	EXPECT_EQ(STACK, pages_with(self->pagemap, slot, STACK, PRESENT));
	ASSERT_EQ(0, resume(&self->o, 2, e.handle_out, 3));
	EXPECT_EQ(3, pages_with(self->pagemap, low, STACK, PRESENT));
	EXPECT_EQ(STACK - 3, pages_with(self->pagemap, slot, STACK, PRESENT));
	EXPECT_EQ(0, painted(self->base, STACK * PAGE, 1));
}

/* A checkpoint that copies what is soft-dirty would miss bytes that moved unmarked. */
TEST_F(scan, what_moved_is_soft_dirty)
{
	struct greenstk_switch e = { .window = 2, .out_bytes = STACK * PAGE };
	char *low = self->base - STACK * PAGE, *slot;

	paint(self->base, STACK * PAGE, 1);
	clear_refs("4");
	if (pages_with(self->pagemap, low, STACK, SOFT_DIRTY)) {
		TH_LOG("no soft-dirty in this kernel");
		return;
	}
	ASSERT_EQ(0, do_switch(&self->o, &e));
	slot = self->o.map + e.slot_offset;
	EXPECT_EQ(STACK, pages_with(self->pagemap, slot, STACK, SOFT_DIRTY));
	clear_refs("4");
	EXPECT_EQ(0, pages_with(self->pagemap, slot, STACK, SOFT_DIRTY));
	ASSERT_EQ(0, resume(&self->o, 2, e.handle_out, STACK / 2));
	EXPECT_EQ(STACK / 2, pages_with(self->pagemap, low, STACK, SOFT_DIRTY));
	EXPECT_EQ(0, painted(self->base, STACK * PAGE, 1));
	EXPECT_EQ(STACK, pages_with(self->pagemap, low, STACK, SOFT_DIRTY | PRESENT));
}

/* struct page_region and pm_scan_arg: newer than some of the headers we build with. */
struct region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct scan_arg)
#define IS_WRITTEN (1 << 1)
#define IS_PRESENT (1 << 3)
#define WP_MATCHING (1 << 0)
#define CHECK_WPASYNC (1 << 1)

/* Pages of a category in a range, or -errno. */
static long scan(int pagemap, char *at, size_t pages, uint64_t category, uint64_t flags)
{
	struct region r[64];
	struct scan_arg arg = {
		.size = sizeof(arg), .flags = flags, .start = (uintptr_t)at,
		.end = (uintptr_t)at + pages * PAGE, .vec = (uintptr_t)r, .vec_len = 64,
		.mask = category, .returned = category,
	};
	long n = ioctl(pagemap, PAGEMAP_SCAN, &arg), i, sum = 0;

	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++)
		sum += (r[i].end - r[i].start) / PAGE;
	return sum;
}

TEST_F(scan, pagemap_scan_finds_windows_and_slots)
{
	char *low = self->base - STACK * PAGE, *slot;
	struct greenstk_switch e = { .window = 2, .out_bytes = STACK * PAGE };
	uint64_t handle;

	paint(self->base, STACK * PAGE, 1);
	if (scan(self->pagemap, low, STACK, IS_PRESENT, 0) == -ENOTTY) {
		TH_LOG("no PAGEMAP_SCAN in this kernel");
		return;
	}
	EXPECT_EQ(STACK, scan(self->pagemap, low, STACK, IS_PRESENT, 0));
	/* To protect needs userfaultfd on the mapping; without, nothing is touched. */
	EXPECT_EQ(-EPERM, scan(self->pagemap, low, STACK, IS_WRITTEN, WP_MATCHING | CHECK_WPASYNC));
	scan(self->pagemap, low, STACK, IS_PRESENT, WP_MATCHING);
	ASSERT_EQ(0, do_switch(&self->o, &e));
	slot = self->o.map + e.slot_offset;
	EXPECT_EQ(0, scan(self->pagemap, low, STACK, IS_PRESENT, 0));
	EXPECT_EQ(STACK, scan(self->pagemap, slot, STACK, IS_PRESENT, 0));
	scan(self->pagemap, slot, STACK, IS_PRESENT, WP_MATCHING);
	ASSERT_EQ(0, resume(&self->o, 2, e.handle_out, EAGER));
	EXPECT_EQ(0, painted(self->base, STACK * PAGE, 1));
	paint(self->base, STACK * PAGE, 2);
	ASSERT_EQ(0, park(&self->o, 2, STACK * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 2, handle, EAGER));
	EXPECT_EQ(0, painted(self->base, STACK * PAGE, 2));
}

/*
 * WP_ASYNC accepts any mapping from 6.7 on, and leaves markers in holes (late stable
 * kernels refuse special mappings, ours among them). While it is armed nothing moves
 * (EBUSY); then everything works as ever, markers or not.
 */
TEST_F(scan, wp_async_protects_and_goes_again)
{
	struct uffdio_api api = { .api = UFFD_API, .features = (1 << 13) | (1 << 15) };
	struct uffdio_register reg = {
		.range = { (uintptr_t)self->o.map, self->o.s.map_bytes }, .mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect wp = { .range = reg.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	char *low = self->base - STACK * PAGE;
	uint64_t handle, other;
	int uffd, round;

	paint(window_base(&self->o, 3), STACK * PAGE, 3);
	ASSERT_EQ(0, park(&self->o, 3, STACK * PAGE, &other));
	for (round = 0; round < 2; round++) {
		uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
		ASSERT_GE(uffd, 0);
		paint(self->base, STACK * PAGE, 1);
		if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg)) {
			TH_LOG("this kernel arms no such mapping: %s", strerror(errno));
			close(uffd);
			break;
		}
		EXPECT_EQ(-EBUSY, park(&self->o, 2, STACK * PAGE, &handle));
		EXPECT_EQ(-EBUSY, resume(&self->o, 3, other, EAGER));
		EXPECT_EQ(-EBUSY, reclaim(&self->o, 2, 0, NULL));
		ASSERT_EQ(0, ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
		EXPECT_EQ(0, scan(self->pagemap, low, STACK, IS_WRITTEN, 0));
		/* First touches over markers, and writes to what is protected: neither may hang. */
		paint(self->base, 2 * STACK * PAGE, 2);
		EXPECT_EQ(0, painted(self->base, 2 * STACK * PAGE, 2));
		EXPECT_EQ(STACK, scan(self->pagemap, low, STACK, IS_WRITTEN, 0));
		EXPECT_EQ(STACK, scan(self->pagemap, low, STACK, IS_WRITTEN, WP_MATCHING | CHECK_WPASYNC));
		EXPECT_EQ(0, scan(self->pagemap, low, STACK, IS_WRITTEN, 0));
		/* Once it is taken away in order, once the file goes with everything protected. */
		if (!round)
			EXPECT_EQ(0, ioctl(uffd, UFFDIO_UNREGISTER, &reg.range));
		close(uffd);
		EXPECT_EQ(0, painted(self->base, 2 * STACK * PAGE, 2));
		ASSERT_EQ(0, park(&self->o, 2, 2 * STACK * PAGE, &handle));
		ASSERT_EQ(0, resume(&self->o, 4, handle, EAGER));
		EXPECT_EQ(0, painted(window_base(&self->o, 4), 2 * STACK * PAGE, 2));
		paint(window_base(&self->o, 4), 2 * STACK * PAGE, 5);
	}
	ASSERT_EQ(0, resume(&self->o, 3, other, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 3), STACK * PAGE, 3));
}

TEST_HARNESS_MAIN
