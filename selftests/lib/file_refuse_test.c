// SPDX-License-Identifier: MIT
/* Calls on files where io_uring is refused, by the real kernel: then threads do them, and it is said why. */
#include <fcntl.h>
#include "report_test.h"
#include "seccomp_test.h"

static void *reads(void *arg)
{
	char buf[100];
	int fd = gstk_file_open(AT_FDCWD, "/proc/self/status", O_RDONLY, 0);

	CHECK(fd >= 0);
	CHECK(gstk_file_read(fd, buf, sizeof(buf), 0) > 0);
	CHECK_EQ(gstk_file_open(AT_FDCWD, "/nowhere", O_RDONLY, 0), -ENOENT);
	close(fd);
	return arg;
}

static void works_by_the_pool(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	finish(start(reads, NULL));
	CHECK_EQ(gstk_stats(&s), 0);
	CHECK_EQ(s.file_ring_calls, 0);
	CHECK(s.file_pool_calls >= 2);
	CHECK_EQ(gstk_info(2), 0);
}

static void with_errno(int err)
{
	refuse(SYS_io_uring_setup, err);
	with_workers(2, works_by_the_pool);
}

static void eperm(void)
{
	with_errno(EPERM);
}

static void enosys(void)
{
	with_errno(ENOSYS);
}

static void enomem(void)
{
	with_errno(ENOMEM);
}

static void emfile(void)
{
	with_errno(EMFILE);
}

static void no_probe(void)
{
	refuse(SYS_io_uring_register, EACCES);
	with_workers(2, works_by_the_pool);
}

static void no_nowait(void)
{
	refuse(SYS_preadv2, EPERM);
	with_errno(EPERM);
}

static void told(void (*fn)(void), const char *way, const char *reason, bool line)
{
	setenv("GREENSTK_FILES", way, 1);
	CHECK_EQ(in_child(fn), 0);
	CHECK(reported("\nfiles pool\n"));
	CHECK(reported(reason));
	if (line)
		CHECK(reported("greenstk: files are done by threads: "));
	else
		CHECK(silent_about("greenstk: files are done by threads: "));
}

TEST(where_io_uring_is_refused_threads_do_it_and_the_reason_is_told)
{
	if (EMULATED())
		SKIP(return, "the emulator has no system call filters");
	told(eperm, "auto", "files.reason io_uring is forbidden (EPERM): /proc/sys/kernel/io_uring_disabled", false);
	told(enosys, "auto", "files.reason the kernel has no io_uring (ENOSYS)", false);
	told(enomem, "auto", "files.reason no memory may be locked for io_uring (ENOMEM): ulimit -l", false);
	told(emfile, "auto", "files.reason no descriptor for io_uring: ulimit -n", false);
	told(no_probe, "auto", "files.reason io_uring has not all that files need", false);
}

TEST(where_a_filter_refuses_reading_without_waiting_threads_read)
{
	if (UNDER_TSAN || EMULATED())
		SKIP(return, "no filters there");
	told(no_nowait, "auto", "files.reason io_uring is forbidden (EPERM)", false);
}

TEST(who_asks_for_io_uring_is_told_at_once_that_there_is_none)
{
	if (EMULATED())
		SKIP(return, "the emulator has no system call filters");
	told(eperm, "uring", "files.reason io_uring is forbidden (EPERM)", true);
}

static void pool(void)
{
	with_workers(2, works_by_the_pool);
}

TEST(the_pool_can_be_asked_for)
{
	told(pool, "pool", "files.reason the pool was asked for (GREENSTK_FILES=pool)", false);
}

static void nonsense(void)
{
	CHECK_EQ(gstk_init(NULL), -EINVAL);
}

TEST(what_is_no_way_is_refused)
{
	setenv("GREENSTK_FILES", "pigeons", 1);
	CHECK_EQ(in_child(nonsense), 0);
	CHECK(reported("GREENSTK_FILES=pigeons is none of auto, uring, pool"));
}

/* ---- where nobody may wait ---- */

static void *waits_for_ever(void *arg)
{
	gstk_sem *never = arg;

	return (void *)(long)gstk_sem_wait(never);
}

static void stuck(void)
{
	static gstk_sem never = GSTK_SEM_INIT(0);

	finish(start(reads, NULL));
	finish(start(waits_for_ever, &never));
}

static void stuck_main(void)
{
	with_workers(2, stuck);
}

/* The kernel's threads are no threads that could wake a task. */
TEST(a_deadlock_is_reported_though_the_kernel_has_threads_for_files)
{
	if (UNDER_TSAN || EMULATED())
		SKIP(return, "the tool has a thread that might wake one");
	setenv("GREENSTK_FILES", "uring", 1);
	CHECK_EQ(WTERMSIG(in_child(stuck_main)), SIGABRT);
	CHECK(reported("deadlock"));
}

TEST_HARNESS_MAIN
