// SPDX-License-Identifier: MIT
/* The interposed calls on sockets and pipes, and sleeping, as plain libc calls inside tasks. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "preload_test.h"

static void *echo_bytes(void *arg)
{
	int fd = (int)(long)arg;
	char buf[1000];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		CHECK_EQ(write(fd, buf, (size_t)n), n);
	CHECK_EQ(n, 0);
	close(fd);
	return NULL;
}

/* With one worker a read that blocks would stop the one who is to write. */
WAIT_TEST(a_blocking_read_parks_its_task_only)
{
	gstk_task *t;
	char buf[100];
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	t = start(echo_bytes, (void *)(long)p[0]);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(send(p[1], "hello", 5, 0), 5);
		CHECK_EQ(recv(p[1], buf, 5, MSG_WAITALL), 5);
		CHECK_EQ(memcmp(buf, "hello", 5), 0);
	}
	CHECK_EQ(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0); /* for the application it is as it was */
	shutdown(p[1], SHUT_WR);
	finish(t);
	CHECK_EQ(read(p[1], buf, 1), 0);
	close(p[1]);
}

static void *sleeper(void *arg)
{
	struct timespec ts = { 0, 300 * (long)MS }, abs;
	long kind = (long)arg % 5;

	if (kind == 0)
		CHECK_EQ(usleep(300000), 0);
	else if (kind == 1)
		CHECK_EQ(nanosleep(&ts, NULL), 0);
	else if (kind == 2)
		CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL), 0);
	else if (kind == 3)
		CHECK_EQ(sleep(1), 0u);
	else {
		clock_gettime(CLOCK_REALTIME, &abs);
		abs.tv_nsec += ts.tv_nsec;
		abs.tv_sec += abs.tv_nsec / 1000000000;
		abs.tv_nsec %= 1000000000;
		CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &abs, NULL), 0);
	}
	return NULL;
}

/* One after another they would take 88 s on one worker. */
WAIT_TEST(two_hundred_sleeps_take_the_time_of_the_longest)
{
	uint64_t from = gstk_now();

	all_of(200, sleeper);
	CHECK(gstk_now() - from >= 1000 * MS);
	CHECK(gstk_now() - from < 20000 * MS);
}

WAIT_TEST(sleeps_that_make_no_sense_are_refused)
{
	struct timespec ts = { 0, 1000000000 };

	CHECK_EQ(nanosleep(&ts, NULL), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL), EINVAL);
	CHECK_EQ(clock_nanosleep(99, 0, &ts, NULL), EINVAL);
}

static void *write_much(void *arg)
{
	int fd = (int)(long)arg;
	size_t size = 3000000;
	char *p = malloc(size);
	struct iovec iov[3] = { { p, 1000000 }, { NULL, 0 }, { p + 1000000, 2000000 } };

	for (size_t i = 0; i < size; i++)
		p[i] = (char)(i * 7 >> 3);
	CHECK_EQ(write(fd, p, size), (ssize_t)size); /* all of it, as a blocking write does */
	CHECK_EQ(writev(fd, iov, 3), (ssize_t)size);
	free(p);
	close(fd);
	return NULL;
}

static void read_much(int out, int in)
{
	gstk_task *t = start(write_much, (void *)(long)in);
	static char buf[70000];
	size_t got = 0;
	ssize_t n;

	while ((n = read(out, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++, got++)
			CHECK_EQ(buf[i], (char)(got % 3000000 * 7 >> 3));
	CHECK_EQ(n, 0);
	CHECK_EQ(got, 6000000);
	finish(t);
	close(out);
}

WAIT_TEST(a_write_waits_until_all_is_written)
{
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	read_much(p[0], p[1]);
	CHECK_EQ(pipe(p), 0);
	read_much(p[0], p[1]);
}

WAIT_TEST(a_non_blocking_descriptor_stays_so)
{
	char c[100000] = { 0 };
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p), 0);
	CHECK_EQ(read(p[0], c, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(recv(p[0], c, 1, 0), -1);
	CHECK_EQ(errno, EAGAIN);
	while (write(p[0], c, sizeof(c)) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
	CHECK(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	close(p[0]);
	close(p[1]);
	CHECK_EQ(pipe2(p, O_NONBLOCK), 0);
	CHECK_EQ(read(p[0], c, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	close(p[0]);
	close(p[1]);
	/* And one call that does not want to wait on one that would. */
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(recv(p[0], c, 1, MSG_DONTWAIT), -1);
	CHECK_EQ(errno, EAGAIN);
	close(p[0]);
	close(p[1]);
}

WAIT_TEST(timeouts_of_a_socket_are_kept)
{
	struct timeval tv = { 0, 20000 };
	char c[100000] = { 0 };
	uint64_t from;
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_EQ(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	from = gstk_now();
	CHECK_EQ(read(p[0], c, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK(gstk_now() - from >= 20 * MS);
	from = gstk_now();
	while (send(p[0], c, sizeof(c), 0) > 0)
		; /* a part is what it got rid of in its time */
	CHECK_EQ(errno, EAGAIN);
	CHECK(gstk_now() - from >= 20 * MS);
	close(p[0]);
	close(p[1]);
}

static struct sockaddr_in tcp_at;

static void *accept_some(void *arg)
{
	for (int i = 0; i < 20; i++) {
		int fd = i % 2 ? accept((int)(long)arg, NULL, NULL) : accept4((int)(long)arg, NULL, NULL, SOCK_CLOEXEC);

		CHECK(fd >= 0);
		CHECK_EQ(write(fd, "x", 1), 1);
		close(fd);
	}
	return NULL;
}

static void *connect_some(void *arg)
{
	char c;

	for (int i = 0; i < 10; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		CHECK_EQ(connect(fd, (struct sockaddr *)&tcp_at, sizeof(tcp_at)), 0);
		CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		CHECK_EQ(read(fd, &c, 1), 1);
		CHECK_EQ(read(fd, &c, 1), 0);
		close(fd);
	}
	return NULL;
}

static int tcp_listener(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(tcp_at);

	tcp_at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK_EQ(bind(fd, (struct sockaddr *)&tcp_at, len), 0);
	CHECK_EQ(listen(fd, 100), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&tcp_at, &len), 0);
	return fd;
}

WAIT_TEST(connections_are_made_and_accepted)
{
	int fd = tcp_listener(), none;
	struct timeval tv = { 0, 20000 };
	gstk_task *t[2];

	t[0] = start(accept_some, (void *)(long)fd);
	t[1] = start(accept_some, (void *)(long)fd);
	all_of(4, connect_some);
	finish(t[0]);
	finish(t[1]);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_EQ(accept(fd, NULL, NULL), -1);
	CHECK_EQ(errno, EAGAIN);
	close(fd);
	none = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(none, (struct sockaddr *)&tcp_at, sizeof(tcp_at)), -1);
	CHECK_EQ(errno, ECONNREFUSED);
	close(none);
}

static void *accept_late(void *arg)
{
	usleep(30000);
	for (int i = 0; i < 6; i++)
		CHECK(accept((int)(long)arg, NULL, NULL) >= 0);
	return NULL;
}

WAIT_TEST(a_connect_waits_for_room_in_the_backlog_of_a_unix_listener)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	gstk_task *t;

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "gstk-preload-%d", getpid());
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(listen(fd, 0), 0);
	t = start(accept_late, (void *)(long)fd);
	for (int i = 0; i < 6; i++) {
		int c = socket(AF_UNIX, SOCK_STREAM, 0);

		CHECK_EQ(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	finish(t);
	close(fd);
}

static void *send_datagrams(void *arg)
{
	int fd = (int)(long)arg;
	char buf[100] = { 0 };

	for (int i = 0; i < 2000; i++) { /* more than the peer's queue holds */
		buf[0] = (char)i;
		CHECK_EQ(send(fd, buf, (size_t)(i % 50 + 1), 0), i % 50 + 1);
	}
	return NULL;
}

WAIT_TEST(datagrams_keep_their_boundaries_and_wait_for_a_full_queue)
{
	struct mmsghdr many[3];
	struct iovec iov[3];
	char buf[3][100];
	gstk_task *t;
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
	t = start(send_datagrams, (void *)(long)p[1]);
	usleep(5000);
	for (int i = 0; i < 2000; i++) {
		CHECK_EQ(recv(p[0], buf[0], 100, i % 2 ? MSG_WAITALL : 0), i % 50 + 1);
		CHECK_EQ(buf[0][0], (char)i);
	}
	finish(t);
	t = start(send_datagrams, (void *)(long)p[1]);
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){ buf[i], 100 };
		many[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	CHECK_EQ(recvmmsg(p[0], many, 3, 0, NULL), 3);
	CHECK_EQ(many[2].msg_len, 3);
	for (int i = 3; i < 2000; i++)
		CHECK_EQ(read(p[0], buf[0], 100), i % 50 + 1);
	finish(t);
	close(p[0]);
	close(p[1]);
}

static void *read_eventfd(void *arg)
{
	uint64_t n = 0;

	CHECK_EQ(read((int)(long)arg, &n, sizeof(n)), (ssize_t)sizeof(n));
	return (void *)(long)n;
}

WAIT_TEST(what_is_neither_socket_nor_pipe_is_read_the_same_way)
{
	uint64_t n = 3;
	int fd = eventfd(0, 0);
	gstk_task *t = start(read_eventfd, (void *)(long)fd);

	usleep(5000);
	CHECK_EQ(write(fd, &n, sizeof(n)), (ssize_t)sizeof(n));
	CHECK_EQ(finish(t), 3);
	close(fd);
}

static _Atomic int timed_out;

static void *read_canceled(void *arg)
{
	struct timespec ts = { 100, 0 }, left = { 0 };
	char c;

	CHECK_EQ(read((int)(long)arg, &c, 1), -1);
	CHECK_EQ(errno, ECANCELED);
	CHECK_EQ(nanosleep(&ts, &left), -1);
	CHECK_EQ(errno, ECANCELED);
	CHECK(left.tv_sec >= 80);
	CHECK(gstk_cancel_clear());
	gstk_deadline_set(gstk_now() + 2 * MS);
	CHECK_EQ(read((int)(long)arg, &c, 1), -1);
	CHECK_EQ(errno, ETIMEDOUT);
	gstk_deadline_set(GSTK_NEVER);
	atomic_store(&timed_out, 1);
	CHECK_EQ(read((int)(long)arg, &c, 1), 1);
	return NULL;
}

WAIT_TEST(cancel_and_deadline_are_errors_of_the_call)
{
	gstk_task *t;
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	t = start(read_canceled, (void *)(long)p[0]);
	usleep(5000);
	gstk_cancel(t);
	wait_for_flag(&timed_out);
	CHECK_EQ(write(p[1], "x", 1), 1);
	finish(t);
	close(p[0]);
	close(p[1]);
}

static void *read_closed(void *arg)
{
	char c;

	CHECK_EQ(read((int)(long)arg, &c, 1), -1);
	CHECK_EQ(errno, EBADF);
	return NULL;
}

WAIT_TEST(closing_a_descriptor_ends_the_calls_on_it_and_its_number_can_come_again)
{
	int p[2], q[2];
	gstk_task *t;

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
		t = start(read_closed, (void *)(long)p[0]);
		usleep(2000);
		CHECK_EQ(close(p[0]), 0);
		finish(t);
		close(p[1]);
		/* Others' calls, which nobody sees, close too. */
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
		t = start(echo_bytes, (void *)(long)p[0]);
		CHECK_EQ(write(p[1], "x", 1), 1);
		CHECK_EQ(read(p[1], &(char){ 0 }, 1), 1);
		shutdown(p[1], SHUT_WR);
		finish(t);
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, q), 0);
		fclose(fdopen(p[1], "r"));
		close(q[0]);
		close(q[1]);
	}
	CHECK_EQ(close(999999), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(read(999999, p, 1), -1);
	CHECK_EQ(errno, EBADF);
}

/* Its close is of its own descriptors, though it has our memory. */
WAIT_TEST(a_vfork_child_closes_nothing_of_its_parent)
{
	gstk_task *t;
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	t = start(echo_bytes, (void *)(long)p[0]);
	usleep(3000);
	if (!vfork()) {
		close(p[0]);
		_exit(0);
	}
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(read(p[1], &(char){ 0 }, 1), 1);
	shutdown(p[1], SHUT_WR);
	finish(t);
	close(p[1]);
}

static _Atomic bool child_gone;

static void *stays_at_home(void *arg)
{
	while (!child_gone) {
		CHECK_EQ((long)getpid(), (long)arg);
		gstk_yield();
	}
	return NULL;
}

/* What would park a task, there: no task of the parent may run in its child. */
WAIT_TEST(a_vfork_child_waits_in_the_kernel)
{
	gstk_task *t = start(stays_at_home, (void *)(long)getpid());
	int status, fd;
	pid_t pid;

	child_gone = false;
	usleep(1000);
	pid = vfork();
	if (!pid) {
		fd = open("/dev/null", O_WRONLY);
		usleep(20000);
		_exit(fd >= 0 && write(fd, "x", 1) == 1 && !close(fd) ? 7 : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 7 << 8);
	usleep(1000); /* and afterwards it parks the task again */
	child_gone = true;
	finish(t);
}

static int thread_pair[2];

static void *thread_reads(void *arg)
{
	char buf[4];

	/* Not a task: this thread blocks, as it always did. */
	CHECK_EQ(gstk_self() == NULL, 1);
	CHECK_EQ(recv(thread_pair[0], buf, 4, MSG_WAITALL), 4);
	usleep(1000);
	CHECK_EQ(write(thread_pair[0], buf, 4), 4);
	return NULL;
}

WAIT_TEST(outside_of_tasks_the_calls_are_the_originals)
{
	pthread_t th;
	char buf[4];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, thread_pair), 0);
	CHECK_EQ(pthread_create(&th, NULL, thread_reads, NULL), 0);
	CHECK_EQ(write(thread_pair[1], "ab", 2), 2);
	usleep(2000);
	CHECK_EQ(write(thread_pair[1], "cd", 2), 2);
	CHECK_EQ(recv(thread_pair[1], buf, 4, MSG_WAITALL), 4);
	CHECK_EQ(memcmp(buf, "abcd", 4), 0);
	CHECK_EQ(pthread_join(th, NULL), 0);
	close(thread_pair[0]);
	close(thread_pair[1]);
}

static volatile sig_atomic_t handled;
static int handler_pipe[2];

static void handler(int sig)
{
	char c;
	struct timespec ts = { 0, 1000000 };

	nanosleep(&ts, NULL);
	handled = (int)read(handler_pipe[0], &c, 1);
}

/* On the worker's signal stack, where nobody may park. */
WAIT_TEST(in_a_signal_handler_the_calls_are_the_originals)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	handled = 0;
	CHECK_EQ(pipe(handler_pipe), 0);
	CHECK_EQ(write(handler_pipe[1], "x", 1), 1);
	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	raise(SIGUSR1);
	CHECK_EQ(handled, 1);
	close(handler_pipe[0]);
	close(handler_pipe[1]);
}

/* In a shared window, moved away at each wait where the variant says so: buffers on the stack. */
static void *shared_echo(void *arg)
{
	int fd = (int)(long)arg;
	char buf[100];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		CHECK_EQ(writev(fd, &(struct iovec){ buf, (size_t)n }, 1), n);
	return NULL;
}

WAIT_TEST(a_task_that_opts_into_sharing_may_call_them_too)
{
	gstk_task *t[20];
	int p[20][2];
	char c;

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p[i]), 0);
		CHECK_EQ(gstk_spawn(&t[i], shared_echo, (void *)(long)p[i][0],
				    GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_SHARED)), 0);
	}
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 20; i++)
			CHECK_EQ(write(p[i][1], &(char){ (char)i }, 1), 1);
		for (int i = 0; i < 20; i++) {
			CHECK_EQ(read(p[i][1], &c, 1), 1);
			CHECK_EQ(c, i);
		}
	}
	for (int i = 0; i < 20; i++) {
		close(p[i][1]);
		finish(t[i]);
		close(p[i][0]);
	}
}

/* Its stack is private although nobody asked: a library hands out pointers into it. */
static void *hands_out_a_local(void *arg)
{
	int local = 0;
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, arg, &local, NULL), 0);
	finish(t);
	return (void *)(long)local;
}

static void *sets_to_seven(void *arg)
{
	*(int *)arg = 7;
	return NULL;
}

WAIT_TEST(tasks_are_private_unless_they_opt_into_sharing)
{
	CHECK_EQ(finish(start(hands_out_a_local, (void *)sets_to_seven)), 7);
}

TEST_HARNESS_MAIN
