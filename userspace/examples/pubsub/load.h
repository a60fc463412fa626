// SPDX-License-Identifier: MIT
/*
 * pubsub-load: many real subscribers for a Redis-protocol server, in a few processes that each run
 * an epoll loop, and publishers that stamp each message with the time. What the processes count is
 * in shared memory; the parent tells them by a socket what to do and waits until they answer.
 */
#ifndef PUBSUB_LOAD_H
#define PUBSUB_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define LOAD_MAX_PROCS 16
#define LOAD_STAMP     20 /* decimal digits of a time in a payload */

/* Latencies: 32 buckets for each power of two, so within 3 %. */
#define HIST_SUB     32
#define HIST_BUCKETS (40 * HIST_SUB)
struct hist {
	uint64_t nr, max, bucket[HIST_BUCKETS];
};
void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *to, const struct hist *from);
/** The latency that @share of all do not exceed. */
uint64_t hist_quantile(const struct hist *h, double share);

enum load_op { OP_CONNECT = 1, OP_PING, OP_CLEAR, OP_PUBLISH, OP_ROUND, OP_QUIT };

struct load_order {
	enum load_op op;
	uint32_t nr;	   /* CONNECT: how many; PUBLISH: connections */
	uint32_t first;	   /* CONNECT: number of the first one, which chooses its room */
	double seconds;	   /* PUBLISH */
	double rate;	   /* PUBLISH, ROUND: messages a second; 0: as fast as it goes */
};

struct load_counts {
	_Atomic uint64_t connected, received, pongs, closed, errors;
	_Atomic uint64_t published, expected; /* publisher: requests answered, sum of the answers */
	struct hist latency;		      /* messages, or pongs after OP_PING */
} __attribute__((aligned(64)));

struct load {
	struct sockaddr_storage server;
	socklen_t server_len;
	uint32_t rooms, size; /* channels; bytes of a payload */
	uint32_t window;      /* connects or pings under way in each process */
	int resp;	      /* 2 or 3 */
	bool quiet;
	struct load_counts *counts; /* shared; one a process, the publisher's last */
};
extern struct load load;

uint64_t load_now(void);
void load_die(const char *what) __attribute__((noreturn));

/** The life of a process; orders come from @control, where a byte answers each. */
void load_subscriber(int control, int index) __attribute__((noreturn));
void load_publisher(int control, struct load_counts *counts) __attribute__((noreturn));

#endif
