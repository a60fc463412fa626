// SPDX-License-Identifier: MIT
/* Calls on files, by the ring and by the pool: the same results, and the worker runs others meanwhile. */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "report_test.h"

static char dir[64];

static void dir_new(void)
{
	strcpy(dir, "/var/tmp/gstk-file-XXXXXX"); /* a disk's, not memory's */
	CHECK(mkdtemp(dir));
}

static void dir_remove(void)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
}

static char *name_of(char *buf, const char *name, long i)
{
	snprintf(buf, 128, "%s/%s%ld", dir, name, i);
	return buf;
}

static struct gstk_stats now_(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s;
}

/* The way that is really taken. */
static bool by_ring(void)
{
	char text[65536], *at;
	int p[2];
	ssize_t n;

	CHECK_EQ(pipe2(p, O_NONBLOCK), 0);
	fcntl(p[1], F_SETPIPE_SZ, sizeof(text));
	CHECK_EQ(gstk_info(p[1]), 0);
	n = read(p[0], text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = 0;
	close(p[0]);
	close(p[1]);
	at = strstr(text, "\nfiles ");
	CHECK(at);
	return !strncmp(at, "\nfiles uring\n", 13);
}

static void with_way(const char *way, unsigned int workers, void (*fn)(void))
{
	setenv("GREENSTK_FILES", way, 1);
	dir_new();
	with_workers(workers, fn);
	dir_remove();
}

#define FILE_TEST(name)                                                     \
	static void name(void);                                             \
	TEST(name##_by_the_ring_with_one_worker) { with_way("uring", 1, name); }  \
	TEST(name##_by_the_ring_with_two_workers) { with_way("uring", 2, name); } \
	TEST(name##_by_the_pool_with_one_worker) { with_way("pool", 1, name); }   \
	TEST(name##_by_the_pool_with_two_workers) { with_way("pool", 2, name); }  \
	static void name(void)

/* ---- the same as the system calls ---- */

static void forget(int fd)
{
	CHECK_EQ(fsync(fd), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* All that is given lies on the stack. */
static void *uses_a_file(void *arg)
{
	char name[128], buf[3000], back[3000];
	struct iovec iov[3] = { { back, 1000 }, { NULL, 0 }, { back + 1000, 2000 } };
	int fd;

	name_of(name, "file", (long)arg);
	memset(buf, 'a' + (int)((long)arg % 26), sizeof(buf));
	fd = gstk_file_open(AT_FDCWD, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	CHECK_EQ(gstk_file_open(AT_FDCWD, name, O_RDWR | O_CREAT | O_EXCL, 0640), -EEXIST);
	CHECK_EQ(gstk_file_write(fd, buf, sizeof(buf), 0), sizeof(buf));
	CHECK_EQ(gstk_file_write(fd, buf, 100, 3000), 100);
	CHECK_EQ(gstk_file_sync(fd, false), 0);
	CHECK_EQ(gstk_file_sync(fd, true), 0);
	forget(fd);
	memset(back, 0, sizeof(back));
	CHECK_EQ(gstk_file_read(fd, back, sizeof(back), 0), sizeof(back));
	CHECK_EQ(memcmp(buf, back, sizeof(buf)), 0);
	CHECK_EQ(gstk_file_read(fd, back, 1000, 3050), 50);
	CHECK_EQ(gstk_file_read(fd, back, 1000, 4000), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	forget(fd);
	memset(back, 0, sizeof(back));
	CHECK_EQ(gstk_file_readv(fd, iov, 3, 0), sizeof(back));
	CHECK_EQ(memcmp(buf, back, sizeof(buf)), 0);
	memset(back, 'Z', sizeof(back));
	CHECK_EQ(gstk_file_writev(fd, iov, 3, 50), 3000);
	forget(fd);
	CHECK_EQ(gstk_file_read(fd, buf, 100, 0), 100);
	CHECK(buf[49] != 'Z' && buf[50] == 'Z' && buf[99] == 'Z');
	close(fd);
	return NULL;
}

FILE_TEST(files_are_opened_written_synced_and_read)
{
	enum { N = 60 };
	gstk_task *t[N];
	struct stat st;
	char name[128];
	bool ring = by_ring();

	umask(0);
	for (long i = 0; i < N; i++)
		t[i] = start(uses_a_file, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	CHECK_EQ(stat(name_of(name, "file", 7), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0640);
	CHECK_EQ(st.st_size, 3100);
	if (ring) {
		CHECK(now_().file_ring_calls >= 7 * N);
		CHECK_EQ(now_().file_pool_calls, 0);
	} else {
		CHECK_EQ(now_().file_ring_calls, 0);
		CHECK(now_().file_pool_calls >= 7 * N);
	}
}

FILE_TEST(the_current_position_moves_and_appending_appends)
{
	char name[128], buf[100];
	int fd = gstk_file_open(AT_FDCWD, name_of(name, "pos", 0), O_RDWR | O_CREAT, 0600);

	CHECK_EQ(gstk_file_write(fd, "hello ", 6, -1), 6);
	CHECK_EQ(gstk_file_write(fd, "world", 5, -1), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11);
	CHECK_EQ(gstk_file_read(fd, buf, 100, -1), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	forget(fd);
	CHECK_EQ(gstk_file_read(fd, buf, 6, -1), 6);
	CHECK_EQ(gstk_file_read(fd, buf + 6, 94, -1), 5);
	CHECK_EQ(memcmp(buf, "hello world", 11), 0);
	CHECK_EQ(gstk_file_read(fd, buf, 1, -2), -EINVAL);
	close(fd);
	fd = gstk_file_open(AT_FDCWD, name, O_WRONLY | O_APPEND, 0);
	CHECK_EQ(gstk_file_write(fd, "!", 1, 0), 1); /* as pwrite(2) on Linux does */
	CHECK_EQ(gstk_file_write(fd, "?", 1, -1), 1);
	close(fd);
	fd = gstk_file_open(AT_FDCWD, name, O_RDONLY, 0);
	CHECK_EQ(gstk_file_read(fd, buf, 100, 0), 13);
	CHECK_EQ(memcmp(buf, "hello world!?", 13), 0);
	close(fd);
}

enum { WRITERS = 32, WRITES = 20, PIECE = 4096 };

static void *writes_on(void *arg)
{
	char piece[PIECE];

	memset(piece, 'x', PIECE);
	for (int i = 0; i < WRITES; i++)
		CHECK_EQ(gstk_file_write((int)(long)arg, piece, PIECE, -1), PIECE);
	return NULL;
}

/* Each gets a place of its own. */
FILE_TEST(many_write_at_the_current_position_and_nothing_is_lost)
{
	char name[128];
	long fd = gstk_file_open(AT_FDCWD, name_of(name, "many", 0), O_RDWR | O_CREAT, 0600);
	gstk_task *t[WRITERS];
	struct stat st;

	for (int i = 0; i < WRITERS; i++)
		t[i] = start(writes_on, (void *)fd);
	for (int i = 0; i < WRITERS; i++)
		finish(t[i]);
	CHECK_EQ(fstat((int)fd, &st), 0);
	CHECK_EQ(st.st_size, WRITERS * WRITES * PIECE);
	CHECK_EQ(lseek((int)fd, 0, SEEK_CUR), st.st_size);
	close((int)fd);
}

static _Atomic int seen[WRITERS * WRITES];

static void *reads_on(void *arg)
{
	int piece[PIECE / sizeof(int)];
	ssize_t n;

	while ((n = gstk_file_read((int)(long)arg, piece, PIECE, -1)) > 0) {
		CHECK_EQ(n, PIECE);
		seen[piece[0]]++;
	}
	CHECK_EQ(n, 0);
	return NULL;
}

FILE_TEST(many_read_at_the_current_position_and_each_piece_once)
{
	int piece[PIECE / sizeof(int)] = { 0 };
	gstk_task *t[WRITERS];
	char name[128];
	long fd = open(name_of(name, "read", 0), O_RDWR | O_CREAT, 0600);

	for (piece[0] = 0; piece[0] < WRITERS * WRITES; piece[0]++)
		CHECK_EQ(write((int)fd, piece, PIECE), PIECE);
	for (int round = 0; round < 5; round++) {
		forget((int)fd);
		CHECK_EQ(lseek((int)fd, 0, SEEK_SET), 0);
		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < WRITERS; i++)
			t[i] = start(reads_on, (void *)fd);
		for (int i = 0; i < WRITERS; i++)
			finish(t[i]);
		for (int i = 0; i < WRITERS * WRITES; i++)
			CHECK_EQ(seen[i], 1);
	}
	close((int)fd);
}

static int plain(ssize_t r)
{
	return r < 0 ? -errno : (int)r;
}

FILE_TEST(errors_are_those_of_the_system_calls)
{
	char name[128], long_name[5000], c = 0, *bad = (char *)8;
	int p[2], ro, wo, d = open(dir, O_RDONLY | O_DIRECTORY), o;
	struct iovec wild = { bad, 1 }, many[2] = { { &c, 1 }, { bad, 4096 } }, minus = { &c, SIZE_MAX };

	CHECK_EQ(pipe(p), 0);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	close(open(name_of(name, "e", 0), O_CREAT | O_WRONLY, 0600));
	ro = open(name, O_RDONLY);
	wo = open(name, O_WRONLY);
	o = open(name, O_PATH);
#define SAME(call, expected) \
	do { \
		CHECK_EQ(call, expected); \
	} while (0)
	SAME(gstk_file_open(AT_FDCWD, "/nowhere/at/all", O_RDONLY, 0), plain(open("/nowhere/at/all", O_RDONLY)));
	SAME(gstk_file_open(AT_FDCWD, long_name, O_RDONLY, 0), -ENAMETOOLONG);
	SAME(gstk_file_open(AT_FDCWD, dir, O_WRONLY, 0), -EISDIR);
	SAME(gstk_file_open(ro, "x", O_RDONLY, 0), -ENOTDIR);
	SAME(gstk_file_open(-7, "x", O_RDONLY, 0), -EBADF);
	SAME(gstk_file_open(AT_FDCWD, "", O_RDONLY, 0), -ENOENT);
	SAME(gstk_file_open(AT_FDCWD, NULL, O_RDONLY, 0), -EFAULT);
	SAME(gstk_file_read(-1, &c, 1, 0), -EBADF);
	SAME(gstk_file_read(999999, &c, 1, 0), -EBADF);
	SAME(gstk_file_read(wo, &c, 1, 0), -EBADF);
	SAME(gstk_file_read(o, &c, 1, 0), -EBADF);
	SAME(gstk_file_read(d, &c, 1, 0), -EISDIR);
	SAME(gstk_file_read(p[0], &c, 1, 0), -ESPIPE);
	SAME(gstk_file_write(p[1], &c, 1, 0), -ESPIPE);
	SAME(gstk_file_write(ro, &c, 1, 0), -EBADF);
	SAME(gstk_file_write(wo, bad, 4096, 0), -EFAULT);
	SAME(gstk_file_write(wo, &c, SIZE_MAX, 0), -EFAULT);
	SAME(gstk_file_read(ro, &c, SIZE_MAX, 0), -EFAULT);
	SAME(gstk_file_writev(wo, &wild, 1, 0), -EFAULT);
	SAME(gstk_file_writev(wo, &minus, 1, 0), -EINVAL);
	SAME(gstk_file_writev(wo, many, 2, 0), plain(pwritev(wo, many, 2, 0)));
	SAME(gstk_file_writev(wo, many, -1, 0), -EINVAL);
	SAME(gstk_file_writev(wo, NULL, 1, 0), -EFAULT);
	SAME(gstk_file_readv(ro, NULL, 1, 0), -EFAULT);
	SAME(gstk_file_writev(wo, many, IOV_MAX + 1, 0), -EINVAL);
	SAME(gstk_file_readv(ro, many, IOV_MAX + 1, 0), -EINVAL);
	SAME(gstk_file_writev(wo, NULL, 0, 0), plain(pwritev(wo, NULL, 0, 0)));
	if (!EMULATED()) /* which does not look at the descriptor */
		SAME(gstk_file_readv(wo, NULL, 0, 0), plain(preadv(wo, NULL, 0, 0)));
	SAME(gstk_file_write(wo, &c, 1, INT64_MAX), plain(pwrite(wo, &c, 1, INT64_MAX)));
	SAME(gstk_file_sync(p[0], false), -EINVAL);
	SAME(gstk_file_sync(o, true), -EBADF);
	SAME(gstk_file_sync(-1, true), -EBADF);
	close(d);
	close(ro);
	close(wo);
	close(o);
	close(p[0]);
	close(p[1]);
}

/* ---- what waits for long ---- */

static _Atomic int came_back;

static void *opens_fifo(void *arg)
{
	char name[128];
	long fd = gstk_file_open(AT_FDCWD, name_of(name, "fifo", 0), (int)(long)arg, 0);

	came_back++;
	return (void *)fd;
}

static void make_fifo(void)
{
	char name[128];

	CHECK_EQ(mkfifo(name_of(name, "fifo", 0), 0600), 0);
}

FILE_TEST(a_fifo_is_open_when_the_other_side_comes)
{
	gstk_task *r, *w;
	int in, out;
	char c;

	make_fifo();
	r = start(opens_fifo, (void *)O_RDONLY);
	settle();
	CHECK_EQ(came_back, 0);
	w = start(opens_fifo, (void *)O_WRONLY);
	in = (int)finish(r);
	out = (int)finish(w);
	CHECK(in >= 0 && out >= 0);
	CHECK_EQ(fcntl(in, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(write(out, "x", 1), 1);
	CHECK_EQ(read(in, &c, 1), 1);
	close(in);
	close(out);
}

static void *opens_fifo_with_deadline(void *arg)
{
	CHECK_EQ(gstk_deadline_set(gstk_now() + 20 * MS), 0);
	return opens_fifo(arg);
}

static void stopped(void)
{
	gstk_task *t[20];

	if (!by_ring())
		return;
	make_fifo();
	for (int i = 0; i < 20; i++)
		t[i] = start(i % 2 ? opens_fifo : opens_fifo_with_deadline, (void *)O_RDONLY);
	settle();
	for (int i = 1; i < 20; i += 2)
		gstk_cancel(t[i]);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(finish(t[i]), i % 2 ? -ECANCELED : -ETIMEDOUT);
	CHECK_EQ(now_().file_pool_calls, 0);
}

TEST(a_cancel_and_a_deadline_stop_what_the_kernel_is_at_with_one_worker)
{
	with_way("uring", 1, stopped);
}

TEST(a_cancel_and_a_deadline_stop_what_the_kernel_is_at_with_two_workers)
{
	with_way("uring", 2, stopped);
}

/* Stops the process and lets it go on, as a shell does: the kernel's threads give up what they were at (EINTR). */
static void stop_and_continue(pid_t pid, int times)
{
	for (int i = 0; i < times; i++) {
		kill(pid, SIGSTOP);
		usleep(5000);
		kill(pid, SIGCONT);
		usleep(5000);
	}
}

static void stopped_by_signal(void)
{
	gstk_task *t[10];
	int status, out;
	pid_t pid;

	if (!by_ring())
		return;
	make_fifo();
	for (int i = 0; i < 10; i++)
		t[i] = start(opens_fifo, (void *)O_RDONLY);
	settle();
	pid = fork();
	if (!pid) {
		stop_and_continue(getppid(), 20);
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG))
		gstk_sleep(MS);
	settle();
	CHECK_EQ(came_back, 0);
	for (int i = 1; i < 10; i++)
		gstk_cancel(t[i]);
	for (int i = 1; i < 10; i++)
		CHECK_EQ(finish(t[i]), -ECANCELED);
	out = (int)(long)opens_fifo((void *)O_WRONLY);
	CHECK(out >= 0);
	close((int)finish(t[0]));
	close(out);
	CHECK_EQ(now_().file_pool_calls, 0);
}

TEST(a_process_that_was_stopped_goes_on_with_what_the_kernel_was_at)
{
	with_way("uring", 1, stopped_by_signal);
}

static void left_behind(void)
{
	if (!by_ring())
		return;
	make_fifo();
	for (int i = 0; i < 20; i++)
		CHECK_EQ(gstk_spawn(NULL, opens_fifo, (void *)O_RDONLY, NULL), 0);
	settle();
}

TEST(what_main_leaves_in_flight_is_stopped)
{
	with_way("uring", 2, left_behind);
}

/* ---- cancelled at any moment ---- */

enum { BLOCKS = 64, BLOCK = 4096 };

static int data_fd;
static _Atomic bool over;

static void *reads_and_is_canceled(void *arg)
{
	uint32_t seed = (uint32_t)(long)arg + 1;
	long canceled = 0;
	char buf[BLOCK];

	while (!over) {
		long at = (long)(rnd(&seed) % BLOCKS);
		ssize_t n;

		posix_fadvise(data_fd, at * BLOCK, BLOCK, POSIX_FADV_DONTNEED);
		memset(buf, 1, sizeof(buf));
		n = rnd(&seed) % 4 ? gstk_file_read(data_fd, buf, BLOCK, at * BLOCK)
				   : gstk_file_write(data_fd, memset(buf, (int)at + 2, BLOCK), BLOCK, at * BLOCK);
		if (n == -ECANCELED) {
			gstk_cancel_clear();
			canceled++;
		} else {
			CHECK_EQ(n, BLOCK);
			for (int i = 0; i < BLOCK; i += 512)
				CHECK_EQ(buf[i], (char)(at + 2));
		}
		/* Nobody writes into it any more. */
		memset(buf, 0x55, sizeof(buf));
		gstk_yield();
		for (int i = 0; i < BLOCK; i++)
			CHECK_EQ(buf[i], 0x55);
	}
	return (void *)canceled;
}

FILE_TEST(after_a_cancel_nobody_writes_into_the_buffer)
{
	enum { N = 24 };
	gstk_task *t[N];
	char block[BLOCK], name[128];
	uint64_t end;
	uint32_t seed = 7;

	data_fd = open(name_of(name, "data", 0), O_RDWR | O_CREAT, 0600);
	for (int i = 0; i < BLOCKS; i++)
		CHECK_EQ(pwrite(data_fd, memset(block, i + 2, BLOCK), BLOCK, i * BLOCK), BLOCK);
	fsync(data_fd);
	over = false;
	for (long i = 0; i < N; i++)
		t[i] = start(reads_and_is_canceled, (void *)i);
	for (end = gstk_now() + scaled(1000) * MS; gstk_now() < end;) {
		gstk_cancel(t[rnd(&seed) % N]);
		gstk_sleep(rnd(&seed) % 200000);
	}
	over = true;
	for (int i = 0; i < N; i++)
		finish(t[i]);
	close(data_fd);
}

TEST_HARNESS_MAIN
