// SPDX-License-Identifier: MIT
/*
 * How processes, files and the module end while an object exists. Rows of the
 * event table in Documentation/uapi.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

/* Lines of debugfs for objects that a process made; they go a moment after it. -1: cannot say. */
static int objects_of(pid_t pid)
{
	char line[1024], want[32];
	int tries, n = 0;
	FILE *f;

	snprintf(want, sizeof(want), "pid=%d ", pid);
	for (tries = 0; tries < 100; tries++) {
		f = fopen("/sys/kernel/debug/greenstk/objects", "r");
		if (!f)
			return -1;
		for (n = 0; fgets(line, sizeof(line), f);)
			n += !strncmp(line, want, strlen(want));
		fclose(f);
		if (!n)
			break;
		usleep(50000);
	}
	return n;
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

/* What is left of the objects of a child that ended so: none, and none unknown. */
static int left_by(int (*fn)(void *arg), int status)
{
	pid_t pid = fork();

	if (!pid)
		_exit(fn(NULL));
	if (wait_for(pid) != status)
		return 1000;
	return objects_of(pid);
}

TEST_F(bare, exec_ends_the_object)
{
	EXPECT_EQ(0, left_by(open_and_exec, 0));
}

static int open_and_exit(void *arg)
{
	struct object o;
	uint64_t handle;

	if (object_open(&o, (struct object_opts){ 0 }))
		return 2;
	paint(window_base(&o, 0), 4 * PAGE, 1);
	return park(&o, 0, 4 * PAGE, &handle) ? 3 : 0;
}

TEST_F(bare, exit_frees_everything)
{
	EXPECT_EQ(1, objects_of(getpid()) == 0);
	EXPECT_EQ(0, left_by(open_and_exit, 0));
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
		EXPECT_EQ(0, objects_of(pid));
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

TEST_HARNESS_MAIN
