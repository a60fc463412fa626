// SPDX-License-Identifier: MIT
/* For tests of the crawler: run it, and read its report; a site in a directory of its own, and nginx for it. */
#ifndef CRAWLER_RUN_H
#define CRAWLER_RUN_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_TIMEOUT 100 /* seconds, for whatever is waited for; the machine may be busy */

static char run_report[16384];

/* A child that ends with us, its output in @out (a descriptor, or -1). */
static pid_t run_start(char *const *argv, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (out >= 0)
		dup2(out, 1);
	execvp(argv[0], argv);
	_exit(127);
}

/* Its exit status; -1 when it was killed, by us after the time limit or otherwise. */
static int run_wait(pid_t pid)
{
	int status;

	for (int i = 0; i < RUN_TIMEOUT * 100; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

/* Run it, with SIGINT after @stop_ms (0: none); its report goes to run_report. */
static int run_crawler(char *const *argv, unsigned int stop_ms)
{
	int out[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return -1;
	fcntl(out[1], F_SETPIPE_SZ, 65536); /* the report fits, so nobody need read meanwhile */
	pid = run_start(argv, out[1]);
	close(out[1]);
	if (stop_ms) {
		usleep(stop_ms * 1000);
		kill(pid, SIGINT);
	}
	status = run_wait(pid);
	while (len < sizeof(run_report) - 1 && (n = read(out[0], run_report + len, sizeof(run_report) - 1 - len)) > 0)
		len += (size_t)n;
	run_report[len] = 0;
	close(out[0]);
	return status;
}

/* A number of the report; -1: not there. */
static long run_said(const char *name)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(run_report, line);
	if (!at && !strncmp(run_report, line + 1, strlen(line + 1)))
		at = run_report - 1;
	return at ? strtol(at + strlen(line), NULL, 10) : -1;
}

/* A listening socket on a port that was free. */
static int run_listen(int *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) || listen(fd, 128) || getsockname(fd, (struct sockaddr *)&in, &len)) {
		close(fd);
		return -1;
	}
	*port = ntohs(in.sin_port);
	return fd;
}

struct run_site {
	char dir[64], conf[96], seed[96], resolve[32];
	int port;
	pid_t nginx;
};

static bool run_have_nginx(void)
{
	return !system("PATH=$PATH:/usr/sbin command -v nginx >/dev/null 2>&1");
}

static bool run_serves(int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), bad;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bad = connect(fd, (struct sockaddr *)&in, sizeof(in));
	close(fd);
	return !bad;
}

/* Generate a site and start nginx on it. Somebody else may take the port first: then with another one. */
static int run_site_start(struct run_site *s, const char *generator, unsigned int pages, unsigned int slow)
{
	char port[8], nr_pages[12], nr_slow[12];

	strcpy(s->dir, "/tmp/crawler-test.XXXXXX");
	if (!mkdtemp(s->dir))
		return -1;
	snprintf(s->conf, sizeof(s->conf), "%s/nginx.conf", s->dir);
	snprintf(nr_pages, sizeof(nr_pages), "%u", pages);
	snprintf(nr_slow, sizeof(nr_slow), "%u", slow);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	for (int attempt = 0; attempt < 5; attempt++) {
		char *generate[] = { (char *)generator, s->dir, port, nr_pages, "8", nr_slow, NULL };
		char *serve[] = { "nginx", "-c", s->conf, "-p", s->dir, NULL };
		int fd = run_listen(&s->port), status;

		close(fd);
		snprintf(port, sizeof(port), "%d", s->port);
		if (run_wait(run_start(generate, -1)))
			return -1;
		s->nginx = run_start(serve, -1);
		for (int i = 0; i < RUN_TIMEOUT * 10; i++) {
			if (waitpid(s->nginx, &status, WNOHANG) == s->nginx)
				break;
			if (run_serves(s->port)) {
				snprintf(s->seed, sizeof(s->seed), "http://h0.crawl.test:%d/p/0.html", s->port);
				snprintf(s->resolve, sizeof(s->resolve), "--resolve=*:%d:127.0.0.1", s->port);
				return 0;
			}
			usleep(100000);
		}
	}
	s->nginx = 0;
	return -1;
}

static void run_site_stop(struct run_site *s)
{
	char *clean[] = { "rm", "-rf", s->dir, NULL };

	if (s->nginx) {
		kill(s->nginx, SIGTERM);
		run_wait(s->nginx);
	}
	if (s->dir[0])
		run_wait(run_start(clean, -1));
}

#endif
