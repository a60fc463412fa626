// SPDX-License-Identifier: MIT
/* For tests of the example server: start it, and talk to it in raw bytes. */
#ifndef PUBSUB_WIRE_H
#define PUBSUB_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WIRE_TIMEOUT 20 /* seconds, for any answer; the machine may be busy */

struct wire_server {
	pid_t pid;
	int port, log;
};

/* Start the server on a free port with more options (NULL-terminated); -1 when it does not come up. */
static int wire_start(struct wire_server *s, rlim_t nofile, char *const *more)
{
	char *argv[16] = { PUBSUB_SERVER, "--port=0" }, line[256];
	size_t len = 0;
	int out[2], n = 2;

	while (more && *more && n < 15)
		argv[n++] = *more++;
	if (pipe2(out, O_CLOEXEC))
		return -1;
	s->pid = fork();
	if (!s->pid) {
		struct rlimit rl = { nofile, nofile };

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves no server */
		if (nofile)
			setrlimit(RLIMIT_NOFILE, &rl);
		dup2(out[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	while (len < sizeof(line) - 1 && read(out[0], line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = 0;
	s->log = out[0];
	s->port = strrchr(line, ':') ? atoi(strrchr(line, ':') + 1) : 0;
	return s->port ? 0 : -1;
}

/* Ask it to stop; its exit status, or -1 when it had to be killed. */
static int wire_stop(struct wire_server *s)
{
	int status;

	kill(s->pid, SIGTERM);
	for (int i = 0; i < WIRE_TIMEOUT * 100; i++) {
		if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
			close(s->log);
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		usleep(10000);
	}
	kill(s->pid, SIGKILL);
	waitpid(s->pid, &status, 0);
	return -1;
}

static int wire_connect(const struct wire_server *s)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port) };
	struct timeval tv = { .tv_sec = WIRE_TIMEOUT };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in))) {
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return fd;
}

/* With a time limit it is not begun anew after a process was stopped and goes on. */
static ssize_t wire_recv(int fd, void *p, size_t len, int flags)
{
	ssize_t n;

	do
		n = recv(fd, p, len, flags);
	while (n < 0 && errno == EINTR);
	return n;
}

static bool wire_send_bytes(int fd, const void *p, size_t len)
{
	const char *s = p;

	while (len) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s += n;
		len -= (size_t)n;
	}
	return true;
}

static bool wire_send(int fd, const char *text)
{
	return wire_send_bytes(fd, text, strlen(text));
}

/* A request from words, in one write. */
static bool wire_ask(int fd, int nr, ...)
{
	char text[4096];
	va_list ap;
	int n;

	n = snprintf(text, sizeof(text), "*%d\r\n", nr);
	va_start(ap, nr);
	while (nr--) {
		const char *word = va_arg(ap, const char *);

		n += snprintf(text + n, sizeof(text) - (size_t)n, "$%zu\r\n%s\r\n", strlen(word), word);
		if (n >= (int)sizeof(text))
			abort();
	}
	va_end(ap);
	return wire_send_bytes(fd, text, (size_t)n);
}

/* Exactly @len bytes; false at the end of the stream or after the time limit. */
static bool wire_read(int fd, void *p, size_t len)
{
	char *s = p;

	while (len) {
		ssize_t n = wire_recv(fd, s, len, 0);

		if (n <= 0)
			return false;
		s += n;
		len -= (size_t)n;
	}
	return true;
}

/* The answer must be these bytes. What came instead is left in wire_got. */
static char wire_got[4096];

/* What is there, at most @len bytes of it, left there; 0 at the end of the stream or after the time limit. */
static size_t wire_peek(int fd, char *p, size_t len)
{
	ssize_t n = wire_recv(fd, p, len, MSG_PEEK);

	return n > 0 ? (size_t)n : 0;
}

static bool wire_expect(int fd, const char *want)
{
	size_t len = strlen(want), have = 0, n, same;

	memset(wire_got, 0, sizeof(wire_got));
	if (len >= sizeof(wire_got))
		return false;
	while (have < len) {
		n = wire_peek(fd, wire_got + have, len - have);
		for (same = 0; same < n && wire_got[have + same] == want[have + same]; same++)
			;
		if (!n || !wire_read(fd, wire_got + have, same + (same < n)))
			return false;
		have += same;
		if (same < n) { /* some more, for the report */
			size_t room = sizeof(wire_got) - 2 - have;

			memset(wire_got + have + 1, 0, room + 1);
			recv(fd, wire_got + have + 1, room < 200 ? room : 200, MSG_DONTWAIT);
			return false;
		}
	}
	return true;
}

/* One line without its end. */
static char *wire_line(int fd)
{
	size_t have = 0, n;
	char *end = NULL;

	while (!end && have < sizeof(wire_got) - 1 && (n = wire_peek(fd, wire_got + have, sizeof(wire_got) - 1 - have))) {
		end = memchr(wire_got + have, '\n', n);
		if (end)
			n = (size_t)(end - wire_got) + 1 - have;
		if (!wire_read(fd, wire_got + have, n))
			break;
		have += n;
	}
	if (end)
		have--;
	if (have && wire_got[have - 1] == '\r')
		have--;
	wire_got[have] = 0;
	return wire_got;
}

/* True when the other side has ended the stream (orderly or by a reset). */
static bool wire_ended(int fd)
{
	char c;
	ssize_t n = wire_recv(fd, &c, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* A field of INFO as a number, -1 when it is not there. */
static long long wire_info(const struct wire_server *s, const char *field)
{
	static char text[65536];
	int fd = wire_connect(s);
	char *at, key[64];
	size_t len;

	if (fd < 0 || !wire_ask(fd, 1, "INFO"))
		return -1;
	len = strtoul(wire_line(fd) + 1, NULL, 10);
	if (!len || len >= sizeof(text) || !wire_read(fd, text, len))
		len = 0;
	text[len] = 0;
	close(fd);
	snprintf(key, sizeof(key), "\n%s:", field);
	at = strstr(text, key);
	return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* Wait until a field has a value. */
static bool wire_wait_info(const struct wire_server *s, const char *field, long long want)
{
	for (int i = 0; i < WIRE_TIMEOUT * 50; i++) {
		if (wire_info(s, field) == want)
			return true;
		usleep(20000);
	}
	return false;
}

#endif
