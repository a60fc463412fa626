// SPDX-License-Identifier: MIT
/* gstk_stats(): each counter counts what it says, and each gauge comes back. */
#include <sys/socket.h>
#include "wait_test.h"

static gstk_sem go;
static gstk_chan *chan;
static _Atomic uint32_t parked;

static struct gstk_stats now_(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s;
}

#define ROSE(field, least) \
	do { \
		uint64_t d_ = now_().field - before.field; \
		if (d_ < (uint64_t)(least)) { \
			fprintf(stderr, "# %s rose by %llu, not %llu\n", #field, (unsigned long long)d_, (unsigned long long)(least)); \
			abort(); \
		} \
	} while (0)

/* Exactly, of what nobody else does here. */
#define ROSE_BY(field, by) CHECK_EQ(now_().field - before.field, (by))

/* Until it is so, for what workers write after a task was joined, or a sweep does in time. */
#define BECOMES(condition) \
	for (int ms_ = 0; !(condition); ms_++) { \
		CHECK(ms_ < 30000); \
		gstk_sleep(MS); \
	}

static void *ends(void *arg)
{
	return arg;
}

static void *waits(void *arg)
{
	unsigned char mark[3000];

	memset(mark, (int)(long)arg, sizeof(mark));
	parked++;
	CHECK_EQ(gstk_sem_wait(&go), 0);
	CHECK_EQ(mark[2999], (unsigned char)(long)arg);
	return NULL;
}

static void *echoes(void *arg)
{
	uint32_t v;

	while (!gstk_chan_recv(chan, &v))
		;
	return NULL;
}

static void tasks(void)
{
	struct gstk_stats before = now_();
	gstk_task *t[50];

	for (int i = 0; i < 50; i++)
		t[i] = start(ends, NULL);
	CHECK(now_().tasks >= before.tasks + 1);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	ROSE_BY(spawns, 50);
	ROSE(switches, 50);
	BECOMES(now_().tasks == before.tasks);
	BECOMES(now_().windows_bound == before.windows_bound);
	CHECK(now_().task_bytes >= 51 * 64);
	CHECK_EQ(now_().workers, 1);
}

static void wakes(void)
{
	struct gstk_stats before;
	uint32_t v = 1;
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&chan, sizeof(v), 0), 0);
	t = start(echoes, NULL);
	settle();
	before = now_();
	for (int i = 0; i < 100; i++)
		CHECK_EQ(gstk_chan_send(chan, &v), 0);
	ROSE(wakes, 100);
	ROSE(handoffs, 50);
	before = now_();
	for (int i = 0; i < 100; i++)
		gstk_yield();
	ROSE_BY(yields, 100);
	CHECK_EQ(gstk_chan_close(chan), 0);
	finish(t);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
}

static void *naps(void *arg)
{
	return (void *)(long)gstk_sleep(3600ull * 1000 * MS);
}

static void *reads(void *arg)
{
	char c;

	return (void *)gstk_read((int)(long)arg, &c, 1);
}

static void time_and_descriptors(void)
{
	struct gstk_stats before = now_();
	gstk_timer *timer;
	int p[2];
	char c;
	gstk_task *t;

	CHECK_EQ(gstk_timer_create(&timer), 0);
	CHECK_EQ(gstk_timer_set(timer, gstk_now() + 3600ull * 1000 * MS, 0), 0);
	CHECK_EQ(now_().timers, before.timers + 1);
	CHECK_EQ(gstk_timer_destroy(timer), 0);
	CHECK_EQ(now_().timers, before.timers);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(gstk_read_until(p[0], &c, 1, gstk_now() + 3 * MS), -ETIMEDOUT);
	t = start(reads, (void *)(long)p[0]);
	settle();
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(finish(t), 1);
	ROSE(polls, 1);
	ROSE(events, 1);
	BECOMES(now_().worker_sleeps > before.worker_sleeps);
	CHECK(now_().fd_bytes > 0);
	gstk_close(p[0]);
	gstk_close(p[1]);
	before = now_();
	t = start(naps, NULL);
	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	ROSE_BY(cancels, 1);
}

enum { CROWD = 400 };

/* Out by the sweep, packed, and back again: bytes are where the gauges say. */
static void moves(void)
{
	struct gstk_stats before = now_(), s;
	gstk_task *t[CROWD];

	parked = 0;
	for (long i = 0; i < CROWD; i++)
		t[i] = start(waits, (void *)i);
	BECOMES(parked == CROWD);
	BECOMES(now_().tasks_packed >= CROWD / 2);
	s = now_();
	ROSE(evictions, CROWD / 2);
	ROSE(bytes_evicted, CROWD / 2 * 3000);
	ROSE(packs, CROWD / 2);
	ROSE(sweeps, 1);
	ROSE(trims, 1);
	ROSE(trim_calls, 1);
	ROSE(trim_bytes, 4096);
	CHECK(s.bytes_packed > 0 && s.bytes_packed < s.bytes_unpacked);
	CHECK(s.bytes_unpacked >= s.tasks_packed * 3000);
	CHECK(s.image_arena_bytes >= s.bytes_packed);
	CHECK(s.bytes_copied >= s.tasks_copied * 3000);
	CHECK(s.window_bytes >= s.windows_bound * 64);
	CHECK_EQ(gstk_sem_post(&go, CROWD), 0);
	for (int i = 0; i < CROWD; i++)
		finish(t[i]);
	ROSE(restores, CROWD / 2);
	ROSE(unpacks, CROWD / 2);
	BECOMES(now_().tasks_packed == 0 && now_().tasks_copied == 0);
	s = now_();
	CHECK_EQ(s.bytes_packed, 0);
	CHECK_EQ(s.bytes_copied, 0);
	CHECK_EQ(s.bytes_unpacked, 0);
}

static void *always_yields(void *arg)
{
	_Atomic bool *stop = arg;

	while (!*stop)
		gstk_yield();
	return NULL;
}

static _Atomic bool stop;

/* Mates: more tasks than the 16 windows. */
static void sharing(void)
{
	struct gstk_stats before = now_();
	gstk_task *t[40];

	parked = 0;
	stop = false;
	for (long i = 0; i < 20; i++)
		t[i] = start(waits, (void *)i);
	for (int i = 20; i < 40; i++)
		t[i] = start(always_yields, &stop);
	BECOMES(parked == 20);
	CHECK(now_().windows_shared > 0);
	CHECK(now_().windows_bound <= now_().windows);
	gstk_sleep(20 * MS);
	CHECK_EQ(gstk_sem_post(&go, 20), 0);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	ROSE(claims, 10);
	ROSE(window_waits, 1);
	ROSE(quantum_expiries, 1);
	CHECK(now_().window_wait_max_ns > 0);
	CHECK(now_().window_wait_p50_ns <= now_().window_wait_p99_ns);
	CHECK(now_().window_wait_p99_ns <= now_().window_wait_max_ns * 2);
	stop = true;
	for (int i = 20; i < 40; i++)
		finish(t[i]);
	BECOMES(now_().windows_shared == before.windows_shared);
}

static void *blocks(void *arg)
{
	CHECK_EQ(gstk_blocking(ends, NULL, NULL), 0);
	return NULL;
}

static void blocking(void)
{
	struct gstk_stats before = now_();
	gstk_task *t[20];

	for (int i = 0; i < 20; i++)
		t[i] = start(blocks, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	ROSE_BY(blocking_calls, 20);
	CHECK(now_().blocking_threads >= 1 && now_().blocking_threads <= 20);
	CHECK(now_().blocking_queued_max >= 1 && now_().blocking_queued_max <= 20);
}

static void all(void)
{
	go = (gstk_sem)GSTK_SEM_INIT(0);
	tasks();
	wakes();
	time_and_descriptors();
	moves();
	blocking();
}

static bool variant(void)
{
	return getenv("GREENSTK_WINDOWS") || getenv("GREENSTK_FORCE_EVICT");
}

TEST(counters_count_and_gauges_come_back)
{
	struct gstk_config config = {
		.size = sizeof(config), .workers = 1, .windows = 1024, .evict_idle_ns = 20 * MS, .pack_idle_ns = 100 * MS,
	};

	if (variant())
		SKIP(return, "these numbers are of the plain runtime");
	alarm(100);
	ASSERT_EQ(gstk_main(body_, (void *)all, NULL, &config), 0);
}

static void shared_windows(void)
{
	go = (gstk_sem)GSTK_SEM_INIT(0);
	sharing();
}

TEST(so_do_those_of_shared_windows)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 16 };

	if (variant())
		SKIP(return, "these numbers are of the plain runtime");
	alarm(100);
	ASSERT_EQ(gstk_main(body_, (void *)shared_windows, NULL, &config), 0);
}

/* Half of the work is left to whoever comes. */
static void stolen(void)
{
	struct gstk_stats before = now_();
	gstk_task *t[100];

	for (int round = 0; round < 400 && (now_().steals == before.steals || now_().worker_wakes == before.worker_wakes); round++) {
		for (int i = 0; i < 100; i++)
			t[i] = start(ends, NULL);
		for (uint64_t end = gstk_now() + 2 * MS; gstk_now() < end;)
			;
		for (int i = 0; i < 100; i++)
			finish(t[i]);
	}
	ROSE(steals, 1);
	ROSE(worker_wakes, 1);
}

TEST(steals_and_wakes_of_workers_are_counted)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };

	alarm(100);
	ASSERT_EQ(gstk_main(body_, (void *)stolen, NULL, &config), 0);
}

TEST(a_size_that_is_nonsense_is_refused)
{
	struct gstk_stats s = { .size = sizeof(s) };

	ASSERT_EQ(gstk_stats(&s), -EINVAL); /* no runtime */
	ASSERT_EQ(gstk_stats(NULL), -EINVAL);
}

TEST_HARNESS_MAIN
