// SPDX-License-Identifier: MIT
/*
 * fork(): what the child has of the windows and slots of its parent. Rows of the
 * event table in Documentation/uapi.rst.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

FIXTURE(forks)
{
	struct object o;
};

FIXTURE_SETUP(forks)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
}

FIXTURE_TEARDOWN(forks)
{
	object_close(&self->o);
}

struct forked {
	struct object *o;
	int status;
	bool grandchild;
	bool keep;
};

/* In the child, on the copied stack. */
static int check_child(struct object *o, volatile int *local, char *volatile deep)
{
	struct greenstk_switch e = { .window = 9, .out_bytes = PAGE };

	if (*local != 42)
		return 1;
	*local = 43;			/* the parent keeps 42 */
	*deep = 1;			/* below: fresh memory */
	if (painted(window_base(o, 2), PAGE, 2))
		return 2;		/* the page above our frames came along */
	if (touch_signal(window_base(o, 3) - 1, false) != SIGBUS)
		return 3;		/* another task's window did not */
	if (touch_signal(window_limit(o, 2) - 1, true) != SIGSEGV)
		return 4;
	if (touch_signal(o->park, false) != SIGBUS)
		return 5;
	if (do_switch(o, &e) != -EPERM)
		return 6;
	return 0;
}

static void fork_on_stack(void *arg)
{
	struct forked *f = arg;
	volatile int local = 42;
	char *deep = window_limit(f->o, 2) + 8;
	pid_t pid;

	if (f->keep && madvise(f->o->map, f->o->s.map_bytes, 19 /* MADV_KEEPONFORK */)) {
		f->status = 100;
		return;
	}
	pid = fork();
	if (!pid) {
		int bad = check_child(f->o, &local, deep);

		if (!bad && f->grandchild) {
			local = 42;
			pid = fork();
			if (!pid)
				_exit(check_child(f->o, &local, deep) ?: 0);
			bad = wait_for(pid) ? 50 + wait_for(pid) : 0;
			if (local != 42)
				bad = 60;
		}
		_exit(bad);
	}
	f->status = wait_for(pid);
	if (local != 42)
		f->status = 101;
}

static int fork_case(struct object *o, bool grandchild, bool keep)
{
	struct forked f = { .o = o, .status = -1, .grandchild = grandchild, .keep = keep };

	paint(window_base(o, 2), PAGE, 2);
	paint(window_base(o, 3), PAGE, 3);
	run_in_window(o, 2, fork_on_stack, &f);
	return f.status;
}

TEST_F(forks, fork_copies_the_stack_it_runs_on)
{
	EXPECT_EQ(0, fork_case(&self->o, false, false));
	EXPECT_EQ(0, painted(window_base(&self->o, 3), PAGE, 3));
}

TEST_F(forks, a_child_forks_again)
{
	EXPECT_EQ(0, fork_case(&self->o, true, false));
}

TEST_F(forks, keeponfork_does_not_share_the_stack)
{
	EXPECT_EQ(0, fork_case(&self->o, false, true));
	EXPECT_EQ(0, fork_case(&self->o, true, true));
}

static void fork_lazy(void *arg)
{
	struct forked *f = arg;
	pid_t pid = fork();

	if (!pid)
		_exit(!!painted(window_base(f->o, 2), PAGE, 2));
	f->status = wait_for(pid);
}

TEST_F(forks, fork_copies_what_is_not_restored_yet)
{
	struct forked f = { .o = &self->o, .status = -1 };
	uint64_t handle;

	paint(window_base(&self->o, 2), PAGE, 2);
	ASSERT_EQ(0, park(&self->o, 2, PAGE, &handle));
	/* The page above the frames stays in its slot. */
	ASSERT_EQ(0, resume(&self->o, 2, handle, 0));
	run_in_window(&self->o, 2, fork_lazy, &f);
	EXPECT_EQ(0, f.status);
	EXPECT_EQ(0, painted(window_base(&self->o, 2), PAGE, 2));
}

struct capped {
	char old[32];
	int status;
};

static void fork_capped(void *arg)
{
	struct capped *c = arg;
	pid_t pid;

	/* Once more as it is, so that no page is touched for the first time under the cap. */
	if (!write_param("max_object_pages", c->old) || !write_param("max_object_pages", "1"))
		return;
	pid = fork();
	if (!pid)
		_exit(0);
	write_param("max_object_pages", c->old);
	c->status = wait_for(pid);
}

/* No memory for the copy, or no more of it allowed: the child dies, the parent does not notice. */
TEST_F(forks, a_child_that_is_over_the_cap_gets_no_stack)
{
	struct capped c = { .status = -1 };

	ASSERT_TRUE(read_param("max_object_pages", c.old, sizeof(c.old)));
	run_in_window(&self->o, 2, fork_capped, &c);
	EXPECT_EQ(128 + SIGBUS, c.status);
	EXPECT_EQ(0, fork_case(&self->o, false, false));
}

static int exit_at_once(void *arg)
{
	return 0;
}

static int touch_window_0(void *arg)
{
	struct object *o = arg;

	return touch_signal(window_base(o, 0) - 1, false) == SIGBUS ? 0 : 1;
}

TEST_F(forks, fork_on_another_stack_leaves_the_child_none)
{
	paint(window_base(&self->o, 0), PAGE, 1);
	EXPECT_EQ(0, in_child(touch_window_0, &self->o));
}

/* A context that has no stack at all forks again, and again. */
static int fork_again(void *arg)
{
	struct object *o = arg;
	struct greenstk_switch e = { .window = 9, .out_bytes = PAGE };

	if (touch_window_0(o))
		return 1;
	if (do_switch(o, &e) != -EPERM)
		return 2;
	return 0;
}

static int fork_twice(void *arg)
{
	return in_child(fork_again, arg) ?: fork_again(arg);
}

TEST_F(forks, a_dead_object_forks_again)
{
	paint(window_base(&self->o, 0), PAGE, 1);
	EXPECT_EQ(0, in_child(fork_twice, &self->o));
	/* So does one that is unmapped. */
	ASSERT_EQ(0, munmap(self->o.map, self->o.s.map_bytes));
	self->o.map = MAP_FAILED;
	EXPECT_EQ(0, in_child(exit_at_once, NULL));
}

static int vfork_like(void *arg)
{
	struct object *o = arg;
	pid_t pid = vfork();

	if (!pid) {
		*(volatile char *)(window_base(o, 0) - 1) = 7;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return *(volatile char *)(window_base(o, 0) - 1) == 7 ? 0 : 1;
}

TEST_F(forks, vfork_shares_everything)
{
	struct object o;

	EXPECT_EQ(0, vfork_like(&self->o));
	ASSERT_EQ(0, object_open(&o, (struct object_opts){ 0 }));
	object_close(&o);
}

static void switch_own(void *arg)
{
	struct forked *f = arg;
	struct greenstk_switch e = { .window = 2, .out_bytes = PAGE };

	f->status = do_switch(f->o, &e);
}

TEST_F(forks, the_window_that_the_caller_runs_on_is_edeadlk)
{
	struct forked f = { .o = &self->o, .status = 1 };

	run_in_window(&self->o, 2, switch_own, &f);
	EXPECT_EQ(-EDEADLK, f.status);
}

TEST_HARNESS_MAIN
