// SPDX-License-Identifier: MIT
/* Tasks: spawn, join, cancel, deadlines. */
#ifndef GREENSTK_TASK_H
#define GREENSTK_TASK_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/** A task handle: valid until the task is joined, or detached and ended. */
typedef struct gstk_task gstk_task;
typedef void *(*gstk_fn)(void *arg);

/** Bits of gstk_spawn_opts.flags. */
enum gstk_task_flag {
	/**
	 * A window to itself: nothing ever moves, so others may point into its stack. At most 65,536 at a
	 * time, counting pinned tasks and those with a big stack (a quarter of vm.max_map_count where the
	 * kernel, before 6.13, has no MADV_GUARD_INSTALL); a further one first runs when one has ended.
	 */
	GSTK_PRIVATE = 1u << 0,
	/** Nobody joins it; it frees itself. */
	GSTK_DETACHED = 1u << 1,
	/** Runs on gstk_spawn_opts.worker only. */
	GSTK_PINNED = 1u << 2,
	/** Changes rounding or exception modes: FP control words are kept across its parks. */
	GSTK_FPMODE = 1u << 3,
	/** May share a window and change workers, although GSTK_PRIVATE_TASKS says otherwise for all others. */
	GSTK_SHARED = 1u << 4,
	/**
	 * Runs on a thread of its own while fewer than gstk_spawn_opts.native instances of the function do, as
	 * a green task otherwise: the first ones make full use of the CPUs, a crowd costs little. The handle is
	 * a task's either way. On a thread gstk_self() is NULL, calls that wait block the thread, gstk_exit()
	 * is forbidden, and a cancel or the task's deadline is seen only before it has begun. The threads are
	 * those of gstk_blocking(). Not with GSTK_PINNED.
	 */
	GSTK_NATIVE = 1u << 5,
};

struct gstk_spawn_opts {
	size_t size;		/**< sizeof(struct gstk_spawn_opts) */
	const char *name;	/**< copied, at most 31 bytes are kept */
	size_t stack_size;	/**< bytes; more than a window holds gives a window of its own size */
	uint32_t flags;		/**< enum gstk_task_flag */
	uint32_t worker;	/**< with GSTK_PINNED: 0 .. workers-1 */
	const void *block;	/**< arguments copied into the task: fn gets a pointer to the copy */
	size_t block_size;	/**< bytes at block; at most 1/4 of the stack, and 2 GiB */
	uint32_t native;	/**< with GSTK_NATIVE: so many on threads at a time; 0: as many as CPUs */
};

/**
 * Create a task that runs @fn(@arg). With @task NULL it is detached.
 *
 * @arg must not point into a shared window (-EINVAL, with a line on stderr that names the ways
 * out: GSTK_PRIVATE for the task that owns the object, opts->block, gstk_alloc()). Also -ENOMEM (all of
 * gstk_config.max_tasks are there, which is said once on stderr, or there is no memory),
 * -EINVAL for bad options or no function, with such a line, too; -ECANCELED after gstk_shutdown() began, -ESRCH without a runtime.
 * From any thread; never parks.
 */
GSTK_API int gstk_spawn(gstk_task **task, gstk_fn fn, void *arg, const struct gstk_spawn_opts *opts);

/** Shorthand for a detached task with default options. */
static inline int gstk_go(gstk_fn fn, void *arg)
{
	return gstk_spawn(NULL, fn, arg, NULL);
}

/**
 * Wait until @task has ended, take its result, free it. Parks. -ETIMEDOUT, -ECANCELED leave it joinable.
 * -EINVAL when it is NULL, is detached, or was joined and its place not taken by another task yet; -EBUSY when
 * somebody else waits for it; -EDEADLK for the caller itself; -ESRCH without a runtime. What is no handle at all is
 * refused (-EINVAL) here as everywhere. One whose place another task has taken is that one's: GREENSTK_DEBUG=handles
 * leaves places free for long, so that it is refused, too.
 */
GSTK_API int gstk_join(gstk_task *task, void **result);
GSTK_API int gstk_join_until(gstk_task *task, void **result, uint64_t deadline_ns);

/** Give up the right to join: the task frees itself at its end. -EINVAL when detached already or no handle, -EBUSY while
 * somebody waits for it, -ESRCH without a runtime. */
GSTK_API int gstk_detach(gstk_task *task);

/** The calling task, or NULL on a thread that runs none. */
GSTK_API gstk_task *gstk_self(void);

/** Let others run; the caller stays runnable. Does nothing outside a task. */
GSTK_API void gstk_yield(void);

/**
 * For long computations: let others run when the calling task has had its worker for a quantum (1 ms,
 * counted from the first of these calls since it was last switched to), and look for events and timers that
 * are due; else only look at a clock, which takes some nanoseconds. To be called every few microseconds or
 * so, say once in a loop.
 *
 * Returns 0; -ECANCELED and -ETIMEDOUT (gstk_deadline_set()) when the task is to stop, as calls that wait do.
 * Does nothing outside a task.
 */
GSTK_API int gstk_check(void);

/** End the calling task: its cleanups run (last pushed first), then joiners get @result. */
GSTK_API void gstk_exit(void *result) __attribute__((noreturn));

/**
 * Ask @task to stop: its current blocking call, or its next one, returns -ECANCELED, and so does
 * every later one until it calls gstk_cancel_clear(). A message that was already handed to it is
 * not lost: then the call succeeds and the next one is cancelled. -ESRCH without a runtime, in a child of fork()
 * say; -EINVAL for what is no handle (any more). Any thread; never parks.
 */
GSTK_API int gstk_cancel(gstk_task *task);

/** True when the calling task was asked to stop. */
GSTK_API bool gstk_canceled(void);

/** Forget the request (to run clean-up code that blocks). Returns whether there was one. */
GSTK_API bool gstk_cancel_clear(void);

/**
 * A deadline for every blocking call of the calling task (absolute, gstk_now()): past it they return
 * -ETIMEDOUT; GSTK_NEVER removes it. 0, -ENOMEM (then the old one stays), -EINVAL outside a task.
 */
GSTK_API int gstk_deadline_set(uint64_t deadline_ns);
/** The calling task's deadline; GSTK_NEVER when there is none. */
GSTK_API uint64_t gstk_deadline_get(void);

/** Run @fn(@arg) when the task ends, by return, gstk_exit() or cancellation. -ENOMEM, -EINVAL without @fn or outside a task. */
GSTK_API int gstk_cleanup_push(void (*fn)(void *), void *arg);
/** Remove the last cleanup, running it when @run; scopes that were begun since stay. -ENOENT when there is none. */
GSTK_API int gstk_cleanup_pop(bool run);

/** Heap memory that belongs to the calling task (any thread may use it) and is freed at its end. NULL when
 * there is none, or outside a task. */
GSTK_API void *gstk_alloc(size_t bytes);
/** Free it earlier: by the task that it belongs to only. NULL is fine. */
GSTK_API void gstk_free(void *ptr);

/**
 * True when @ptr lies on a stack in a shared window, so that its bytes are elsewhere while their task waits:
 * nobody else may be given it. False for all other memory. Any thread.
 */
GSTK_API bool gstk_movable(const void *ptr);

/** Name given at spawn, "main", or "task", also for what is no handle. Valid as long as the handle. */
GSTK_API const char *gstk_task_name(const gstk_task *task);
/** A number that no other live task has; 0 for what is no handle. */
GSTK_API uint64_t gstk_task_id(const gstk_task *task);

/** Index of the worker that runs the caller, or -1. It may change at every call that parks. */
GSTK_API int gstk_worker(void);

GSTK_END_DECLS
#endif
