// SPDX-License-Identifier: MIT
/*
 * The n-th allocation of the library fails, for n = 1, 2, ... until a run needs no more than that. The
 * linker's --wrap puts these functions between the library and libc (nomem_matrix.mk).
 */
#include <malloc.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "sched/timer_pool.h"
#include "wait_test.h"

static _Atomic long countdown = -1; /* the allocation that reaches zero fails; below: none does */
static _Atomic long failures, asked;
static _Atomic bool forever; /* all after it fail, too */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__real_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off);

static bool fails(void)
{
	long n;

	asked++;
	if (countdown < 0)
		return false;
	n = countdown--;
	if (n > 0)
		return false;
	if (forever)
		countdown = 0;
	failures++;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }
void *__wrap_aligned_alloc(size_t align, size_t n) { return fails() ? NULL : __real_aligned_alloc(align, n); }
/* As with vm.overcommit_memory=2: what may be written counts as used, MAP_NORESERVE or not. */
static _Atomic size_t commit_limit = SIZE_MAX, committed;

void *__wrap_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off)
{
	if (prot & PROT_WRITE && n > commit_limit - committed) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (commit_limit != SIZE_MAX && prot & PROT_WRITE)
		committed += n;
	return fails() ? MAP_FAILED : __real_mmap(p, n, prot, flags, fd, off);
}

size_t __real_gstk__mem_limit(void);
size_t __wrap_gstk__mem_limit(void);

/* What the library reads in /proc there. */
size_t __wrap_gstk__mem_limit(void)
{
	size_t left = commit_limit - committed, real = __real_gstk__mem_limit();

	return commit_limit != SIZE_MAX && left / 2 < real ? left / 2 : real;
}

static void fail_at(long n, bool all)
{
	failures = 0;
	forever = all;
	countdown = n;
}

static long stop_failing(void)
{
	countdown = -1;
	return failures;
}

static bool memory_or_fine(int err)
{
	return err == 0 || err == -ENOMEM;
}

static void *nothing(void *arg)
{
	return arg;
}

static uint64_t mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	uint64_t sum = 0;
	char line[512];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2)
			sum += to - from;
	fclose(f);
	return sum;
}

/* ---- the runtime's own beginning ---- */

TEST(a_runtime_begins_or_says_enomem_and_leaves_nothing)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 16, .max_tasks = 10000,
		.image_bytes = 1 << 30 };
	int refused = 0, n;

	CHECK_EQ(gstk_init(&config), 0); /* what is made once a process */
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
	for (n = 0; n < 1000; n++) {
		uint64_t before = mapped(), after;
		long failed;
		int err;

		fail_at(n, false);
		err = gstk_init(&config);
		failed = stop_failing();
		if (err) {
			EXPECT_EQ(-ENOMEM, err) TH_LOG("allocation %d", n);
			EXPECT_EQ(1, failed);
			refused++;
			EXPECT_EQ(-ESRCH, gstk_sleep(1));
		} else {
			gstk_task *t;

			CHECK_EQ(gstk_spawn(&t, nothing, NULL, NULL), 0);
			CHECK_EQ(gstk_join(t, NULL), 0);
			CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
		}
		after = mapped();
		if (n > 2) /* libc keeps stacks and heaps of threads */
			EXPECT_GE(before + (256ull << 20), after) TH_LOG("allocation %d", n);
		if (!failed)
			break;
	}
	TH_LOG("%d allocations, %d of them needed", n, refused);
	EXPECT_LT(5, refused);
	EXPECT_GT(1000, n);
}

static void *forty_sleepers(void *arg)
{
	gstk_task *t[40];

	for (long i = 0; i < 40; i++)
		CHECK_EQ(gstk_spawn(&t[i], nothing, NULL, NULL), 0);
	for (int i = 0; i < 40; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
	return NULL;
}

/* The defaults reserve 90 GiB: less of everything then, and half is left for others; or -ENOMEM. */
TEST(strict_overcommit_means_less_of_everything_or_enomem)
{
	static const size_t limits[] = { (size_t)16 << 30, (size_t)4 << 30, (size_t)1 << 30, (size_t)64 << 20, 1 << 20 };
	int begun = 0;

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct gstk_stats st = { .size = sizeof(st) };
		int err;

		commit_limit = limits[i];
		committed = 0;
		err = gstk_main(forty_sleepers, NULL, NULL, NULL);
		commit_limit = SIZE_MAX;
		EXPECT_TRUE(memory_or_fine(err)) TH_LOG("%zu: %d", limits[i], err);
		TH_LOG("of %zu MiB %zu are reserved: %d", limits[i] >> 20, committed >> 20, err);
		begun += !err;
		EXPECT_EQ(-EINVAL, gstk_stats(&st)); /* nothing is left of it */
	}
	EXPECT_LE(3, begun);
}

/* ---- work ---- */

static gstk_chan *chan;
static _Atomic long got, sent, no_memory;
enum { BIG = 3000 };

static void *big_sender(void *arg)
{
	char big[BIG];
	int err;

	memset(big, (int)(long)arg, BIG);
	err = gstk_chan_send(chan, big);
	CHECK(memory_or_fine(err));
	if (err)
		no_memory++;
	else
		sent++;
	return NULL;
}

/* What @nr senders have memory to send; then they end. */
static void receive_all(gstk_task *const *t, int nr)
{
	char big[BIG];

	while (no_memory + got < nr) {
		int err = gstk_chan_recv_until(chan, big, gstk_now() + 2 * MS);

		CHECK(err == 0 || err == -ENOMEM || err == -ETIMEDOUT);
		if (err)
			continue;
		got++;
		for (int i = 1; i < BIG; i++)
			CHECK_EQ(big[i], big[0]);
	}
	for (int i = 0; i < nr; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
	CHECK_EQ(sent, got); /* nothing is lost, nothing comes twice */
}

/* Big messages wait in blocks of memory. */
static void big_messages(void)
{
	gstk_task *t[4];
	int err, nr = 0;

	err = gstk_chan_create(&chan, BIG, 0);
	CHECK(memory_or_fine(err));
	if (err)
		return;
	got = sent = no_memory = 0;
	for (long i = 0; i < 4; i++) {
		err = gstk_spawn(&t[nr], big_sender, (void *)(i + 1), NULL);
		CHECK(memory_or_fine(err));
		nr += !err;
	}
	receive_all(t, nr);
	gstk_chan_destroy(chan);
}

static void *deep(void *arg)
{
	volatile char frame[2000];

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (char)(i + (uintptr_t)arg);
	gstk_sleep(MS / 4);
	gstk_yield();
	for (size_t i = 0; i < sizeof(frame); i++)
		CHECK_EQ(frame[i], (char)(i + (uintptr_t)arg));
	return arg;
}

/* Stacks of 2 KiB, tasks >> windows: each is evicted; images need memory. */
static void evictions(void)
{
	gstk_task *t[40];
	int nr = 0;

	for (long i = 0; i < 40; i++) {
		int err = gstk_spawn(&t[nr], deep, (void *)i, NULL);

		CHECK(memory_or_fine(err));
		nr += !err;
	}
	for (int i = 0; i < nr; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
}

static void *opts_task(void *arg)
{
	CHECK_EQ(*(int *)arg, 77);
	gstk_free(gstk_alloc(100));
	return NULL;
}

static void options(void)
{
	int block = 77;
	struct gstk_spawn_opts o = { .size = sizeof(o), .name = "named", .block = &block, .block_size = sizeof(block),
		.stack_size = 1 << 20 };
	gstk_task *t;
	int err = gstk_spawn(&t, opts_task, NULL, &o);

	CHECK(memory_or_fine(err));
	if (!err)
		CHECK_EQ(gstk_join(t, NULL), 0);
}

static void selects(void)
{
	gstk_chan *c[3];
	int v[3] = { 0 }, nr = 0, err;

	for (; nr < 3 && !(err = gstk_chan_create(&c[nr], sizeof(int), 1)); nr++)
		;
	CHECK(memory_or_fine(err));
	if (nr == 3) {
		struct gstk_case cases[3];

		for (int i = 0; i < 3; i++)
			cases[i] = (struct gstk_case){ .chan = c[i], .elem = &v[i], .op = GSTK_CASE_RECV };
		err = gstk_select(cases, 3, gstk_now() + MS / 4);
		CHECK(err == -ETIMEDOUT || err == -ENOMEM);
		v[1] = 5;
		CHECK_EQ(gstk_chan_send(c[1], &v[1]), 0);
		v[1] = 0;
		CHECK_EQ(gstk_select(cases, 3, GSTK_NEVER), 1); /* no wait, no memory */
		CHECK_EQ(v[1], 5);
	}
	while (nr)
		gstk_chan_destroy(c[--nr]);
}

static int pair[2];

static void *say(void *arg)
{
	CHECK_EQ(gstk_write(pair[1], "hello", 5), 5);
	return NULL;
}

static void sockets(void)
{
	char text[8];
	gstk_task *t;
	int err;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	err = gstk_spawn(&t, say, NULL, NULL);
	CHECK(memory_or_fine(err));
	if (!err) {
		CHECK_EQ(gstk_read_until(pair[0], text, sizeof(text), gstk_now() + 20000 * MS), 5);
		CHECK_EQ(gstk_join(t, NULL), 0);
	}
	gstk_close(pair[0]);
	gstk_close(pair[1]);
}

/* Timers, sleeps and deadlines. */
static void timers(void)
{
	gstk_timer *t;
	uint64_t n = 0;
	int err = gstk_timer_create(&t);

	CHECK(memory_or_fine(err));
	if (!err) {
		CHECK_EQ(gstk_timer_set(t, gstk_now() + MS / 4, 0), 0);
		CHECK_EQ(gstk_chan_recv(gstk_timer_chan(t), &n), 0);
		CHECK_EQ(n, 1);
		CHECK_EQ(gstk_timer_destroy(t), 0);
	}
	err = gstk_deadline_set(gstk_now() + MS / 4);
	CHECK(memory_or_fine(err));
	CHECK_EQ(gstk_deadline_get() == GSTK_NEVER, err != 0);
	if (!err) {
		err = gstk_sleep(20000 * MS);
		CHECK(err == -ETIMEDOUT || err == -ENOMEM);
		CHECK_EQ(gstk_deadline_set(GSTK_NEVER), 0);
	}
	err = gstk_sleep(MS / 4);
	CHECK(memory_or_fine(err));
}

static struct gstk__timer *taken;

static void take_all_timers(void)
{
	struct gstk__timer *timer;

	fail_at(0, true);
	while ((timer = gstk__timer_get())) {
		timer->next = taken;
		taken = timer;
	}
}

static void give_timers_back(void)
{
	struct gstk__timer *timer;

	stop_failing();
	while ((timer = taken)) {
		taken = timer->next;
		gstk__timer_put(timer);
	}
}

/* A worker that waited for memory would keep its tasks from giving some back. */
static void deadlines_without_memory(void)
{
	gstk_chan *c;

	CHECK_EQ(gstk_chan_create(&c, 0, 0), 0);
	take_all_timers();
	CHECK_EQ(gstk_sleep(20000 * MS), -ENOMEM);
	CHECK_EQ(gstk_chan_recv_until(c, NULL, gstk_now() + 20000 * MS), -ENOMEM);
	give_timers_back();
	CHECK_EQ(gstk_chan_destroy(c), 0);
	CHECK_EQ(gstk_sleep(MS), 0);
}

struct waits {
	int line;
	gstk_chan *c;
	gstk_mutex *m;
	gstk_task *other;
	uint64_t until;
	struct gstk_case cases[2];
	int64_t result[5];
};

/* All of them, with a deadline; what they were linked to they are not any more. */
static enum gstk_progress waits_without_memory(gstk_future *f, void *state)
{
	struct waits *s = *(struct waits **)state;

	GSTK_FUTURE_BEGIN(s->line);
	GSTK_AWAIT(s->line, gstk_await_time(f, s->until));
	s->result[0] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_recv(f, s->c, NULL, s->until));
	s->result[1] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_mutex(f, s->m, s->until));
	s->result[2] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_select(f, s->cases, 2, s->until));
	s->result[3] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_join(f, s->other, NULL, s->until));
	s->result[4] = gstk_await_result(f);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void *receives(void *c)
{
	CHECK_EQ(gstk_chan_recv(c, NULL), -EPIPE);
	return NULL;
}

static void stackless_without_memory(void)
{
	static const struct gstk_future_type type = { sizeof(type), "waits", sizeof(struct waits *), waits_without_memory, NULL };
	static gstk_mutex m = GSTK_MUTEX_INIT;
	static struct waits w;
	struct waits *p = &w;
	gstk_chan *c;
	gstk_task *t, *other;

	CHECK_EQ(gstk_chan_create(&c, 0, 0), 0);
	other = start(receives, c);
	CHECK_EQ(gstk_mutex_lock(&m), 0);
	w = (struct waits){ .c = c, .m = &m, .other = other, .until = gstk_now() + 20000 * MS,
		.cases = { { .chan = c, .op = GSTK_CASE_RECV }, { .op = GSTK_CASE_RECV } } };
	CHECK_EQ(gstk_select(w.cases, 2, gstk_now() + MS), -ETIMEDOUT); /* it has nodes; its next timer is what there is not */
	take_all_timers();
	CHECK_EQ(gstk_future_spawn(&t, &type, &p), -ENOMEM);
	stop_failing();
	CHECK_EQ(gstk_future_spawn(&t, &type, &p), 0);
	fail_at(0, true);
	CHECK_EQ(gstk_join(t, NULL), 0);
	give_timers_back();
	for (int i = 0; i < 5; i++)
		CHECK_EQ(w.result[i], -ENOMEM);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	CHECK_EQ(gstk_mutex_destroy(&m), 0);
	CHECK_EQ(gstk_chan_close(c), 0);
	CHECK_EQ(gstk_join(other, NULL), 0);
	CHECK_EQ(gstk_chan_destroy(c), 0); /* nobody is in it */
}

TEST(a_stackless_task_without_memory_for_a_deadline_is_told_and_spins_not)
{
	with_workers(1, stackless_without_memory);
}

TEST(a_deadline_without_memory_is_refused_and_nobody_spins)
{
	with_workers(1, deadlines_without_memory);
}

static _Atomic int scoped;

static int in_scope(void *arg)
{
	scoped++;
	return gstk_sleep(MS / 4);
}

/* Begun or not, spawned or not: the end waits for as many as were spawned. */
static void scopes(void)
{
	gstk_scope *s;
	int err = gstk_scope_begin(&s, GSTK_NEVER), nr = 0;

	CHECK(memory_or_fine(err));
	if (err)
		return;
	scoped = 0;
	for (int i = 0; i < 3; i++) {
		err = gstk_scope_spawn(s, in_scope, NULL, NULL);
		CHECK(memory_or_fine(err) || err == -ECANCELED);
		nr += !err;
	}
	CHECK(memory_or_fine(gstk_scope_end(s)));
	CHECK_EQ(scoped, nr);
}

static void *deep_and_cold(void *arg)
{
	volatile char frame[5000];

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (char)(i / 64 + (uintptr_t)arg); /* packs well */
	for (int i = 0; i < 3; i++) {
		gstk_sleep(MS / 4);
		for (size_t k = 0; k < sizeof(frame); k++)
			CHECK_EQ(frame[k], (char)(k / 64 + (uintptr_t)arg));
	}
	return arg;
}

/* Every image is packed at once; what has no memory for that stays as it is. */
static void packing(void)
{
	gstk_task *t[40];
	int nr = 0;

	for (long i = 0; i < 40; i++) {
		int err = gstk_spawn(&t[nr], deep_and_cold, (void *)i, NULL);

		CHECK(memory_or_fine(err));
		nr += !err;
	}
	for (int i = 0; i < nr; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
}

static void (*work)(void);
static uint32_t with_flags;
static long at, hit;

static void work_once(void)
{
	fail_at(at, false);
	work();
	hit = stop_failing();
	work(); /* and afterwards everything is as ever */
}

/* Under ASan each image has a copy of its shadow, which cannot be refused: no evictions there. */
#if defined(__SANITIZE_ADDRESS__)
#define ASAN true
#else
#define ASAN false
#endif

/* A process for each allocation: pools that never shrink are new then. Returns how many failed. */
static long each_allocation(void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = ASAN ? 64 : 2,
				      .flags = GSTK_NO_SWEEP | with_flags };

	work = fn;
	for (at = 0; at < 1000; at++) {
		pid_t pid;
		int status;

		fflush(NULL);
		pid = fork();
		if (!pid) {
			alarm(60);
			CHECK_EQ(gstk_main(body_, (void *)work_once, NULL, &config), 0);
			_exit(hit ? 1 : 2);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status)) {
			fprintf(stderr, "# with allocation %ld: signal %d\n", at, WTERMSIG(status));
			return -1;
		}
		if (WEXITSTATUS(status) == 2)
			return at;
		if (WEXITSTATUS(status) != 1) {
			fprintf(stderr, "# with allocation %ld: exit %d\n", at, WEXITSTATUS(status));
			return -1;
		}
	}
	return -1;
}

static void *one_more(void *arg)
{
	++*(int *)arg;
	return NULL;
}

static void *block_on_its_stack(void *arg)
{
	int n = 1, err = gstk_blocking_copy(one_more, &n, sizeof(n), NULL);

	CHECK(memory_or_fine(err));
	CHECK_EQ(n, err ? 1 : 2);
	return NULL;
}

static void blocking_calls(void)
{
	gstk_task *t;
	int err = gstk_spawn(&t, block_on_its_stack, NULL, NULL);

	CHECK(memory_or_fine(err));
	if (!err)
		CHECK_EQ(gstk_join(t, NULL), 0);
}

static void *one_more_deep(void *arg)
{
	char deep[200000];

	memset(deep, 1, sizeof(deep));
	__asm__ volatile("" : : "r"(deep) : "memory");
	return one_more(arg);
}

static void other_stacks(void)
{
	static size_t size = 256 << 10;
	int n = 1, err = gstk_call_on_stack(size += 64 << 10, one_more_deep, &n, NULL); /* a new one each time */

	CHECK(memory_or_fine(err));
	CHECK_EQ(n, err ? 1 : 2);
}

struct stackless {
	int line;
	long id;
	char big[BIG];
};

static _Atomic long dropped;

static void drop(void *state)
{
	dropped++;
}

/* As big_sender(); with a deadline, and a cleanup of its own. */
static enum gstk_progress big_future(gstk_future *f, void *state)
{
	struct stackless *s = state;

	GSTK_FUTURE_BEGIN(s->line);
	CHECK(memory_or_fine(gstk_cleanup_push(drop, NULL)));
	memset(s->big, (int)s->id, BIG);
	GSTK_AWAIT(s->line, gstk_await_send(f, chan, s->big, gstk_now() + 20000 * MS));
	CHECK(memory_or_fine((int)gstk_await_result(f)));
	if (gstk_await_result(f))
		no_memory++;
	else
		sent++;
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void futures(void)
{
	static const struct gstk_future_type type = { sizeof(type), "big", sizeof(struct stackless), big_future, drop };
	struct stackless s = { 0 };
	gstk_task *t[4];
	int err, nr = 0;

	err = gstk_chan_create(&chan, BIG, 0);
	CHECK(memory_or_fine(err));
	if (err)
		return;
	got = sent = no_memory = dropped = 0;
	for (long i = 0; i < 4; i++) {
		s.id = i + 1;
		err = gstk_future_spawn(&t[nr], &type, &s);
		CHECK(memory_or_fine(err));
		nr += !err;
	}
	receive_all(t, nr);
	CHECK(dropped >= nr); /* each state, and each cleanup for which there was memory */
	gstk_chan_destroy(chan);
}

#define NOMEM_TEST(name, fn, least, moves) \
	TEST(name) \
	{ \
		long n; \
		if (ASAN && (moves || getenv("GREENSTK_FORCE_EVICT"))) \
			SKIP(return, "the shadow of an image cannot be refused"); \
		n = each_allocation(fn); \
		TH_LOG("%ld allocations", n); \
		EXPECT_LE(least, n); \
	}
NOMEM_TEST(big_messages_are_sent_or_refused_and_none_is_lost, big_messages, 1, false)
NOMEM_TEST(stacks_are_evicted_or_their_claimers_wait, evictions, 1, true)
NOMEM_TEST(spawn_with_options_succeeds_or_says_enomem, options, 1, false)
NOMEM_TEST(a_select_succeeds_or_says_enomem, selects, 1, false)
NOMEM_TEST(sockets_work_without_memory, sockets, 0, false)
NOMEM_TEST(scopes_hold_what_was_spawned, scopes, 3, false)
NOMEM_TEST(timers_and_deadlines_are_set_or_say_enomem, timers, 1, false)
NOMEM_TEST(stackless_tasks_are_spawned_and_send_or_say_enomem, futures, 6, false)
NOMEM_TEST(blocking_calls_copy_their_block_or_say_enomem, blocking_calls, 1, false)
NOMEM_TEST(a_call_has_another_stack_or_says_enomem, other_stacks, 1, false)
TEST(stacks_are_packed_or_stay_as_they_are)
{
	long n;

	if (ASAN)
		SKIP(return, "the shadow of an image cannot be refused");
	with_flags = GSTK_FORCE_EVICT | GSTK_FORCE_PACK;
	n = each_allocation(packing);
	TH_LOG("%ld allocations", n);
	EXPECT_LE(1, n);
}

TEST_HARNESS_MAIN
