// SPDX-License-Identifier: MIT
/*
 * What happens to a process, a file or a mapping while an object exists. Each
 * test is a row of the event table in Documentation/uapi.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

FIXTURE(life)
{
	struct object o;
};

FIXTURE_SETUP(life)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
}

FIXTURE_TEARDOWN(life)
{
	object_close(&self->o);
}

/* Tests that open objects of their own. */
FIXTURE(bare)
{
};

FIXTURE_SETUP(bare)
{
}

FIXTURE_TEARDOWN(bare)
{
}

/* Runs fn on the stack of a window, its lowest frame 2 pages below the base. */
static void (*stack_fn)(void *arg);
static void *stack_arg;
static ucontext_t stack_back, stack_to;

static void on_stack(void)
{
	stack_fn(stack_arg);
}

static void run_in_window(struct object *o, unsigned int window, void (*fn)(void *), void *arg)
{
	stack_fn = fn;
	stack_arg = arg;
	getcontext(&stack_to);
	stack_to.uc_stack.ss_sp = window_limit(o, window);
	stack_to.uc_stack.ss_size = window_base(o, window) - window_limit(o, window) - PAGE;
	stack_to.uc_link = &stack_back;
	makecontext(&stack_to, on_stack, 0);
	swapcontext(&stack_back, &stack_to);
}

struct forked {
	struct object *o;
	int status;
	bool grandchild;
	bool keep;
};

static int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the child, on the copied stack. */
static int check_child(struct object *o, volatile int *local, char *volatile deep)
{
	struct greenstk_switch e = { .window = 9, .out_bytes = PAGE };

	if (*local != 42)
		return 1;
	*local = 43;			/* the parent keeps 42 */
	*deep = 1;			/* below: fresh memory */
	if (painted(window_base(o, 2), PAGE, 2))
		return 2;		/* the page above our frames came along */
	if (touch_signal(window_base(o, 3) - 1, false) != SIGBUS)
		return 3;		/* another task's window did not */
	if (touch_signal(window_limit(o, 2) - 1, true) != SIGSEGV)
		return 4;
	if (touch_signal(o->park, false) != SIGBUS)
		return 5;
	if (do_switch(o, &e) != -EPERM)
		return 6;
	return 0;
}

static void fork_on_stack(void *arg)
{
	struct forked *f = arg;
	volatile int local = 42;
	char *deep = window_limit(f->o, 2) + 8;
	pid_t pid;

	if (f->keep && madvise(f->o->map, f->o->s.map_bytes, 19 /* MADV_KEEPONFORK */)) {
		f->status = 100;
		return;
	}
	pid = fork();
	if (!pid) {
		int bad = check_child(f->o, &local, deep);

		if (!bad && f->grandchild) {
			local = 42;
			pid = fork();
			if (!pid)
				_exit(check_child(f->o, &local, deep) ?: 0);
			bad = wait_for(pid) ? 50 + wait_for(pid) : 0;
			if (local != 42)
				bad = 60;
		}
		_exit(bad);
	}
	f->status = wait_for(pid);
	if (local != 42)
		f->status = 101;
}

static int fork_case(struct object *o, bool grandchild, bool keep)
{
	struct forked f = { .o = o, .status = -1, .grandchild = grandchild, .keep = keep };

	paint(window_base(o, 2), PAGE, 2);
	paint(window_base(o, 3), PAGE, 3);
	run_in_window(o, 2, fork_on_stack, &f);
	return f.status;
}

TEST_F(life, fork_copies_the_stack_it_runs_on)
{
	EXPECT_EQ(0, fork_case(&self->o, false, false));
	EXPECT_EQ(0, painted(window_base(&self->o, 3), PAGE, 3));
}

TEST_F(life, a_child_forks_again)
{
	EXPECT_EQ(0, fork_case(&self->o, true, false));
}

TEST_F(life, keeponfork_does_not_share_the_stack)
{
	EXPECT_EQ(0, fork_case(&self->o, false, true));
	EXPECT_EQ(0, fork_case(&self->o, true, true));
}

static void fork_lazy(void *arg)
{
	struct forked *f = arg;
	pid_t pid = fork();

	if (!pid)
		_exit(!!painted(window_base(f->o, 2), PAGE, 2));
	f->status = wait_for(pid);
}

TEST_F(life, fork_copies_what_is_not_restored_yet)
{
	struct forked f = { .o = &self->o, .status = -1 };
	uint64_t handle;

	paint(window_base(&self->o, 2), PAGE, 2);
	ASSERT_EQ(0, park(&self->o, 2, PAGE, &handle));
	/* The page above the frames stays in its slot. */
	ASSERT_EQ(0, resume(&self->o, 2, handle, 0));
	run_in_window(&self->o, 2, fork_lazy, &f);
	EXPECT_EQ(0, f.status);
	EXPECT_EQ(0, painted(window_base(&self->o, 2), PAGE, 2));
}

static int touch_window_0(void *arg)
{
	struct object *o = arg;

	return touch_signal(window_base(o, 0) - 1, false) == SIGBUS ? 0 : 1;
}

TEST_F(life, fork_on_another_stack_leaves_the_child_none)
{
	paint(window_base(&self->o, 0), PAGE, 1);
	EXPECT_EQ(0, in_child(touch_window_0, &self->o));
}

static int vfork_like(void *arg)
{
	struct object *o = arg;
	pid_t pid = vfork();

	if (!pid) {
		*(volatile char *)(window_base(o, 0) - 1) = 7;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return *(volatile char *)(window_base(o, 0) - 1) == 7 ? 0 : 1;
}

TEST_F(life, vfork_shares_everything)
{
	struct object o;

	EXPECT_EQ(0, vfork_like(&self->o));
	ASSERT_EQ(0, object_open(&o, (struct object_opts){ 0 }));
	object_close(&o);
}

static int exec_true(void *arg)
{
	uint64_t handle;

	paint(window_base(arg, 0), 4 * PAGE, 1);
	park(arg, 0, 4 * PAGE, &handle);
	execl("/bin/busybox", "true", NULL);
	return 1;
}

static int open_and_exec(void *arg)
{
	struct object o;

	if (object_open(&o, (struct object_opts){ 0 }))
		return 2;
	return exec_true(&o);
}

TEST(exec_ends_the_object)
{
	EXPECT_EQ(0, in_child(open_and_exec, NULL));
}

static void *churn(void *arg)
{
	struct object *o = arg;
	unsigned int seed = (uintptr_t)&seed;

	for (;;) {
		unsigned int w = rand_r(&seed) % 64;
		uint64_t handle;

		*(volatile char *)(window_base(o, w) - PAGE) = 1;
		if (!park(o, w, (rand_r(&seed) % 8 + 1) * PAGE, &handle))
			resume(o, w, handle, rand_r(&seed) % 8);
		if (rand_r(&seed) % 8 == 0)
			reclaim(o, w, PAGE, NULL);
	}
	return NULL;
}

static int busy(void *arg)
{
	struct object o;
	pthread_t t;
	int i;

	if (object_open(&o, (struct object_opts){ 0 }))
		return 2;
	for (i = 0; i < 3; i++)
		pthread_create(&t, NULL, churn, &o);
	pause();
	return 3;
}

TEST_F_TIMEOUT(bare, kill_at_any_point_frees_everything, 120)
{
	int i;

	for (i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(busy(NULL));
		usleep(30000 + i * 17000);
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, wait_for(pid));
	}
}

TEST_F(life, a_closed_file_leaves_the_mapping_alive)
{
	char *base = window_base(&self->o, 0);

	paint(base, 2 * PAGE, 1);
	close(self->o.fd);
	self->o.fd = -1;
	EXPECT_EQ(0, painted(base, 2 * PAGE, 1));
	paint(base, 4 * PAGE, 2);
	EXPECT_EQ(0, painted(base, 4 * PAGE, 2));
}

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int recv_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(sock, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

TEST_F(life, a_file_passed_to_another_process_is_useless_there)
{
	int sock[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sock));
	pid = fork();
	if (!pid) {
		struct object o = self->o;
		struct greenstk_switch e = { .window = 0, .out_bytes = PAGE };

		o.fd = recv_fd(sock[1]);
		if (o.fd < 0)
			_exit(1);
		if (do_switch(&o, &e) != -EPERM)
			_exit(2);
		if (mmap(NULL, o.s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o.fd, 0) !=
		    MAP_FAILED || errno != EPERM)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(0, send_fd(sock[0], self->o.fd));
	EXPECT_EQ(0, wait_for(pid));
}

TEST_F(life, munmap_of_the_whole_ends_the_object)
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

TEST_F(life, munmap_of_a_part_is_refused)
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

TEST_F(life, mremap_is_refused)
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

TEST_F(life, mprotect_is_refused)
{
	size_t len = self->o.s.map_bytes;

	EXPECT_EQ(-1, mprotect(self->o.map, len, PROT_READ));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->o.map, PAGE, PROT_NONE));
	EXPECT_EQ(-1, mprotect(self->o.map, len, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT_EQ(0, mprotect(self->o.map, len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, touch_signal(window_base(&self->o, 0) - 1, true));
}

TEST_F(life, mlock_locks_nothing_and_stops_at_a_guard)
{
	struct rlimit none = { 0, 0 };

	EXPECT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none) && 0);
	EXPECT_EQ(-1, mlock(self->o.map, self->o.s.map_bytes));
	EXPECT_EQ(0, stat_of(&self->o).pages);
	EXPECT_EQ(0, mlockall(MCL_CURRENT));
	EXPECT_LE(stat_of(&self->o).pages, 64);
	EXPECT_EQ(0, munlockall());
}

TEST_F(life, dontneed_frees_and_reads_zero)
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

TEST_F(life, other_advice_is_harmless)
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

TEST_F(life, two_objects_live_side_by_side)
{
	struct object two;
	uint64_t handle, other;

	ASSERT_EQ(0, object_open(&two, (struct object_opts){ .nr_windows = 3 }));
	paint(window_base(&self->o, 0), 4 * PAGE, 1);
	paint(window_base(&two, 0), 4 * PAGE, 2);
	ASSERT_EQ(0, park(&self->o, 0, 4 * PAGE, &handle));
	ASSERT_EQ(0, park(&two, 0, 4 * PAGE, &other));
	/* Handles of one mean nothing to the other, or something of its own. */
	ASSERT_EQ(0, resume(&two, 0, other, EAGER));
	EXPECT_EQ(-ESTALE, resume(&two, 0, handle, EAGER));
	EXPECT_EQ(0, painted(window_base(&two, 0), 4 * PAGE, 2));
	object_close(&two);
	ASSERT_EQ(0, resume(&self->o, 0, handle, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 0), 4 * PAGE, 1));
}

TEST_F(life, the_module_cannot_be_removed_while_in_use)
{
	EXPECT_EQ(-1, syscall(SYS_delete_module, "greenstk", O_NONBLOCK));
	EXPECT_TRUE(errno == EAGAIN || errno == EBUSY || errno == EWOULDBLOCK);
	close(self->o.fd);
	self->o.fd = -1;
	EXPECT_EQ(-1, syscall(SYS_delete_module, "greenstk", O_NONBLOCK));
}

static void switch_own(void *arg)
{
	struct forked *f = arg;
	struct greenstk_switch e = { .window = 2, .out_bytes = PAGE };

	f->status = do_switch(f->o, &e);
}

TEST_F(life, the_window_that_the_caller_runs_on_is_edeadlk)
{
	struct forked f = { .o = &self->o, .status = 1 };

	run_in_window(&self->o, 2, switch_own, &f);
	EXPECT_EQ(-EDEADLK, f.status);
}

TEST_F(life, userfaultfd_on_the_mapping_stops_switching)
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

TEST_F(life, a_stranger_reads_and_writes_stack_memory)
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

TEST_F(life, a_guard_in_a_system_call_is_efault)
{
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	EXPECT_EQ(-1, write(pipefd[1], window_limit(&self->o, 0) - 8, 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, write(pipefd[1], self->o.park, 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(8, write(pipefd[1], window_limit(&self->o, 0), 8));
}

TEST_F(life, lazy_pages_come_in_read_write_and_vmsplice)
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

static int dump_core(void *arg)
{
	struct rlimit max = { RLIM_INFINITY, RLIM_INFINITY };
	struct object o;
	uint64_t handle;

	setrlimit(RLIMIT_CORE, &max);
	mkdir("/tmp/core", 0755);
	if (chdir("/tmp/core") ||
	    object_open(&o, (struct object_opts){ .nr_windows = 4, .park_bytes = 4 << 20 }))
		return 2;
	paint(window_base(&o, 0), 2 * PAGE, 1);
	memcpy(window_base(&o, 0) - 64, "stack-in-a-window", 17);
	memcpy(window_base(&o, 1) - 64, "stack-in-a-slot", 15);
	park(&o, 1, PAGE, &handle);
	memcpy(window_base(&o, 2) - 64, "stack-lazy", 10);
	park(&o, 2, PAGE, &handle);
	resume(&o, 2, handle, 0);
	abort();
}

TEST_F_TIMEOUT(bare, a_core_dump_has_windows_and_slots_and_populates_nothing, 120)
{
	char *core = NULL;
	struct stat st;
	int fd;

	fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);
	ASSERT_GE(fd, 0);
	write(fd, "core", 4);
	close(fd);
	EXPECT_EQ(128 + SIGABRT, in_child(dump_core, NULL));
	fd = open("/tmp/core/core", O_RDONLY);
	if (fd < 0) {
		SKIP(return, "no core file");
	}
	ASSERT_EQ(0, fstat(fd, &st));
	core = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, core);
	EXPECT_NE(NULL, memmem(core, st.st_size, "stack-in-a-window", 17));
	EXPECT_NE(NULL, memmem(core, st.st_size, "stack-in-a-slot", 15));
	EXPECT_NE(NULL, memmem(core, st.st_size, "stack-lazy", 10));
	/* Holes are holes in the file too. */
	EXPECT_LE(st.st_blocks, 8192);
	munmap(core, st.st_size);
	close(fd);
	unlink("/tmp/core/core");
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

TEST_F_TIMEOUT(life, dontneed_and_scans_in_a_loop_against_switch, 120)
{
	struct storm s = { .o = &self->o };
	struct greenstk_switch e[16];
	uint64_t handle[16] = { 0 };
	pthread_t zap, scan;
	uint32_t i, round, done, refused = 0;

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
			/* From 7.2 on the zap frees page tables, too: the module may run out of tries. Then the
			 * entry says so and is not done; the next round does it. */
			if (e[i].result == -ENOMEM) {
				refused++;
				continue;
			}
			ASSERT_EQ(0, e[i].result);
			handle[i] = e[i].handle_out;
		}
	}
	s.stop = true;
	pthread_join(zap, NULL);
	pthread_join(scan, NULL);
	EXPECT_EQ(0, s.bad);
	EXPECT_LT(refused, 400 * 16 / 10);
}

TEST_HARNESS_MAIN
