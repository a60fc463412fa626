// SPDX-License-Identifier: MIT
/* What a wait leaves on its task's stack: the caller's registers and a few words, whatever the library called on the way. */
#include <poll.h>
#include "wait_test.h"

#include "arch/arch.h"
#include "debug/annotate.h"
#include "sched/sched.h"
#include "window/window.h"

#if defined(GSTK__HAVE_SWITCH_THEN) && !defined(GSTK__ASAN) && !defined(GSTK__TSAN)
#define LEFT 88 /* arch/x86_64/then.S: the return address, four registers, three words, the frame */
#else
#define LEFT 0
#endif

static gstk_chan *empty, *full;
static gstk_mutex held = GSTK_MUTEX_INIT;
static gstk_mutex guard = GSTK_MUTEX_INIT;
static gstk_cond cond = GSTK_COND_INIT;
static gstk_rwlock rw = GSTK_RWLOCK_INIT;
static gstk_sem sem = GSTK_SEM_INIT(0);
static gstk_waitgroup group = GSTK_WAITGROUP_INIT;
static gstk_task *long_one;
static int ends[2], polled[2];

static void receive_one(void)
{
	char v;

	CHECK_EQ(gstk_chan_recv(empty, &v), -EPIPE);
}

static void receive_for_long(void)
{
	char v;

	CHECK_EQ(gstk_chan_recv_until(empty, &v, gstk_now() + 1000000 * MS), -EPIPE);
}

static void wait_for_semaphore_for_long(void)
{
	CHECK_EQ(gstk_sem_wait_until(&sem, gstk_now() + 1000000 * MS), 0);
}

static void sleep_well(void)
{
	CHECK_EQ(gstk_sleep(1000000 * MS), -ECANCELED);
}

static void send_one(void)
{
	CHECK_EQ(gstk_chan_send(full, "x"), -EPIPE);
}

static void lock(void)
{
	CHECK_EQ(gstk_mutex_lock(&held), 0);
	CHECK_EQ(gstk_mutex_unlock(&held), 0);
}

static void wait_for_semaphore(void)
{
	CHECK_EQ(gstk_sem_wait(&sem), 0);
}

static void wait_for_group(void)
{
	CHECK_EQ(gstk_waitgroup_wait(&group), 0);
}

static void join(void)
{
	CHECK_EQ(gstk_join(long_one, NULL), 0);
}

static void read_byte(void)
{
	char c;

	CHECK_EQ(gstk_read(ends[0], &c, 1), 1);
}

static void poll_byte(void)
{
	CHECK_EQ(gstk_poll(polled[0], POLLIN, GSTK_NEVER), POLLIN);
}

static void read_lock(void)
{
	CHECK_EQ(gstk_rwlock_read_lock(&rw), 0);
	CHECK_EQ(gstk_rwlock_read_unlock(&rw), 0);
}

static void write_lock(void)
{
	CHECK_EQ(gstk_rwlock_write_lock(&rw), 0);
	CHECK_EQ(gstk_rwlock_write_unlock(&rw), 0);
}

static void wait_for_condition(void)
{
	CHECK_EQ(gstk_mutex_lock(&guard), 0);
	CHECK_EQ(gstk_cond_wait(&cond, &guard), 0);
	CHECK_EQ(gstk_mutex_unlock(&guard), 0);
}

static const struct {
	const char *name;
	void (*fn)(void);
} waits[] = {
	{ "gstk_chan_recv", receive_one }, { "gstk_chan_send", send_one }, { "gstk_mutex_lock", lock },
	{ "gstk_sem_wait", wait_for_semaphore },
	{ "gstk_waitgroup_wait", wait_for_group }, { "gstk_join", join }, { "gstk_read", read_byte },
	{ "gstk_poll", poll_byte },
	{ "gstk_rwlock_read_lock", read_lock }, { "gstk_rwlock_write_lock", write_lock },
	{ "gstk_cond_wait", wait_for_condition },
	{ "gstk_chan_recv_until", receive_for_long }, { "gstk_sem_wait_until", wait_for_semaphore_for_long },
	{ "gstk_sleep", sleep_well },
};
enum { NR = sizeof(waits) / sizeof(*waits) };

static struct gstk_task *task[NR];
static uintptr_t before[NR];

static void *waiter(void *arg)
{
	task[(long)arg] = gstk__current_task();
	before[(long)arg] = gstk__sp();
	waits[(long)arg].fn();
	return NULL;
}

static void *for_a_semaphore(void *arg)
{
	CHECK_EQ(gstk_sem_wait(arg), 0);
	return NULL;
}

static uintptr_t parked_at(const struct gstk_task *t)
{
	return t->tier == GSTK__TIER_RESIDENT ? (uintptr_t)t->sp : (uintptr_t)gstk__win_base(t->window) - t->used;
}

/* Each of those functions has a frame of its own between the two: of one local, at most, and what it calls saves nothing. */
WAIT_TEST(a_wait_leaves_no_frame_of_the_library)
{
	static gstk_sem end = GSTK_SEM_INIT(0);
	gstk_task *t[NR];
	char c;

	CHECK_EQ(gstk_chan_create(&empty, 1, 0), 0);
	CHECK_EQ(gstk_chan_create(&full, 1, 0), 0);
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(pipe(polled), 0);
	CHECK_EQ(gstk_mutex_lock(&held), 0);
	CHECK_EQ(gstk_rwlock_write_lock(&rw), 0);
	CHECK_EQ(gstk_waitgroup_add(&group, 1), 0);
	long_one = start(for_a_semaphore, &end);
	/* A descriptor that has been read once is known. */
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(gstk_read(ends[0], &c, 1), 1);
	CHECK_EQ(gstk_poll(polled[0], POLLIN, 1), -ETIMEDOUT);
	for (long i = 0; i < NR; i++)
		t[i] = start(waiter, (void *)i);
	settle();
	/* With GREENSTK_DEBUG=locks waits are recorded on the way. */
	for (int i = 0; i < NR && LEFT && !getenv("GREENSTK_DEBUG"); i++) {
		long left = (long)(before[i] - parked_at(task[i]));

		long own = waits[i].fn == read_byte ? 64 + 48 : 64; /* a read has its result widened, in a frame */

		if (left > LEFT + own)
			fprintf(stderr, "# %s leaves %ld bytes\n", waits[i].name, left);
		CHECK(left >= LEFT && left <= LEFT + own);
	}
	CHECK_EQ(gstk_chan_close(empty), 0);
	CHECK_EQ(gstk_chan_close(full), 0);
	CHECK_EQ(gstk_mutex_unlock(&held), 0);
	CHECK_EQ(gstk_rwlock_write_unlock(&rw), 0);
	CHECK_EQ(gstk_cond_signal(&cond), 0);
	CHECK_EQ(gstk_sem_post(&sem, 2), 0);
	CHECK_EQ(gstk_waitgroup_done(&group), 0);
	CHECK_EQ(gstk_sem_post(&end, 1), 0);
	CHECK_EQ(write(ends[1], "y", 1), 1);
	CHECK_EQ(write(polled[1], "y", 1), 1);
	for (int i = 0; i < NR; i++) {
		if (waits[i].fn == sleep_well)
			CHECK_EQ(gstk_cancel(t[i]), 0);
		CHECK_EQ(finish(t[i]), 0);
	}
	close(ends[0]);
	close(ends[1]);
	close(polled[0]);
	close(polled[1]);
	CHECK_EQ(gstk_chan_destroy(empty), 0);
	CHECK_EQ(gstk_chan_destroy(full), 0);
}

static gstk_mutex contended = GSTK_MUTEX_INIT;
static struct gstk_task *slower;
static bool got_it;

static void *comes_second(void *arg)
{
	slower = gstk__current_task();
	CHECK_EQ(gstk_mutex_lock(&contended), 0);
	got_it = true;
	return (void *)(long)gstk_mutex_unlock(&contended);
}

static void loses_again_and_again(void)
{
	gstk_task *t;
	uintptr_t first;

	CHECK_EQ(gstk_mutex_lock(&contended), 0);
	t = start(comes_second, NULL);
	gstk_yield(); /* not for a millisecond, after which it would be given the mutex */
	first = parked_at(slower);
	for (int i = 0; i < 200 && !got_it; i++) {
		CHECK_EQ(gstk_mutex_unlock(&contended), 0);
		CHECK_EQ(gstk_mutex_lock(&contended), 0);
		gstk_yield();
		if (!got_it)
			CHECK(first - parked_at(slower) < 1024);
	}
	CHECK_EQ(gstk_mutex_unlock(&contended), 0);
	CHECK_EQ(finish(t), 0);
}

/* A waiter that is woken finds the mutex taken again, and waits anew: where it waited before. One worker: it runs in the yield. */
TEST(a_lock_that_is_lost_again_and_again_costs_no_more_stack)
{
	with_workers(1, loses_again_and_again);
}

/* Who has a deadline keeps a timer meanwhile, and comes back as others do. */
static void *with_deadline(void *arg)
{
	char v;

	CHECK_EQ(gstk_deadline_set(gstk_now() + 5 * MS), 0);
	CHECK_EQ(gstk_chan_recv(empty, &v), -ETIMEDOUT);
	CHECK_EQ(gstk_deadline_set(GSTK_NEVER), 0);
	return NULL;
}

static _Atomic int here;

static void *keeps_errno(void *arg)
{
	char v;

	errno = 1000 + (int)(long)arg;
	here++;
	CHECK_EQ(gstk_chan_recv(empty, &v), (long)arg % 3 ? 0 : -ECANCELED);
	CHECK_EQ(errno, 1000 + (int)(long)arg);
	return NULL;
}

WAIT_TEST(errno_deadlines_and_cancels_find_their_way_back)
{
	gstk_task *t[30];

	CHECK_EQ(gstk_chan_create(&empty, 1, 0), 0);
	CHECK_EQ(finish(start(with_deadline, NULL)), 0);
	for (long i = 0; i < 30; i++)
		t[i] = start(keeps_errno, (void *)i);
	while (here < 30)
		gstk_yield();
	settle();
	for (int i = 0; i < 30; i += 3)
		CHECK_EQ(gstk_cancel(t[i]), 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(gstk_chan_send(empty, "z"), 0);
	for (int i = 0; i < 30; i++)
		CHECK_EQ(finish(t[i]), 0);
	CHECK_EQ(gstk_chan_destroy(empty), 0);
	here = 0;
}

TEST_HARNESS_MAIN
