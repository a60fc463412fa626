// SPDX-License-Identifier: MIT
/* COLD and PAGER: bytes that live elsewhere come back through userfaultfd. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

enum answer { PROMPT, SLOW, SILENT };

struct pager {
	struct object *o;
	int uffd;
	char *range;
	enum answer answer;
	pthread_t thread;
	int stop[2];
	int asked;
	char bytes[64 * PAGE];		/* of parking pages 0..63 */
};

static void *serve(void *arg)
{
	struct pager *p = arg;
	struct pollfd fds[2] = { { p->uffd, POLLIN, 0 }, { p->stop[0], POLLIN, 0 } };
	struct uffd_msg msg;

	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		struct uffdio_copy copy = { 0 };
		size_t at;

		if (read(p->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		__atomic_add_fetch(&p->asked, 1, __ATOMIC_RELAXED);
		if (p->answer == SILENT)
			continue;
		if (p->answer == SLOW)
			usleep(20000);
		at = (msg.arg.pagefault.address & ~(PAGE - 1)) - (uintptr_t)p->range;
		copy.dst = (uintptr_t)p->range + at;
		copy.src = (uintptr_t)p->bytes + at;
		copy.len = PAGE;
		ioctl(p->uffd, UFFDIO_COPY, &copy);
	}
	return NULL;
}

static int pager_start(struct pager *p, struct object *o, int flags)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct greenstk_pager set = { .size = sizeof(set) };

	p->o = o;
	p->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);
	if (p->uffd < 0 || ioctl(p->uffd, UFFDIO_API, &api))
		return -errno;
	p->range = mmap(NULL, o->s.park_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	reg.range.start = (uintptr_t)p->range;
	reg.range.len = o->s.park_bytes;
	if (p->range == MAP_FAILED || ioctl(p->uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	set.addr = (uintptr_t)p->range;
	set.bytes = o->s.park_bytes;
	if (ioctl(o->fd, GREENSTK_PAGER, &set))
		return -errno;
	return pipe(p->stop) || pthread_create(&p->thread, NULL, serve, p) ? -errno : 0;
}

static void pager_stop(struct pager *p)
{
	if (!p->thread)
		return;
	close(p->stop[1]);
	pthread_join(p->thread, NULL);
	close(p->uffd);
	munmap(p->range, p->o->s.park_bytes);
	p->thread = 0;
}

static int cold(struct object *o, uint64_t handle, size_t offset, size_t bytes)
{
	struct greenstk_cold e = { .handle = handle, .offset = offset, .bytes = bytes };
	int err = batch(o, GREENSTK_COLD, &e, 1, sizeof(e), 0, NULL);

	return err ? err : e.result;
}

FIXTURE(pager)
{
	struct object o;
	struct pager *p;
	uint64_t handle;
	char *base;
};

/* A stack of 8 pages, parked, packed away and cold. */
FIXTURE_SETUP(pager)
{
	struct greenstk_switch e = { .window = 3, .out_bytes = 8 * PAGE };

	ASSERT_TRUE(write_param("pager", "1"));
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
	self->p = calloc(1, sizeof(*self->p));
	ASSERT_EQ(0, pager_start(self->p, &self->o, 0));
	self->base = window_base(&self->o, 3);
	paint(self->base, 8 * PAGE, 33);
	ASSERT_EQ(0, do_switch(&self->o, &e));
	self->handle = e.handle_out;
	ASSERT_EQ(self->o.s.park_offset, e.slot_offset);
	memcpy(self->p->bytes, self->o.map + e.slot_offset, 8 * PAGE);
	ASSERT_EQ(0, cold(&self->o, self->handle, 0, 8 * PAGE));
	ASSERT_EQ(0, stat_of(&self->o).pages);
}

FIXTURE_TEARDOWN(pager)
{
	pager_stop(self->p);
	object_close(&self->o);
	free(self->p);
}

TEST_F(pager, a_cold_stack_comes_back_page_by_page)
{
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	EXPECT_EQ(0, stat_of(&self->o).pages);
	EXPECT_EQ(0, painted(self->base, 8 * PAGE, 33));
	EXPECT_EQ(8, self->p->asked);
	EXPECT_EQ(8, stat_of(&self->o).pages);
	/* It is an ordinary stack again. */
	ASSERT_EQ(0, park(&self->o, 3, 8 * PAGE, &self->handle));
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	EXPECT_EQ(0, painted(self->base, 8 * PAGE, 33));
	EXPECT_EQ(8, self->p->asked);
}

TEST_F(pager, the_pager_range_keeps_no_copy)
{
	unsigned char present;

	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	EXPECT_EQ(0, painted(self->base, PAGE, 33));
	ASSERT_EQ(0, mincore(self->p->range + 7 * PAGE, PAGE, &present));
	EXPECT_EQ(0, present & 1);
}

TEST_F(pager, warm_and_cold_pages_mix)
{
	char *at;

	/* Pages 2 and 3 are unpacked before the switch, the rest on touch. */
	ASSERT_EQ(0, populate(&self->o, &self->handle, 2 * PAGE, 2 * PAGE, &at));
	memcpy(at + 2 * PAGE, self->p->bytes + 2 * PAGE, 2 * PAGE);
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	EXPECT_EQ(0, painted(self->base, 8 * PAGE, 33));
	EXPECT_EQ(6, self->p->asked);
}

/* What was made before the cap was met would else be zeroes that nobody fills. */
TEST_F(pager, what_cannot_be_populated_whole_stays_cold)
{
	char old[32], cap[32];

	ASSERT_TRUE(read_param("max_object_pages", old, sizeof(old)));
	snprintf(cap, sizeof(cap), "%llu", (unsigned long long)stat_of(&self->o).table_pages + 2);
	ASSERT_TRUE(write_param("max_object_pages", cap));
	EXPECT_EQ(-EDQUOT, populate(&self->o, &self->handle, 2 * PAGE, 4 * PAGE, NULL));
	ASSERT_TRUE(write_param("max_object_pages", old));
	EXPECT_EQ(0, stat_of(&self->o).pages);
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	EXPECT_EQ(0, painted(self->base, 8 * PAGE, 33));
	EXPECT_EQ(8, self->p->asked);
}

/* Leaves, @pages of it; the pager finds the bytes of what was 8 pages at its new slot, too. */
static uint64_t leave(struct object *o, struct pager *p, char *bytes, unsigned int pages)
{
	struct greenstk_switch e = { .window = 3, .out_bytes = pages * PAGE };
	size_t at;

	if (do_switch(o, &e))
		return 0;
	at = e.slot_offset - o->s.park_offset;
	if (pages > 8)
		memcpy(p->bytes + at + (pages - 8) * PAGE, bytes, 8 * PAGE);
	else
		memcpy(p->bytes + at, bytes + (8 - pages) * PAGE, pages * PAGE);
	return e.handle_out;
}

static char look(const char *at)
{
	return *(const volatile char *)at;
}

static int asked(struct pager *p)
{
	return __atomic_load_n(&p->asked, __ATOMIC_SEQ_CST);
}

TEST_F(pager, what_is_cold_stays_so_when_its_stack_leaves)
{
	char bytes[8 * PAGE];
	uint64_t handle;

	memcpy(bytes, self->p->bytes, sizeof(bytes));
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	EXPECT_EQ(bytes[0], look(self->base - 8 * PAGE));
	EXPECT_EQ(bytes[5 * PAGE], look(self->base - 3 * PAGE));
	self->base[-3 * PAGE] = ~bytes[5 * PAGE];
	EXPECT_EQ(2, asked(self->p));
	/* Deeper, by pages that never were cold. */
	memset(self->base - 10 * PAGE, 7, 2 * PAGE);
	handle = leave(&self->o, self->p, bytes, 10);
	ASSERT_NE(0, handle);
	EXPECT_EQ(4, stat_of(&self->o).pages);
	ASSERT_EQ(0, resume(&self->o, 3, handle, 1));
	EXPECT_EQ(7, look(self->base - 10 * PAGE));
	EXPECT_EQ(7, look(self->base - 9 * PAGE));
	EXPECT_EQ(bytes[0], look(self->base - 8 * PAGE));
	EXPECT_EQ((char)~bytes[5 * PAGE], look(self->base - 3 * PAGE));
	EXPECT_EQ(2, asked(self->p));
	EXPECT_EQ(bytes[6 * PAGE], look(self->base - 2 * PAGE));
	EXPECT_EQ(3, asked(self->p));
	/* Shallower: what was cold below is dead. */
	handle = leave(&self->o, self->p, bytes, 4);
	ASSERT_NE(0, handle);
	ASSERT_EQ(0, resume(&self->o, 3, handle, EAGER));
	self->base[-3 * PAGE] = bytes[5 * PAGE];
	EXPECT_EQ(0, memcmp(self->base - 4 * PAGE, bytes + 4 * PAGE, 4 * PAGE));
	EXPECT_EQ(5, asked(self->p)); /* pages 4 and 7 */
	EXPECT_EQ(0, look(self->base - 6 * PAGE));
	EXPECT_EQ(5, asked(self->p));
	/* Dropped with cold pages, whole: nothing is left of it. */
	handle = leave(&self->o, self->p, bytes, 4);
	ASSERT_EQ(0, cold(&self->o, handle, 0, 4 * PAGE));
	ASSERT_EQ(0, drop(&self->o, handle));
	EXPECT_EQ(0, stat_of(&self->o).handles);
}

TEST_F(pager, a_system_call_into_a_cold_buffer_works)
{
	char buf[PAGE];
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	ASSERT_EQ(100, write(pipefd[1], self->base - PAGE, 100));
	ASSERT_EQ(100, read(pipefd[0], buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, self->p->bytes + 7 * PAGE, 100));
	ASSERT_EQ(50, write(pipefd[1], buf, 50));
	ASSERT_EQ(50, read(pipefd[0], self->base - 2 * PAGE + 8, 50));
	EXPECT_EQ(0, memcmp(buf, self->base - 2 * PAGE + 8, 50));
	EXPECT_EQ(0, memcmp(self->p->bytes + 6 * PAGE, self->base - 2 * PAGE, 8));
}

TEST_F(pager, a_stranger_may_read_cold_memory)
{
	char buf[64];
	struct iovec to = { buf, sizeof(buf) }, from = { self->base - PAGE, sizeof(buf) };
	int status;
	pid_t pid, me = getpid();

	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	pid = fork();
	if (!pid)
		_exit(process_vm_readv(me, &to, 1, &from, 1, 0) != sizeof(buf) ||
		      memcmp(buf, self->p->bytes + 7 * PAGE, sizeof(buf)));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static void *read_all(void *arg)
{
	return (void *)painted(arg, 8 * PAGE, 33);
}

TEST_F(pager, two_threads_on_one_page_with_a_slow_pager)
{
	pthread_t thread[3];
	void *bad;
	int i;

	self->p->answer = SLOW;
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, read_all, self->base));
	for (i = 0; i < 3; i++) {
		pthread_join(thread[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
}

TEST_F(pager, without_a_pager_a_cold_page_is_a_bus_error)
{
	struct greenstk_pager none = { .size = sizeof(none) };

	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	ASSERT_EQ(0, ioctl(self->o.fd, GREENSTK_PAGER, &none));
	EXPECT_EQ(SIGBUS, touch_signal(self->base - 1, false));
}

TEST_F(pager, a_pager_that_died_is_a_bus_error)
{
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	pager_stop(self->p);
	EXPECT_EQ(SIGBUS, touch_signal(self->base - 1, false));
}

static void *touch_cold(void *arg)
{
	return (void *)(long)touch_signal(arg, false);
}

TEST_F(pager, a_pager_that_dies_while_it_is_asked_ends_the_wait)
{
	pthread_t thread;
	void *sig;

	self->p->answer = SILENT;
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_cold, self->base - 1));
	while (!__atomic_load_n(&self->p->asked, __ATOMIC_RELAXED))
		usleep(1000);
	pager_stop(self->p);
	ASSERT_EQ(0, pthread_join(thread, &sig));
	EXPECT_EQ(SIGBUS, (long)sig);
}

TEST_F(pager, a_range_that_is_not_registered_is_a_bus_error)
{
	struct greenstk_pager set = { .size = sizeof(set), .bytes = self->o.s.park_bytes };

	/* The object's own mapping: asking it would recurse. */
	set.addr = (uintptr_t)self->o.map;
	ASSERT_EQ(0, ioctl(self->o.fd, GREENSTK_PAGER, &set));
	ASSERT_EQ(0, resume(&self->o, 3, self->handle, EAGER));
	EXPECT_EQ(SIGBUS, touch_signal(self->base - 1, false));
	set.addr = (uintptr_t)mmap(NULL, set.bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_EQ(0, ioctl(self->o.fd, GREENSTK_PAGER, &set));
	EXPECT_EQ(SIGBUS, touch_signal(self->base - 1, false));
}

TEST(a_silent_pager_does_not_block_a_kill)
{
	int status, i;
	pid_t pid;

	ASSERT_TRUE(write_param("pager", "1"));
	for (i = 0; i < 2; i++) {
		pid = fork();
		if (!pid) {
			struct object o;
			struct pager *p = calloc(1, sizeof(*p));
			uint64_t handle;
			int pipefd[2];

			if (object_open(&o, (struct object_opts){ 0 }) || pager_start(p, &o, 0) ||
			    pipe(pipefd))
				_exit(2);
			p->answer = SILENT;
			paint(window_base(&o, 0), PAGE, 1);
			if (park(&o, 0, PAGE, &handle) || cold(&o, handle, 0, PAGE) ||
			    resume(&o, 0, handle, EAGER))
				_exit(3);
			alarm(1);
			signal(SIGALRM, SIG_DFL);
			/* From user mode, then from inside a system call. */
			if (i)
				write(pipefd[1], window_base(&o, 0) - 1, 1);
			else
				(void)*(volatile char *)(window_base(&o, 0) - 1);
			_exit(4);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
	}
}

TEST(a_user_mode_pager_serves_user_faults_only)
{
	struct object o;
	struct pager *p = calloc(1, sizeof(*p));
	uint64_t handle;
	int pipefd[2];

	ASSERT_TRUE(write_param("pager", "1"));
	ASSERT_EQ(0, object_open(&o, (struct object_opts){ 0 }));
	ASSERT_EQ(0, pager_start(p, &o, UFFD_USER_MODE_ONLY));
	ASSERT_EQ(0, pipe(pipefd));
	paint(window_base(&o, 0), 2 * PAGE, 1);
	ASSERT_EQ(0, park(&o, 0, 2 * PAGE, &handle));
	memcpy(p->bytes, o.park, 2 * PAGE);
	ASSERT_EQ(0, cold(&o, handle, 0, 2 * PAGE));
	ASSERT_EQ(0, resume(&o, 0, handle, EAGER));
	EXPECT_EQ(-1, write(pipefd[1], window_base(&o, 0) - PAGE, 10));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, painted(window_base(&o, 0), 2 * PAGE, 1));
	EXPECT_EQ(10, write(pipefd[1], window_base(&o, 0) - PAGE, 10));
	pager_stop(p);
	object_close(&o);
}

TEST(switched_off_by_default_it_is_not_supported)
{
	struct greenstk_pager none = { .size = sizeof(none) };
	struct object o;

	ASSERT_TRUE(write_param("pager", "0"));
	ASSERT_EQ(0, object_open(&o, (struct object_opts){ 0 }));
	EXPECT_EQ(-1, ioctl(o.fd, GREENSTK_PAGER, &none));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-EOPNOTSUPP, cold(&o, 1, 0, PAGE));
	object_close(&o);
}

TEST_HARNESS_MAIN
