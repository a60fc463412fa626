// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <greenstk/net.h>
#include <greenstk/task.h>
#include "client.h"
#include "pool.h"

#define NR_LISTS    64u
#define FLUSH_BATCH 16 /* sends between two turns of other tasks: some 50 us */
#define MAX_IOV	    64

/* Connections that have messages to send: first come, first served. */
static struct dirty {
	spin lock;
	uint32_t head, tail; /* client index + 1 */
	uint64_t pushed, popped;
} lists[NR_LISTS] __attribute__((aligned(64)));

static void *drain_main(void *arg);

static void kill_locked(struct client *c, bool slow)
{
	if (c->flags & (CLIENT_DEAD | CLIENT_KILLED))
		return;
	c->flags |= CLIENT_KILLED | (slow ? CLIENT_SLOW : 0);
	if (slow)
		count(&client_counters.slow_killed, 1);
	outq_clear(&c->out);
	shutdown(c->fd, SHUT_RDWR);
}

/* Returns bytes sent, 0 when the socket is full or broken (then the client is killed). */
static size_t send_iov(struct client *c, struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)nr };
	ssize_t n;

	do {
		n = nr == 1 ? send(c->fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
			    : sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	count(&client_counters.sends, 1);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
		kill_locked(c, false);
	return 0;
}

/* Send the queue as far as it goes. */
static void send_queue(struct client *c)
{
	struct iovec iov[MAX_IOV];

	while (c->out) {
		int nr = outq_iov(c->out, iov, MAX_IOV);
		size_t want = 0, n;

		for (int i = 0; i < nr; i++)
			want += iov[i].iov_len;
		n = send_iov(c, iov, nr);
		if (c->flags & CLIENT_KILLED)
			return;
		if (nr > 1)
			count(&client_counters.coalesced, (uint64_t)nr - 1);
		if (!outq_sent(&c->out, n))
			kill_locked(c, true);
		if (n < want)
			return;
	}
}

/* With the lock held; releases it. What is left needs somebody who waits for the socket. */
static void unlock_and_drain(struct client *c)
{
	bool start = c->out && !(c->flags & (CLIENT_DEAD | CLIENT_KILLED | CLIENT_DRAINED));

	if (start) {
		c->flags |= CLIENT_DRAINED;
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	}
	spin_unlock(&c->lock);
	if (!start)
		return;
	count(&client_counters.drains, 1);
	if (gstk_spawn(NULL, drain_main, c, NULL)) {
		client_kill(c);
		client_put(c);
	}
}

static void *drain_main(void *arg)
{
	struct client *c = arg;
	bool more;

	do {
		int ready = gstk_poll(c->fd, POLLOUT, GSTK_NEVER);

		spin_lock(&c->lock);
		if (ready < 0 && !(c->flags & CLIENT_DEAD))
			kill_locked(c, false);
		if (!(c->flags & (CLIENT_DEAD | CLIENT_KILLED)))
			send_queue(c);
		more = c->out && !(c->flags & (CLIENT_DEAD | CLIENT_KILLED));
		if (!more)
			c->flags &= (uint8_t)~CLIENT_DRAINED;
		spin_unlock(&c->lock);
	} while (more);
	client_put(c);
	return NULL;
}

static bool queue_copy(struct client *c, const struct iovec *iov, int nr, size_t skip)
{
	size_t len = 0, at = 0;
	struct message *m;

	for (int i = 0; i < nr; i++)
		len += iov[i].iov_len;
	if (skip >= len)
		return true;
	m = message_new(len - skip);
	if (!m)
		return false;
	for (int i = 0; i < nr; i++) {
		size_t s = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		memcpy(m->data + at, (char *)iov[i].iov_base + s, iov[i].iov_len - s);
		at += iov[i].iov_len - s;
		skip -= s;
	}
	count(&client_counters.queued, 1);
	return outq_push(&c->out, m);
}

void client_write(struct client *c, const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct iovec iov[2] = { { (void *)a, a_len }, { (void *)b, b_len } };
	struct iovec *first = a_len ? iov : iov + 1;
	int nr = !!a_len + !!b_len;

	if (!nr)
		return;
	spin_lock(&c->lock);
	if (!(c->flags & (CLIENT_DEAD | CLIENT_KILLED))) {
		size_t n = 0;

		if (!(c->flags & CLIENT_DRAINED))
			send_queue(c);
		if (!c->out && !(c->flags & CLIENT_KILLED))
			n = send_iov(c, first, nr);
		if (!(c->flags & CLIENT_KILLED) && !queue_copy(c, first, nr, n))
			kill_locked(c, true);
	}
	unlock_and_drain(c);
}

static void put_on_list(struct client *c, unsigned int list)
{
	struct dirty *d = &lists[list];
	uint32_t self = client_index(c) + 1;

	c->flags |= CLIENT_DIRTY;
	c->next = 0;
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	spin_lock(&d->lock);
	if (d->tail)
		client_at(d->tail - 1)->next = self;
	else
		d->head = self;
	d->tail = self;
	d->pushed++;
	spin_unlock(&d->lock);
}

void client_deliver(struct client *c, struct message *m, unsigned int list)
{
	outq *q = &c->out;

	spin_lock(&c->lock);
	if (c->flags & (CLIENT_DEAD | CLIENT_KILLED)) {
		spin_unlock(&c->lock);
		message_put(m);
		return;
	}
	if (c->flags & CLIENT_CORKED) {
		if (!c->details)
			__atomic_store_n(&c->details, calloc(1, sizeof(*c->details)), __ATOMIC_RELEASE);
		if (!c->details) {
			message_put(m);
			kill_locked(c, true);
			spin_unlock(&c->lock);
			return;
		}
		q = &c->details->held;
	}
	if (!outq_push(q, m))
		kill_locked(c, true);
	else if (!(c->flags & (CLIENT_CORKED | CLIENT_DIRTY | CLIENT_DRAINED)))
		put_on_list(c, list);
	if (outq_bytes(*q) > client_limits.output_limit) {
		/* Not its fault when it had no chance to get it yet. */
		if (q == &c->out && !(c->flags & CLIENT_KILLED))
			send_queue(c);
		if (outq_bytes(*q) > client_limits.output_limit)
			kill_locked(c, true);
	}
	spin_unlock(&c->lock);
}

void client_flush(struct client *c)
{
	spin_lock(&c->lock);
	c->flags &= (uint8_t)~CLIENT_DIRTY;
	if (!(c->flags & (CLIENT_DEAD | CLIENT_KILLED | CLIENT_DRAINED)))
		send_queue(c);
	unlock_and_drain(c);
}

void client_cork(struct client *c)
{
	spin_lock(&c->lock);
	c->flags |= CLIENT_CORKED;
	spin_unlock(&c->lock);
}

void client_uncork(struct client *c)
{
	spin_lock(&c->lock);
	c->flags &= (uint8_t)~CLIENT_CORKED;
	if (c->details && c->details->held) {
		if (c->flags & (CLIENT_DEAD | CLIENT_KILLED))
			outq_clear(&c->details->held);
		else if (!outq_splice(&c->out, &c->details->held))
			kill_locked(c, true);
		else if (!(c->flags & CLIENT_DRAINED))
			send_queue(c);
	}
	unlock_and_drain(c);
}

int client_relieve(struct client *c, size_t bytes, uint64_t deadline_ns)
{
	for (;;) {
		bool killed;
		size_t left;
		int ready;

		spin_lock(&c->lock);
		if (!(c->flags & CLIENT_KILLED))
			send_queue(c);
		killed = c->flags & CLIENT_KILLED;
		left = outq_bytes(c->out);
		if (!killed && left <= bytes) {
			unlock_and_drain(c);
			return 0;
		}
		spin_unlock(&c->lock);
		if (killed)
			return -EPIPE;
		ready = gstk_poll(c->fd, POLLOUT, deadline_ns);
		if (ready < 0)
			return ready;
	}
}

void client_kill(struct client *c)
{
	spin_lock(&c->lock);
	kill_locked(c, false);
	spin_unlock(&c->lock);
}

unsigned int dirty_list(void)
{
	return (unsigned int)gstk_worker() % NR_LISTS;
}

/* Take some; false when everything up to @upto has been taken. */
static bool pop(struct dirty *d, struct client **batch, int *nr, uint64_t upto)
{
	bool more;

	*nr = 0;
	spin_lock(&d->lock);
	more = d->popped < upto;
	for (; more && *nr < FLUSH_BATCH && d->head; ++*nr, d->popped++) {
		batch[*nr] = client_at(d->head - 1);
		d->head = batch[*nr]->next;
	}
	if (!d->head)
		d->tail = 0;
	spin_unlock(&d->lock);
	return more;
}

void dirty_flush(unsigned int list)
{
	struct client *batch[FLUSH_BATCH];
	struct dirty *d = &lists[list];
	uint64_t upto;
	int nr;

	spin_lock(&d->lock);
	upto = d->pushed;
	spin_unlock(&d->lock);
	/* Publishers that are ready to run go first: what they have for the same subscribers leaves
	 * in the same system call. But what comes behind ours is theirs to send, or we would be
	 * kept here while our own publisher waits. */
	for (;;) {
		gstk_yield();
		if (!pop(d, batch, &nr, upto))
			break;
		for (int i = 0; i < nr; i++) {
			client_flush(batch[i]);
			client_put(batch[i]);
		}
	}
}
