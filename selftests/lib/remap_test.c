// SPDX-License-Identifier: MIT
/*
 * Stacks that are moved by their pages. Without the module: asking for it says one line, and everything
 * works. With it (in QEMU: make check-lib-kernels): deep stacks go and come, many in one call.
 */
#include "report_test.h"
#include <fcntl.h>
#include "host/module.h"
#include "park/tier.h"

static bool with_module(void)
{
	return access("/dev/greenstk", R_OK | W_OK) == 0;
}

#define NR	   192
#define LEFT	   (NR - 64) /* the sweep moves no more when fewer than 64 stacks are resident */
#define DEEP_PAGES 10

static gstk_sem until = GSTK_SEM_INIT(0);
static struct gstk_stats before; /* the crowd was woken */

/* Parks with so many pages of live stack, one of them never touched, and finds them as they were. */
static __attribute__((noinline)) uintptr_t deep(uintptr_t pages, uintptr_t tag)
{
	volatile uintptr_t page[512], untouched[pages == 5 ? 1024 : 1];
	uintptr_t bad = 0;

	for (int i = 0; i < 512; i++)
		page[i] = tag + (uintptr_t)i;
	__asm__ volatile("" : : "r"(untouched) : "memory");
	if (pages > 1)
		bad = deep(pages - 1, tag * 31);
	else
		bad = (uintptr_t)-gstk_sem_wait(&until);
	for (int i = 0; i < 512; i++)
		bad += page[i] != tag + (uintptr_t)i;
	return bad;
}

static void *sleeper(void *arg)
{
	return (void *)deep(DEEP_PAGES, (uintptr_t)arg);
}

static struct gstk_stats stats(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st;
}

/* NR tasks park deeply; when @ready says so all are woken, at once, and joined. */
static void crowd(bool (*ready)(void))
{
	gstk_task *t[NR];
	bool is = false;

	for (uintptr_t i = 0; i < NR; i++)
		t[i] = start(sleeper, (void *)(i + 1));
	/* Once: a stack that is just being moved is in no gauge for a moment. */
	for (int i = 0; i < 6000 && !(is = ready()); i++)
		gstk_sleep(10 * MS);
	CHECK(is);
	before = stats();
	gstk_sem_post(&until, NR);
	for (int i = 0; i < NR; i++)
		CHECK_EQ(finish(t[i]), 0);
}

static void run(void (*fn)(void), uint64_t pack_idle_ns, size_t windows)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = windows, .resident_budget = 1,
		.evict_idle_ns = 1 * MS, .pack_idle_ns = pack_idle_ns, .flags = GSTK_FORCE_REMAP,
		.backend = GSTK_BACKEND_MODULE };

	alarm(100);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

static bool settled(void)
{
	struct gstk_stats st = stats();

	return st.tasks_resident + st.tasks_copied + st.tasks_packed + st.tasks_remapped > NR;
}

static void works_without(void)
{
	crowd(settled);
	CHECK_EQ(stats().remaps, 0);
}

static void asks_and_works(void)
{
	unsetenv("GREENSTK_DEBUG"); /* does without it */
	run(works_without, 1000 * MS, 64);
}

TEST(without_the_module_asking_for_it_says_one_line_and_all_works)
{
	char *line;

	if (with_module())
		SKIP(return, "module_loaded: this is about its absence");
	ASSERT_EQ(0, in_child(asks_and_works)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("greenstk: without the module, by copying: /dev/greenstk: open: "));
	EXPECT_TRUE(reported("the module is not loaded"));
	EXPECT_TRUE(reported("modprobe greenstk"));
	line = strchr(report, '\n');
	EXPECT_TRUE(line && !line[1]) TH_LOG("%s", report);
}

static void asks_nothing(void)
{
	setenv("GREENSTK_BACKEND", getenv("ASK"), 1);
	with_workers(2, works_without);
}

TEST(nobody_who_did_not_ask_for_the_module_hears_of_it)
{
	if (with_module())
		SKIP(return, "module_loaded: this is about its absence");
	setenv("ASK", "auto", 1);
	ASSERT_EQ(0, in_child(asks_nothing)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("module")) TH_LOG("%s", report);
	setenv("ASK", "copy", 1);
	ASSERT_EQ(0, in_child(asks_nothing)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("module")) TH_LOG("%s", report);
}

static void nonsense(void)
{
	setenv("GREENSTK_BACKEND", "pigeons", 1);
	CHECK_EQ(gstk_init(NULL), -EINVAL);
}

TEST(a_backend_that_nobody_knows_is_refused)
{
	ASSERT_EQ(0, in_child(nonsense)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("GREENSTK_BACKEND=pigeons is none of auto, module, copy, uffd"));
}

/* ---- with the module ---- */

#define NEEDS_MODULE(child)                                             \
	do {                                                            \
		if (!with_module())                                     \
			SKIP(return, "no /dev/greenstk");               \
		ASSERT_EQ(0, in_child(child)) TH_LOG("%s", report);     \
	} while (0)

static bool all_remapped(void)
{
	return settled() && stats().tasks_remapped >= LEFT;
}

static void share_calls(void)
{
	struct gstk_stats st;
	struct greenstk_stat m;

	crowd(all_remapped);
	st = stats();
	gstk__module_stat(&m);
	fprintf(stderr, "# out: %llu stacks in %llu calls; in: %llu in %llu, %llu ahead; %llu lazy faults\n",
		(unsigned long long)before.remaps, (unsigned long long)before.remap_calls,
		(unsigned long long)(st.remap_returns - before.remap_returns),
		(unsigned long long)(st.remap_calls - before.remap_calls), (unsigned long long)st.remap_ahead,
		(unsigned long long)m.faults_lazy);
	CHECK(before.remaps >= LEFT && before.remap_calls * 8 <= before.remaps);
	CHECK(st.remap_ahead >= LEFT / 2 && (st.remap_calls - before.remap_calls) * 4 <= LEFT);
	CHECK(m.faults_lazy >= LEFT); /* only the top had come */
	CHECK_EQ(st.remap_refused + st.remap_nospace + st.remap_nomem + st.remap_quota, 0);
	CHECK_EQ(st.tasks_remapped, 0);
	CHECK_EQ(st.bytes_remapped, 0);
}

static void alone_in_windows(void)
{
	run(share_calls, 100000 * MS, 4 * NR);
}

TEST(deep_stacks_go_and_come_many_in_one_call)
{
	NEEDS_MODULE(alone_in_windows);
	fputs(report, stderr);
}

static bool all_left(void)
{
	struct gstk_stats st = stats();

	return settled() && st.tasks_remapped + st.tasks_copied >= LEFT;
}

static void share_windows(void)
{
	struct gstk_stats st;

	crowd(all_left);
	st = stats();
	fprintf(stderr, "# in shared windows: %llu moves in %llu calls, %llu ahead\n",
		(unsigned long long)(st.remaps + st.remap_returns), (unsigned long long)st.remap_calls,
		(unsigned long long)st.remap_ahead);
	CHECK(before.windows_shared > 1 && st.claims > 0 && st.remap_ahead > 0);
	CHECK(st.remaps >= LEFT && st.remap_returns >= LEFT);
	CHECK_EQ(st.tasks_remapped, 0);
}

static void in_shared_windows(void)
{
	run(share_windows, 100000 * MS, 40);
}

TEST(mates_of_shared_windows_are_exchanged)
{
	NEEDS_MODULE(in_shared_windows);
	fputs(report, stderr);
}

static bool all_packed(void)
{
	return settled() && stats().tasks_packed >= LEFT && !stats().tasks_remapped;
}

static void pack(void)
{
	struct greenstk_stat m;

	crowd(all_packed);
	CHECK(before.packs >= LEFT && before.remaps >= LEFT);
	CHECK(before.remap_pack_calls * 4 <= before.packs);
	CHECK_EQ(before.tasks_remapped, 0);
	gstk__module_stat(&m);
	CHECK_EQ(m.handles, 0);
}

static void pack_from_slots(void)
{
	run(pack, 50 * MS, 4 * NR);
}

TEST(what_is_idle_for_long_is_packed_straight_from_its_slot)
{
	NEEDS_MODULE(pack_from_slots);
}

static int parameter(const char *name, const char *value, char *old)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/greenstk/parameters/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, old, 31, 0);
	old[n > 0 ? n : 0] = 0;
	n = pwrite(fd, value, strlen(value), 0);
	close(fd);
	return n < 0 ? -errno : 0;
}

static void overflow(void)
{
	struct gstk_stats st;

	crowd(all_left);
	st = stats();
	CHECK(before.remap_nospace > 0 && before.tasks_copied > 0);
	CHECK_EQ(st.tasks_remapped + st.tasks_copied, 0);
}

static void in_a_small_range(void)
{
	run(overflow, 100000 * MS, 4 * NR);
}

TEST(a_full_parking_range_falls_back_stack_by_stack)
{
	char old[32], unused[32];

	if (!with_module())
		SKIP(return, "no /dev/greenstk");
	ASSERT_EQ(0, parameter("max_park_mib", "4", old));
	EXPECT_EQ(0, in_child(in_a_small_range)) TH_LOG("%s", report);
	ASSERT_EQ(0, parameter("max_park_mib", old, unused));
}

TEST_HARNESS_MAIN
