// SPDX-License-Identifier: MIT
/* examples/echo as a program: many connections, what was sent comes back, each to its sender. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "wait_test.h"

FIXTURE(echo) {
	pid_t pid;
	struct sockaddr_in at;
};

/* The program beside this test: build/test/lib/echo_test. */
static void exec_echo(const char *addr)
{
	char exe[300];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 20);

	exe[n > 0 ? n : 0] = 0;
	for (int i = 0; i < 3 && strrchr(exe, '/'); i++)
		*strrchr(exe, '/') = 0;
	strcat(exe, "/bin/echo");
	execl(exe, "echo", addr, (char *)NULL);
	_exit(127);
}

FIXTURE_SETUP(echo)
{
	socklen_t len = sizeof(self->at);
	char addr[40], line[100];
	int fds[2], probe;

	/* A port that is free at the moment. */
	self->at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	probe = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(probe, (void *)&self->at, len));
	ASSERT_EQ(0, getsockname(probe, (void *)&self->at, &len));
	close(probe);
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", ntohs(self->at.sin_port));
	ASSERT_EQ(0, pipe(fds));
	self->pid = fork();
	if (!self->pid) {
		alarm(100);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		exec_echo(addr);
	}
	close(fds[1]);
	ASSERT_LT(0, read(fds[0], line, sizeof(line))); /* "listening" */
	close(fds[0]);
}

FIXTURE_TEARDOWN(echo)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
}

static int dial(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(connect(fd, (const void *)at, sizeof(*at)), 0);
	return fd;
}

static void read_all(int fd, char *p, size_t n)
{
	while (n) {
		ssize_t r = read(fd, p, n);

		CHECK(r > 0);
		p += r;
		n -= (size_t)r;
	}
}

TEST_F(echo, each_of_many_connections_gets_back_what_it_sent)
{
	int fd[200];
	char out[64], in[64];

	for (int i = 0; i < 200; i++)
		fd[i] = dial(&self->at);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 200; i++) {
			int n = snprintf(out, sizeof(out), "%d says %d", i, round);

			ASSERT_EQ(n, write(fd[i], out, (size_t)n));
		}
		for (int i = 199; i >= 0; i--) {
			int n = snprintf(out, sizeof(out), "%d says %d", i, round);

			read_all(fd[i], in, (size_t)n);
			ASSERT_EQ(0, memcmp(in, out, (size_t)n));
		}
	}
	for (int i = 0; i < 200; i++)
		close(fd[i]);
}

/* Larger than the buffers of sockets: server and client both have to wait. */
TEST_F(echo, a_megabyte_comes_back_whole)
{
	size_t size = 1 << 20, sent = 0, got = 0;
	char *out = malloc(size), *in = malloc(size);
	int fd = dial(&self->at);
	uint32_t s = 1;

	for (size_t i = 0; i < size; i++)
		out[i] = (char)rnd(&s);
	while (got < size) {
		struct pollfd p = { fd, (short)(POLLIN | (sent < size ? POLLOUT : 0)), 0 };
		ssize_t n;

		ASSERT_EQ(1, poll(&p, 1, 20000));
		if (p.revents & POLLOUT && (n = send(fd, out + sent, size - sent, MSG_DONTWAIT)) > 0)
			sent += (size_t)n;
		if (p.revents & POLLIN) {
			n = recv(fd, in + got, size - got, MSG_DONTWAIT);
			ASSERT_LT(0, n);
			got += (size_t)n;
		}
	}
	EXPECT_EQ(0, memcmp(in, out, size));
	close(fd);
}

TEST_F(echo, a_client_that_resets_harms_nobody_else)
{
	struct linger hard = { 1, 0 };
	int good = dial(&self->at);
	char c = 0;

	for (int i = 0; i < 50; i++) {
		int fd = dial(&self->at);

		ASSERT_EQ(3, write(fd, "bye", 3));
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd);
	}
	ASSERT_EQ(1, write(good, "x", 1));
	read_all(good, &c, 1);
	EXPECT_EQ('x', c);
	EXPECT_EQ(0, waitpid(self->pid, NULL, WNOHANG));
	close(good);
}

TEST_HARNESS_MAIN
