// SPDX-License-Identifier: MIT
/*
 * Deep stacks that come back lazily (GREENSTK_BACKEND=uffd): whatever was touched, and however often they
 * leave and return, every page is as it was, for the task, for system calls, for dumps, and in a child.
 */
#include "deep_look.h"
#include <errno.h>
#include <greenstk/net.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "uffd_test.h"

#define ROUNDS	12

static uint32_t workers = 1, flags;
static uint64_t pack_idle_ns;
static size_t nr_windows = 1;

static void run(void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = workers, .windows = nr_windows,
		.window_size = 1u << 20, .flags = GSTK_FORCE_REMAP | flags, .backend = GSTK_BACKEND_UFFD,
		.evict_idle_ns = 1 * MS, .pack_idle_ns = pack_idle_ns ? pack_idle_ns : 100000 * MS, .resident_budget = 1 };

	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP", "DEBUG" };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) { /* each test says its own */
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

/* ---- touches between parks ---- */

static void touch_some(struct deep *d)
{
	uint64_t seed = d->tag;

	for (int round = 0; round < ROUNDS; round++) {
		gstk_yield();
		for (int i = round % 4; i > 0; i--) {
			unsigned int k = random_page(&seed);

			CHECK_EQ(wrong(d, k), 0);
			if (i & 1)
				rewrite(d, k);
		}
		if (round == ROUNDS / 2) /* an edge: the last page, beyond which the window ends */
			rewrite(d, PAGES - 1);
	}
}

static void *toucher(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, touch_some);
}

/* A mate without depth: what it uses is where the deep ones have their oldest frames. */
static void *shallow(void *arg)
{
	volatile uint64_t v[64];
	uintptr_t bad = 0;

	for (int i = 0; i < 64; i++)
		v[i] = (uintptr_t)arg + (uint64_t)i;
	for (int round = 0; round < 4 * ROUNDS; round++) {
		gstk_yield();
		for (int i = 0; i < 64; i++)
			bad += v[i] != (uintptr_t)arg + (uint64_t)i;
	}
	return (void *)bad;
}

#define CROWD 6
static void crowd(void)
{
	gstk_task *t[2 * CROWD];
	struct gstk_stats st;

	for (uintptr_t i = 0; i < 2 * CROWD; i++)
		t[i] = start(i % 2 ? shallow : toucher, (void *)(i + 1));
	for (int i = 0; i < 2 * CROWD; i++)
		CHECK_EQ(finish(t[i]), 0);
	st = stats();
	fprintf(stderr, "# %llu lazy restores, %llu refused, %llu faults, %llu prefetched, %llu untouched\n",
		(unsigned long long)st.lazy_restores, (unsigned long long)st.lazy_refused, (unsigned long long)st.lazy_faults,
		(unsigned long long)st.lazy_prefetched, (unsigned long long)st.lazy_untouched);
	CHECK(st.lazy_restores >= CROWD * ROUNDS && !st.lazy_refused);
	CHECK(st.lazy_faults > CROWD && st.lazy_prefetched > 0);
	CHECK(st.lazy_untouched > st.lazy_restores * PAGES / 4);
	CHECK_EQ(st.bytes_lazy, 0);
	CHECK_EQ(st.tasks_copied, 0);
}

static void one_worker(void)
{
	flags = GSTK_FORCE_EVICT;
	run(crowd);
}

static void two_workers(void)
{
	workers = 2;
	nr_windows = 3;
	one_worker();
}

TEST(what_was_touched_and_what_was_not_is_as_it_was)
{
	NEEDS_UFFD(one_worker);
	fputs(report, stderr);
}

TEST(the_same_under_two_workers)
{
	NEEDS_UFFD(two_workers);
	fputs(report, stderr);
}

/* ---- depths that change ---- */

static __attribute__((noinline)) void deeper(unsigned int pages)
{
	volatile char more[4096];

	more[0] = (char)pages;
	more[4095] = 1;
	if (pages)
		deeper(pages - 1);
	else
		gstk_yield();
	CHECK_EQ(more[0], (char)pages);
}

static __attribute__((noinline)) uintptr_t now_and_then(uint64_t tag, int rounds)
{
	uintptr_t bad = 0;

	for (int i = 0; i < rounds; i++) {
		deeper((unsigned int)i * 13 % 64); /* more than the image has room for, too */
		bad += on_deep_stack(tag + (uint64_t)i, touch_some);
		gstk_yield(); /* shallow again: most of it is dead */
	}
	return bad;
}

static void grow_and_trim(struct deep *d)
{
	for (unsigned int i = 0; i < 8; i++) {
		deeper(i * 9);
		gstk_sleep(5 * MS); /* the sweep evicts, and trims what is below */
		CHECK_EQ(wrong(d, i * 17 % PAGES), 0);
	}
}

static void *changing(void *arg)
{
	return (void *)(now_and_then((uintptr_t)arg, 3) + on_deep_stack((uintptr_t)arg, grow_and_trim));
}

static void changers(void)
{
	gstk_task *t[4];

	for (uintptr_t i = 0; i < 4; i++)
		t[i] = start(changing, (void *)(i + 77));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(finish(t[i]), 0);
	CHECK(stats().lazy_restores > 4 && stats().lazy_faults > 4);
	CHECK_EQ(stats().bytes_lazy, 0);
}

static void changing_depths(void)
{
	workers = 2;
	nr_windows = 2;
	flags = GSTK_FORCE_EVICT;
	run(changers);
}

TEST(stacks_that_grow_and_shrink_keep_their_bytes)
{
	NEEDS_UFFD(changing_depths);
}

/* ---- packed meanwhile ---- */

static void wait_until_packed(struct deep *d)
{
	for (int i = 0; i < 3000 && !stats().tasks_packed; i++)
		gstk_sleep(20 * MS);
	rewrite(d, 3);
	gstk_yield();
}

static void *packed(void *arg)
{
	return (void *)on_deep_stack(5, wait_until_packed);
}

static gstk_sem until = GSTK_SEM_INIT(0);
static void sleep_for_long(struct deep *d)
{
	CHECK_EQ(gstk_sem_wait(&until), 0);
	CHECK_EQ(wrong(d, PAGES / 2), 0);
	gstk_yield();
}

static void *sleeper(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, sleep_for_long);
}

static void pack(void)
{
	gstk_task *t = start(packed, NULL), *s = start(sleeper, (void *)9);
	uint64_t restores;

	CHECK_EQ(finish(t), 0);
	for (int i = 0; i < 3000 && !stats().tasks_packed; i++)
		gstk_sleep(20 * MS);
	CHECK_EQ(stats().tasks_packed, 1);
	restores = stats().lazy_restores;
	gstk_sem_post(&until, 1);
	CHECK_EQ(finish(s), 0);
	CHECK(stats().unpacks && stats().lazy_restores > restores);
}

static void packed_lazily(void)
{
	flags = GSTK_FORCE_EVICT;
	pack_idle_ns = 20 * MS;
	nr_windows = 2;
	run(pack);
}

TEST(a_packed_stack_comes_back_lazily_too)
{
	NEEDS_UFFD(packed_lazily);
}

/* ---- system calls ---- */

static int pair[2];

/* Buffers in pages that have not come, given to each call right after a park. */
static void talk(struct deep *d)
{
	uint64_t copy[WORDS];
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	for (unsigned int k = 40; k + 8 < PAGES; k += 20) {
		gstk_yield();
		CHECK_EQ(gstk_write_all(pair[0], d->page[k], 4096), 0);
		CHECK_EQ(gstk_read(pair[1], copy, 4096), 4096);
		CHECK_EQ(memcmp(copy, d->page[k], 4096), 0);

		d->turn[k + 1]++;
		for (unsigned int i = 0; i < WORDS; i++)
			copy[i] = pattern(d, k + 1, i);
		gstk_yield();
		CHECK_EQ(gstk_write_all(pair[0], copy, 4096), 0);
		gstk_yield();
		CHECK_EQ(gstk_read(pair[1], d->page[k + 1], 4096), 4096);

		gstk_yield();
		iov[0] = (struct iovec){ d->page[k + 2], 4096 };
		iov[1] = (struct iovec){ d->page[k + 5], 4096 };
		CHECK_EQ(gstk_writev(pair[0], iov, 2), 8192);
		gstk_yield();
		iov[0] = (struct iovec){ d->page[k + 2], 4096 };
		iov[1] = (struct iovec){ d->page[k + 5], 4096 };
		CHECK_EQ(gstk_readv(pair[1], iov, 2), 8192);
		gstk_yield();
		CHECK_EQ(gstk_sendmsg(pair[0], &msg, 0), 8192);
		gstk_yield();
		CHECK_EQ(gstk_recvmsg(pair[1], &msg, 0), 8192);
	}
}

/* The buffer is not there when the read begins, and not when it goes on. */
static void read_later(struct deep *d)
{
	d->turn[60]++;
	CHECK_EQ(gstk_read(pair[1], d->page[60], 4096), 4096);
}

static void *talker(void *arg)
{
	return (void *)on_deep_stack(3, talk);
}

static void *reader(void *arg)
{
	return (void *)on_deep_stack(4, read_later);
}

static void talk_all(void)
{
	struct deep d = { .tag = 4, .turn[60] = 1 };
	uint64_t copy[WORDS];
	gstk_task *t;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CHECK_EQ(finish(start(talker, NULL)), 0);
	t = start(reader, NULL);
	for (int i = 0; i < 50; i++)
		gstk_yield();
	for (unsigned int i = 0; i < WORDS; i++)
		copy[i] = pattern(&d, 60, i);
	CHECK_EQ(gstk_write_all(pair[0], copy, 4096), 0);
	CHECK_EQ(finish(t), 0);
	CHECK(stats().lazy_restores > 30);
}

static void with_io(void)
{
	flags = GSTK_FORCE_EVICT;
	run(talk_all);
}

static void no_kernel_faults(void);

static void with_io_in_user_mode(void)
{
	no_kernel_faults();
	with_io();
}

TEST(buffers_of_calls_are_made_present)
{
	NEEDS_UFFD(with_io);
}

/* ---- what is forbidden ---- */

/* userfaultfd(@flags without USER_MODE_ONLY), or all of them, and its device: EPERM. */
static void forbid(bool all)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, all ? 0 : 1, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		/* The device: its command, whatever the descriptor. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xaa00, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(f) / sizeof(*f), f };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	/* Emulators have no filters, and no userfaultfd either. */
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) || !available());
}

static void no_kernel_faults(void)
{
	forbid(false);
}

TEST(buffers_of_calls_are_made_present_where_the_kernel_may_not_fault)
{
	NEEDS_UFFD(with_io_in_user_mode);
}

static void crowd_whole(void)
{
	gstk_task *t[4];

	CHECK(!gstk__uffd.open);
	for (uintptr_t i = 0; i < 4; i++)
		t[i] = start(toucher, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(finish(t[i]), 0);
	CHECK_EQ(stats().lazy_restores, 0);
	CHECK_EQ(gstk_info(2), 0);
}

static void all_forbidden(void)
{
	forbid(true);
	flags = GSTK_FORCE_EVICT;
	run(crowd_whole);
}

TEST(where_it_is_forbidden_one_line_says_so_and_stacks_come_whole)
{
	ASSERT_EQ(0, in_child(all_forbidden)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("greenstk: deep stacks come back whole, by copying: userfaultfd: open: "));
	EXPECT_TRUE(reported("backend copy\n"));
	EXPECT_TRUE(reported("backend.reason userfaultfd: open: "));
}

static void user_mode_info(void)
{
	CHECK_EQ(gstk_info(2), 0);
}

static void in_user_mode(void)
{
	no_kernel_faults();
	run(user_mode_info);
}

TEST(what_is_permitted_is_said)
{
	NEEDS_UFFD(in_user_mode);
	EXPECT_TRUE(reported("backend uffd\n"));
	EXPECT_TRUE(reported("backend.reason userfaultfd is there, for user mode only"));
	EXPECT_TRUE(reported("lazy.kernel_faults EFAULT\n"));
}

/* ---- dumps, forks, ends ---- */

static __attribute__((noinline)) void seen_in_the_dump(struct deep *d)
{
	for (int i = 0; i < 2; i++)
		CHECK_EQ(gstk_sem_wait(&until), 0);
	__asm__ volatile("" : : "r"(d) : "memory");
}

static void *dumped(void *arg)
{
	return (void *)on_deep_stack(6, seen_in_the_dump);
}

/* It leaves as another one of its window runs, and comes back alone. */
static void *in_between(void *arg)
{
	gstk_yield();
	return NULL;
}

static void (*look)(void); /* copied, and back in part */

static void look_with_mate(void)
{
	gstk_task *t = start(dumped, NULL), *m;

	for (int i = 0; i < 4; i++)
		gstk_yield();
	m = start(in_between, NULL);
	CHECK_EQ(finish(m), 0);
	CHECK_EQ(stats().tasks_copied, 1);
	look();
	gstk_sem_post(&until, 1);
	for (int i = 0; i < 3000 && !stats().bytes_lazy; i++)
		gstk_yield();
	CHECK(stats().bytes_lazy > 0);
	look();
	CHECK_EQ(stats().lazy_faults, 0); /* looking brings nothing */
	gstk_sem_post(&until, 1);
	CHECK_EQ(finish(t), 0);
}

static void dumps(void)
{
	look = dump;
	flags = GSTK_NO_SWEEP;
	run(look_with_mate);
}

TEST(a_dump_sees_what_has_not_come_and_does_not_bring_it)
{
	NEEDS_UFFD(dumps);
	EXPECT_EQ(2, whole_stacks()) TH_LOG("%s", report);
}

static void attaches(void)
{
	look = attach;
	flags = GSTK_NO_SWEEP;
	run(look_with_mate);
}

TEST(so_does_gdb)
{
	NEEDS_GDB();
	NEEDS_UFFD(attaches);
	EXPECT_EQ(2, whole_stacks()) TH_LOG("%s", report);
}

static void fork_now(struct deep *d)
{
	gstk_yield();
	child_has_all(d);
}

static void *forker(void *arg)
{
	return (void *)on_deep_stack(8, fork_now);
}

static void fork_one(void)
{
	gstk_task *t = start(forker, NULL);

	CHECK_EQ(finish(t), 0);
	CHECK(stats().lazy_restores > 0);
}

static void forks(void)
{
	flags = GSTK_FORCE_EVICT;
	run(fork_one);
}

TEST(a_child_of_fork_has_all_of_the_stack)
{
	NEEDS_UFFD(forks);
}

static void *from_another_stack(void *deep)
{
	child_has_all(deep);
	return NULL;
}

static void call_and_fork(struct deep *d)
{
	gstk_yield();
	CHECK_EQ(gstk_call_on_stack(64 << 10, from_another_stack, d, NULL), 0);
}

static void *caller_and_forker(void *arg)
{
	return (void *)on_deep_stack(9, call_and_fork);
}

static void fork_on_another(void)
{
	gstk_task *t = start(caller_and_forker, NULL);

	CHECK_EQ(finish(t), 0);
	CHECK(stats().lazy_restores > 0);
}

static void forks_on_another(void)
{
	flags = GSTK_FORCE_EVICT;
	run(fork_on_another);
}

TEST(so_has_one_of_who_stands_on_another_stack)
{
	NEEDS_UFFD(forks_on_another);
}

static void wait_for_the_end(struct deep *d)
{
	gstk_yield();
	while (gstk_sem_wait(&until) == 0)
		;
	CHECK_EQ(wrong(d, 100), 0);
}

static void *stays(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, wait_for_the_end);
}

static void leave_them(void)
{
	for (uintptr_t i = 0; i < 8; i++)
		CHECK_EQ(gstk_detach(start(stays, (void *)(i + 1))), 0);
	/* Three windows for eight: who is woken comes back in part, and waits again. */
	for (int i = 0; i < 6000 && !stats().bytes_lazy; i++) {
		gstk_sem_post(&until, 1);
		gstk_sleep(2 * MS);
	}
	CHECK(stats().bytes_lazy > 0);
}

static bool has_pager(void)
{
	char path[64], name[32] = "";
	bool has = false;

	for (int tid = getpid(); tid < getpid() + 64; tid++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		f = fopen(path, "re");
		if (!f)
			continue;
		has |= fgets(name, sizeof(name), f) && !strncmp(name, "gstk-pager", 10);
		fclose(f);
	}
	return has;
}

static void ends(void)
{
	workers = 2;
	nr_windows = 3;
	for (int life = 0; life < 2; life++) { /* and again in the same process */
		run(leave_them);
		for (int ms = 0; has_pager(); ms++) { /* joined, it may be in /proc for a moment more */
			CHECK(ms < 30000);
			usleep(1000);
		}
	}
}

TEST(a_shutdown_ends_stacks_that_came_in_part_and_the_pager)
{
	NEEDS_UFFD(ends);
}

static void wait_for_ever(struct deep *d)
{
	gstk_yield();
	gstk_sem_wait(&until);
}

static void *waits_for_ever(void *arg)
{
	return (void *)on_deep_stack(7, wait_for_ever);
}

static void lock_up(void)
{
	finish(start(waits_for_ever, NULL));
}

static void locks_up(void)
{
	flags = GSTK_FORCE_EVICT;
	run(lock_up);
}

/* The pager is a thread that could wake nobody. */
TEST(a_deadlock_is_still_found)
{
	int status;

	if (!available())
		SKIP(return, "userfaultfd is forbidden here");
	if (UNDER_TSAN)
		SKIP(return, "the sanitizer's own thread might wake a task");
	status = in_child(locks_up);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_TRUE(reported("greenstk: deadlock: all 2 tasks wait"));
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static __attribute__((noinline)) uint64_t without_end(uint64_t n)
{
	volatile uint64_t a[64];

	for (int i = 0; i < 64; i++)
		a[i] = n;
	return without_end(n + 1) + a[n % 64];
}

#pragma GCC diagnostic pop

static void overflow(struct deep *d)
{
	gstk_yield();
	CHECK_EQ(wrong(d, PAGES - 2), 0);
	without_end(0);
}

static void *overflows(void *arg)
{
	return (void *)on_deep_stack(2, overflow);
}

static void overflow_one(void)
{
	finish(start(overflows, NULL));
}

static void overflows_lazily(void)
{
	flags = GSTK_FORCE_EVICT;
	run(overflow_one);
}

TEST(an_overflow_is_still_found)
{
	if (!available())
		SKIP(return, "userfaultfd is forbidden here");
	if (UNDER_ASAN || UNDER_TSAN)
		SKIP(return, "the sanitizer has the signal");
	EXPECT_NE(0, in_child(overflows_lazily));
	EXPECT_TRUE(reported("greenstk: stack overflow in task "));
	EXPECT_TRUE(reported("without_end"));
}

TEST_HARNESS_MAIN
