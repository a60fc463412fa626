// SPDX-License-Identifier: MIT
/* The echo server under test, and the load that is put on it from another process. */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** `--serve echo` or `--serve idle`: print "listening PORT", echo until killed. Returns on error. */
int echo_serve(const char *style);
/** `--serve resp`: become the example pub/sub server. Returns on error. */
int resp_serve(void);

struct echo_server {
	pid_t pid;
	int out;
	uint16_t port;
};
/** Start bench_server() on the last allowed CPU and wait until it listens. */
struct echo_server echo_server_start(const char *style);
void echo_server_stop(struct echo_server *s);
/** CPU time that the server has used, in ns. */
uint64_t echo_server_cpu(const struct echo_server *s);

/** @nr connections to it, each having made one request. */
int *echo_connect(const struct echo_server *s, size_t nr);

#endif
