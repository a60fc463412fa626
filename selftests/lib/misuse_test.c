// SPDX-License-Identifier: MIT
/*
 * Every public call, as it must not be made: it returns the error that its header names, and says on stderr, in one
 * line that begins with its name, what was wrong. A test at most 50 rows: more is not reported in one process.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "sched/sched.h"
#include "wait_test.h"

static int told = -1; /* what stderr was */
static int wrong;
static off_t seen;

static void listen_in(void)
{
	if (told >= 0)
		return;
	told = dup(2);
	CHECK(told >= 0);
	CHECK_EQ(dup2(memfd_create("stderr", MFD_CLOEXEC), 2), 2);
}

/* @says: all of the line but "greenstk: "; NULL: nothing. */
static void row(int line, const char *call, long got, long want, const char *says)
{
	char text[1000] = "", expect[400] = "";
	off_t end = lseek(2, 0, SEEK_END);
	ssize_t n = pread(2, text, sizeof(text) - 1, seen);

	seen = end;
	text[n < 0 ? 0 : n] = 0;
	if (says)
		snprintf(expect, sizeof(expect), "greenstk: %s", says);
	if (got == want && (says ? !strncmp(text, expect, strlen(expect)) && strchr(text, '\n') == text + n - 1 : !n))
		return;
	wrong++;
	dprintf(told, "# %s:%d: %s is %ld, wanted %ld; it says \"%s\", wanted \"%s\"\n", __FILE__, line, call, got, want, text,
		expect);
}
#define REFUSED(call, want, says) (errno = 0, row(__LINE__, #call, (long)(call), want, says))
/* For what gives no error back. */
#define SAYS(call, says)	  ((void)(call), row(__LINE__, #call, 0, 0, says))

static void *nothing(void *arg) { return arg; }
static int nothing_scoped(void *arg) { return 0; }
static void *nowhere(void) { return NULL; } /* so that the compiler does not see it */
static void nothing_once(void *arg) { }
static void nothing_word(uintptr_t word) { }

/* ---- no runtime ---- */

static gstk_mutex mutex = GSTK_MUTEX_INIT;
static gstk_rwlock rwlock = GSTK_RWLOCK_INIT;
static gstk_cond cond = GSTK_COND_INIT;
static gstk_sem sem = GSTK_SEM_INIT(0), full = GSTK_SEM_INIT(UINT64_MAX - 1);
static gstk_waitgroup group = GSTK_WAITGROUP_INIT;
static gstk_once once = GSTK_ONCE_INIT;
static const struct gstk_future_type type = { .size = sizeof(type) };

static void without_runtime(gstk_task *handle, const char *why)
{
	static const char *const names[] = { "gstk_spawn", "gstk_join", "gstk_join", "gstk_detach", "gstk_cancel", "gstk_task_name",
		"gstk_task_id", "gstk_mutex_lock", "gstk_mutex_lock", "gstk_mutex_try_lock", "gstk_mutex_unlock",
		"gstk_rwlock_read_lock", "gstk_rwlock_write_lock", "gstk_rwlock_write_unlock", "gstk_cond_wait", "gstk_sem_wait",
		"gstk_waitgroup_wait", "gstk_once_run", "gstk_chan_send", "gstk_chan_recv", "gstk_select", "gstk_sleep",
		"gstk_timer_set", "gstk_scope_begin", "gstk_stats", "gstk_dump", "gstk_runtime_fd", "gstk_run_once", "gstk_shutdown",
		"a call on a descriptor", "a call on a descriptor", "a call on a descriptor" };
	struct gstk_stats st = { .size = sizeof(st) };
	char text[sizeof(names) / sizeof(*names)][200], byte = 0;
	unsigned int i = 0;
	gstk_timer *timer;
	gstk_scope *scope;
	gstk_chan *chan;
	gstk_task *t;

	for (; i < sizeof(names) / sizeof(*names); i++)
		snprintf(text[i], sizeof(text[i]), "%s: there is no runtime %s\n", names[i], why);
	i = 0;
	listen_in();
	CHECK_EQ(gstk_chan_create(&chan, 1, 0), 0);
	CHECK_EQ(gstk_timer_create(&timer), 0);
	REFUSED(gstk_spawn(&t, nothing, NULL, NULL), -ESRCH, text[i++]);
	REFUSED(gstk_join(handle, NULL), -ESRCH, text[i++]);
	REFUSED(gstk_join_until(handle, NULL, 1), -ESRCH, text[i++]);
	REFUSED(gstk_detach(handle), -ESRCH, text[i++]);
	REFUSED(gstk_cancel(handle), -ESRCH, text[i++]);
	REFUSED(strcmp(gstk_task_name(handle), "task"), 0, text[i++]);
	REFUSED(gstk_task_id(handle), 0, text[i++]);
	REFUSED(gstk_mutex_lock(&mutex), -ESRCH, text[i++]);
	REFUSED(gstk_mutex_lock_until(&mutex, 1), -ESRCH, text[i++]);
	REFUSED(gstk_mutex_try_lock(&mutex), -ESRCH, text[i++]);
	REFUSED(gstk_mutex_unlock(&mutex), -ESRCH, text[i++]);
	REFUSED(gstk_rwlock_read_lock(&rwlock), -ESRCH, text[i++]);
	REFUSED(gstk_rwlock_try_write_lock(&rwlock), -ESRCH, text[i++]);
	REFUSED(gstk_rwlock_write_unlock(&rwlock), -ESRCH, text[i++]);
	REFUSED(gstk_cond_wait(&cond, &mutex), -ESRCH, text[i++]);
	REFUSED(gstk_sem_wait(&sem), -ESRCH, text[i++]);
	REFUSED(gstk_waitgroup_wait(&group), -ESRCH, text[i++]);
	REFUSED(gstk_once_run(&once, nothing_once, NULL), -ESRCH, text[i++]);
	REFUSED(gstk_chan_send(chan, &byte), -ESRCH, text[i++]);
	REFUSED(gstk_chan_recv(chan, &byte), -ESRCH, text[i++]);
	REFUSED(gstk_select(NULL, 0, GSTK_NEVER), -ESRCH, text[i++]);
	REFUSED(gstk_sleep(1), -ESRCH, text[i++]);
	REFUSED(gstk_timer_set(timer, 1, 0), -ESRCH, text[i++]);
	REFUSED(gstk_scope_begin(&scope, GSTK_NEVER), -ESRCH, text[i++]);
	REFUSED(gstk_stats(&st), -EINVAL, text[i++]);
	REFUSED(gstk_stats(&st), -EINVAL, NULL); /* said once: who watches asks again and again */
	REFUSED(gstk_dump(1, false), -EINVAL, text[i++]);
	REFUSED(gstk_runtime_fd(), -EINVAL, text[i++]);
	REFUSED(gstk_run_once(0), -EINVAL, text[i++]);
	REFUSED(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), -EINVAL, text[i++]);
	if (*why == '(') { /* a child of fork() has its parent's, which work as long as they need not wait */
		REFUSED(gstk_read(0, &byte, 1), -ESRCH, text[i++]);
		REFUSED(gstk_poll(0, POLLIN, 1), -ESRCH, text[i++]);
		REFUSED(gstk_poll_foreign(0, POLLIN, 1), -ESRCH, text[i++]);
		CHECK_EQ(i, sizeof(names) / sizeof(*names));
	}
	/* What needs none, or has nothing to do. */
	REFUSED(gstk_chan_try_recv(chan, &byte), -EAGAIN, NULL);
	REFUSED(gstk_sem_post(&sem, 1), 0, NULL);
	REFUSED(gstk_sem_try_wait(&sem), 0, NULL);
	REFUSED(gstk_cond_signal(&cond), 0, NULL);
	REFUSED(gstk_self(), 0, NULL);
	REFUSED(gstk_check(), 0, NULL);
	REFUSED(gstk_canceled(), 0, NULL);
	SAYS(gstk_yield(), NULL);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
	CHECK_EQ(gstk_timer_destroy(timer), 0);
}

static _Alignas(64) char bytes[64];
#define stranger (*(gstk_task *)bytes) /* as a handle: it is in no pool */

TEST(before_init_each_call_says_that_there_is_no_runtime)
{
	without_runtime(&stranger, "(not yet, or not any more); begin one with gstk_init() or gstk_main()");
	EXPECT_EQ(0, wrong);
}

static gstk_task *kept;

static void keeps_a_handle(void)
{
	CHECK_EQ(gstk_spawn(&kept, nothing, NULL, GSTK_OPTS(gstk_spawn_opts, .name = "kept")), 0);
	CHECK(!strcmp(gstk_task_name(kept), "kept"));
}

TEST(after_shutdown_a_handle_is_refused_not_read)
{
	with_workers(1, keeps_a_handle);
	without_runtime(kept, "(not yet, or not any more); begin one with gstk_init() or gstk_main()");
	EXPECT_EQ(0, wrong);
}

static void forks(void)
{
	int status;
	pid_t pid;

	keeps_a_handle();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		without_runtime(kept, "in a child of fork(); the way to one is exec");
		REFUSED(gstk_init(NULL), -ENOTSUP, "gstk_init: in a child of fork() of a process that had a runtime; the way to "
						   "another is exec\n");
		_exit(wrong);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(in_a_child_of_fork_too)
{
	with_workers(1, forks);
}

/* ---- arguments ---- */

static void wrong_objects(void)
{
	struct gstk_case bad_op = { .op = 7 };
	gstk_chan *chan = nowhere();

	listen_in();
	REFUSED(gstk_chan_create(nowhere(), 1, 0), -EINVAL, "gstk_chan_create: nowhere to put the channel;");
	REFUSED(gstk_chan_create(&chan, SIZE_MAX, 1), -EINVAL, "gstk_chan_create: 1 elements of 18446744073709551615 bytes; at most 2147483647 of each");
	REFUSED(gstk_chan_create(&chan, 1, SIZE_MAX), -EINVAL, "gstk_chan_create: 18446744073709551615 elements of 1 bytes;");
	REFUSED(gstk_chan_destroy(nowhere()), 0, NULL);
	REFUSED(gstk_chan_close(nowhere()), -EINVAL, "gstk_chan_close: the channel is NULL; gstk_chan_create() makes one\n");
	REFUSED(gstk_chan_len(nowhere()), 0, "gstk_chan_len: the channel is NULL;");
	REFUSED(gstk_select(nowhere(), 2, GSTK_NEVER), -EINVAL, "gstk_select: 2 cases at NULL; give an array of so many\n");
	REFUSED(gstk_select(&bad_op, UINT32_MAX, GSTK_NEVER), -EINVAL, "gstk_select: 4294967295 cases; at most ");
	REFUSED(gstk_select(&bad_op, 1, GSTK_NEVER), -EINVAL, "gstk_select: case 0 has .op 7; set it to GSTK_CASE_RECV or GSTK_CASE_SEND");
	REFUSED(gstk_mutex_init(nowhere()), -EINVAL, "gstk_mutex_init: the mutex is NULL; give the address of a gstk_mutex\n");
	REFUSED(gstk_mutex_destroy(nowhere()), 0, NULL);
	REFUSED(gstk_rwlock_init(nowhere()), -EINVAL, "gstk_rwlock_init: the lock is NULL; give the address of a gstk_rwlock\n");
	REFUSED(gstk_rwlock_destroy(nowhere()), 0, NULL);
	REFUSED(gstk_cond_wait(&cond, nowhere()), -EINVAL, "gstk_cond_wait: the mutex is NULL;");
	REFUSED(gstk_once_run(&once, NULL, NULL), -EINVAL, "gstk_once_run: the function is NULL; give what is to run once\n");
	REFUSED(gstk_waitgroup_done(&group), -EINVAL, "gstk_waitgroup_add: -1 to a count of 0 leaves the range from 0 to 2^63 - 1;");
	CHECK_EQ(gstk_waitgroup_add(&group, INT64_MAX), 0);
	REFUSED(gstk_waitgroup_add(&group, 1), -EINVAL, "gstk_waitgroup_add: 1 to a count of 9223372036854775807 leaves the range");
	CHECK_EQ(gstk_waitgroup_add(&group, -INT64_MAX), 0);
	REFUSED(gstk_sem_post(&full, 2), -EINVAL, "gstk_sem_post: 2 to a count of 18446744073709551614 is more than 2^64 - 1;");
	CHECK_EQ(gstk_sem_post(&full, 1), 0);
	REFUSED(gstk_event_create(nowhere()), -EINVAL, "gstk_event_create: nowhere to put the event;");
	REFUSED(gstk_event_destroy(nowhere()), 0, NULL);
	REFUSED(gstk_event_wait(nowhere()), -EINVAL, "gstk_event_wait: the event is NULL; gstk_event_create() makes one\n");
	REFUSED(gstk_timer_create(nowhere()), -EINVAL, "gstk_timer_create: nowhere to put the timer;");
	REFUSED(gstk_timer_set(nowhere(), 1, 0), -EINVAL, "gstk_timer_set: the timer is NULL; gstk_timer_create() makes one\n");
	REFUSED(gstk_timer_stop(nowhere()), -EINVAL, "gstk_timer_stop: the timer is NULL;");
	REFUSED(gstk_timer_chan(nowhere()), 0, "gstk_timer_chan: the timer is NULL;");
	REFUSED(gstk_timer_destroy(nowhere()), 0, NULL);
	REFUSED(gstk_local_create(nowhere(), NULL), -EINVAL, "gstk_local_create: nowhere to put the key;");
	REFUSED(gstk_local_set((gstk_local){ 3, 5 }, &wrong), -EINVAL, "gstk_local_set: { 3, 5 } is no key;");
	REFUSED(gstk_local_delete((gstk_local){ UINT32_MAX, 1 }), -EINVAL, "gstk_local_delete: { 4294967295, 1 } is no key;");
	REFUSED(gstk_local_get((gstk_local){ UINT32_MAX, 1 }), 0, NULL);
}

TEST(objects_that_are_none_are_named)
{
	with_workers(1, wrong_objects);
	EXPECT_EQ(0, wrong);
}

static void wrong_calls(void)
{
	char *misaligned = (char *)gstk_self() + 4, *beyond = (char *)gstk_self() + ((size_t)1 << 40);
	struct gstk_stats huge = { .size = 1 << 20 };
	gstk_scope *scope, *inner;
	gstk_task *t;

	listen_in();
	REFUSED(gstk_join(nowhere(), NULL), -EINVAL, "gstk_join: the task is NULL; gstk_spawn() gives a handle where its first argument points\n");
	REFUSED(gstk_join((gstk_task *)misaligned, NULL), -EINVAL, "gstk_join: 0x");
	REFUSED(gstk_join((gstk_task *)beyond, NULL), -EINVAL, "gstk_join: 0x");
	REFUSED(gstk_join_until(&stranger, NULL, 0), -EINVAL, "gstk_join: 0x");
	REFUSED(gstk_join(gstk_self(), NULL), -EDEADLK, "gstk_join: a task that waits for its own end waits for ever\n");
	REFUSED(gstk_detach(nowhere()), -EINVAL, "gstk_detach: the task is NULL;");
	REFUSED(gstk_detach((gstk_task *)misaligned), -EINVAL, "gstk_detach: 0x");
	REFUSED(gstk_detach((gstk_task *)beyond), -EINVAL, "gstk_detach: 0x");
	REFUSED(gstk_detach(&stranger), -EINVAL, "gstk_detach: 0x");
	REFUSED(gstk_cancel(nowhere()), -EINVAL, "gstk_cancel: the task is NULL;");
	REFUSED(gstk_cancel((gstk_task *)misaligned), -EINVAL, "gstk_cancel: 0x");
	REFUSED(strcmp(gstk_task_name((gstk_task *)beyond), "task"), 0, "gstk_task_name: 0x");
	REFUSED(strcmp(gstk_task_name(nowhere()), "task"), 0, NULL);
	REFUSED(gstk_task_id(&stranger), 0, "gstk_task_id: 0x");
	t = start(nothing, NULL);
	CHECK_EQ(gstk_join(t, NULL), 0);
	REFUSED(gstk_join(t, NULL), -EINVAL, "gstk_join: task 0x");
	REFUSED(gstk_detach(t), -EINVAL, "gstk_detach: task 0x");
	REFUSED(gstk_cleanup_push(NULL, NULL), -EINVAL, "gstk_cleanup_push: the function is NULL;");
	REFUSED(gstk_cleanup_pop(true), -ENOENT, NULL);
	REFUSED(gstk_alloc(SIZE_MAX), 0, NULL);
	REFUSED(gstk_scope_begin(nowhere(), GSTK_NEVER), -EINVAL, "gstk_scope_begin: nowhere to put the scope;");
	REFUSED(gstk_scope_cancel(nowhere(), -ECANCELED), -EINVAL, "gstk_scope_cancel: the scope is NULL; gstk_scope_begin() makes one\n");
	REFUSED(gstk_scope_error(nowhere()), -EINVAL, "gstk_scope_error: the scope is NULL; gstk_scope_begin() makes one\n");
	REFUSED(gstk_scope_end(nowhere()), -EINVAL, "gstk_scope_end: the scope is NULL; gstk_scope_begin() makes one\n");
	CHECK_EQ(gstk_scope_begin(&scope, GSTK_NEVER), 0);
	REFUSED(gstk_scope_cancel(scope, 5), -EINVAL, "gstk_scope_cancel: the error is 5; give a negative errno");
	REFUSED(gstk_scope_spawn(scope, nothing_scoped, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE)), -EINVAL,
		"gstk_scope_spawn: GSTK_NATIVE; on a thread of its own it could not be cancelled with the scope");
	CHECK_EQ(gstk_scope_begin(&inner, GSTK_NEVER), 0);
	REFUSED(gstk_scope_end(scope), -EPERM, "gstk_scope_end: the caller has begun another scope since; end that first\n");
	CHECK_EQ(gstk_scope_end(inner), 0);
	CHECK_EQ(gstk_scope_end(scope), 0);
	REFUSED(gstk_blocking(NULL, NULL, NULL), -EINVAL, "gstk_blocking: the function is NULL;");
	REFUSED(gstk_blocking_copy(nothing, nowhere(), 8, NULL), -EINVAL, "gstk_blocking_copy: 8 bytes at NULL;");
	REFUSED(gstk_call_on_stack(1 << 20, NULL, NULL, NULL), -EINVAL, "gstk_call_on_stack: the function is NULL;");
	REFUSED(gstk_call_on_stack(SIZE_MAX, nothing, NULL, NULL), -EINVAL, "gstk_call_on_stack: a stack of 18446744073709551615 bytes;");
	REFUSED(gstk_future_spawn(NULL, &type, NULL), -EINVAL, "gstk_future_spawn: .poll is NULL;");
	REFUSED(gstk_stats(nowhere()), -EINVAL, "gstk_stats: nowhere to put them;");
	REFUSED(gstk_stats(&huge), -EINVAL, "gstk_stats: a structure of 1048576 bytes;");
	REFUSED(gstk_shutdown(GSTK_SHUTDOWN_JOIN, 0), -EDEADLK, "gstk_shutdown: from inside a task,");
	REFUSED(gstk_shutdown((enum gstk_shutdown_mode)9, 0), -EINVAL, "gstk_shutdown: mode 9; give GSTK_SHUTDOWN_JOIN");
	REFUSED(gstk_run_once(0), -EINVAL, "gstk_run_once: the runtime has threads of its own;");
	REFUSED(gstk_runtime_fd(), -EINVAL, "gstk_runtime_fd: the runtime has threads of its own;");
	REFUSED(gstk_main(NULL, NULL, NULL, NULL), -EINVAL, "gstk_main: the function is NULL;");
	REFUSED(gstk_init(NULL), -EBUSY, NULL);
}

static void *in_thread(void *arg)
{
	((void (*)(void))arg)();
	return NULL;
}

static void on_a_thread(void (*fn)(void))
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, in_thread, (void *)fn), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* ---- handles ---- */

static gstk_chan *until;

static void *waits_for_the_end(void *arg)
{
	gstk_chan_recv(until, NULL);
	return NULL;
}

static enum gstk_progress done_at_once(gstk_future *f, void *state) { return gstk_future_done(f, NULL); }

static const struct gstk_future_type short_type = { .size = sizeof(type), .poll = done_at_once, .name = "short" };

/* Nothing is spawned in between, so that their places are nobody's. */
static void ended_tasks(void)
{
	gstk_task *t = start(nothing, NULL), *loose = start(nothing, NULL), *future;

	listen_in();
	CHECK_EQ(gstk_future_spawn(&future, &short_type, NULL), 0);
	CHECK_EQ(gstk_detach(loose), 0);
	CHECK_EQ(gstk_join(future, NULL), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
	settle(); /* the detached one has ended, too */
	REFUSED(gstk_join(t, NULL), -EINVAL, "gstk_join: task 0x");
	REFUSED(gstk_detach(t), -EINVAL, "gstk_detach: task 0x");
	REFUSED(gstk_cancel(t), -EINVAL, "gstk_cancel: 0x");
	REFUSED(gstk_task_id(t), 0, "gstk_task_id: 0x");
	REFUSED(strcmp(gstk_task_name(t), "task"), 0, "gstk_task_name: 0x");
	REFUSED(gstk_join(loose, NULL), -EINVAL, "gstk_join: task 0x");
	REFUSED(gstk_cancel(loose), -EINVAL, "gstk_cancel: 0x");
	REFUSED(strcmp(gstk_task_name(future), "task"), 0, "gstk_task_name: 0x");
	REFUSED(gstk_join(future, NULL), -EINVAL, "gstk_join: task 0x");
}

TEST(a_handle_whose_task_is_gone_is_refused)
{
	with_workers(1, ended_tasks);
	EXPECT_EQ(0, wrong);
}

static void has_a_tasks_place(void)
{
	gstk_task *place = gstk__foreign_self(); /* which somebody may have a handle of */

	listen_in();
	REFUSED(gstk_sem_wait_until(&sem, gstk_now() + MS), -ETIMEDOUT, NULL);
	REFUSED(gstk_cancel(place), -EINVAL, "gstk_cancel: 0x");
	REFUSED(gstk_sem_wait_until(&sem, gstk_now() + MS), -ETIMEDOUT, NULL);
}

static void cancels_a_thread(void) { on_a_thread(has_a_tasks_place); }

/* It would be told so at each of its waits, for ever. */
TEST(a_thread_in_the_place_of_a_task_is_not_cancelled_by_its_handle)
{
	with_workers(2, cancels_a_thread);
	EXPECT_EQ(0, wrong);
}

static void places_taken_again(void)
{
	gstk_task *t = start(nothing, NULL), *others[100];
	struct gstk_stats st = { .size = sizeof(st) };

	listen_in();
	CHECK_EQ(gstk_chan_create(&until, 0, 0), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
	for (int i = 0; i < 100; i++)
		others[i] = start(waits_for_the_end, NULL);
	REFUSED(gstk_join_until(t, NULL, gstk_now() + 1000 * MS), -EINVAL, "gstk_join: task 0x");
	REFUSED(gstk_cancel(t), -EINVAL, "gstk_cancel: 0x");
	CHECK_EQ(gstk_chan_close(until), 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(gstk_join(others[i], NULL), 0);
	CHECK_EQ(gstk_chan_destroy(until), 0);
	for (int i = 0; i < 80000; i++) {
		CHECK_EQ(gstk_go(nothing, NULL), 0);
		gstk_yield();
	}
	CHECK_EQ(gstk_stats(&st), 0);
	CHECK(st.task_bytes < 70000 * 64); /* not for ever */
}

TEST(with_a_mode_for_it_a_place_is_left_free_for_long)
{
	setenv("GREENSTK_DEBUG", "handles", 1);
	with_workers(1, places_taken_again);
	EXPECT_EQ(0, wrong);
}

TEST(calls_say_which_argument_was_wrong)
{
	with_workers(1, wrong_calls);
	EXPECT_EQ(0, wrong);
}

static void wrong_contexts(void)
{
	static char stack[4096];
	struct gstk_ctx ctx;

	listen_in();
	REFUSED(gstk_ctx_create(nowhere(), stack, sizeof(stack), nothing_word), -EINVAL, "gstk_ctx_create: the context is NULL; give the address of a struct gstk_ctx\n");
	REFUSED(gstk_ctx_create(&ctx, nowhere(), sizeof(stack), nothing_word), -EINVAL, "gstk_ctx_create: the stack is NULL; give its lowest address\n");
	REFUSED(gstk_ctx_create(&ctx, stack, sizeof(stack), NULL), -EINVAL, "gstk_ctx_create: the first function is NULL; give what begins on the stack\n");
	REFUSED(gstk_ctx_create(&ctx, stack, 100, nothing_word), -EINVAL, "gstk_ctx_create: a stack of 100 bytes; at least GSTK_CTX_STACK_MIN, which is 1024\n");
	REFUSED(gstk_ctx_create(&ctx, stack, SIZE_MAX, nothing_word), -EINVAL, "gstk_ctx_create: a stack of 18446744073709551615 bytes");
}

TEST(contexts_too)
{
	wrong_contexts();
	EXPECT_EQ(0, wrong);
}

/* ---- locks in the wrong order of calls ---- */

static void *holds_them(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	CHECK_EQ(gstk_rwlock_write_lock(&rwlock), 0);
	gstk_chan_recv(arg, NULL);
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	CHECK_EQ(gstk_rwlock_write_unlock(&rwlock), 0);
	return NULL;
}

static long nested = 1;

static void once_again(void *arg)
{
	nested = gstk_once_run(&once, once_again, NULL);
}

static void wrong_locks(void)
{
	gstk_chan *chan;
	gstk_task *t;

	listen_in();
	CHECK_EQ(gstk_chan_create(&chan, 0, 1), 0);
	REFUSED(gstk_mutex_unlock(&mutex), -EPERM, "gstk_mutex_unlock: the mutex at 0x");
	REFUSED(gstk_rwlock_read_unlock(&rwlock), -EPERM, "gstk_rwlock_read_unlock: the lock at 0x");
	REFUSED(gstk_rwlock_write_unlock(&rwlock), -EPERM, "gstk_rwlock_write_unlock: the lock at 0x");
	REFUSED(gstk_cond_wait(&cond, &mutex), -EPERM, "gstk_cond_wait: the caller does not hold the mutex at 0x");
	t = start(holds_them, chan);
	settle();
	REFUSED(gstk_mutex_try_lock(&mutex), -EBUSY, NULL);
	REFUSED(gstk_mutex_unlock(&mutex), -EPERM, "gstk_mutex_unlock: the mutex at 0x");
	REFUSED(gstk_mutex_destroy(&mutex), -EBUSY, NULL);
	REFUSED(gstk_rwlock_write_unlock(&rwlock), -EPERM, "gstk_rwlock_write_unlock: the lock at 0x");
	CHECK_EQ(gstk_chan_send(chan, NULL), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	REFUSED(gstk_mutex_lock(&mutex), -EDEADLK, "gstk_mutex_lock: the caller holds the mutex at 0x");
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	CHECK_EQ(gstk_rwlock_write_lock(&rwlock), 0);
	REFUSED(gstk_rwlock_write_lock(&rwlock), -EDEADLK, "gstk_rwlock_write_lock: the caller has locked the lock at 0x");
	REFUSED(gstk_rwlock_read_lock(&rwlock), -EDEADLK, "gstk_rwlock_read_lock: the caller has locked the lock at 0x");
	CHECK_EQ(gstk_rwlock_write_unlock(&rwlock), 0);
	CHECK_EQ(gstk_once_run(&once, once_again, NULL), 0);
	REFUSED(nested, -EDEADLK, "gstk_once_run: called by the function that it runs");
	CHECK_EQ(gstk_chan_destroy(chan), 0);
}

TEST(locks_say_who_does_what_he_may_not)
{
	if (strstr(getenv("GREENSTK_DEBUG") ?: "", "locks"))
		SKIP(return, "GREENSTK_DEBUG=locks says more lines");
	with_workers(1, wrong_locks);
	EXPECT_EQ(0, wrong);
}

/* ---- the wrong place ---- */

static void no_task_here(void)
{
	gstk_scope *scope;

	listen_in();
	REFUSED(gstk_deadline_set(1), -EINVAL, "gstk_deadline_set: outside a task;");
	REFUSED(gstk_cleanup_push(nothing_once, NULL), -EINVAL, "gstk_cleanup_push: outside a task;");
	REFUSED(gstk_alloc(1), 0, "gstk_alloc: outside a task;");
	REFUSED(gstk_scope_begin(&scope, GSTK_NEVER), -ESRCH, "gstk_scope_begin: outside a task;");
	REFUSED(gstk_shutdown(GSTK_SHUTDOWN_JOIN, 0), -EPERM, "gstk_shutdown: the runtime runs on another thread");
	REFUSED(gstk_run_once(0), -EINVAL, "gstk_run_once: the runtime has threads of its own;");
}

static void no_task(void) { on_a_thread(no_task_here); }

TEST(outside_a_task_what_is_a_tasks_is_refused)
{
	with_workers(1, no_task);
	EXPECT_EQ(0, wrong);
}

static void *lends_its_stack(void *arg)
{
	char local = 0, text[300];

	listen_in();
	snprintf(text, sizeof(text), "gstk_blocking: the argument at %p lies on the stack of a task whose window is shared, so its "
		 "bytes may be elsewhere when the thread looks. Use gstk_blocking_copy(),", (void *)&local);
	REFUSED(gstk_blocking(nothing, &local, NULL), -EINVAL, text);
	return NULL;
}

static void spawn_lender(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, lends_its_stack, NULL, NULL), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
}

TEST(an_argument_on_a_stack_that_may_move_is_refused_by_what_is_for_that)
{
	with_workers(1, spawn_lender);
	EXPECT_EQ(0, wrong);
}

static void elsewhere(void)
{
	listen_in();
	REFUSED(gstk_run_once(0), -EINVAL, "gstk_run_once: not on the thread that called gstk_init();");
	REFUSED(gstk_runtime_fd(), -EINVAL, "gstk_runtime_fd: not on the thread that called gstk_init();");
}

static void *inside(void *arg)
{
	listen_in();
	REFUSED(gstk_run_once(0), -EINVAL, "gstk_run_once: inside a task;");
	return NULL;
}

TEST(an_embedded_runtime_says_where_it_runs)
{
	struct gstk_config config = { .size = sizeof(config), .flags = GSTK_EMBEDDED };

	ASSERT_EQ(0, gstk_init(&config));
	on_a_thread(elsewhere);
	CHECK_EQ(gstk_spawn(NULL, inside, NULL, NULL), 0);
	EXPECT_LE(1, gstk_run_once(0));
	/* Nobody would run the tasks meanwhile, so a condition keeps its mutex. */
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	REFUSED(gstk_cond_wait(&cond, &mutex), -EDEADLK, "the thread that runs the tasks may not wait outside of them (-EDEADLK);");
	EXPECT_EQ(0, gstk_mutex_unlock(&mutex));
	EXPECT_EQ(0, gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER));
	EXPECT_EQ(0, wrong);
}

static gstk_chan *quiet;

static void handler(int sig)
{
	static const char text[] = "a signal handler may not wait (-ECANCELED); it may call gstk_event_raise()\n";

	REFUSED(gstk_sleep(1), -ECANCELED, text);
	REFUSED(gstk_chan_recv(quiet, NULL), -ECANCELED, text);
	REFUSED(gstk_chan_recv_until(quiet, NULL, gstk_now() + 20000 * MS), -ECANCELED, text);
	REFUSED(gstk_sem_wait(&sem), -ECANCELED, text);
	REFUSED(gstk_cond_wait(&cond, &mutex), -ECANCELED, text);
	REFUSED(gstk_cond_wait_until(&cond, &mutex, gstk_now() + 20000 * MS), -ECANCELED, text);
	REFUSED(gstk_call_on_stack(1 << 20, nothing, NULL, NULL), -EINVAL, "gstk_call_on_stack: in a signal handler");
	REFUSED(gstk_blocking(nothing, NULL, NULL), -ECANCELED, text);
	SAYS(gstk_yield(), NULL);
	REFUSED(gstk_canceled(), 0, NULL);
}

static void *wants_the_mutex(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	return NULL;
}

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	gstk_task *t;

	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	CHECK_EQ(gstk_chan_create(&quiet, 0, 0), 0);
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	t = start(wants_the_mutex, NULL); /* it would get the mutex if the handler's wait let go of that */
	settle();
	listen_in();
	raise(SIGUSR1);
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0); /* it still has it */
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(gstk_chan_destroy(quiet), 0);
}

TEST(a_signal_handler_may_not_wait_and_a_condition_there_keeps_its_mutex)
{
	with_workers(1, interrupted);
	EXPECT_EQ(0, wrong);
}

/* ---- a descriptor beyond the limit ---- */

static void high_descriptor(void)
{
	char c;

	listen_in();
	REFUSED(gstk_read(700, &c, 1), -EBADF, "a call on a descriptor: 700 is open, but beyond the 600 that were allowed when the runtime "
					       "began; raise the hard limit before gstk_init() (ulimit -Hn)\n");
	REFUSED(gstk_poll_foreign(700, POLLIN, GSTK_NEVER), -EBADF, "a call on a descriptor: 700 is open,");
	REFUSED(gstk_read(701, &c, 1), -EBADF, NULL);
	REFUSED(gstk_read(500, &c, 1), -EBADF, NULL);
	REFUSED(gstk_read(-1, &c, 1), -EBADF, NULL);
	CHECK_EQ(gstk_close(700), 0);
}

TEST(a_descriptor_beyond_the_limit_says_so)
{
	const struct rlimit most = { 600, 600 };
	int p[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(700, dup2(p[0], 700));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &most));
	with_workers(1, high_descriptor);
	EXPECT_EQ(0, wrong);
}

/* ---- a full pool ---- */

static gstk_chan *gate;

static void *waits(void *arg)
{
	gstk_chan_recv(gate, NULL);
	return NULL;
}

static void one_too_many(void)
{
	listen_in();
	REFUSED(gstk_sleep(1), -ENOMEM, "gstk_sleep: a thread that waits takes the place of a task, and all 1024 are taken; more: "
					"gstk_config.max_tasks or GREENSTK_MAX_TASKS\n");
	REFUSED(gstk_mutex_lock(&mutex), -ENOMEM, "gstk_mutex_lock: a thread that waits");
	REFUSED(gstk_chan_recv(gate, NULL), -ENOMEM, "gstk_chan_recv: a thread that waits");
}

static void *fills_the_pool(void *arg)
{
	CHECK_EQ(gstk_chan_create(&gate, 0, 0), 0);
	while (!gstk_go(waits, NULL))
		;
	on_a_thread(one_too_many);
	CHECK_EQ(gstk_chan_close(gate), 0);
	return NULL;
}

TEST(a_thread_that_finds_all_places_taken_says_so)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .max_tasks = 1024 };

	ASSERT_EQ(0, gstk_main(fills_the_pool, NULL, NULL, &config));
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
