// SPDX-License-Identifier: MIT
/* Every command with every kind of wrong argument. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

FIXTURE(args)
{
	struct object o;
};

FIXTURE_SETUP(args)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
}

FIXTURE_TEARDOWN(args)
{
	object_close(&self->o);
}

static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

static const struct {
	unsigned long cmd;
	uint32_t size;
} batches[] = {
	{ GREENSTK_SWITCH, sizeof(struct greenstk_switch) },
	{ GREENSTK_RECLAIM, sizeof(struct greenstk_reclaim) },
	{ GREENSTK_DROP, sizeof(struct greenstk_drop) },
	{ GREENSTK_COLD, sizeof(struct greenstk_cold) },
	{ GREENSTK_POPULATE, sizeof(struct greenstk_populate) },
};

#define NR_BATCHES (sizeof(batches) / sizeof(*batches))

/* An address that faults, one in the kernel, one not canonical, one that wraps. */
static const uint64_t bad_pointers[] = {
	0, 8, 0xffff888000000000ULL, 0x8000000000000000ULL, ~0ULL - 7, ~0ULL,
};

TEST_F(args, unknown_commands_are_enotty)
{
	unsigned int nr;
	char room[512];

	for (nr = 9; nr < 256; nr++)
		EXPECT_EQ(-ENOTTY, call(self->o.fd, _IOWR(GREENSTK_IOC_MAGIC, nr,
							  struct greenstk_batch), room));
	/* A size that is not ours is another command. */
	EXPECT_EQ(-ENOTTY, call(self->o.fd, _IOWR(GREENSTK_IOC_MAGIC, 2, int), room));
	EXPECT_EQ(-ENOTTY, call(self->o.fd, 0x5401, room));
}

TEST_F(args, bad_pointers_are_efault)
{
	static const unsigned long cmds[] = {
		GREENSTK_FEATURES, GREENSTK_SETUP, GREENSTK_SWITCH, GREENSTK_RECLAIM,
		GREENSTK_DROP, GREENSTK_COLD, GREENSTK_POPULATE, GREENSTK_PAGER, GREENSTK_STAT,
	};
	unsigned int i, k;

	ASSERT_TRUE(write_param("pager", "1"));
	for (i = 0; i < sizeof(cmds) / sizeof(*cmds); i++)
		for (k = 0; k < sizeof(bad_pointers) / sizeof(*bad_pointers); k++)
			EXPECT_EQ(-EFAULT, call(self->o.fd, cmds[i],
						(void *)(uintptr_t)bad_pointers[k]));
}

TEST_F(args, bad_entry_pointers_are_efault_and_do_nothing)
{
	unsigned int i, k;
	uint32_t done;

	ASSERT_TRUE(write_param("pager", "1"));
	for (i = 0; i < NR_BATCHES; i++)
		for (k = 0; k < sizeof(bad_pointers) / sizeof(*bad_pointers); k++) {
			done = 7;
			EXPECT_EQ(-EFAULT, batch(&self->o, batches[i].cmd,
						 (void *)(uintptr_t)bad_pointers[k], 3,
						 batches[i].size, 0, &done));
			EXPECT_EQ(0, done);
		}
	EXPECT_EQ(0, stat_of(&self->o).handles);
}

/* The last page that can be had, followed by one that cannot. */
static char *edge(struct __test_metadata *_metadata)
{
	char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + 15 * PAGE, PAGE));
	return p + 15 * PAGE;
}

TEST_F(args, entries_that_end_too_early_are_a_short_batch)
{
	const uint32_t nr = 300, there = 200, size = sizeof(struct greenstk_reclaim);
	struct greenstk_reclaim *e = (void *)(edge(_metadata) - there * size);
	struct greenstk_batch *b = (void *)(edge(_metadata) - sizeof(*b) + 8);
	uint32_t done = 77, i;

	for (i = 0; i < there; i++)
		e[i] = (struct greenstk_reclaim){ .window = i % 64, .result = 77 };
	ASSERT_EQ(0, batch(&self->o, GREENSTK_RECLAIM, e, nr, size, 0, &done));
	EXPECT_GT(done, 0);
	EXPECT_LE(done, there);
	for (i = 0; i < there; i++)
		EXPECT_EQ(i < done ? 0 : 77, e[i].result);
	/* From there on it is an error, and nothing is done. */
	done = 77;
	EXPECT_EQ(-EFAULT, batch(&self->o, GREENSTK_RECLAIM, e + there, nr, size, 0, &done));
	EXPECT_EQ(0, done);
	/* So is a header that ends too early. */
	EXPECT_EQ(-EFAULT, call(self->o.fd, GREENSTK_RECLAIM, b));
}

TEST_F(args, results_that_cannot_be_written_are_efault)
{
	struct greenstk_switch *e = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct greenstk_batch *b = (void *)(e + 2);
	uint32_t done = 7;

	paint(window_base(&self->o, 0), PAGE, 1);
	e[0] = (struct greenstk_switch){ .window = 0, .out_bytes = PAGE };
	*b = (struct greenstk_batch){ .entries = (uintptr_t)e, .nr = 1, .entry_size = sizeof(*e) };
	ASSERT_EQ(0, mprotect(e, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, batch(&self->o, GREENSTK_SWITCH, e, 1, sizeof(*e), 0, &done));
	EXPECT_EQ(0, done);
	/* The work was done, its handle could not be told: the slot stays until the end. */
	EXPECT_EQ(1, stat_of(&self->o).handles);
	EXPECT_EQ(-EFAULT, call(self->o.fd, GREENSTK_SWITCH, b));
	EXPECT_EQ(2, stat_of(&self->o).handles);
	paint(window_base(&self->o, 0), PAGE, 2);
	EXPECT_EQ(0, painted(window_base(&self->o, 0), PAGE, 2));
}

/* Nonsense, but the kernel's copies are its own: it does what it read at first. */
TEST_F(args, a_header_within_its_entries_harms_nobody)
{
	union {
		struct greenstk_batch b;
		struct greenstk_switch e[4];
		struct greenstk_drop d[8];
	} u;
	unsigned int at;
	uint64_t handle;

	for (at = 0; at < 3; at++) {
		memset(&u, 0, sizeof(u));
		u.b = (struct greenstk_batch){
			.entries = (uintptr_t)&u + at * 8, .nr = 2, .entry_size = sizeof(u.e[0]),
		};
		call(self->o.fd, GREENSTK_SWITCH, &u);
		memset(&u, 0, sizeof(u));
		u.b = (struct greenstk_batch){
			.entries = (uintptr_t)&u + at * 4, .nr = 4, .entry_size = sizeof(u.d[0]),
		};
		EXPECT_EQ(0, call(self->o.fd, GREENSTK_DROP, &u));
	}
	paint(window_base(&self->o, 0), PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 0, handle, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 0), PAGE, 1));
}

TEST_F(args, counts_sizes_and_flags_are_checked)
{
	char *room = calloc(2, 1 << 20);
	unsigned int i, bit;

	ASSERT_TRUE(write_param("pager", "1"));
	for (i = 0; i < NR_BATCHES; i++) {
		unsigned long cmd = batches[i].cmd;
		uint32_t size = batches[i].size;

		EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, 0, size, 0, NULL));
		EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, 4097, size, 0, NULL));
		EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, ~0U, size, 0, NULL));
		EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, 1, 0, 0, NULL));
		EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, 1, size - 1, 0, NULL));
		EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, 1, 4097, 0, NULL));
		EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, 1, ~0U, 0, NULL));
		for (bit = cmd == GREENSTK_RECLAIM; bit < 32; bit++)
			EXPECT_EQ(-EINVAL, batch(&self->o, cmd, room, 1, size, 1U << bit, NULL));
		/* Longer entries are fine as long as what is unknown is zero. */
		EXPECT_EQ(0, batch(&self->o, cmd, room, 2, size + 8, 0, NULL));
		memset(room, 0, 4096);
		room[size + 3] = 1;
		EXPECT_EQ(-E2BIG, batch(&self->o, cmd, room, 2, size + 8, 0, NULL));
		memset(room, 0, 4096);
	}
	free(room);
}

TEST_F(args, setup_happens_once_and_is_checked)
{
	struct greenstk_setup good = {
		.size = sizeof(good), .window_bytes = 65536, .guard_bytes = 4096,
		.park_bytes = 1 << 20, .nr_windows = 2,
	}, s;
	int fd = open(GREENSTK_DEVICE, O_RDWR);

#define REFUSED(field, value) do {					\
		s = good;						\
		s.field = (value);					\
		EXPECT_EQ(-EINVAL, call(fd, GREENSTK_SETUP, &s));	\
	} while (0)
	REFUSED(size, 0);
	REFUSED(size, sizeof(s) - 8);
	REFUSED(size, sizeof(s) + 8);
	REFUSED(flags, 1);
	REFUSED(pad, 1);
	REFUSED(grave_offset, 1);
	REFUSED(grave_bytes, 1);
	REFUSED(window_bytes, 0);
	REFUSED(window_bytes, 65536 + 4096);
	REFUSED(window_bytes, 2048);
	REFUSED(window_bytes, 4ULL << 20);
	REFUSED(window_bytes, 1ULL << 63);
	REFUSED(guard_bytes, 0);
	REFUSED(guard_bytes, 100);
	REFUSED(guard_bytes, 65536);
	REFUSED(guard_bytes, ~0ULL & ~4095ULL);
	REFUSED(park_bytes, 0);
	REFUSED(park_bytes, 4097);
	REFUSED(park_bytes, 1ULL << 62);
	REFUSED(nr_windows, 0);
	REFUSED(nr_windows, ~0U);
	/* Nothing works before it. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-ENXIO, call(fd, GREENSTK_SWITCH, &s));
	EXPECT_EQ(-ENXIO, call(fd, GREENSTK_STAT, &s));
	s = good;
	EXPECT_EQ(0, call(fd, GREENSTK_SETUP, &s));
	EXPECT_EQ(0, s.windows_offset);
	EXPECT_GE(s.words_offset, 2 * 65536);
	EXPECT_GT(s.park_offset, s.words_offset);
	EXPECT_GT(s.map_bytes, s.park_offset + s.park_bytes);
	s = good;
	EXPECT_EQ(-EBUSY, call(fd, GREENSTK_SETUP, &s));
	close(fd);
}

TEST_F(args, mmap_is_checked)
{
	struct object o = { .map = MAP_FAILED, .grave = MAP_FAILED };
	size_t len;

	o.fd = open(GREENSTK_DEVICE, O_RDWR);
	ASSERT_EQ(0, object_shape(&o, (struct object_opts){ 0 }));
	len = o.s.map_bytes;
#define NO_MAP(len, prot, flags, off) \
	EXPECT_EQ(MAP_FAILED, mmap(NULL, len, prot, flags, o.fd, off))
	NO_MAP(len, PROT_READ, MAP_SHARED, 0);
	NO_MAP(len, PROT_WRITE | PROT_READ | PROT_EXEC, MAP_SHARED, 0);
	NO_MAP(len, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	NO_MAP(len - PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NO_MAP(len + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NO_MAP(len, PROT_READ | PROT_WRITE, MAP_SHARED, PAGE);
	NO_MAP(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NO_MAP(o.s.grave_bytes, PROT_NONE, MAP_SHARED, o.s.grave_offset);	/* too early */
	ASSERT_EQ(0, object_map(&o));
	NO_MAP(len, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	NO_MAP(o.s.grave_bytes, PROT_NONE, MAP_SHARED, o.s.grave_offset);	/* twice */
	NO_MAP(PAGE, PROT_NONE, MAP_SHARED, o.s.grave_offset);
	object_close(&o);
	o.fd = open(GREENSTK_DEVICE, O_RDONLY);
	ASSERT_EQ(0, object_shape(&o, (struct object_opts){ 0 }));
	NO_MAP(len, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	close(o.fd);
}

TEST_F(args, nothing_moves_before_mmap)
{
	struct object o = { .map = MAP_FAILED, .grave = MAP_FAILED };
	struct greenstk_switch e = { .window = 0, .out_bytes = PAGE };
	uint64_t handle = 0;

	o.fd = open(GREENSTK_DEVICE, O_RDWR);
	ASSERT_EQ(0, object_shape(&o, (struct object_opts){ 0 }));
	EXPECT_EQ(-ENXIO, do_switch(&o, &e));
	EXPECT_EQ(-ENXIO, reclaim(&o, 0, 0, NULL));
	EXPECT_EQ(-ENXIO, drop(&o, 1));
	EXPECT_EQ(-ENXIO, populate(&o, &handle, 0, PAGE, NULL));
	close(o.fd);
}

TEST_F(args, switch_entries_are_checked)
{
	size_t room = self->o.s.window_bytes - self->o.s.guard_bytes;
	struct greenstk_switch e;
	uint64_t handle, big;
	unsigned int bit;
	struct object small;

	for (bit = 0; bit < 32; bit++) {
		e = (struct greenstk_switch){ .flags = 1U << bit };
		EXPECT_EQ(-EINVAL, do_switch(&self->o, &e));
	}
	e = (struct greenstk_switch){ .window = 64 };
	EXPECT_EQ(-EINVAL, do_switch(&self->o, &e));
	e.window = ~0U;
	EXPECT_EQ(-EINVAL, do_switch(&self->o, &e));
	EXPECT_EQ(-EINVAL, park(&self->o, 0, room + 1, &handle));
	EXPECT_EQ(-EINVAL, park(&self->o, 0, 0xffffffffU, &handle));
	EXPECT_EQ(-EINVAL, park(&self->o, 0, 0xfffff001U, &handle));
	EXPECT_EQ(0, park(&self->o, 0, room, &big));
	/* A stack of another shape does not fit a smaller window: none exists here. */
	ASSERT_EQ(0, object_open(&small, (struct object_opts){
		.window_bytes = 65536, .guard_bytes = 65536 - PAGE }));
	EXPECT_EQ(-ESTALE, resume(&small, 0, big, EAGER));
	EXPECT_EQ(-EINVAL, park(&small, 0, PAGE + 1, &handle));
	object_close(&small);
}

TEST_F(args, handles_that_name_nothing_are_estale)
{
	uint64_t handle, other;
	unsigned int bit;

	paint(window_base(&self->o, 0), PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, PAGE, &handle));
	for (bit = 0; bit < 64; bit++) {
		EXPECT_EQ(-ESTALE, resume(&self->o, 1, handle ^ (1ULL << bit), EAGER));
		EXPECT_EQ(-ESTALE, drop(&self->o, handle ^ (1ULL << bit)));
	}
	EXPECT_EQ(-ESTALE, drop(&self->o, 0));
	EXPECT_EQ(-ESTALE, drop(&self->o, ~0ULL));
	ASSERT_EQ(0, resume(&self->o, 1, handle, 0));
	/* Attached to a window is not parked. */
	EXPECT_EQ(-ESTALE, drop(&self->o, handle));
	ASSERT_EQ(0, park(&self->o, 1, PAGE, &other));
	EXPECT_NE(handle, other);
	EXPECT_EQ(-ESTALE, drop(&self->o, handle));
	EXPECT_EQ(0, drop(&self->o, other));
}

TEST_F(args, one_handle_twice_in_a_batch_enters_once)
{
	struct greenstk_switch e[2] = { { .window = 1 }, { .window = 2 } };
	uint64_t handle;
	uint32_t done;

	paint(window_base(&self->o, 0), PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, PAGE, &handle));
	e[0].handle_in = e[1].handle_in = handle;
	ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 2, sizeof(*e), 0, &done));
	EXPECT_EQ(2, done);
	EXPECT_EQ(0, e[0].result);
	EXPECT_EQ(-ESTALE, e[1].result);
}

TEST_F(args, populate_and_cold_ranges_are_checked)
{
	static const struct {
		uint64_t offset, bytes;
	} bad[] = {
		{ 0, 0 }, { 0, 1 }, { 1, PAGE }, { 0, 9 * PAGE }, { 8 * PAGE, PAGE },
		{ ~0ULL & ~4095ULL, PAGE }, { PAGE, ~0ULL & ~4095ULL },
		{ 0, 1ULL << 63 }, { 1ULL << 44, PAGE },
	};
	struct greenstk_populate p;
	struct greenstk_cold c;
	uint64_t handle;
	unsigned int i;

	ASSERT_TRUE(write_param("pager", "1"));
	ASSERT_EQ(0, park(&self->o, 0, 8 * PAGE, &handle));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		p = (struct greenstk_populate){ .handle = handle, .offset = bad[i].offset,
						.bytes = bad[i].bytes };
		ASSERT_EQ(0, batch(&self->o, GREENSTK_POPULATE, &p, 1, sizeof(p), 0, NULL));
		EXPECT_EQ(-EINVAL, p.result);
		c = (struct greenstk_cold){ .handle = handle, .offset = bad[i].offset,
					    .bytes = bad[i].bytes };
		ASSERT_EQ(0, batch(&self->o, GREENSTK_COLD, &c, 1, sizeof(c), 0, NULL));
		EXPECT_EQ(-EINVAL, c.result);
	}
	p = (struct greenstk_populate){ .bytes = self->o.s.window_bytes };
	ASSERT_EQ(0, batch(&self->o, GREENSTK_POPULATE, &p, 1, sizeof(p), 0, NULL));
	EXPECT_EQ(-EINVAL, p.result);
	p = (struct greenstk_populate){ .bytes = PAGE, .offset = PAGE };
	ASSERT_EQ(0, batch(&self->o, GREENSTK_POPULATE, &p, 1, sizeof(p), 0, NULL));
	EXPECT_EQ(-EINVAL, p.result);
	p = (struct greenstk_populate){ .bytes = PAGE, .pad = 1 };
	ASSERT_EQ(0, batch(&self->o, GREENSTK_POPULATE, &p, 1, sizeof(p), 0, NULL));
	EXPECT_EQ(-EINVAL, p.result);
}

TEST_F(args, pager_and_stat_and_features_are_checked)
{
	struct greenstk_features f = { .size = sizeof(f) };
	struct greenstk_stat st = { .size = 16 };
	struct greenstk_pager p = { .size = sizeof(p), .bytes = self->o.s.park_bytes };

	ASSERT_TRUE(write_param("pager", "1"));
	p.addr = 4097;
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_PAGER, &p));
	p.addr = ~0ULL & ~4095ULL;
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_PAGER, &p));
	p.addr = 1ULL << 46;
	p.bytes -= PAGE;
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_PAGER, &p));
	p.bytes = self->o.s.park_bytes;
	p.flags = 1;
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_PAGER, &p));
	p.flags = 0;
	p.size--;
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_PAGER, &p));

	EXPECT_EQ(0, call(self->o.fd, GREENSTK_STAT, &st));
	EXPECT_EQ(16, st.size);
	st.size = 1 << 20;
	EXPECT_EQ(0, call(self->o.fd, GREENSTK_STAT, &st));
	EXPECT_EQ(sizeof(st), st.size);
	st.flags = 1;
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_STAT, &st));
	st = (struct greenstk_stat){ .size = 4 };
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_STAT, &st));

	EXPECT_EQ(0, call(self->o.fd, GREENSTK_FEATURES, &f));
	EXPECT_TRUE(f.features & GREENSTK_FEATURE_SWITCH);
	EXPECT_EQ(PAGE, f.page_size);
	EXPECT_EQ(4096, f.max_entries);
	f = (struct greenstk_features){ .size = sizeof(f), .flags = 1 };
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_FEATURES, &f));
	f = (struct greenstk_features){ .size = 8 };
	EXPECT_EQ(-EINVAL, call(self->o.fd, GREENSTK_FEATURES, &f));
}

TEST_F(args, entries_may_lie_in_a_window)
{
	/* The batch array is in window 5, which the batch does not touch; then in one it does. */
	struct greenstk_switch *e = (void *)(window_base(&self->o, 5) - 2048);
	uint32_t done;

	paint(window_base(&self->o, 4), 2 * PAGE, 1);
	*e = (struct greenstk_switch){ .window = 4, .out_bytes = 2 * PAGE };
	ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 1, sizeof(*e), 0, &done));
	EXPECT_EQ(0, e->result);
	EXPECT_NE(0, e->handle_out);
	/* Its page is parked before the results are written: they go to the new page. */
	*e = (struct greenstk_switch){ .window = 5, .out_bytes = PAGE };
	ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 1, sizeof(*e), 0, &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ(0, e->result);
	EXPECT_EQ(0, resume(&self->o, 6, e->handle_out, EAGER));
}

static int as_nobody(void *arg)
{
	struct object o;
	uint64_t handle;

	if (setgid(65534) || setuid(65534))
		return 1;
	if (object_open(&o, (struct object_opts){ 0 }))
		return 2;
	paint(window_base(&o, 0), 8 * PAGE, 1);
	if (park(&o, 0, 8 * PAGE, &handle) || resume(&o, 0, handle, EAGER) ||
	    painted(window_base(&o, 0), 8 * PAGE, 1))
		return 3;
	return 0;
}

TEST(an_unprivileged_user_may_use_it_when_the_node_allows)
{
	ASSERT_EQ(0, chmod(GREENSTK_DEVICE, 0660));
	EXPECT_EQ(2, in_child(as_nobody, NULL));
	ASSERT_EQ(0, chmod(GREENSTK_DEVICE, 0666));
	EXPECT_EQ(0, in_child(as_nobody, NULL));
	ASSERT_EQ(0, chmod(GREENSTK_DEVICE, 0660));
}

/* Pages of the object that are there, by the page table itself. */
static uint64_t present_pages(struct object *o)
{
	uint64_t entry[512], sum = 0;
	size_t at, i, pages = o->s.map_bytes / PAGE;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	for (at = 0; at < pages; at += i) {
		if (pread(fd, entry, sizeof(entry), ((uintptr_t)o->map / PAGE + at) * 8) != sizeof(entry))
			break;
		for (i = 0; i < 512 && at + i < pages; i++)
			sum += entry[i] >> 63;
	}
	close(fd);
	return sum;
}

TEST(the_cap_of_an_object_holds_and_is_given_back)
{
	char old[32];
	struct object o;
	uint64_t handle;
	unsigned int i;

	ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 64 }));
	ASSERT_TRUE(read_param("max_object_pages", old, sizeof(old)));
	ASSERT_TRUE(write_param("max_object_pages", "400"));
	for (i = 0; i < 64; i++)
		if (touch_signal(window_base(&o, i) - 1, true))
			break;
		else
			touch_signal(window_base(&o, i) - 2 * PAGE, true);
	/* Tables count too, so it is less than 400, but it is a bound. */
	EXPECT_LE(stat_of(&o).pages + stat_of(&o).table_pages, 400);
	handle = 0;
	while (!populate(&o, &handle, 0, 8 * PAGE, NULL))
		handle = 0;
	EXPECT_EQ(-EDQUOT, populate(&o, &handle, 0, 8 * PAGE, NULL));
	EXPECT_LE(stat_of(&o).pages + stat_of(&o).table_pages, 400);
	/* Not only by the module's own count; and what other pages the process maps is all it may lose. */
	EXPECT_LE(present_pages(&o) + stat_of(&o).table_pages, 400);
	EXPECT_GE(present_pages(&o) + stat_of(&o).table_pages, 392);
	/* Freed behind the module's back, it is found when the cap is met. */
	ASSERT_EQ(0, madvise(o.map, o.s.map_bytes, MADV_DONTNEED));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(0, touch_signal(window_base(&o, i) - 1, true));
	ASSERT_TRUE(write_param("max_object_pages", old));
	object_close(&o);
}

/* Makes many pages and gives them back, time and again; now and then a cap does not let it. */
static void *fill_and_drop(void *arg)
{
	struct object *o = arg;
	uint64_t handle;
	int i, err;

	for (i = 0; i < 100; i++) {
		handle = 0;
		err = populate(o, &handle, 0, 450 * PAGE, NULL);
		if (!err)
			err = drop(o, handle);
		if (err && err != -EDQUOT && err != -ENOMEM)
			return (void *)1;
	}
	return NULL;
}

/*
 * Who meets a cap corrects the count by what is mapped, while the other has freed pages
 * that it will take off the count next.
 */
TEST(what_is_freed_while_a_cap_is_met_is_counted_once)
{
	pthread_t thread;
	struct object o;
	void *bad[2];
	char old[32];
	uint64_t handle = 0;

	ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 4, .window_bytes = 2 << 20 }));
	ASSERT_EQ(0, populate(&o, &handle, 0, 400 * PAGE, NULL));
	ASSERT_TRUE(read_param("max_object_pages", old, sizeof(old)));
	ASSERT_TRUE(write_param("max_object_pages", "1200"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, fill_and_drop, &o));
	bad[0] = fill_and_drop(&o);
	pthread_join(thread, &bad[1]);
	ASSERT_TRUE(write_param("max_object_pages", old));
	EXPECT_EQ(NULL, bad[0]);
	EXPECT_EQ(NULL, bad[1]);
	EXPECT_LE(400, stat_of(&o).pages);
	object_close(&o);
}

/* Whatever the parameter says: pages of slots are numbered in 32 bits. */
TEST(a_parking_range_has_an_upper_bound)
{
	struct greenstk_features f = { .size = sizeof(f) };
	struct object o = { .map = MAP_FAILED, .grave = MAP_FAILED };
	char old[32];

	o.fd = open(GREENSTK_DEVICE, O_RDWR);
	ASSERT_LE(0, o.fd);
	ASSERT_TRUE(read_param("max_park_mib", old, sizeof(old)));
	ASSERT_TRUE(write_param("max_park_mib", "33554432"));
	EXPECT_EQ(0, call(o.fd, GREENSTK_FEATURES, &f));
	EXPECT_EQ(8ULL << 40, f.max_park_bytes);
	EXPECT_EQ(-EINVAL, object_shape(&o, (struct object_opts){ .park_bytes = 32ULL << 40 }));
	ASSERT_TRUE(write_param("max_park_mib", old));
	object_close(&o);
}

TEST_HARNESS_MAIN
