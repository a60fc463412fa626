// SPDX-License-Identifier: MIT
/*
 * No memory, at every place in turn. The kernel's fault injection fails the
 * n-th allocation (slab, page, copy from or to user space) of this thread, for
 * n = 1, 2, ... until an operation meets fewer than n. After each: the error is
 * one that is documented, nothing is lost, the same call works without injection.
 * One failure may hide behind a second try that succeeds, so page allocations
 * also fail many in a row, from the n-th on. Debug kernels only (CONFIG_FAULT_INJECTION); others skip.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject.h"
#include "kselftest_harness.h"
#include "../skip_setup.h"
#include "object.h"

#define MAX_SITES 2000
#define DEEP (5 * PAGE)

FIXTURE(nomem)
{
	struct object o;
	int nth;	/* /proc/thread-self/fail-nth */
	int sites;	/* of the last operation */
	char path[8];
};

FIXTURE_VARIANT(nomem)
{
	const char *move_path;
};

FIXTURE_VARIANT_ADD(nomem, exchange) { .move_path = "1" };
FIXTURE_VARIANT_ADD(nomem, generic) { .move_path = "2" };
FIXTURE_VARIANT_ADD(nomem, insert) { .move_path = "3" };

/*
 * On its way out of any system call the kernel writes to the thread's rseq area if the thread was
 * preempted meanwhile; when that copy fails it kills with SIGSEGV. A strike there says nothing of the module.
 */
static void leave_rseq(void)
{
	static bool left;

	if (__rseq_size && !left)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, 1 /* UNREGISTER */, RSEQ_SIG);
	left = true;
}

FIXTURE_SETUP(nomem)
{
	leave_rseq();
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->nth < 0)
		SKIP_SETUP("no fault injection in this kernel");
	inject_everything();
	read_param("move_path", self->path, sizeof(self->path));
	ASSERT_TRUE(write_param("move_path", variant->move_path));
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = 16 }));
}

FIXTURE_TEARDOWN(nomem)
{
	if (self->nth < 0)
		return;
	close(self->nth);
	object_close(&self->o);
	write_param("move_path", self->path);
}

static void arm(int fd, int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", n);

	if (pwrite(fd, buf, len, 0) != len)
		perror("fail-nth");
}

/* Did the injection strike? Disarms. A strike inside this very read counts as none. */
static bool struck(int fd)
{
	char buf[16] = "";
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	arm(fd, 0);
	return n > 0 && atoi(buf) == 0;
}

static bool legal(int err)
{
	return err == 0 || err == -ENOMEM || err == -EFAULT || err == -EAGAIN || err == -EINTR;
}

/* For n = 1, 2, ... until the operation has no n-th place to fail. */
#define AT_EVERY_ALLOCATION(self) \
	for ((self)->sites = 1; (self)->sites <= MAX_SITES; (self)->sites++)

#define INJECT(self, expr) ({ \
	typeof(expr) __r; \
	arm((self)->nth, (self)->sites); \
	__r = (expr); \
	hit = struck((self)->nth); \
	__r; })

TEST_F_TIMEOUT(nomem, open_setup_and_map, 300)
{
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		struct object o;
		int err = INJECT(self, object_open(&o, (struct object_opts){ .nr_windows = 16 }));

		EXPECT_TRUE(legal(err) || err == -ENXIO) TH_LOG("site %d: %d", self->sites, err);
		if (!err)
			paint(window_base(&o, 1), DEEP, 1);
		object_close(&o);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_F_TIMEOUT(nomem, first_touch, 300)
{
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		struct object o;
		int sig;

		ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 16 }));
		sig = INJECT(self, touch_signal(window_base(&o, 5) - 8, true));
		EXPECT_TRUE(!sig || sig == SIGBUS) TH_LOG("site %d: signal %d", self->sites, sig);
		EXPECT_EQ(0, touch_signal(window_base(&o, 5) - 8, true));
		object_close(&o);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

/* The entry's or the call's error; the stack must be where it was. */
TEST_F_TIMEOUT(nomem, park_keeps_the_stack, 300)
{
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		unsigned int w = self->sites % 16;
		char *base = window_base(&self->o, w);
		uint64_t handle = 0;
		int err;

		paint(base, DEEP, self->sites);
		err = INJECT(self, park(&self->o, w, DEEP, &handle));
		EXPECT_TRUE(legal(err)) TH_LOG("site %d: %d", self->sites, err);
		/* EFAULT on the way back to user space: done, but the handle was not told. */
		if (err && err != -EFAULT) {
			EXPECT_EQ(0, painted(base, DEEP, self->sites)) TH_LOG("site %d", self->sites);
			ASSERT_EQ(0, park(&self->o, w, DEEP, &handle));
		}
		if (handle) {
			ASSERT_EQ(0, resume(&self->o, w, handle, EAGER));
			EXPECT_EQ(0, painted(base, DEEP, self->sites)) TH_LOG("site %d", self->sites);
		}
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_F_TIMEOUT(nomem, resume_keeps_the_handle, 300)
{
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		struct object o;
		uint64_t handle;
		int err;

		/* A new object each time, and a window that has no page table yet. */
		ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 16, .window_bytes = 2 << 20 }));
		paint(window_base(&o, 1), DEEP, self->sites);
		ASSERT_EQ(0, park(&o, 1, DEEP, &handle));
		err = INJECT(self, resume(&o, 9, handle, EAGER));
		EXPECT_TRUE(legal(err)) TH_LOG("site %d: %d", self->sites, err);
		if (err == -ENOMEM || err == -EAGAIN || err == -EINTR)
			ASSERT_EQ(0, resume(&o, 9, handle, EAGER)) TH_LOG("site %d", self->sites);
		if (err == -EFAULT) {
			err = resume(&o, 9, handle, EAGER);
			EXPECT_TRUE(!err || err == -ESTALE);
		}
		EXPECT_EQ(0, painted(window_base(&o, 9), DEEP, self->sites)) TH_LOG("site %d", self->sites);
		object_close(&o);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_F_TIMEOUT(nomem, a_batch_loses_no_stack, 600)
{
	enum { NR = 8 };
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		struct greenstk_switch e[NR];
		struct object o;
		uint64_t parked[NR];
		uint32_t done = 0;
		int i, err;

		ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = NR, .window_bytes = 2 << 20 }));
		for (i = 0; i < NR; i++) {
			/* The one that comes in is longer: scratch pages clash in some. */
			paint(window_base(&o, i), DEEP + PAGE * (i % 3), 100 + i);
			ASSERT_EQ(0, park(&o, i, DEEP + PAGE * (i % 3), &parked[i]));
			paint(window_base(&o, i), DEEP, 200 + i);
			if (i % 2)
				*(volatile char *)(window_base(&o, i) - DEEP - 1) = 1;
			e[i] = (struct greenstk_switch){
				.window = i, .out_bytes = DEEP, .eager_pages = EAGER, .handle_in = parked[i],
			};
		}
		err = INJECT(self, batch(&o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), 0, &done));
		EXPECT_TRUE(legal(err)) TH_LOG("site %d: %d", self->sites, err);
		for (i = 0; i < NR && err != -EFAULT; i++) {
			bool went = !err && i < (int)done && !e[i].result;

			if (!err && i < (int)done)
				EXPECT_TRUE(legal(e[i].result)) TH_LOG("site %d entry %d: %d", self->sites, i, e[i].result);
			if (!went) {
				EXPECT_EQ(0, painted(window_base(&o, i), DEEP, 200 + i)) TH_LOG("site %d entry %d", self->sites, i);
				e[i].result = 0;
				ASSERT_EQ(0, do_switch(&o, &e[i])) TH_LOG("site %d entry %d", self->sites, i);
			}
			EXPECT_EQ(0, painted(window_base(&o, i), DEEP + PAGE * (i % 3), 100 + i)) TH_LOG("site %d entry %d", self->sites, i);
			ASSERT_EQ(0, resume(&o, i, e[i].handle_out, EAGER));
			EXPECT_EQ(0, painted(window_base(&o, i), DEEP, 200 + i)) TH_LOG("site %d entry %d", self->sites, i);
		}
		object_close(&o);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_F_TIMEOUT(nomem, lazy_restore, 300)
{
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		struct object o;
		char *base;
		uint64_t handle;
		int sig;

		ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 4 }));
		base = window_base(&o, 2);
		paint(base, DEEP, self->sites);
		ASSERT_EQ(0, park(&o, 2, DEEP, &handle));
		ASSERT_EQ(0, resume(&o, 2, handle, 1));
		sig = INJECT(self, touch_signal(base - 8, false));
		EXPECT_TRUE(!sig || sig == SIGBUS) TH_LOG("site %d: signal %d", self->sites, sig);
		EXPECT_EQ(0, painted(base, DEEP, self->sites)) TH_LOG("site %d", self->sites);
		object_close(&o);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_F_TIMEOUT(nomem, reclaim_keeps_the_top, 300)
{
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		char *base = window_base(&self->o, 3);
		uint64_t freed;
		int err;

		paint(base, 4 * DEEP, self->sites);
		err = INJECT(self, reclaim(&self->o, 3, DEEP, &freed));
		EXPECT_TRUE(legal(err)) TH_LOG("site %d: %d", self->sites, err);
		EXPECT_EQ(0, painted(base, DEEP, self->sites)) TH_LOG("site %d", self->sites);
		EXPECT_EQ(0, reclaim(&self->o, 3, DEEP, &freed));
		EXPECT_EQ(0, painted(base, DEEP, self->sites));
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_F_TIMEOUT(nomem, populate_and_drop, 300)
{
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		struct object o;
		uint64_t handle = 0;
		char *at;
		int err;

		ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 4 }));
		err = INJECT(self, populate(&o, &handle, 0, DEEP, &at));
		EXPECT_TRUE(legal(err)) TH_LOG("site %d: %d", self->sites, err);
		if (err && err != -EFAULT)
			ASSERT_EQ(0, populate(&o, &handle, 0, DEEP, &at));
		if (handle) {
			EXPECT_EQ(0, drop(&o, handle));
			EXPECT_EQ(-ESTALE, drop(&o, handle));
		}
		object_close(&o);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_F_TIMEOUT(nomem, fork_leaves_the_parent_whole, 600)
{
	char *base = window_base(&self->o, 2);
	uint64_t handle;
	bool hit = true;

	paint(window_base(&self->o, 1), DEEP, 11);
	ASSERT_EQ(0, park(&self->o, 1, DEEP, &handle));
	AT_EVERY_ALLOCATION(self) {
		int status = 0;
		pid_t pid;

		paint(base, DEEP, self->sites);
		fflush(NULL);
		arm(self->nth, self->sites);
		pid = fork();
		if (!pid) {
			/* Whatever the child has of the windows: a byte or SIGBUS, no more. */
			int sig = touch_signal(base - 8, true);

			_exit(sig && sig != SIGBUS ? 1 : 0);
		}
		hit = struck(self->nth);
		if (pid > 0) {
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_EQ(0, status) TH_LOG("site %d: child %#x", self->sites, status);
		}
		EXPECT_EQ(0, painted(base, DEEP, self->sites)) TH_LOG("site %d", self->sites);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	ASSERT_EQ(0, resume(&self->o, 1, handle, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 1), DEEP, 11));
	TH_LOG("%d places", self->sites - 1);
}

/* From the n-th page on none can be had for a while: no second try makes up for it. */
TEST_F_TIMEOUT(nomem, a_batch_loses_no_stack_when_pages_stay_away, 600)
{
	enum { NR = 4, TIMES = 16 };
	bool hit = true;

	AT_EVERY_ALLOCATION(self) {
		struct greenstk_switch e[NR];
		struct object o;
		uint64_t parked[NR];
		uint32_t done = 0;
		int i, err;

		/* Windows and slots lie under page tables that are not there yet. */
		ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 2 * NR, .window_bytes = 2 << 20 }));
		for (i = 0; i < NR; i++) {
			paint(window_base(&o, i), DEEP, 100 + i);
			ASSERT_EQ(0, park(&o, i, DEEP, &parked[i]));
			paint(window_base(&o, i), DEEP, 200 + i);
			e[i] = (struct greenstk_switch){
				.window = i % 2 ? i : NR + i, .out_bytes = 256 * PAGE, .eager_pages = EAGER, .handle_in = parked[i],
			};
		}
		inject_pages(self->sites - 1, TIMES, false);
		err = batch(&o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), 0, &done);
		hit = inject_stop(TIMES);
		EXPECT_TRUE(legal(err)) TH_LOG("site %d: %d", self->sites, err);
		for (i = 0; i < NR; i++) {
			bool went = !err && i < (int)done && !e[i].result;

			if (!err && i < (int)done)
				EXPECT_TRUE(legal(e[i].result)) TH_LOG("site %d entry %d: %d", self->sites, i, e[i].result);
			if (!went) {
				EXPECT_EQ(0, painted(window_base(&o, i), DEEP, 200 + i)) TH_LOG("site %d entry %d", self->sites, i);
				e[i].result = 0;
				ASSERT_EQ(0, do_switch(&o, &e[i])) TH_LOG("site %d entry %d", self->sites, i);
			}
			EXPECT_EQ(0, painted(window_base(&o, e[i].window), DEEP, 100 + i)) TH_LOG("site %d entry %d", self->sites, i);
			ASSERT_EQ(0, resume(&o, e[i].window, e[i].handle_out, EAGER));
			if (i % 2)
				EXPECT_EQ(0, painted(window_base(&o, i), DEEP, 200 + i)) TH_LOG("site %d entry %d", self->sites, i);
		}
		object_close(&o);
		if (!hit)
			break;
	}
	EXPECT_LT(self->sites, MAX_SITES);
	TH_LOG("%d places", self->sites - 1);
}

TEST_HARNESS_MAIN
