// SPDX-License-Identifier: MIT
/*
 * Deep stacks that were packed in the module's slots, and come back page by page: whatever is touched, by the
 * task, by a system call, by a dump or a fork, is as it was, however often they leave and return. In QEMU:
 * make check-lib-kernels.
 */
#define ROUNDS 5
#define CROWD  12
#define PACKED GSTK__TIER_COLD
#include "deep_crowd.h"
#include <errno.h>
#include <fcntl.h>
#include <greenstk/net.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "host/module.h"
#include "host/uffd.h"

static int parameter(const char *value)
{
	int fd = open("/sys/module/greenstk/parameters/pager", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));

	if (fd >= 0)
		close(fd);
	return n < 0 ? -errno : 0;
}

#define NEEDS_PAGER(child)                                              \
	do {                                                            \
		if (access("/dev/greenstk", R_OK | W_OK))               \
			SKIP(return, "no /dev/greenstk");               \
		ASSERT_EQ(0, parameter("1"));                           \
		EXPECT_EQ(0, in_child(child)) TH_LOG("%s", report);     \
		ASSERT_EQ(0, parameter("0"));                           \
		fputs(report, stderr);                                  \
	} while (0)

static struct gstk_stats stats(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st;
}

static uint32_t workers = 1;
static size_t nr_windows = 64;

static void run(void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = workers, .windows = nr_windows,
		.window_size = 1u << 20, .flags = GSTK_FORCE_REMAP | GSTK_FORCE_EVICT | GSTK_FORCE_PACK, .backend = GSTK_BACKEND_MODULE };
	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP" };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) { /* each test says its own */
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

/* ---- a crowd that is packed, and woken a few times ---- */

static void say(void)
{
	struct gstk_stats st = stats();
	struct greenstk_stat m;

	gstk__module_stat(&m);
	fprintf(stderr, "# %llu packs, %llu lazy restores, %llu asked, %llu with them, %llu pages never came; %llu faults of cold pages\n",
		(unsigned long long)st.packs, (unsigned long long)st.lazy_restores, (unsigned long long)st.lazy_faults,
		(unsigned long long)st.lazy_prefetched, (unsigned long long)st.lazy_untouched, (unsigned long long)m.faults_pager);
}

static void nothing_is_left(void)
{
	struct gstk_stats st = stats();
	struct greenstk_stat m;

	gstk__module_stat(&m);
	CHECK_EQ(m.handles, 0);
	CHECK_EQ(st.bytes_lazy, 0);
	CHECK_EQ(st.bytes_packed, 0);
	CHECK_EQ(st.tasks_packed + st.tasks_remapped, 0);
}

static void crowd(void)
{
	struct gstk_stats st;

	run_crowd();
	st = stats();
	say();
	CHECK(st.packs >= CROWD * ROUNDS && st.lazy_restores >= CROWD * ROUNDS);
	CHECK(st.lazy_faults > CROWD && st.lazy_prefetched > 0);
	CHECK(st.lazy_untouched > 0);
	nothing_is_left();
}

static void one_worker(void)
{
	run(crowd);
}

static void two_workers(void)
{
	workers = 2;
	one_worker();
}

static void shared_windows(void)
{
	workers = 2;
	nr_windows = 3;
	run(crowd);
}

TEST(what_was_touched_and_what_was_not_is_as_it_was)
{
	NEEDS_PAGER(one_worker);
}

TEST(the_same_under_two_workers)
{
	NEEDS_PAGER(two_workers);
}

TEST(mates_of_a_window_come_and_go_lazily)
{
	NEEDS_PAGER(shared_windows);
}

/* ---- system calls ---- */

/* A buffer far up, which has not come: what the task's own system calls give and take. */
static void through_a_socket(struct deep *d)
{
	char byte[64];
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	wait_turn(d);
	CHECK_EQ(gstk_write(pair[0], d->page[PAGES / 2], sizeof(byte)), (ssize_t)sizeof(byte));
	CHECK_EQ(gstk_read(pair[1], byte, sizeof(byte)), (ssize_t)sizeof(byte));
	CHECK(!memcmp(byte, d->page[PAGES / 2], sizeof(byte)));
	CHECK_EQ(gstk_write(pair[1], byte, sizeof(byte)), (ssize_t)sizeof(byte));
	CHECK_EQ(gstk_read(pair[0], d->page[PAGES / 4] + 8, sizeof(byte)), (ssize_t)sizeof(byte));
	CHECK(!memcmp(byte, d->page[PAGES / 4] + 8, sizeof(byte)));
	fill(d, PAGES / 4);
	gstk_close(pair[0]);
	gstk_close(pair[1]);
}

static void *user_of_sockets(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, through_a_socket);
}

static void one_deep(void *(*fn)(void *))
{
	gstk_task *t;

	turn[0] = (gstk_sem)GSTK_SEM_INIT(0);
	t = start(fn, (void *)1);
	until_packed(&t, 1);
	gstk_sem_post(&turn[0], 1);
	CHECK_EQ(finish(t), 0);
	CHECK(stats().lazy_restores > 0);
	say();
}

static void sockets(void)
{
	one_deep(user_of_sockets);
	nothing_is_left();
}

static void system_calls(void)
{
	run(sockets);
}

TEST(buffers_of_the_runtimes_calls_come_first)
{
	NEEDS_PAGER(system_calls);
}

static void unprivileged(void)
{
	CHECK_EQ(chmod("/dev/greenstk", 0666), 0);
	CHECK_EQ(setgid(65534), 0);
	CHECK_EQ(setuid(65534), 0);
	run(sockets);
	CHECK(!gstk__uffd.kernel_faults);
}

TEST(the_same_where_the_kernel_may_not_wait_for_the_pager)
{
	NEEDS_PAGER(unprivileged);
	if (!access("/dev/greenstk", F_OK))
		ASSERT_EQ(0, chmod("/dev/greenstk", 0600));
}

/* ---- fork, and ends ---- */

static void forks(struct deep *d)
{
	wait_turn(d);
	child_has_all(d);
}

static void *forker(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, forks);
}

static void fork_deep(void)
{
	one_deep(forker);
	nothing_is_left();
}

static void fork_child(void)
{
	run(fork_deep);
}

TEST(a_child_has_the_whole_stack)
{
	NEEDS_PAGER(fork_child);
}

/* It ends without ever looking at what it had, and another runs where it was. */
static void leaves_all(struct deep *d)
{
	wait_turn(d);
	free(d);
	gstk_exit(NULL);
}

static void *leaver(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, leaves_all);
}

static void *passer_by(void *arg)
{
	volatile char deep[DEEP];

	for (size_t i = 0; i < sizeof(deep); i += 512)
		deep[i] = (char)i;
	for (size_t i = 0; i < sizeof(deep); i += 512)
		CHECK_EQ(deep[i], (char)i);
	return arg;
}

static void end_early(void)
{
	for (int i = 0; i < 3; i++) {
		one_deep(leaver);
		for (int k = 0; k < 20; k++)
			CHECK_EQ(finish(start(passer_by, NULL)), 0);
	}
	CHECK(stats().lazy_untouched >= 3 * PAGES / 2);
	nothing_is_left();
}

static void ends(void)
{
	run(end_early);
}

TEST(who_ends_early_leaves_nothing_to_who_comes_after)
{
	NEEDS_PAGER(ends);
}

TEST_HARNESS_MAIN
