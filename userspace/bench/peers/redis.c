// SPDX-License-Identifier: MIT
/*
 * redis-server as Debian packages it, without persistence: it takes this process's place, so that the CPU time
 * of this process is the server's. A grandchild says that it listens when it has answered.
 */
#include <errno.h>
#include <sys/wait.h>

#include "peer.h"

/* Not held while redis-server starts: another may take it, and then the round fails rather than lies. */
static unsigned int free_port(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(&a, 0, sizeof(a));
	a.sin_family = AF_INET;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer_check(fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)));
	peer_check(!getsockname(fd, (struct sockaddr *)&a, &len));
	close(fd);
	return ntohs(a.sin_port);
}

static int answers(unsigned int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ok;
	struct timeval tv = { 1, 0 };
	struct sockaddr_in a;
	char buf[8] = "";

	memset(&a, 0, sizeof(a));
	a.sin_family = AF_INET;
	a.sin_port = htons((uint16_t)port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	ok = !connect(fd, (struct sockaddr *)&a, sizeof(a)) && write(fd, "PING\r\n", 6) == 6 &&
	     read(fd, buf, 7) == 7 && !memcmp(buf, "+PONG\r\n", 7);
	close(fd);
	return ok;
}

static void announce(unsigned int port)
{
	for (int i = 0; i < 1000; i++) {
		if (answers(port)) {
			printf("listening %u\n", port);
			fflush(stdout);
			_exit(0);
		}
		usleep(10000);
	}
	_exit(1);
}

static void serve(void)
{
	unsigned int port = free_port();
	char text[16];
	pid_t pid;
	int null;

	peer_files();
	pid = fork();
	peer_check(pid >= 0);
	if (!pid) { /* not redis-server's child */
		if (fork())
			_exit(0);
		announce(port);
	}
	waitpid(pid, NULL, 0);
	null = open("/dev/null", O_WRONLY);
	dup2(null, STDOUT_FILENO);
	snprintf(text, sizeof(text), "%u", port);
	execlp("redis-server", "redis-server", "--port", text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
	       "--daemonize", "no", "--maxclients", "5000", "--tcp-backlog", "4096", "--dir", "/tmp", NULL);
	fprintf(stderr, "redis-server: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("serve.resp");
		return 0;
	}
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "--serve") && !strcmp(argv[i + 1], "resp"))
			serve();
	fprintf(stderr, "usage: %s --list | --serve resp\n", argv[0]);
	return 2;
}
