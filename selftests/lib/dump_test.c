// SPDX-License-Identifier: MIT
/* The dump of all tasks: what it says of each, wherever its stack is, and while stacks move. */
#include "dump_text.h"
#include "report_test.h"

static gstk_chan *gate;

/* What is said of the task called @name, in a buffer of its own. */
static const char *said_of(const char *name)
{
	static char part[65536];
	char want[64];
	const char *p, *end;

	snprintf(want, sizeof(want), "\"%s\"", name);
	p = strstr(text, want);
	if (!p) {
		fprintf(stderr, "# no task %s in:\n%.4000s\n", name, text);
		abort();
	}
	end = strstr(p, "\ntask ");
	snprintf(part, sizeof(part), "%.*s", end ? (int)(end - p) : 65000, p);
	return part;
}

static void says(const char *name, const char *what)
{
	const char *part = said_of(name);

	if (!strstr(part, what)) {
		fprintf(stderr, "# \"%s\" is not said of %s:\n%s\n", what, name, part);
		abort();
	}
}

static gstk_task *named(const char *name, gstk_fn fn, void *arg, uint32_t flags)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, arg, &(struct gstk_spawn_opts){ .size = sizeof(struct gstk_spawn_opts),
		.name = name, .flags = flags }), 0);
	return t;
}

static __attribute__((noinline)) int compare_and_wait(const void *a, const void *b)
{
	int v;

	gstk_chan_recv(gate, &v);
	return *(const int *)a - *(const int *)b;
}

/* Blocks inside a callback of libc, so that its frame is in the middle. */
static __attribute__((noinline)) void *sorter(void *arg)
{
	int array[2] = { 2, 1 };

	qsort(array, 2, sizeof(*array), compare_and_wait);
	return (void *)(long)(array[0] + 10 * array[1]);
}

static __attribute__((noinline)) void *sleeper(void *arg)
{
	return (void *)(long)gstk_sleep(3600 * 1000 * MS);
}

static void sort_and_look(const char *tier)
{
	gstk_task *t, *s;
	const char *part, *inner, *libc, *outer;

	CHECK_EQ(gstk_chan_create(&gate, sizeof(int), 0), 0);
	t = named("sorter", sorter, NULL, 0);
	s = named("sleepy", sleeper, NULL, 0);
	for (int i = 0; i < 100; i++) { /* under load they get there late */
		settle();
		dump(true);
		if (strstr(said_of("sorter"), "waiting for") && strstr(said_of("sleepy"), "waiting for"))
			break;
	}
	says("sorter", "waiting for chan recv");
	says("sorter", tier);
	says("sleepy", "waiting for sleep");
	says("sleepy", "sleeper+0x");
	says("main", "running on worker");
	says("main", "private");
	part = said_of("sorter");
	inner = strstr(part, " compare_and_wait+0x");
	libc = strstr(part, "libc.so");
	if (!libc)
		libc = strstr(part, "qsort"); /* a sanitizer brings its own, by another name */
	outer = strstr(part, " sorter+0x");
	if (!inner || !outer || !libc || !(inner < libc && libc < outer) || strstr(part, "no unwind")) {
		fprintf(stderr, "# frames missing or out of order:\n%s\n", part);
		abort();
	}
	/* Looking has not hurt. Closed, not sent to: a sanitizer's qsort compares more than once. */
	gstk_chan_close(gate);
	CHECK_EQ(finish(t), 21);
	gstk_cancel(s);
	CHECK_EQ(finish(s), -ECANCELED);
	dump(false);
	CHECK(!strstr(text, "sorter"));
	CHECK(strstr(text, "greenstk: 1 tasks: 1 running, 0 runnable, 0 waiting"));
	gstk_chan_destroy(gate);
}

static void any(void) { sort_and_look(" bytes, window "); }
static void resident(void) { sort_and_look("resident"); }
static void copied(void) { sort_and_look("copied"); }
static void packed(void) { sort_and_look("packed"); }

static void forced(uint32_t flags, void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .flags = flags };

	alarm(100);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

TEST(frames_of_a_waiting_task_go_through_libc) { forced(0, any); }

TEST(frames_of_a_resident_task)
{
	if (getenv("GREENSTK_FORCE_EVICT") || getenv("GREENSTK_WINDOWS"))
		SKIP(return, "nobody stays resident in this variant");
	forced(GSTK_NO_SWEEP, resident); /* which would evict it on a slow machine */
}

TEST(frames_of_an_evicted_task)
{
	if (getenv("GREENSTK_FORCE_PACK"))
		SKIP(return, "they are packed in this variant");
	forced(GSTK_FORCE_EVICT | GSTK_NO_SWEEP, copied);
}

TEST(frames_of_a_packed_task) { forced(GSTK_FORCE_EVICT | GSTK_FORCE_PACK, packed); }

/* ---- while stacks move ---- */

#define NR 1000

static _Atomic bool over;
static _Atomic long moves;

static __attribute__((noinline)) int deep_yield(int n)
{
	volatile char bytes[100];

	bytes[n] = (char)n;
	if (n)
		return deep_yield(n - 1) + (bytes[n] == (char)n);
	if (moves++ % 3)
		gstk_yield();
	else
		gstk_sleep(100000);
	return 0;
}

static void *mover(void *arg)
{
	long i = (long)arg;

	while (!over)
		CHECK_EQ(deep_yield((int)(i % 20)), i % 20);
	return NULL;
}

/* A frame that does not unwind. The thread sanitizer delivers the signal later, when the task may be another. */
static const char *broken_frame(void)
{
	const char *p = text;

	while ((p = strstr(p, "no unwind"))) {
		const char *task = p;

		while (strncmp(task, "\ntask ", 6) && task > text)
			task--;
		if (!UNDER_TSAN || strncmp(strchr(task + 6, '"'), "\"mover\" running", 15)) {
			fprintf(stderr, "# %.3000s\n", task);
			return p;
		}
		p++;
	}
	return NULL;
}

static void dump_among_movers(void)
{
	static gstk_task *t[NR];
	long rounds = (long)scaled(8), frames = 0, i;

	over = false;
	for (i = 0; i < NR; i++)
		t[i] = named("mover", mover, (void *)i, 0);
	/* Until enough of them were met at rest; in a single window everybody is always on the way. */
	for (i = 0; i < rounds || (frames <= rounds && !getenv("GREENSTK_WINDOWS")); i++) {
		CHECK(i < 1000);
		dump(true);
		CHECK(!broken_frame());
		for (const char *p = text; (p = strstr(p, " mover+0x")); p++)
			frames++;
		gstk_sleep(MS);
	}
	over = true;
	for (i = 0; i < NR; i++)
		CHECK_EQ(finish(t[i]), 0);
}

static void *dump_from_outside(void *arg)
{
	while (!over) {
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

		CHECK_EQ(gstk_dump(fd, true), 0);
		close(fd);
		usleep(1000);
	}
	return NULL;
}

static void dump_among_movers_from_outside(void)
{
	pthread_t other;

	over = false;
	pthread_create(&other, NULL, dump_from_outside, NULL);
	dump_among_movers();
	pthread_join(other, NULL);
}

TEST(a_dump_while_a_thousand_tasks_move_is_consistent)
{
	with_workers(4, dump_among_movers);
}

TEST(a_dump_while_stacks_are_evicted_is_consistent)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 4, .windows = 16 };

	CHECK_EQ(gstk_main(body_, (void *)dump_among_movers_from_outside, NULL, &config), 0);
}

/* ---- what a task waits for ---- */

static int sockets[2], listener;

static void *reads(void *arg)
{
	char c;

	return (void *)(long)gstk_read(sockets[0], &c, 1);
}

static void *polls(void *arg)
{
	return (void *)(long)gstk_poll_foreign(sockets[1], POLLPRI, GSTK_NEVER);
}

static void *fills(void *arg)
{
	static char much[4 << 20];

	return (void *)(long)gstk_write_all_until(sockets[1], much, sizeof(much), GSTK_NEVER);
}

static void *accepts(void *arg)
{
	return (void *)(long)gstk_accept(listener, NULL, NULL);
}

static void dump_descriptors(void)
{
	static const struct { const char *name; gstk_fn fn; const char *what; int *fd; } who[] = {
		{ "reads", reads, "waiting for fd read", &sockets[0] }, { "polls", polls, "waiting for fd read", &sockets[1] },
		{ "accepts", accepts, "waiting for fd read", &listener }, { "fills", fills, "waiting for fd write", &sockets[1] },
	};
	gstk_task *t[4];
	char want[64];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	listener = gstk_listen("127.0.0.1:0", 0);
	CHECK(listener >= 0);
	for (int i = 0; i < 3; i++)
		t[i] = named(who[i].name, who[i].fn, NULL, 0);
	settle();
	dump(false);
	for (int i = 0; i < 3; i++) {
		snprintf(want, sizeof(want), "%s, descriptor %d, ", who[i].what, *who[i].fd);
		says(who[i].name, want);
	}
	gstk_cancel(t[0]); /* who reads would let him go on who fills */
	finish(t[0]);
	t[3] = named(who[3].name, who[3].fn, NULL, 0);
	settle();
	dump(false);
	snprintf(want, sizeof(want), "%s, descriptor %d, ", who[3].what, *who[3].fd);
	says(who[3].name, want);
	for (int i = 1; i < 4; i++) {
		gstk_cancel(t[i]);
		finish(t[i]);
	}
	gstk_close(listener);
	gstk_close(sockets[0]);
	gstk_close(sockets[1]);
}

TEST(who_waits_for_a_descriptor_is_shown_with_its_number)
{
	with_workers(2, dump_descriptors);
}

/* ---- the signal ---- */

static volatile int mine;

static bool is_mine(void)
{
	return mine;
}

static bool (*seen)(void) = was_told; /* what the signal does comes when its thread has a CPU */

static void main_signal(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&gate, sizeof(int), 0), 0);
	t = named("sorter", sorter, NULL, 0);
	settle();
	kill(getpid(), SIGQUIT);
	while (!seen())
		gstk_sleep(MS);
	gstk_chan_close(gate);
	CHECK_EQ(finish(t), 21);
}

static void signal_default(void) { with_workers(1, main_signal); }

static void signal_none(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .dump_signal = -1 };

	signal(SIGQUIT, SIG_DFL);
	CHECK_EQ(gstk_main(body_, (void *)main_signal, NULL, &config), 0);
}

static void my_handler(int sig)
{
	mine++;
}

static void signal_mine(void)
{
	seen = is_mine;
	signal(SIGQUIT, my_handler);
	with_workers(1, main_signal);
	CHECK_EQ(mine, 1);
}

static void signal_afterwards(void)
{
	signal(SIGQUIT, SIG_DFL);
	with_workers(1, main_signal);
	kill(getpid(), SIGQUIT);
	pause();
}

static const char *const all_told[] = { "\"sorter\" waiting for chan recv", "greenstk: 2 tasks:", NULL };

TEST(the_signal_prints_all_tasks_and_the_process_goes_on)
{
	EXPECT_EQ(0, in_child_until(all_told, signal_default)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("\"sorter\" waiting for chan recv"));
	EXPECT_TRUE(reported("compare_and_wait+0x"));
	EXPECT_TRUE(reported("greenstk: 2 tasks:"));
}

static _Atomic bool enough;

__attribute__((noinline)) static void spin_until_enough(void)
{
	while (!atomic_load(&enough))
		;
}

static void *spinner(void *arg)
{
	spin_until_enough();
	return NULL;
}

__attribute__((noinline)) static void dump_myself(void)
{
	CHECK_EQ(gstk_dump(2, true), 0);
	__asm__ volatile("");
}

static void dump_runners(void)
{
	gstk_task *t = named("spinner", spinner, NULL, 0);

	do { /* it is asked by a signal, and may be late with its answer */
		gstk_sleep(20 * MS);
		dump_myself();
	} while (!was_told());
	atomic_store(&enough, true);
	finish(t);
}

static void runners(void) { with_workers(2, dump_runners); }

TEST(tasks_that_run_are_shown_with_their_frames_the_caller_included)
{
	if (UNDER_TSAN)
		SKIP(return, "it delivers signals late");
	EXPECT_EQ(0, in_child_until((const char *const[]){ " spin_until_enough+0x", " spinner+0x", NULL }, runners)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("\"spinner\" running on worker"));
	EXPECT_TRUE(reported(" spin_until_enough+0x"));
	EXPECT_TRUE(reported(" spinner+0x"));
	EXPECT_TRUE(reported(" dump_myself+0x"));
	EXPECT_TRUE(silent_about("no unwind information"));
}

TEST(no_signal_when_it_is_switched_off)
{
	int status = in_child_until(NULL, signal_none);

	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGQUIT, WTERMSIG(status));
}

TEST(a_handler_of_the_application_stays)
{
	EXPECT_EQ(0, in_child(signal_mine)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("greenstk: tasks of process"));
}

TEST(the_signal_is_as_before_after_the_runtime)
{
	EXPECT_EQ(SIGQUIT, WTERMSIG(in_child_until(all_told, signal_afterwards))) TH_LOG("%s", report);
}

TEST(without_a_runtime_there_is_nothing_to_dump)
{
	EXPECT_EQ(-EINVAL, gstk_dump(2, true));
}

TEST_HARNESS_MAIN
