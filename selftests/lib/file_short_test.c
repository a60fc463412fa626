// SPDX-License-Identifier: MIT
/* gstk_file_read() of less than was asked for: what is no file gives what there is, and the end of a file costs nothing. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "wait_test.h"

static void with_way(const char *way, void (*fn)(void))
{
	setenv("GREENSTK_FILES", way, 1);
	with_workers(1, fn);
}

#define FILE_TEST(name)                                          \
	static void name(void);                                  \
	TEST(name##_by_the_ring) { with_way("uring", name); }    \
	TEST(name##_by_the_pool) { with_way("pool", name); }     \
	static void name(void)

/* Where there is more to come only later, or never. */
static void gives_what_there_is(int from, int to)
{
	char buf[100];

	CHECK_EQ(write(to, "hello", 5), 5);
	CHECK_EQ(gstk_file_read(from, buf, sizeof(buf), -1), 5);
	CHECK(!memcmp(buf, "hello", 5));
	close(from);
	close(to);
}

FILE_TEST(a_pipe_gives_what_there_is)
{
	int p[2];

	CHECK_EQ(pipe(p), 0);
	gives_what_there_is(p[0], p[1]);
}

FILE_TEST(a_socket_gives_what_there_is)
{
	int s[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	gives_what_there_is(s[0], s[1]);
}

FILE_TEST(a_fifo_gives_what_there_is)
{
	char name[] = "/tmp/gstk-fifo-XXXXXX";
	int fd;

	CHECK(mkdtemp(name));
	CHECK_EQ(rmdir(name), 0);
	CHECK_EQ(mkfifo(name, 0600), 0);
	fd = gstk_file_open(AT_FDCWD, name, O_RDWR, 0);
	CHECK(fd >= 0);
	CHECK_EQ(unlink(name), 0);
	gives_what_there_is(fd, dup(fd));
}

FILE_TEST(datagrams_stay_apart)
{
	char buf[100];
	int s[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	CHECK_EQ(write(s[1], "one", 3), 3);
	CHECK_EQ(write(s[1], "three", 5), 5);
	CHECK_EQ(gstk_file_read(s[0], buf, sizeof(buf), -1), 3);
	CHECK_EQ(gstk_file_read(s[0], buf, sizeof(buf), -1), 5);
	close(s[0]);
	close(s[1]);
}

/* ---- the end of a file ---- */

static char name[] = "/var/tmp/gstk-short-XXXXXX", other_name[] = "/var/tmp/gstk-short-XXXXXX";

static uint64_t that_had_to_wait(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s.file_ring_calls + s.file_pool_calls;
}

static void reads_to_the_end(void)
{
	char buf[4096], text[1000];
	int fd = mkstemp(name);
	uint64_t before;

	CHECK(fd >= 0);
	unlink(name);
	memset(text, 'x', sizeof(text));
	CHECK_EQ(write(fd, text, sizeof(text)), sizeof(text));
	before = that_had_to_wait();
	CHECK_EQ(gstk_file_read(fd, buf, sizeof(text), 0), sizeof(text));
	if (that_had_to_wait() != before) {
		fprintf(stderr, "# the file system has nothing at once\n");
		return;
	}
	CHECK_EQ(gstk_file_read(fd, buf, sizeof(buf), 0), sizeof(text));
	CHECK_EQ(gstk_file_read(fd, buf, sizeof(buf), 900), 100);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(gstk_file_read(fd, buf, sizeof(buf), -1), sizeof(text));
	CHECK_EQ(gstk_file_read(fd, buf, sizeof(buf), -1), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), sizeof(text));
	CHECK_EQ(that_had_to_wait(), before);
	close(fd);
}

/* Whether that is a short read first, or none, is the file system's. */
static void reads_what_the_cache_has_in_part(void)
{
	enum { BYTES = 1 << 20 };
	char *buf = malloc(BYTES), first[4096];
	int fd = mkstemp(other_name);

	CHECK(buf && fd >= 0);
	unlink(other_name);
	memset(buf, 'x', BYTES);
	CHECK_EQ(write(fd, buf, BYTES), BYTES);
	CHECK_EQ(fsync(fd), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (int at = -1; at <= 0; at++) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		CHECK_EQ(pread(fd, first, sizeof(first), 0), sizeof(first));
		CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
		CHECK_EQ(gstk_file_read(fd, buf, BYTES, at), BYTES);
	}
	close(fd);
	free(buf);
}

TEST(a_file_that_the_cache_has_in_part_is_read_whole)
{
	with_workers(1, reads_what_the_cache_has_in_part);
}

TEST(the_end_of_a_file_in_the_cache_needs_no_thread)
{
	with_workers(1, reads_to_the_end);
}

TEST_HARNESS_MAIN
