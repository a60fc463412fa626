// SPDX-License-Identifier: MIT
/* More operations at a time than the ring takes; and forks meanwhile. */
#include <fcntl.h>
#include <sys/stat.h>
#include "report_test.h"
#include "wait/files.h"

static char dir[64], fifo[80];

static struct gstk_stats now_(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s;
}

static void *opens(void *arg)
{
	int fd = gstk_file_open(AT_FDCWD, fifo, O_WRONLY, 0);

	CHECK(fd >= 0);
	close(fd);
	return arg;
}

/* Tasks that wait for a reader, then the reader. */
static void opened_by(int nr, void (*meanwhile)(void))
{
	gstk_task **t = malloc((size_t)nr * sizeof(*t));
	int in;

	for (int i = 0; i < nr; i++)
		t[i] = start(opens, (void *)(long)i);
	while (now_().file_ring_calls + now_().file_pool_calls < (uint64_t)nr)
		gstk_sleep(MS);
	meanwhile();
	in = open(fifo, O_RDONLY | O_NONBLOCK);
	CHECK(in >= 0);
	for (int i = 0; i < nr; i++)
		CHECK_EQ(finish(t[i]), i);
	close(in);
	free(t);
}

static void with_fifo(unsigned int threads, void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .blocking_threads = threads };
	char cmd[100];

	alarm(120);
	strcpy(dir, "/var/tmp/gstk-file-XXXXXX");
	CHECK(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	CHECK_EQ(mkfifo(fifo, 0600), 0);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
}

enum { CROWD = 4200, IN_FLIGHT = 4096 };

static void some_are_threads(void)
{
	struct gstk_stats s = now_();

	if (!gstk__files_ring())
		return;
	CHECK_EQ(s.file_ring_calls, IN_FLIGHT);
	CHECK_EQ(s.file_ring_full, CROWD - IN_FLIGHT);
	CHECK_EQ(s.file_pool_calls, CROWD - IN_FLIGHT);
}

static void crowd(void)
{
	opened_by(CROWD, some_are_threads);
}

/* Eight threads of the kernel a worker, and of the pool: the others wait in their queues. */
TEST(what_the_ring_does_not_take_threads_do)
{
	setenv("GREENSTK_FILES", "uring", 1);
	with_fifo(8, crowd);
}

/* What the kernel would give to a thread of its own is cheaper on one of ours, unless there are many. */
static void first_threads_then_the_ring(void)
{
	struct gstk_stats s = now_();

	if (!gstk__files_ring())
		return;
	CHECK_EQ(s.file_pool_calls, 16);
	CHECK_EQ(s.file_ring_calls, 84);
	CHECK_EQ(s.file_ring_full, 0);
}

static void hundred(void)
{
	opened_by(100, first_threads_then_the_ring);
}

TEST(a_few_operations_are_done_by_threads_and_more_by_the_ring)
{
	unsetenv("GREENSTK_FILES");
	with_fifo(64, hundred);
}

static void fork_now(void)
{
	char buf[10];
	int status, fd;
	pid_t pid = fork();

	if (!pid) {
		fd = gstk_file_open(AT_FDCWD, "/proc/self/status", O_RDONLY, 0); /* no runtime: the plain calls */
		if (fd < 0 || gstk_file_read(fd, buf, sizeof(buf), 0) != sizeof(buf) || gstk_file_sync(fd, false) != -EINVAL)
			_exit(1);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void forks(void)
{
	opened_by(20, fork_now);
}

TEST(a_child_of_fork_leaves_the_ring_alone)
{
	setenv("GREENSTK_FILES", "uring", 1);
	with_fifo(64, forks);
}

static void *comes_later(void *arg)
{
	usleep(50000);
	close(open(fifo, O_WRONLY));
	return arg;
}

static void sleeps_meanwhile(void)
{
	pthread_t other;
	int fd;

	CHECK_EQ(pthread_create(&other, NULL, comes_later, NULL), 0);
	fd = gstk_file_open(AT_FDCWD, fifo, O_RDONLY, 0);
	CHECK(fd >= 0);
	close(fd);
	pthread_join(other, NULL);
}

/* Without the sweep nothing else does. */
TEST(what_has_completed_wakes_a_worker_that_sleeps)
{
	setenv("GREENSTK_FILES", "uring", 1);
	setenv("GREENSTK_NO_SWEEP", "1", 1);
	with_fifo(8, sleeps_meanwhile);
}

static void none(void)
{
}

static void few(void)
{
	opened_by(20, none);
}

static int descriptors(void)
{
	int nr = 0;

	for (int fd = 0; fd < 1000; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

TEST(life_after_life_leaves_no_descriptor)
{
	int before = descriptors();

	setenv("GREENSTK_FILES", "uring", 1);
	for (int i = 0; i < 20; i++)
		with_fifo(64, few);
	ASSERT_EQ(before, descriptors());
}

TEST_HARNESS_MAIN
