// SPDX-License-Identifier: MIT
/*
 * Stackless tasks: a poll function and its own state instead of a stack. For crowds of simple waits: one that
 * waits takes about 100 bytes beside its state. They live in the same run queues as all tasks and wait for the
 * same things, so a task with a stack may send to one, lock against one, join one, and the other way round.
 *
 * The poll function runs until it has something to wait for, says so, and returns. It is called again when
 * that is over:
 *
 *	struct count { int line; uint64_t value, sum; gstk_chan *in; };
 *
 *	static enum gstk_progress count(gstk_future *f, void *state)
 *	{
 *		struct count *c = state;
 *
 *		GSTK_FUTURE_BEGIN(c->line);
 *		for (;;) {
 *			GSTK_AWAIT(c->line, gstk_await_recv(f, c->in, &c->value, GSTK_NEVER));
 *			if (gstk_await_result(f) < 0)
 *				return gstk_future_done(f, (void *)(uintptr_t)c->sum);
 *			c->sum += c->value;
 *		}
 *		GSTK_FUTURE_END;
 *	}
 *
 *	static const struct gstk_future_type counter = { sizeof(counter), "counter", sizeof(struct count), count, NULL };
 *
 *	gstk_future_spawn(&task, &counter, &(struct count){ .in = in });
 *
 * What is to outlast a wait belongs into the state: local variables of the poll function are gone with each
 * return. It runs on a thread's own stack and must not call what parks: such a call fails with -ECANCELED and a
 * line on stderr. What never parks it may call: gstk_chan_try_send(), gstk_mutex_unlock(), gstk_cancel(),
 * gstk_spawn(), and so on. gstk_self() is the handle of the task, and gstk_deadline_set(), gstk_canceled(),
 * gstk_cancel_clear(), gstk_cleanup_push(), gstk_alloc() and gstk_local_set() are for it as for any task.
 */
#ifndef GREENSTK_FUTURE_H
#define GREENSTK_FUTURE_H

#include <greenstk/chan.h>
#include <greenstk/net.h>
#include <greenstk/sync.h>
#include <greenstk/task.h>

GSTK_BEGIN_DECLS

/** What a poll function is given, for this one call. */
typedef struct gstk_future gstk_future;

/** What a poll function returns, as it got it from gstk_future_done() or from one of gstk_await_*(). */
enum gstk_progress {
	GSTK_READY = 0,	  /**< ended */
	GSTK_PENDING = 1, /**< to be called again when the wait is over */
};

/** A kind of stackless tasks. Stays where it is while there are some; usually static const. */
struct gstk_future_type {
	size_t size;	   /**< sizeof(struct gstk_future_type) */
	const char *name;  /**< in reports and for gstk_task_name(); NULL: "future" */
	size_t state_size; /**< bytes of state of each task, at most 1 GiB */
	enum gstk_progress (*poll)(gstk_future *f, void *state);
	/** Called once at the end, however it came about, by the task's last worker; or NULL. Must not park. */
	void (*drop)(void *state);
};

/**
 * Create a stackless task of @type. Its state, which never moves, is a copy of @state (NULL: zeroes), so that
 * may lie on the caller's stack. With @task NULL it is detached. The handle is that of any task, for
 * gstk_join(), gstk_detach(), gstk_cancel() and so on.
 *
 * -EINVAL for a bad @type, -ENOMEM, -ECANCELED after gstk_shutdown() began, -ESRCH without a runtime: then
 * there is no task, and @state is still the caller's, not dropped. From any thread; never parks.
 */
GSTK_API int gstk_future_spawn(gstk_task **task, const struct gstk_future_type *type, const void *state);

/** To be returned by the poll function: it has ended, and @result is for who joins it. */
GSTK_API enum gstk_progress gstk_future_done(gstk_future *f, void *result);

/**
 * How the last wait ended: 0 or, where it says so, a count; or a negative errno, as the call of the same kind
 * for tasks with stacks returns it. -ECANCELED after gstk_cancel() (every wait, until gstk_cancel_clear()),
 * -ETIMEDOUT at the deadline of the wait or of the task, -EINVAL for an argument that was refused. A message
 * that was handed over, or a lock that was taken, is not lost to a cancel: then the wait succeeds and the next
 * one fails.
 */
GSTK_API int64_t gstk_await_result(const gstk_future *f);

/*
 * Of those below a poll function calls one and returns what that returned, at once: nothing of it has begun
 * then. @deadline_ns is absolute; GSTK_NEVER waits for ever, 0 only tries. What pointers lead to must be there
 * until the wait is over, in the state, say; not on a stack.
 */

/** Let others run. */
GSTK_API enum gstk_progress gstk_await_yield(gstk_future *f);
/** Until the time @until_ns. */
GSTK_API enum gstk_progress gstk_await_time(gstk_future *f, uint64_t until_ns);
/** As gstk_chan_recv(). @elem NULL throws the element away. */
GSTK_API enum gstk_progress gstk_await_recv(gstk_future *f, gstk_chan *chan, void *elem, uint64_t deadline_ns);
/** As gstk_chan_send(). The element is copied here and now, and may be a local variable. */
GSTK_API enum gstk_progress gstk_await_send(gstk_future *f, gstk_chan *chan, const void *elem, uint64_t deadline_ns);
/** As gstk_join(), of a task of either kind. */
GSTK_API enum gstk_progress gstk_await_join(gstk_future *f, gstk_task *task, void **result, uint64_t deadline_ns);
/** As gstk_mutex_lock(); gstk_mutex_unlock() is for all tasks the same. */
GSTK_API enum gstk_progress gstk_await_mutex(gstk_future *f, gstk_mutex *mutex, uint64_t deadline_ns);
/** As gstk_sem_wait(). */
GSTK_API enum gstk_progress gstk_await_sem(gstk_future *f, gstk_sem *sem, uint64_t deadline_ns);
/**
 * As gstk_cond_wait(): @mutex, which the task holds, is released meanwhile, and its again when the wait is over, however
 * that ended. -EPERM when it does not hold it.
 */
GSTK_API enum gstk_progress gstk_await_cond(gstk_future *f, gstk_cond *cond, gstk_mutex *mutex, uint64_t deadline_ns);
/** As gstk_waitgroup_wait(). */
GSTK_API enum gstk_progress gstk_await_waitgroup(gstk_future *f, gstk_waitgroup *group, uint64_t deadline_ns);

/** As gstk_select(), whose index is the result. @cases and their elements must stay until then. */
GSTK_API enum gstk_progress gstk_await_select(gstk_future *f, struct gstk_case *cases, unsigned int nr,
					      uint64_t deadline_ns);

/** Until one of @events is there, as gstk_poll(): the result is those that are. */
GSTK_API enum gstk_progress gstk_await_ready(gstk_future *f, int fd, short events, uint64_t deadline_ns);
/** As gstk_read(): the result is a count. */
GSTK_API enum gstk_progress gstk_await_read(gstk_future *f, int fd, void *buf, size_t len, uint64_t deadline_ns);
/** As gstk_write(): the result is a count. */
GSTK_API enum gstk_progress gstk_await_write(gstk_future *f, int fd, const void *buf, size_t len, uint64_t deadline_ns);
/**
 * As gstk_accept() without an address: the result is a descriptor. But without descriptors or memory for another
 * one it is -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM; wait a while then, and try again.
 */
GSTK_API enum gstk_progress gstk_await_accept(gstk_future *f, int fd, uint64_t deadline_ns);

/**
 * As gstk_connect(). But where a Unix listener's backlog is full it is -EAGAIN; wait a while then, and try again.
 * @addr is read at once.
 */
GSTK_API enum gstk_progress gstk_await_connect(gstk_future *f, int fd, const struct sockaddr *addr, socklen_t len,
					       uint64_t deadline_ns);
/**
 * As gstk_blocking(): @fn(@arg) runs on a thread of the pool, and what it returned is in *@result (unless @result is NULL)
 * when the wait is over with 0. Not begun, it is -ECANCELED, -ETIMEDOUT or -EAGAIN. errno is not carried along.
 */
GSTK_API enum gstk_progress gstk_await_blocking(gstk_future *f, void *(*fn)(void *), void *arg, void **result,
						uint64_t deadline_ns);

/**
 * A poll function written from top to bottom: @line is an int of the state, zero at first. GSTK_AWAIT() returns
 * what an await returned, and goes on after it at the next call; not inside a switch of the function's own, and
 * not twice in one line of source. In C++ locals with a value go into braces between two of them.
 */
#define GSTK_FUTURE_BEGIN(line) \
	switch (line) {         \
	case 0:
#define GSTK_AWAIT(line, await)   \
	do {                      \
		(line) = __LINE__; \
		return await;     \
	case __LINE__:;           \
	} while (0)
#define GSTK_FUTURE_END \
	default:        \
		__builtin_trap(); \
	}

GSTK_END_DECLS
#endif
