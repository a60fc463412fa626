// SPDX-License-Identifier: MIT
/*
 * The few calls of the runtime that the crawler uses, on threads of the system and plain sockets: what makes
 * crawler-threads of the same source. Same contracts, as far as they are used.
 */
#ifndef CRAWLER_THREADS_H
#define CRAWLER_THREADS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define CRAWLER_NAME "crawler-threads"
#define GSTK_NEVER   UINT64_MAX

typedef void *(*gstk_fn)(void *arg);
typedef pthread_mutex_t gstk_mutex;
typedef pthread_cond_t gstk_cond;
#define GSTK_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
#define GSTK_COND_INIT	PTHREAD_COND_INITIALIZER

struct gstk_config {
	size_t size;
	uint32_t workers;
	size_t windows;
};

int gstk_main(gstk_fn fn, void *arg, void **result, const struct gstk_config *config);
int gstk_go(gstk_fn fn, void *arg);

uint64_t gstk_now(void);

int gstk_mutex_lock(gstk_mutex *m);
int gstk_mutex_unlock(gstk_mutex *m);
int gstk_cond_wait_until(gstk_cond *c, gstk_mutex *m, uint64_t deadline_ns);
int gstk_cond_broadcast(gstk_cond *c);

int gstk_socket(int domain, int type, int protocol);
int gstk_connect_until(int fd, const struct sockaddr *addr, socklen_t len, uint64_t deadline_ns);
int gstk_poll(int fd, short events, uint64_t deadline_ns);
ssize_t gstk_read_until(int fd, void *buf, size_t len, uint64_t deadline_ns);
int gstk_write_all_until(int fd, const void *buf, size_t len, uint64_t deadline_ns);
int gstk_close(int fd);

int gstk_blocking(void *(*fn)(void *), void *arg, void **result);

#endif
