// SPDX-License-Identifier: MIT
/* The interposed calls on files, names and children: those that wait on another thread, or look again. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "preload_test.h"

static char dir[64];

static const char *path(const char *name)
{
	static __thread char p[128];

	snprintf(p, sizeof(p), "%s/%s", dir, name);
	return p;
}

static void dir_new(void)
{
	strcpy(dir, "/tmp/gstk-preload-XXXXXX");
	CHECK(mkdtemp(dir));
}

static void dir_remove(void)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
}

static void *open_to_read(void *arg)
{
	int fd = open(path("fifo"), O_RDONLY);
	char c;

	CHECK(fd >= 0);
	CHECK_EQ(read(fd, &c, 1), 1);
	close(fd);
	return (void *)(long)c;
}

/* An open that waits for the other side, which with one worker would never come. */
WAIT_TEST(opening_a_fifo_parks_its_task_only)
{
	gstk_task *t;
	int fd;

	dir_new();
	CHECK_EQ(mkfifo(path("fifo"), 0600), 0);
	t = start(open_to_read, NULL);
	usleep(3000);
	fd = open(path("fifo"), O_WRONLY);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(finish(t), 'x');
	close(fd);
	dir_remove();
}

/* The compiler keeps errno's address, and a task in a shared window changes threads. */
static __attribute__((noinline)) int errno_now(void)
{
	return errno;
}

/* With its buffers on its stack, which may be moved away meanwhile. */
static void *use_file(void *arg)
{
	char name[128], buf[3000], back[3000];
	struct iovec iov[2] = { { back, 1000 }, { back + 1000, 2000 } };
	int fd;

	snprintf(name, sizeof(name), "%s/file%ld", dir, (long)arg);
	memset(buf, 'a' + (int)((long)arg % 26), sizeof(buf));
	fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
	CHECK(fd >= 0);
	CHECK_EQ(open(name, O_RDWR | O_CREAT | O_EXCL, 0640), -1);
	CHECK_EQ(errno_now(), EEXIST);
	CHECK_EQ(write(fd, buf, sizeof(buf)), (ssize_t)sizeof(buf));
	CHECK_EQ(pwrite(fd, buf, 100, 3000), 100);
	CHECK_EQ(fsync(fd), 0);
	CHECK_EQ(fdatasync(fd), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* not in the cache any more, where that works */
	memset(back, 0, sizeof(back));
	CHECK_EQ(pread(fd, back, sizeof(back), 0), (ssize_t)sizeof(back));
	CHECK_EQ(memcmp(buf, back, sizeof(buf)), 0);
	CHECK_EQ(pread(fd, back, 1000, 3050), 50);
	CHECK_EQ(pread(fd, back, 1000, 4000), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3000);
	lseek(fd, 0, SEEK_SET);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	memset(back, 0, sizeof(back));
	CHECK_EQ(readv(fd, iov, 2), (ssize_t)sizeof(back));
	CHECK_EQ(memcmp(buf, back, sizeof(buf)), 0);
	CHECK_EQ(read(fd, back, sizeof(back)), 100);
	CHECK_EQ(read(fd, back, sizeof(back)), 0);
	CHECK_EQ(pwritev(fd, iov, 2, 0), 3000);
	CHECK_EQ(preadv(fd, iov, 2, 0), 3000);
	close(fd);
	CHECK_EQ(pread(999999, back, 1, 0), -1);
	CHECK_EQ(errno_now(), EBADF);
	CHECK_EQ(fsync(999999), -1);
	CHECK_EQ(errno_now(), EBADF);
	fd = openat(AT_FDCWD, name, O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), -1);
	CHECK_EQ(errno_now(), EBADF);
	close(fd);
	return NULL;
}

WAIT_TEST(files_are_read_written_and_synced)
{
	gstk_task *t[30];
	struct stat st;

	dir_new();
	umask(0);
	for (long i = 0; i < 30; i++)
		CHECK_EQ(gstk_spawn(&t[i], use_file, (void *)i,
				    GSTK_OPTS(gstk_spawn_opts, .flags = i % 2 ? GSTK_SHARED : 0)), 0);
	for (int i = 0; i < 30; i++)
		finish(t[i]);
	CHECK_EQ(stat(path("file7"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0640);
	CHECK_EQ(st.st_size, 3100);
	dir_remove();
}

/* As libraries have it: a buffer of the thread, which the next call overwrites. */
static void *open_by_name(void *arg)
{
	for (long i = 0; i < 20; i++) {
		char want[200], got[200], link[40];
		ssize_t n;
		int fd;

		snprintf(want, sizeof(want), "%s/%ld-%ld", dir, (long)arg, i);
		fd = open(path(want + strlen(dir) + 1), O_RDWR | O_CREAT, 0600);
		CHECK(fd >= 0);
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, got, sizeof(got) - 1);
		CHECK(n > 0);
		got[n] = 0;
		CHECK_EQ(strcmp(want, got), 0);
		close(fd);
	}
	return NULL;
}

WAIT_TEST(a_name_is_taken_when_open_is_called)
{
	dir_new();
	all_of(20, open_by_name);
	dir_remove();
}

static long in_line;

/* @arg: 0 flock, 1 the lock of an open file; each by a descriptor of its own. */
static void *lock_file(void *arg)
{
	int fd = open(path("lock"), O_RDWR | O_CREAT, 0600);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	long was;

	CHECK(fd >= 0);
	if (arg)
		CHECK_EQ(fcntl(fd, F_OFD_SETLKW, &l), 0);
	else
		CHECK_EQ(flock(fd, LOCK_EX), 0);
	was = in_line;
	usleep(2000);
	in_line = was + 1;
	l.l_type = F_UNLCK;
	if (arg)
		CHECK_EQ(fcntl(fd, F_OFD_SETLK, &l), 0);
	else
		CHECK_EQ(flock(fd, LOCK_UN), 0);
	close(fd);
	return NULL;
}

static void *lock_canceled(void *arg)
{
	CHECK_EQ(flock((int)(long)arg, LOCK_SH), -1);
	CHECK_EQ(errno, ECANCELED);
	return NULL;
}

WAIT_TEST(file_locks_wait_for_each_other)
{
	struct flock mine = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	gstk_task *t[10];
	int fd, other, status, p[2];
	pid_t pid;
	char c;

	dir_new();
	for (long kind = 0; kind < 2; kind++) {
		in_line = 0;
		for (int i = 0; i < 10; i++)
			t[i] = start(lock_file, (void *)kind);
		for (int i = 0; i < 10; i++)
			finish(t[i]);
		CHECK_EQ(in_line, 10);
	}
	fd = open(path("lock"), O_RDWR);
	CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
	other = open(path("lock"), O_RDWR);
	t[0] = start(lock_canceled, (void *)(long)other);
	usleep(10000);
	gstk_cancel(t[0]);
	finish(t[0]);
	close(other);
	/* The classic ones are a process's. */
	CHECK_EQ(pipe(p), 0);
	pid = fork();
	if (!pid) {
		fd = open(path("lock"), O_RDWR);
		fcntl(fd, F_SETLKW, &mine);
		if (write(p[1], "x", 1) != 1)
			_exit(1);
		usleep(50000);
		_exit(0);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(lockf(fd, F_LOCK, 0), 0);
	CHECK_EQ(fcntl(fd, F_SETLKW, &mine), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	close(fd);
	close(p[0]);
	close(p[1]);
	dir_remove();
}

static void *have_child(void *arg)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		usleep(1000000);
		_exit((int)(long)arg);
	}
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), (long)arg);
	CHECK_EQ(waitpid(pid, &status, 0), -1);
	CHECK_EQ(errno, ECHILD);
	return NULL;
}

/* One after another 50 s, on two workers 25. */
WAIT_TEST(children_are_waited_for_while_others_run)
{
	uint64_t from = gstk_now();
	siginfo_t info;
	int status;
	pid_t pid;

	all_of(50, have_child);
	CHECK(gstk_now() - from >= 1000 * MS && gstk_now() - from < 20000 * MS);
	pid = fork();
	if (!pid) {
		usleep(10000);
		_exit(3);
	}
	CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(wait(&status), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
	CHECK_EQ(wait(&status), -1);
	CHECK_EQ(errno, ECHILD);
}

static void *resolve(void *arg)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *res = NULL;
	char name[] = "localhost", port[] = "80", host[100], service[20], none[] = "no such host";
	struct hostent into, *found;
	char buf[1000];
	int herr;

	CHECK_EQ(getaddrinfo(name, port, &hints, &res), 0);
	CHECK_EQ(((struct sockaddr_in *)res->ai_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(((struct sockaddr_in *)res->ai_addr)->sin_port, htons(80));
	CHECK_EQ(getnameinfo(res->ai_addr, res->ai_addrlen, host, sizeof(host), service, sizeof(service), NI_NUMERICSERV), 0);
	CHECK(host[0] && !strcmp(service, "80"));
	freeaddrinfo(res);
	CHECK(getaddrinfo(none, port, &hints, &res) != 0);
	hints.ai_flags = AI_NUMERICHOST;
	CHECK_EQ(getaddrinfo("127.0.0.2", NULL, &hints, &res), 0);
	freeaddrinfo(res);
	found = NULL;
	CHECK_EQ(gethostbyname_r(name, &into, buf, sizeof(buf), &found, &herr), 0);
	CHECK(found == &into && found->h_addrtype == AF_INET);
	CHECK(gethostbyname_r(name, &into, buf, 4, &found, &herr) == ERANGE);
	return NULL;
}

WAIT_TEST(names_are_resolved)
{
	gstk_task *t[20];

	for (int i = 0; i < 20; i++)
		CHECK_EQ(gstk_spawn(&t[i], resolve, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = i % 2 ? GSTK_SHARED : 0)), 0);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	CHECK(gethostbyname("localhost") != NULL);
	CHECK(gethostbyname("no such host") == NULL && h_errno);
}

TEST_HARNESS_MAIN
