// SPDX-License-Identifier: MIT
/*
 * Stacks that move at random: every task fills its frames with a pattern, then yields, sleeps,
 * takes a mutex, spawns and joins
 * children, cancels and is cancelled, and checks its frames after every park. Prints the
 * seed; ends with KTAP.
 *
 *	moves [seed [seconds [tasks]]]     workers, windows, forced eviction: GREENSTK_* environment
 */
#include <errno.h>
#include <greenstk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t stop_at_ns;
static _Atomic uint64_t checks, children, canceled, wrong;
static int nr_tasks = 2000;
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

static void one_action(struct rng *r)
{
	gstk_task *t;
	void *result;
	uintptr_t tag;
	int err;

	switch (rnd(r) % 11) {
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

	while (gstk_now() < stop_at_ns)
		frames(&r, (int)(rnd(&r) % 6));
	return NULL;
}

static void *main_task(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	gstk_task **t = malloc(sizeof(*t) * (size_t)nr_tasks);
	struct gstk_stats st = { .size = sizeof(st) };
	struct rng r = { seed | 1 };
	uint64_t next = gstk_now() + 1000000000u;

	for (int i = 0; i < nr_tasks; i++) {
		uint64_t s = (uint64_t)rnd(&r) << 32 | rnd(&r) | 1;

		if (gstk_spawn(&t[i], body, (void *)(uintptr_t)s, NULL)) {
			t[i] = NULL;
			wrong++;
		}
	}
	while (gstk_now() < stop_at_ns) {
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
	for (int i = 0; i < nr_tasks; i++)
		if (t[i] && gstk_join(t[i], NULL))
			wrong++;
	gstk_stats(&st);
	printf("# %llu checks, %llu children, %llu cancels met, %llu evictions, %llu packs, %llu conflicts\n",
	       (unsigned long long)checks, (unsigned long long)children, (unsigned long long)canceled,
	       (unsigned long long)st.evictions, (unsigned long long)st.packs, (unsigned long long)st.conflicts);
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
	printf("TAP version 13\n1..1\n# seed %llu, %g s, %d tasks\n", (unsigned long long)seed, seconds, nr_tasks);
	fflush(stdout);
	stop_at_ns = gstk_now() + (uint64_t)(seconds * 1e9);
	err = gstk_main(main_task, &seed, NULL, NULL);
	printf("%s 1 stacks keep their contents (%llu wrong, %d)\n", err || wrong ? "not ok" : "ok",
	       (unsigned long long)wrong, err);
	return err || wrong ? 1 : 0;
}
