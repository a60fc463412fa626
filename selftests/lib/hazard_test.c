// SPDX-License-Identifier: MIT
/* What is dangerous where stacks move: see "Hazards of the runtime" in testing.rst. */
#include <spawn.h>
#include <sys/mman.h>
#include "report_test.h"

extern char **environ;

static _Atomic long done;
static _Atomic bool over;

static gstk_task *with_flags(gstk_fn fn, void *arg, uint32_t flags, uint32_t worker)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, arg, &(struct gstk_spawn_opts){ .size = sizeof(struct gstk_spawn_opts),
		.flags = flags, .worker = worker }), 0);
	return t;
}

/* ---- a raw mutex on a stack ---- */

static _Atomic(pthread_mutex_t *) shared_mutex;
static int guarded;

static void *holder(void *arg)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* on a stack: others may point into it */

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(pthread_mutex_lock(&mutex), 0);
		shared_mutex = &mutex;
		guarded++;
		CHECK_EQ(gstk_sleep(MS), 0); /* parks with the lock held */
		guarded++;
		CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
		gstk_yield();
	}
	while (!done)
		gstk_yield();
	return NULL;
}

static void *waiter(void *arg)
{
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(pthread_mutex_lock(shared_mutex), 0); /* its worker waits with it */
		CHECK_EQ(guarded % 2, 0);
		CHECK_EQ(pthread_mutex_unlock(shared_mutex), 0);
		gstk_yield();
	}
	done = 1;
	return NULL;
}

static void raw_mutex(void)
{
	gstk_task *h, *w;

	done = 0;
	h = with_flags(holder, NULL, GSTK_PRIVATE | GSTK_PINNED, 0);
	while (!shared_mutex)
		gstk_sleep(MS);
	w = with_flags(waiter, NULL, GSTK_PRIVATE | GSTK_PINNED, 1);
	finish(w);
	finish(h);
}

TEST(holder_and_waiter_of_a_raw_mutex_are_private)
{
	with_workers(2, raw_mutex);
}

/* ---- the sweep and those who wake ---- */

static __attribute__((noinline)) int sleep_below(int depth, uint32_t *seed)
{
	volatile uint32_t frame[400];
	uint32_t tag = rnd(seed);

	for (int i = 0; i < 400; i++)
		frame[i] = tag + (uint32_t)i;
	if (depth)
		sleep_below(depth - 1, seed);
	else
		gstk_sleep(rnd(seed) % (80 * MS));
	for (int i = 0; i < 400; i++)
		CHECK_EQ(frame[i], tag + (uint32_t)i);
	return 0;
}

static void *restless(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 7919 + 1;

	while (!over)
		sleep_below((int)(rnd(&seed) % 12), &seed);
	return NULL;
}

static void sweep_and_wake(void)
{
	enum { NR = 400 };
	struct gstk_stats st = { .size = sizeof(st) };
	static gstk_task *t[NR];

	over = false;
	for (long i = 0; i < NR; i++)
		t[i] = start(restless, (void *)i);
	/* A second, and until all of it was seen; with few windows nobody is away for long enough to be trimmed. */
	for (int i = 0; i < 200; i++) {
		gstk_sleep(100 * MS);
		CHECK_EQ(gstk_stats(&st), 0);
		if (i >= 9 && st.evictions && st.restores && (st.trims || getenv("GREENSTK_WINDOWS")))
			break;
	}
	over = true;
	for (int i = 0; i < NR; i++)
		finish(t[i]);
	CHECK(st.trims > 0 || getenv("GREENSTK_WINDOWS"));
	CHECK(st.evictions > 0 && st.restores > 0);
}

TEST(stacks_wake_while_the_sweep_trims_them)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .evict_idle_ns = MS, .pack_idle_ns = 20 * MS,
		.resident_budget = 4096 };

	alarm(120);
	CHECK_EQ(gstk_main(body_, (void *)sweep_and_wake, NULL, &config), 0);
}

/* ---- other processes ---- */

static void *vforks(void *arg)
{
	static char *const argv[] = { "sh", "-c", "exit 9", NULL };
	volatile int mine = 5;
	pid_t pid;
	int status;

	gstk_yield();
	pid = vfork();
	if (!pid) {
		execv("/bin/sh", argv);
		_exit(1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 9);
	gstk_yield();
	CHECK_EQ(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 9);
	gstk_yield();
	CHECK_EQ(mine, 5);
	return NULL;
}

WAIT_TEST(vfork_and_posix_spawn_work_from_a_task)
{
	gstk_task *t[3];

	for (int i = 0; i < 3; i++)
		t[i] = start(vforks, NULL);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
}

/* ---- signals ---- */

static _Atomic long signals;

static void on_signal(int sig)
{
	volatile char below[512]; /* on the stack of whoever runs */

	memset((char *)below, 0x5a, sizeof(below));
	signals++;
}

static void *send_signals(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* the others get them */
	while (!over) {
		kill(getpid(), SIGUSR1);
		usleep(100);
	}
	return NULL;
}

static __attribute__((noinline)) void yield_below(uint32_t *seed)
{
	volatile uint32_t frame[64];
	uint32_t tag = rnd(seed);

	for (int i = 0; i < 64; i++)
		frame[i] = tag + (uint32_t)i;
	gstk_yield();
	for (int i = 0; i < 64; i++)
		CHECK_EQ(frame[i], tag + (uint32_t)i);
}

static void *yielder(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg + 1;

	while (!over)
		yield_below(&seed);
	return NULL;
}

static void interrupted(void)
{
	gstk_task *t[40];
	pthread_t other;

	over = false;
	signals = 0;
	signal(SIGUSR1, on_signal);
	pthread_create(&other, NULL, send_signals, NULL);
	for (long i = 0; i < 40; i++)
		t[i] = start(yielder, (void *)i);
	for (int i = 0; i < 2000 && signals < 200; i++)
		gstk_sleep(10 * MS);
	over = true;
	for (int i = 0; i < 40; i++)
		finish(t[i]);
	pthread_join(other, NULL);
	CHECK(signals >= 100);
}

TEST(signals_interrupt_tasks_that_move)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 2, .flags = GSTK_FORCE_EVICT };

	alarm(120);
	CHECK_EQ(gstk_main(body_, (void *)interrupted, NULL, &config), 0);
}

/* ---- limits ---- */

static void nothing(void)
{
	gstk_yield();
}

static void in_little_space(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .max_tasks = 100000, .image_bytes = 1 << 28,
		.windows = 65536 };
	struct rlimit rl = { (size_t)4 << 30, (size_t)4 << 30 };

	CHECK_EQ(setrlimit(RLIMIT_AS, &rl), 0);
	CHECK_EQ(gstk_main(body_, (void *)nothing, NULL, &config), 0);
}

TEST(little_address_space_means_fewer_windows_and_a_message)
{
	if (UNDER_ASAN || UNDER_TSAN || EMULATED() || getenv("GREENSTK_WINDOWS"))
		SKIP(return, "a sanitizer's shadow needs more address space, an emulator knows no RLIMIT_AS; or the number of windows is given");
	EXPECT_EQ(0, in_child(in_little_space)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("windows instead of 65536"));
}

static void *no_op(void *arg)
{
	return arg;
}

static void a_stack_too_many(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .max_tasks = 100000, .image_bytes = 1 << 28 };
	struct rlimit rl = { (size_t)4 << 30, (size_t)4 << 30 };
	gstk_task *t;

	CHECK_EQ(setrlimit(RLIMIT_AS, &rl), 0);
	CHECK_EQ(gstk_init(&config), 0);
	CHECK_EQ(gstk_spawn(&t, no_op, NULL, GSTK_OPTS(gstk_spawn_opts, .stack_size = (size_t)8 << 30)), 0);
	until_told();
	CHECK_EQ(gstk_join_until(t, NULL, gstk_now() + MS), -ETIMEDOUT);
	_exit(0);
}

TEST(a_task_whose_stack_cannot_be_had_is_told_of)
{
	if (UNDER_ASAN || UNDER_TSAN || EMULATED())
		SKIP(return, "a sanitizer's shadow needs more address space, an emulator knows no RLIMIT_AS");
	EXPECT_EQ(0, in_child_until((const char *const[]){ "no window of its own", NULL }, a_stack_too_many)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("no window of its own for a task with a stack of 8589934592 bytes"));
	EXPECT_TRUE(reported("ulimit -v"));
}

static unsigned int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;

	for (int c; (c = fgetc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static void *sleeper(void *arg)
{
	gstk_sleep(GSTK_NEVER / 4);
	return NULL;
}

static bool guard_install;

static void many_guards(void)
{
	enum { NR = 40000 }; /* more than vm.max_map_count / 2 */
	long nr = getenv("GREENSTK_TEST_VARIANT") && strcmp(getenv("GREENSTK_TEST_VARIANT"), "plain") ? 2000 : NR;
	gstk_task **t = calloc((size_t)nr, sizeof(*t));
	unsigned int before = mappings();

	for (long i = 0; i < nr; i++)
		t[i] = start(sleeper, NULL);
	settle();
	CHECK(mappings() < before + 200);
	for (long i = 0; i < nr; i++)
		gstk_cancel(t[i]);
	for (long i = 0; i < nr; i++)
		finish(t[i]);
	free(t);
}

TEST(guards_take_no_mapping_each)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	guard_install = !madvise(p, 4096, 102 /* MADV_GUARD_INSTALL */) && madvise(p, 4096, -1 /* nobody has it */);
	munmap(p, 4096);
	if (!guard_install || UNDER_ASAN || UNDER_TSAN)
		SKIP(return, "no MADV_GUARD_INSTALL (Linux 6.13): there are fewer windows then; or a sanitizer's mappings");
	with_workers(2, many_guards);
}

/* ---- fairness ---- */

static void *hog(void *arg)
{
	while (!over)
		;
	return NULL;
}

static void *napper(void *arg)
{
	for (int i = 0; i < 5; i++)
		gstk_sleep(MS);
	done++;
	return NULL;
}

static void beside_a_hog(void)
{
	gstk_task *h, *t[20];

	over = false;
	done = 0;
	h = with_flags(hog, NULL, GSTK_PRIVATE | GSTK_PINNED, 1);
	for (int i = 0; i < 20; i++)
		t[i] = start(napper, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	CHECK_EQ(done, 20);
	over = true;
	finish(h);
}

TEST(a_task_that_never_yields_stops_only_its_own_worker)
{
	with_workers(2, beside_a_hog);
}

/* ---- a crowd ---- */

static gstk_chan *gate;

static void *waits_at_the_gate(void *arg)
{
	int v;

	CHECK_EQ(gstk_chan_recv(gate, &v), -EPIPE);
	done++;
	return NULL;
}

WAIT_TEST(a_crowd_is_woken_at_once_and_each_once)
{
	long nr = UNDER_TSAN ? 2000 : (long)scaled(100000); /* that sanitizer's part of a task is a megabyte */
	gstk_task **t = calloc((size_t)nr, sizeof(*t));

	done = 0;
	CHECK_EQ(gstk_chan_create(&gate, sizeof(int), 0), 0);
	for (long i = 0; i < nr; i++)
		t[i] = start(waits_at_the_gate, NULL);
	settle();
	CHECK_EQ(gstk_chan_close(gate), 0);
	for (long i = 0; i < nr; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
	CHECK_EQ(done, nr);
	gstk_chan_destroy(gate);
	free(t);
}

TEST_HARNESS_MAIN
