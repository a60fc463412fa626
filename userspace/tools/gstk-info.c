// SPDX-License-Identifier: MIT
/* gstk-info: what a runtime would be on this machine, or what one does in a running process. See gstk-info(1). */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <greenstk.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "../lib/debug/ask.h"

#define PATIENCE_MS 5000

static int usage(FILE *f)
{
	fputs("usage: gstk-info [--version] [[--tasks] PID]\n"
	      "prints configuration, calibration, kernel features, limits and counters as `name value` lines:\n"
	      "of a runtime with the defaults (GREENSTK_WORKERS and the other variables apply as they do to any\n"
	      "program), or of the one in process PID, with --tasks also every task and its frames\n", f);
	return f == stdout ? 0 : 2;
}

/* The signal on which process @pid prints, from the name of the thread that does it; 0: there is none. */
static int signal_of(int pid)
{
	char path[64], name[32];
	struct dirent *e;
	int sig = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return -errno;
	while (!sig && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", pid, e->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && !strncmp(name, GSTK__ASK_THREAD, strlen(GSTK__ASK_THREAD)))
			sig = atoi(name + strlen(GSTK__ASK_THREAD));
		if (f)
			fclose(f);
	}
	closedir(d);
	return sig;
}

static int listen_for_answer(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, GSTK__ASK_SOCKET, getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)n) ||
	    listen(fd, 8)) {
		perror("gstk-info: socket");
		exit(1);
	}
	return fd;
}

/* Whoever else connects is not heard. */
static int accept_from(int listener, int pid)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	struct ucred peer;
	socklen_t len = sizeof(peer);

	while (poll(&p, 1, PATIENCE_MS) > 0) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.pid == pid)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static int ask(int pid, bool tasks)
{
	int sig = signal_of(pid), listener, fd;
	char buf[65536];
	ssize_t n;

	if (sig <= 0) {
		fprintf(stderr, sig == -ENOENT ? "gstk-info: no process %d\n" : sig < 0
			? "gstk-info: process %d: cannot be looked at\n"
			: "gstk-info: process %d has no greenstk runtime that prints on a signal (GREENSTK_DUMP_SIGNAL)\n", pid);
		return 1;
	}
	listener = listen_for_answer();
	if (sigqueue(pid, sig, (union sigval){ .sival_int = (int)(GSTK__ASK | (tasks ? GSTK__ASK_TASKS : 0)) })) {
		fprintf(stderr, "gstk-info: process %d: %s\n", pid, strerror(errno));
		return 1;
	}
	fd = accept_from(listener, pid);
	if (fd < 0) {
		fprintf(stderr, "gstk-info: process %d does not answer (another user's, in another network or pid namespace, or stopped)\n", pid);
		return 1;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			break;
	return n || fflush(stdout) ? 1 : 0;
}

static int own(void)
{
	int err = gstk_init(NULL);

	if (err) {
		fprintf(stderr, "gstk-info: no runtime: %s\n", strerror(-err));
		return 1;
	}
	printf("version %s\n", gstk_version());
	fflush(stdout);
	err = gstk_info(1);
	gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' }, { "tasks", no_argument, NULL, 't' },
		{ "version", no_argument, NULL, 'v' }, { 0 },
	};
	bool tasks = false;
	char *end = NULL;
	long pid;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (c) {
		case 'h':
			return usage(stdout);
		case 't':
			tasks = true;
			break;
		case 'v':
			printf("gstk-info %s\n", gstk_version());
			return 0;
		default:
			return usage(stderr);
		}
	if (optind == argc)
		return tasks ? usage(stderr) : own();
	pid = strtol(argv[optind], &end, 10);
	if (optind + 1 != argc || !*argv[optind] || *end || pid <= 0 || pid > INT32_MAX)
		return usage(stderr);
	return ask((int)pid, tasks);
}
