// SPDX-License-Identifier: MIT
/* GREENSTK_DEBUG=stacks: who touches the stack of a task that is off the CPU is told so. */
#include <fcntl.h>
#include <sys/mman.h>
#include "report_test.h"
#include "window/window.h"

static gstk_chan *gate;
static char *volatile published; /* the address of a local of the owner */

/* Parks with 64 bytes that somebody else knows of. */
static __attribute__((noipa)) void owner_waits(void)
{
	char bytes[64];
	long v;

	memset(bytes, 7, sizeof(bytes));
	published = bytes;
	CHECK_EQ(gstk_chan_recv(gate, &v), 0);
	CHECK_EQ(bytes[5], 7);
}

static void *owner(void *arg)
{
	owner_waits();
	return NULL;
}

/* Red zones that its owner left would be reported first. */
static __attribute__((noipa, no_sanitize("address"))) void *toucher(void *arg)
{
	published[5]++;
	return NULL;
}

static int scoped_toucher(void *arg)
{
	toucher(arg);
	return 0;
}

static gstk_task *start_named(gstk_fn fn, const char *name, uint32_t flags)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, NULL, GSTK_OPTS(gstk_spawn_opts, .name = name, .flags = flags)), 0);
	return t;
}

/* Its owner is parked. */
static gstk_task *parked_owner(uint32_t flags)
{
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&gate, sizeof(long), 0), 0);
	t = start_named(owner, "owner", flags);
	settle();
	CHECK(published);
	return t;
}

static void let_go(gstk_task *t)
{
	CHECK_EQ(gstk_chan_send(gate, &(long){ 1 }), 0);
	CHECK_EQ(finish(t), 0);
	gstk_chan_destroy(gate);
}

static void debugged(void (*fn)(void))
{
	setenv("GREENSTK_DEBUG", "stacks", 1);
	unsetenv("GREENSTK_WINDOWS"); /* of mates that lie over each other there is a test below */
	with_workers(1, fn);
}

static void main_task(void)
{
	parked_owner(0);
	finish(start_named(toucher, "toucher", 0));
}

static void by_a_task(void)
{
	debugged(main_task);
}

static void packed(void)
{
	setenv("GREENSTK_FORCE_PACK", "1", 1);
	debugged(main_task);
}

static void main_thread(void)
{
	pthread_t t;

	parked_owner(0);
	CHECK_EQ(pthread_create(&t, NULL, toucher, NULL), 0);
	pthread_join(t, NULL);
}

static void by_a_thread(void)
{
	debugged(main_thread);
}

static __attribute__((noipa)) void publish(char *p)
{
	published = p;
}

static __attribute__((noipa)) void *publishes(void *arg)
{
	char bytes[64];

	publish(bytes);
	return NULL;
}

static void main_ended(void)
{
	finish(start_named(publishes, "gone", 0));
	for (int i = 0; i < 100; i++) /* others do not get its window at once */
		finish(start(body_, (void *)settle));
	finish(start_named(toucher, "toucher", 0));
}

static void main_ended_private(void)
{
	finish(start_named(publishes, "gone", GSTK_PRIVATE));
	finish(start_named(toucher, "toucher", 0));
}

static void after_its_end(void) { debugged(main_ended); }
static void after_its_private_end(void) { debugged(main_ended_private); }

static void *writes(void *arg)
{
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	return (void *)(long)gstk_write(fds[1], published, 8);
}

static void main_call(void)
{
	parked_owner(0);
	finish(start_named(writes, "writer", 0));
}

static void by_a_call(void) { debugged(main_call); }

static void main_mates(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&gate, sizeof(long), 0), 0);
	for (int i = 0; i < 8; i++)
		start_named(owner, "first", 0);
	settle();
	start_named(owner, "last", 0);
	published = NULL;
	while (!published)
		gstk_yield();
	settle();
	for (int i = 0; i < 20; i++) { /* until one stands in another window */
		CHECK_EQ(gstk_spawn(&t, toucher, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PRIVATE)), 0);
		finish(t);
	}
}

static void mates(void)
{
	setenv("GREENSTK_DEBUG", "stacks", 1);
	setenv("GREENSTK_WINDOWS", "2", 1);
	with_workers(1, main_mates);
}

/* Mappings that are locked have no such guards, as on kernels before 6.13. */
static void without_guards(void)
{
	if (mlockall(MCL_FUTURE | MCL_ONFAULT))
		_exit(4);
}

static void by_mprotect(void)
{
	without_guards();
	by_a_task();
}

static void main_in_a_scope(void)
{
	gstk_scope *s;

	parked_owner(0);
	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_spawn(s, scoped_toucher, NULL, NULL), 0);
	gstk_scope_end(s);
}

static void in_a_scope(void)
{
	debugged(main_in_a_scope);
}

static bool died_of_it(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST(a_task_of_a_scope_is_named_by_the_function_and_the_call_of_the_application)
{
	EXPECT_TRUE(died_of_it(in_child(in_a_scope)));
	EXPECT_TRUE(reported("touched by task 3 \"task\" on worker 0, runs scoped_toucher+0x0, spawned at main_in_a_scope+0x"));
}

TEST(a_task_that_touches_another_ones_stack_is_named_with_both_backtraces)
{
	EXPECT_TRUE(died_of_it(in_child(by_a_task)));
	EXPECT_TRUE(reported("GREENSTK_DEBUG=stacks: 0x"));
	EXPECT_TRUE(reported("which is on the stack of a task that is off the CPU"));
	EXPECT_TRUE(reported("touched by task 3 \"toucher\" on worker 0, runs toucher+0x0, spawned at start_named+0x"));
	EXPECT_TRUE(reported("    #0 0x"));
	EXPECT_TRUE(reported("the owner: task 2 \"owner\", runs owner+0x0, spawned at start_named+0x"));
	EXPECT_TRUE(reported("the address is in the frame of owner_waits+0x"));
	EXPECT_TRUE(reported("\"owner\" waiting for chan recv, copied") ||
		    reported("\"owner\" waiting for chan recv, packed"));
	EXPECT_TRUE(reported("gstk_alloc()"));
	/* First the frames of who touched it, then those of the owner. */
	EXPECT_TRUE(strstr(report, " toucher+") && strstr(strstr(report, " toucher+"), " owner_waits+"));
}

TEST(so_is_a_thread_that_is_no_worker)
{
	EXPECT_TRUE(died_of_it(in_child(by_a_thread)));
	EXPECT_TRUE(reported(", which is no worker\n"));
	EXPECT_TRUE(reported(" toucher+0x"));
	EXPECT_TRUE(reported(" owner_waits+0x"));
}

TEST(the_frames_of_a_packed_owner_are_there_too)
{
	EXPECT_TRUE(died_of_it(in_child(packed)));
	EXPECT_TRUE(reported(" owner_waits+0x"));
}

TEST(a_stack_whose_task_has_ended_is_known_for_a_while)
{
	EXPECT_TRUE(died_of_it(in_child(after_its_end)));
	EXPECT_TRUE(reported("which was on the stack of a task that has ended"));
	EXPECT_TRUE(reported("\"gone\", which has ended, runs publishes+0x0"));
	EXPECT_TRUE(reported(" toucher+0x"));
	EXPECT_TRUE(died_of_it(in_child(after_its_private_end)));
	EXPECT_TRUE(reported("\"gone\", which has ended, runs publishes+0x0"));
}

TEST(of_the_owners_that_share_a_window_who_left_last_comes_first)
{
	const char *first;

	EXPECT_TRUE(died_of_it(in_child(mates)));
	first = strstr(report, "the owner: task ");
	EXPECT_TRUE(first && strstr(first, "\"last\"") && strstr(first, "\"last\"") < strchr(first, '\n'));
	EXPECT_TRUE(reported("or of this one, which shares the window\n"));
	EXPECT_TRUE(reported("\"first\""));
}

TEST(a_buffer_of_a_call_is_looked_at_before_the_kernel_does)
{
	EXPECT_TRUE(died_of_it(in_child(by_a_call)));
	EXPECT_TRUE(reported("was read, which is on the stack of a task that is off the CPU") ||
		    reported("was touched, which is on the stack of a task that is off the CPU"));
	EXPECT_TRUE(reported("\"writer\" on worker 0"));
	EXPECT_TRUE(reported(" gstk_write_until+0x"));
	EXPECT_TRUE(reported(" owner_waits+0x"));
}

TEST(kernels_without_such_guards_protect_by_mprotect)
{
	int status = in_child(by_mprotect);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 4)
		SKIP(return, "mlockall() is not permitted");
	EXPECT_TRUE(died_of_it(status));
	EXPECT_TRUE(reported(" owner_waits+0x"));
}

/* ---- nothing to report ---- */

static void *raw_call(void *arg)
{
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(write(fds[1], published, 8), -1);
	CHECK_EQ(errno, EFAULT);
	return NULL;
}

static void main_raw(void)
{
	gstk_task *t = parked_owner(0);

	finish(start(raw_call, NULL));
	let_go(t);
}

/* The owner may be pointed into, if it said so. */
static void main_private(void)
{
	gstk_task *t = parked_owner(GSTK_PRIVATE);

	published[6] = 8;
	let_go(t);
}

static void *adds_up(void *arg)
{
	uint64_t numbers[200], sum = 0;

	for (int i = 0; i < 200; i++) {
		numbers[i] = (uint64_t)i;
		if (i % 50 == 0)
			gstk_yield();
		if (i % 70 == 0)
			gstk_sleep(MS / 10);
	}
	for (int i = 0; i < 200; i++)
		sum += numbers[i];
	return (void *)(uintptr_t)(sum != 199 * 100);
}

static void *calls_down(void *arg)
{
	void *r;

	CHECK_EQ(gstk_call_on_stack(1 << 20, adds_up, NULL, &r), 0);
	return r;
}

static void main_crowd(void)
{
	int null = open("/dev/null", O_WRONLY);
	gstk_task *t[60];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 60; i++)
			t[i] = start_named(i % 7 ? adds_up : calls_down, "adder", i % 5 ? 0 : GSTK_PRIVATE);
		settle();
		CHECK_EQ(gstk_dump(null, true), 0);
		for (int i = 0; i < 60; i++)
			CHECK_EQ(finish(t[i]), 0);
	}
	close(null);
}

static void raw(void) { debugged(main_raw); }
static void private_owner(void) { debugged(main_private); }

static void crowd(void)
{
	setenv("GREENSTK_DEBUG", "stacks", 1);
	with_workers(2, main_crowd);
}

static void crowd_of_one_window(void)
{
	setenv("GREENSTK_WINDOWS", "1", 1);
	crowd();
}

static void crowd_by_mprotect(void)
{
	without_guards();
	crowd();
}

static void crowd_lazy(void)
{
	setenv("GREENSTK_BACKEND", "uffd", 1);
	setenv("GREENSTK_FORCE_REMAP", "1", 1);
	crowd();
}

static void main_unnoticed(void)
{
	gstk_task *t = parked_owner(0);
	char *p = published + 5;

	finish(start_named(toucher, "toucher", 0));
	--*p;
	let_go(t);
}

static void not_asked_for(void)
{
	unsetenv("GREENSTK_DEBUG");
	unsetenv("GREENSTK_FORCE_EVICT");
	unsetenv("GREENSTK_WINDOWS");
	with_workers(1, main_unnoticed);
}

/* All of one child: it ends well and says nothing of stacks. */
static void is_quiet(struct __test_metadata *_metadata, void (*fn)(void))
{
	int status = in_child(fn);

	EXPECT_EQ(0, status) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("GREENSTK_DEBUG=stacks: 0x"));
}

TEST(a_system_call_of_its_own_gets_efault) { is_quiet(_metadata, raw); }
TEST(a_private_stack_may_be_pointed_into) { is_quiet(_metadata, private_owner); }
TEST(tasks_that_keep_to_their_stacks_are_left_in_peace) { is_quiet(_metadata, crowd); }
TEST(so_are_mates_of_one_window) { is_quiet(_metadata, crowd_of_one_window); }
TEST(so_they_are_by_mprotect)
{
	int status = in_child(crowd_by_mprotect);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 4)
		SKIP(return, "mlockall() is not permitted");
	EXPECT_EQ(0, status) TH_LOG("%s", report);
}

TEST(so_are_stacks_that_come_back_in_part) { is_quiet(_metadata, crowd_lazy); }

TEST(without_it_a_stray_pointer_is_not_noticed)
{
	is_quiet(_metadata, not_asked_for);
}

static void misspelt(void)
{
	setenv("GREENSTK_DEBUG", "stacks,stack", 1);
	_exit(-gstk_init(NULL));
}

TEST(an_unknown_word_is_refused_and_the_known_ones_named)
{
	EXPECT_EQ(EINVAL, WEXITSTATUS(in_child(misspelt)));
	EXPECT_TRUE(reported("GREENSTK_DEBUG=stacks,stack: \"stack\" is none of"));
	EXPECT_TRUE(reported(" stacks"));
}

TEST_HARNESS_MAIN
