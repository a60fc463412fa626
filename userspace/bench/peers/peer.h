// SPDX-License-Identifier: MIT
/*
 * What a peer program is to gstk-bench: `PEER --list` names what it can do, `PEER --one NAME` does
 * one round of it and prints "NAME value unit" lines, `PEER --serve echo` prints "listening PORT"
 * and serves. Works in C and C++.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double peer_scale = 1, peer_wait_scale = 1;

struct peer_case {
	const char *name;
	void (*run)(const char *name, long arg);
	long arg;
};

static inline uint64_t peer_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t peer_n(double n)
{
	return n * peer_scale < 1 ? 1 : (uint64_t)(n * peer_scale);
}

static inline void peer_emit(const char *name, const char *suffix, double value, const char *unit)
{
	printf("%s%s %.6f %s\n", name, suffix, value, unit);
	fflush(stdout);
}

#define peer_check(cond)                                                            \
	do {                                                                        \
		if (!(cond)) {                                                      \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);  \
			_exit(1);                                                   \
		}                                                                   \
	} while (0)

/* RSS and page tables of this process; peak RSS. */
static inline uint64_t peer_memory(uint64_t *peak)
{
	unsigned long long kb, sum = 0;
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];

	peer_check(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %llu", &kb) == 1 || sscanf(line, "VmPTE: %llu", &kb) == 1)
			sum += kb * 1024;
		else if (peak && sscanf(line, "VmHWM: %llu", &kb) == 1)
			*peak = kb * 1024;
	}
	fclose(f);
	return sum;
}

static inline void peer_fill(unsigned char *buf, size_t len, uint64_t id)
{
	uint64_t x = (id + 1) * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < len; i++) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		buf[i] = (unsigned char)(x * 0x2545f4914f6cdd1dull >> 56);
	}
}

static inline int peer_same(const unsigned char *buf, size_t len, uint64_t id)
{
	uint64_t x = (id + 1) * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < len; i++) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		if (buf[i] != (unsigned char)(x * 0x2545f4914f6cdd1dull >> 56))
			return 0;
	}
	return 1;
}

static inline void peer_files(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

/* A listening socket on a free loopback port, announced. */
static inline int peer_listen(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	peer_files();
	memset(&a, 0, sizeof(a));
	a.sin_family = AF_INET;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer_check(fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, SOMAXCONN));
	peer_check(!getsockname(fd, (struct sockaddr *)&a, &len));
	printf("listening %u\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static inline void peer_nodelay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static inline int peer_main(int argc, char **argv, const struct peer_case *cases, void (*serve_echo)(void))
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list")) {
			for (const struct peer_case *c = cases; c && c->name; c++)
				puts(c->name);
			if (serve_echo)
				puts("serve.echo");
			return 0;
		}
		if (i + 1 == argc)
			break;
		if (!strcmp(argv[i], "--scale")) {
			peer_scale = atof(argv[++i]);
		} else if (!strcmp(argv[i], "--wait-scale")) {
			peer_wait_scale = atof(argv[++i]);
		} else if (!strcmp(argv[i], "--serve") && serve_echo) {
			serve_echo();
			return 1;
		} else if (!strcmp(argv[i], "--one")) {
			for (const struct peer_case *c = cases; c && c->name; c++) {
				if (strcmp(c->name, argv[i + 1]))
					continue;
				c->run(c->name, c->arg);
				return 0;
			}
			break;
		}
	}
	fprintf(stderr, "usage: %s --list | [--scale F] [--wait-scale F] --one NAME | --serve echo\n", argv[0]);
	return 2;
}

#endif
