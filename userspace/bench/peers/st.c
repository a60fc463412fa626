// SPDX-License-Identifier: MIT
/*
 * state-threads. It has no yield and no channels: a yield is a signal to the other thread's
 * condition and a wait for one's own, which is the cheapest way round its scheduler. Debian builds it
 * without epoll, so its server uses poll(2).
 */
#include <st.h>

#include "peer.h"

enum { STACK = 64 * 1024 };

static st_cond_t *conds;
static uint64_t *turns, ring_nr, rounds;

static void *hop(void *arg)
{
	uint64_t i = (uint64_t)(uintptr_t)arg, next = (i + 1) % ring_nr;

	for (uint64_t n = 0; n < rounds; n++) {
		while (turns[i] == n)
			st_cond_wait(conds[i]);
		turns[next]++;
		st_cond_signal(conds[next]);
	}
	return NULL;
}

/* A token goes round: with two threads this is what yields cost. */
static double ring(uint64_t nr, uint64_t hops)
{
	st_thread_t *t = calloc(nr, sizeof(*t));
	uint64_t t0, dt;

	ring_nr = nr;
	rounds = hops / nr + 1;
	conds = calloc(nr, sizeof(*conds));
	turns = calloc(nr, sizeof(*turns));
	for (uint64_t i = 0; i < nr; i++)
		conds[i] = st_cond_new();
	turns[0] = 1;
	t0 = peer_now();
	for (uint64_t i = 0; i < nr; i++)
		peer_check((t[i] = st_thread_create(hop, (void *)(uintptr_t)i, 1, STACK)));
	for (uint64_t i = 0; i < nr; i++)
		peer_check(!st_thread_join(t[i], NULL));
	dt = peer_now() - t0;
	return (double)dt / (double)(rounds * nr);
}

static void run_ring(const char *name, long nr)
{
	ring((uint64_t)nr, peer_n(300000));
	peer_emit(name, "", ring((uint64_t)nr, peer_n(5000000)), "ns");
}

static void *nothing(void *arg)
{
	return arg;
}

static void run_spawn(const char *name, long batch)
{
	st_thread_t *t = calloc((size_t)batch, sizeof(*t));
	uint64_t n = peer_n(1000000) / (uint64_t)batch + 1, t0 = 0;

	for (uint64_t i = 0, warm = n / 10 + 1; i < warm + n; i++) {
		if (i == warm)
			t0 = peer_now();
		for (long k = 0; k < batch; k++)
			peer_check((t[k] = st_thread_create(nothing, NULL, 1, STACK)));
		for (long k = 0; k < batch; k++)
			peer_check(!st_thread_join(t[k], NULL));
	}
	peer_emit(name, "", (double)(peer_now() - t0) / (double)(n * (uint64_t)batch), "ns");
}

static void *talk(void *arg)
{
	st_netfd_t fd = arg;

	/* Wait in a shallow frame; the buffer is there only while there is something to say. */
	while (!st_netfd_poll(fd, 1 /* POLLIN */, ST_UTIME_NO_TIMEOUT)) {
		char buf[2048];
		ssize_t n = st_read(fd, buf, sizeof(buf), ST_UTIME_NO_TIMEOUT);

		if (n <= 0 || st_write(fd, buf, (size_t)n, ST_UTIME_NO_TIMEOUT) != n)
			break;
	}
	st_netfd_close(fd);
	return NULL;
}

static void serve_echo(void)
{
	st_netfd_t l, c;

	/* The library asks for the limit when it starts. */
	peer_files();
	st_set_eventsys(ST_EVENTSYS_POLL);
	peer_check(!st_init());
	l = st_netfd_open_socket(peer_listen());
	while ((c = st_accept(l, NULL, NULL, ST_UTIME_NO_TIMEOUT))) {
		peer_nodelay(st_netfd_fileno(c));
		peer_check(st_thread_create(talk, c, 0, STACK));
	}
}

static const struct peer_case cases[] = {
	{ "yield.2", run_ring, 2 },	     { "ring.503", run_ring, 503 },
	{ "ring.1000", run_ring, 1000 },     { "spawn.join", run_spawn, 1 },
	{ "spawn.batch", run_spawn, 1000 },  { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[argc - 2], "--one")) {
		peer_files();
		st_set_eventsys(ST_EVENTSYS_POLL);
		peer_check(!st_init());
	}
	return peer_main(argc, argv, cases, serve_echo);
}
