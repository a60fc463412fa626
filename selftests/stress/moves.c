// SPDX-License-Identifier: MIT
/*
 * Stacks that move at random: every task fills its frames with a pattern, then yields, sleeps, takes
 * locks, sends, receives and selects, reads and writes sockets, spawns and joins children, cancels and is
 * cancelled, and checks its frames after every park. No message and no byte may get lost. Prints the seed
 * and what was done; ends with KTAP.
 *
 *	moves [seed [seconds [tasks [evictions [frames]]]]]
 *
 * With @evictions tasks only yield, and it goes on until there were so many. @frames, 6: the most that a
 * stack has, of 2 KiB each. Workers, windows, forced
 * eviction: GREENSTK_* environment.
 */
#include <errno.h>
#include <greenstk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t stop_at_ns, want_evictions;
static _Atomic bool over;
static _Atomic uint64_t checks, children, canceled, wrong, duels;
static int nr_tasks = 2000;
static uint32_t most_frames = 6;
static gstk_mutex mutex = GSTK_MUTEX_INIT;
static volatile int inside; /* the mutex */

struct rng {
	uint64_t s;
};

static uint32_t rnd(struct rng *r)
{
	r->s ^= r->s << 13; /* G. Marsaglia, "Xorshift RNGs", 2003 */
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return (uint32_t)(r->s >> 16);
}

static void *child(void *arg)
{
	struct rng r = { (uintptr_t)arg * 0x9e3779b97f4a7c15ull | 1 };

	if (rnd(&r) % 2)
		gstk_yield();
	if (rnd(&r) % 8 == 0)
		gstk_sleep(rnd(&r) % 1000000);
	return arg;
}

static gstk_sem never = GSTK_SEM_INIT(0);

/* Only a cancel ends it: one that gets lost is a hang. */
static void *waits_for_ever(void *arg)
{
	if (gstk_sem_wait(&never) != -ECANCELED)
		wrong++;
	return arg;
}

/* ---- channels: of three element sizes, with and without a buffer ---- */

#define CHANS 6
static gstk_chan *chan[CHANS];
static const size_t elem_size[CHANS] = { 8, 8, 24, 24, 700, 700 };
static _Atomic uint64_t chan_sent, chan_received;

static void fill(char *p, size_t n, uint64_t tag)
{
	for (size_t i = 0; i < n; i += 4)
		memcpy(p + i, &(uint32_t){ (uint32_t)(tag + i) }, 4);
}

static void check_message(const char *p, size_t n)
{
	uint32_t tag, v;

	memcpy(&tag, p, 4);
	for (size_t i = 0; i < n; i += 4) {
		memcpy(&v, p + i, 4);
		if (v != tag + (uint32_t)i)
			wrong++;
	}
	chan_received++;
}

static void met(int err)
{
	if (err == -ECANCELED) {
		gstk_cancel_clear();
		canceled++;
	} else if (err && err != -ETIMEDOUT) {
		wrong++;
	}
}

static __attribute__((noinline)) void use_channel(struct rng *r)
{
	uint32_t c = rnd(r) % CHANS;
	char elem[700];
	int err;

	if (rnd(r) % 2) {
		fill(elem, elem_size[c], rnd(r));
		err = gstk_chan_send_until(chan[c], elem, gstk_now() + rnd(r) % 2000000);
		if (!err)
			chan_sent++;
	} else {
		err = gstk_chan_recv_until(chan[c], elem, gstk_now() + rnd(r) % 2000000);
		if (!err)
			check_message(elem, elem_size[c]);
	}
	met(err);
}

static __attribute__((noinline)) void use_select(struct rng *r)
{
	struct gstk_case cases[3];
	char elem[3][24];
	int i;

	for (uint32_t k = 0; k < 3; k++) {
		uint32_t c = (k + rnd(r)) % 4, send = rnd(r) % 2;

		fill(elem[k], elem_size[c], rnd(r));
		cases[k] = (struct gstk_case){ .chan = chan[c], .elem = elem[k], .op = send ? GSTK_CASE_SEND : GSTK_CASE_RECV };
	}
	i = gstk_select(cases, 3, gstk_now() + rnd(r) % 2000000);
	if (i < 0) {
		met(i);
	} else if (cases[i].op == GSTK_CASE_SEND) {
		chan_sent++;
	} else {
		check_message(elem[i], cases[i].chan == chan[0] || cases[i].chan == chan[1] ? 8 : 24);
	}
}

/* ---- sockets: a byte that is read is written again ---- */

#define PAIRS 4
static int pair[PAIRS][2];
static _Atomic uint64_t trips;

static __attribute__((noinline)) void use_socket(struct rng *r)
{
	uint32_t p = rnd(r) % PAIRS;
	char c;
	ssize_t n = gstk_read_until(pair[p][0], &c, 1, gstk_now() + rnd(r) % 2000000);

	if (n != 1) {
		met(n < 0 ? (int)n : -EIO);
		return;
	}
	trips++;
	while ((n = gstk_write(pair[p][1], &c, 1)) == -ECANCELED)
		gstk_cancel_clear();
	if (n != 1)
		wrong++;
}

static gstk_rwlock rwlock = GSTK_RWLOCK_INIT;
static volatile int writers;

static __attribute__((noinline)) void use_rwlock(struct rng *r)
{
	bool write = rnd(r) % 4 == 0;
	int err = write ? gstk_rwlock_write_lock(&rwlock) : gstk_rwlock_read_lock(&rwlock);

	if (err) {
		met(err);
		return;
	}
	if (writers || (write && writers++))
		wrong++;
	if (rnd(r) % 8 == 0)
		gstk_yield();
	if (write)
		writers--;
	if (write ? gstk_rwlock_write_unlock(&rwlock) : gstk_rwlock_read_unlock(&rwlock))
		wrong++;
}

/* ---- a cancel that comes just when its task goes to wait ---- */

struct duel {
	_Atomic int ready, seen;
};
#define ROUNDS 40

static void *cancelled_often(void *arg)
{
	struct duel *d = arg;

	for (int i = 1; i <= ROUNDS; i++) {
		d->ready = i;
		if (gstk_sem_wait(&never) != -ECANCELED)
			wrong++;
		gstk_cancel_clear();
		d->seen = i;
	}
	return NULL;
}

/* One cancel a wait: one that is lost leaves both of them waiting for ever. */
static __attribute__((noinline)) void duel(struct rng *r)
{
	struct duel *d = calloc(1, sizeof(*d));
	gstk_task *t;

	if (!d || gstk_spawn(&t, cancelled_often, d, NULL)) {
		free(d);
		return;
	}
	for (int i = 1; i <= ROUNDS; i++) {
		for (int spin = 0; d->ready < i; spin++)
			if (spin > 200)
				gstk_yield();
		for (uint32_t pause = rnd(r) % 64; pause; pause--)
			__asm__ volatile("");
		gstk_cancel(t);
		for (int spin = 0; d->seen < i; spin++)
			if (spin > 200)
				gstk_yield();
	}
	while (gstk_join(t, NULL) == -ECANCELED)
		gstk_cancel_clear();
	duels++;
	free(d);
}

static void one_action(struct rng *r)
{
	gstk_task *t;
	void *result;
	uintptr_t tag;
	int err;

	if (want_evictions) {
		gstk_yield();
		return;
	}
	switch (rnd(r) % 20) {
	case 0: case 1: case 2:
		gstk_yield();
		break;
	case 3: case 4:
		err = gstk_sleep(rnd(r) % 3000000);
		if (err == -ECANCELED) {
			gstk_cancel_clear();
			canceled++;
		} else if (err) {
			wrong++;
		}
		break;
	case 5:
		tag = rnd(r) | 1u;
		if (gstk_spawn(&t, child, (void *)tag, NULL))
			break;
		while ((err = gstk_join(t, &result)) == -ECANCELED) {
			gstk_cancel_clear();
			canceled++;
		}
		if (err || result != (void *)tag)
			wrong++;
		children++;
		break;
	case 6:
		tag = rnd(r) | 1u;
		if (gstk_spawn(&t, child, (void *)tag, NULL))
			break;
		if (rnd(r) % 2)
			gstk_yield();
		gstk_cancel(t);
		err = gstk_join_until(t, &result, gstk_now() + rnd(r) % 500000);
		if (err == -ETIMEDOUT || err == -ECANCELED) {
			gstk_cancel_clear();
			if (gstk_detach(t))
				wrong++;
		} else if (err || result != (void *)tag) {
			wrong++;
		}
		children++;
		break;
	case 7: case 8:
		err = gstk_mutex_lock(&mutex);
		if (err == -ECANCELED) {
			gstk_cancel_clear();
			canceled++;
		} else if (err) {
			wrong++;
		} else {
			if (inside++)
				wrong++;
			if (rnd(r) % 8 == 0)
				gstk_yield();
			inside--;
			if (gstk_mutex_unlock(&mutex))
				wrong++;
		}
		break;
	case 9:
		if (gstk_spawn(&t, waits_for_ever, NULL, NULL))
			break;
		if (rnd(r) % 2)
			gstk_yield();
		gstk_cancel(t);
		while ((err = gstk_join(t, NULL)) == -ECANCELED)
			gstk_cancel_clear();
		if (err)
			wrong++;
		break;
	case 10: case 11: case 12:
		use_channel(r);
		break;
	case 13: case 14:
		use_select(r);
		break;
	case 15: case 16:
		use_socket(r);
		break;
	case 17:
		use_rwlock(r);
		break;
	case 18:
		if (rnd(r) % 64 == 0)
			duel(r);
		break;
	default:
		if (gstk_sleep_until(gstk_now() + 200000) == -ECANCELED)
			gstk_cancel_clear();
	}
}

static __attribute__((noinline)) void frames(struct rng *r, int depth)
{
	volatile uint32_t buf[16 + 512];
	uint32_t n = 16 + rnd(r) % (depth == 0 && rnd(r) % 16 == 0 ? 512 : 48), tag = rnd(r);

	for (uint32_t i = 0; i < n; i++)
		buf[i] = tag + i;
	if (depth > 0)
		frames(r, depth - 1);
	else
		one_action(r);
	for (uint32_t i = 0; i < n; i++)
		if (buf[i] != tag + i)
			wrong++;
	checks++;
}

static void *body(void *arg)
{
	struct rng r = { (uintptr_t)arg };

	while (!over)
		frames(&r, (int)(rnd(&r) % most_frames));
	return NULL;
}

static void make_objects(void)
{
	for (int i = 0; i < CHANS; i++)
		if (gstk_chan_create(&chan[i], elem_size[i], i % 2 ? 8 : 0))
			exit(2);
	for (int i = 0; i < PAIRS; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) || write(pair[i][1], "abc", 3) != 3)
			exit(2);
}

/* What was sent was received, and every byte is somewhere. */
static void count_objects(void)
{
	char elem[700];
	unsigned int bytes = 0;

	for (int i = 0; i < CHANS; i++) {
		while (!gstk_chan_recv_until(chan[i], elem, 0))
			check_message(elem, elem_size[i]);
		gstk_chan_destroy(chan[i]);
	}
	if (chan_sent != chan_received) {
		printf("# %llu messages sent, %llu received\n", (unsigned long long)chan_sent,
		       (unsigned long long)chan_received);
		wrong++;
	}
	for (int i = 0; i < PAIRS; i++) {
		while (gstk_read_until(pair[i][0], elem, 1, gstk_now()) == 1)
			bytes++;
		gstk_close(pair[i][0]);
		gstk_close(pair[i][1]);
	}
	if (bytes != 3 * PAIRS) {
		printf("# %u bytes of %u are left\n", bytes, 3 * PAIRS);
		wrong++;
	}
}

static void *main_task(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	gstk_task **t = malloc(sizeof(*t) * (size_t)nr_tasks);
	struct gstk_stats st = { .size = sizeof(st) };
	struct rng r = { seed | 1 };
	uint64_t next = gstk_now() + 1000000000u;

	make_objects();
	for (int i = 0; i < nr_tasks; i++) {
		uint64_t s = (uint64_t)rnd(&r) << 32 | rnd(&r) | 1;

		if (gstk_spawn(&t[i], body, (void *)(uintptr_t)s, NULL)) {
			t[i] = NULL;
			wrong++;
		}
	}
	while (want_evictions ? gstk_stats(&st), st.evictions < want_evictions : gstk_now() < stop_at_ns) {
		gstk_sleep(2000000);
		for (int k = 0; k < 8; k++) {
			gstk_task *v = t[rnd(&r) % (uint32_t)nr_tasks];

			if (v)
				gstk_cancel(v);
		}
		if (gstk_now() > next) {
			gstk_stats(&st);
			fprintf(stderr, "# %llu checks, %llu evictions, %llu packs\n", (unsigned long long)checks,
				(unsigned long long)st.evictions, (unsigned long long)st.packs);
			next = gstk_now() + 5000000000u;
		}
	}
	over = true;
	for (int i = 0; i < nr_tasks; i++)
		if (t[i] && gstk_join(t[i], NULL))
			wrong++;
	count_objects();
	gstk_stats(&st);
	printf("# %llu messages, %llu bytes through sockets, %llu duels of cancel and wait\n",
	       (unsigned long long)chan_received, (unsigned long long)trips, (unsigned long long)duels);
	printf("# %llu checks, %llu children, %llu cancels met, %llu evictions, %llu packs, "
	       "%llu conflicts, %llu remaps in %llu calls, %llu refused\n",
	       (unsigned long long)checks, (unsigned long long)children, (unsigned long long)canceled,
	       (unsigned long long)st.evictions, (unsigned long long)st.packs, (unsigned long long)st.conflicts,
	       (unsigned long long)(st.remaps + st.remap_returns), (unsigned long long)st.remap_calls,
	       (unsigned long long)(st.remap_nospace + st.remap_nomem + st.remap_quota + st.remap_refused));
	if (st.lazy_restores)
		printf("# %llu lazy restores, %llu faults, %llu prefetched, %llu untouched, %llu refused\n",
		       (unsigned long long)st.lazy_restores, (unsigned long long)st.lazy_faults,
		       (unsigned long long)st.lazy_prefetched, (unsigned long long)st.lazy_untouched,
		       (unsigned long long)st.lazy_refused);
	free(t);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : gstk_now();
	double seconds = argc > 2 ? atof(argv[2]) : 5;
	int err;

	if (argc > 3)
		nr_tasks = atoi(argv[3]);
	if (argc > 4)
		want_evictions = strtoull(argv[4], NULL, 0);
	if (argc > 5)
		most_frames = (uint32_t)atoi(argv[5]);
	printf("TAP version 13\n1..1\n# seed %llu, %g s, %d tasks\n", (unsigned long long)seed, seconds, nr_tasks);
	fflush(stdout);
	stop_at_ns = gstk_now() + (uint64_t)(seconds * 1e9);
	err = gstk_main(main_task, &seed, NULL, NULL);
	printf("%s 1 stacks keep their contents (%llu wrong, %d)\n", err || wrong ? "not ok" : "ok",
	       (unsigned long long)wrong, err);
	return err || wrong ? 1 : 0;
}
