// SPDX-License-Identifier: MIT
/* Starting, embedding and stopping the runtime. One runtime a process. */
#ifndef GREENSTK_RUNTIME_H
#define GREENSTK_RUNTIME_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/** Bits of gstk_config.flags. */
enum gstk_config_flag {
	/** Start no worker threads: the caller runs tasks with gstk_run_once(). */
	GSTK_EMBEDDED = 1u << 0,
	/** Do not install the SIGSEGV handler that reports stack overflows. */
	GSTK_NO_SEGV_HANDLER = 1u << 1,
	/** Evict every stack at every park (tests). Environment: GREENSTK_FORCE_EVICT=1. */
	GSTK_FORCE_EVICT = 1u << 2,
	/** Pack every evicted stack at once (tests). Environment: GREENSTK_FORCE_PACK=1. */
	GSTK_FORCE_PACK = 1u << 3,
	/** No background sweep: stacks leave their windows only when these are claimed. */
	GSTK_NO_SWEEP = 1u << 4,
	/** When all tasks are blocked for ever: print the report and go on, instead of aborting. */
	GSTK_DEADLOCK_CONTINUE = 1u << 5,
	/** With the module: move the pages of every stack that leaves its window, however small; with
	    userfaultfd: let every stack come back lazily that has pages below the top (tests).
	    Environment: GREENSTK_FORCE_REMAP=1. */
	GSTK_FORCE_REMAP = 1u << 6,
	/** For tasks that run libraries which know nothing of tasks: every task is private, and pinned to a
	    worker in turn, unless its spawn says GSTK_SHARED. Environment: GREENSTK_PRIVATE_TASKS=1, which
	    libgreenstk-preload sets. */
	GSTK_PRIVATE_TASKS = 1u << 7,
};

/** What moves stacks besides copying: gstk_config.backend. */
enum gstk_backend {
	GSTK_BACKEND_AUTO,   /**< the module when it is there, else copying */
	GSTK_BACKEND_MODULE, /**< the same; one line on stderr says so when it is missing */
	GSTK_BACKEND_COPY,   /**< copying only */
	GSTK_BACKEND_UFFD,   /**< copying; of deep stacks only the top comes back at once, the rest when it is
			      *   touched (userfaultfd); one line on stderr when that is forbidden */
};

/** What does operations on files that have to wait (greenstk/file.h): gstk_config.files. */
enum gstk_files {
	GSTK_FILES_AUTO,  /**< io_uring where it is permitted and pays, else threads of the pool */
	GSTK_FILES_URING, /**< io_uring wherever it is permitted; one line on stderr says so when it is not */
	GSTK_FILES_POOL,  /**< threads only */
};

/**
 * Configuration. A zero field means the default; each has an environment variable of the same
 * name (GREENSTK_WORKERS, GREENSTK_WINDOWS, GREENSTK_WINDOW_SIZE, ...) that wins over the field: a number, or one
 * with K, M or G (times 1024, 1024^2, 1024^3). See greenstk(7).
 */
struct gstk_config {
	size_t size;		 /**< sizeof(struct gstk_config) */
	uint32_t flags;		 /**< enum gstk_config_flag */
	uint32_t workers;	 /**< worker threads; default: CPUs of the affinity mask */
	size_t windows;		 /**< shared windows; default 65,536 */
	size_t window_size;	 /**< bytes a window, guard included; power of two; default 256 KiB */
	size_t max_tasks;	 /**< upper bound on live tasks; default 2^26; lowered with a message where address space is limited */
	size_t image_bytes;	 /**< address space for saved stacks; default, and most, 64 GiB; each worker keeps a window's size of it */
	size_t resident_budget;	 /**< bytes of idle resident stacks before the sweep evicts; default 64 MiB */
	uint64_t evict_idle_ns;	 /**< a stack idle for so long is evicted; default 1 s */
	uint64_t pack_idle_ns;	 /**< an image idle for so long is packed; default 30 s */
	int dump_signal;	 /**< signal that prints all tasks; default SIGQUIT; -1: none */
	size_t main_stack;	 /**< stack of the main task; default 1 MiB */
	uint64_t stuck_report_ns;/**< print a worker that gets back from no task for so long; 0: do not */
	uint32_t backend;	 /**< enum gstk_backend; environment: GREENSTK_BACKEND=auto, module, copy or uffd */
	uint32_t blocking_threads; /**< gstk_blocking() calls that run at a time; default 512 */
	uint32_t files;		 /**< enum gstk_files; environment: GREENSTK_FILES=auto, uring or pool */
};

/**
 * Initialise the runtime with @config (NULL: defaults) and start its workers.
 *
 * Returns 0, -EBUSY when a runtime is there already or is being stopped, -EINVAL for an absurd configuration (a line
 * on stderr says which), -ENOMEM (a line says for what), -EAGAIN when threads cannot be had, -ENOTSUP when the CPU or
 * kernel enforces something the switch cannot honour, or in a child of fork() of a process that had a
 * runtime: there is none any more, calls that need one return -ESRCH, and exec is the way to another.
 * Call from an ordinary thread.
 */
GSTK_API int gstk_init(const struct gstk_config *config) GSTK_MUST_CHECK;

/** How gstk_shutdown() treats tasks that are still there. */
enum gstk_shutdown_mode {
	GSTK_SHUTDOWN_JOIN,   /**< wait until all have ended */
	GSTK_SHUTDOWN_CANCEL, /**< cancel all, then wait until they have ended */
};

/**
 * Stop the runtime: wait for (or cancel) every task, join the workers, free everything.
 * Progress goes to stderr when it takes longer than two seconds.
 *
 * Other threads must not begin calls of this library meanwhile. Those that wait in one, for a message or a
 * lock say, get -ECANCELED when no task is left, and are waited for.
 *
 * Returns 0, -ETIMEDOUT when tasks or such threads were left at @deadline_ns (the runtime goes on), -EINVAL
 * without a runtime or for another mode, -EBUSY while another thread is in gstk_init() or gstk_shutdown(), -EDEADLK from inside a
 * task or a function of gstk_blocking(), -EPERM for a runtime that runs on another thread: embedded, or gstk_main().
 */
GSTK_API int gstk_shutdown(enum gstk_shutdown_mode mode, uint64_t deadline_ns);

/**
 * The whole life in one call: gstk_init(@config), run @fn(@arg) as the main task (private, so its
 * locals may be shared), cancel what is left when it returns, gstk_shutdown(). @result, when not
 * NULL, receives what @fn returned. Errors are those of gstk_init() and gstk_spawn(); -EINVAL without @fn.
 */
GSTK_API int gstk_main(void *(*fn)(void *), void *arg, void **result, const struct gstk_config *config);

/**
 * For another event loop (GSTK_EMBEDDED): a file descriptor that polls readable when
 * gstk_run_once() has something to do: a task, an event, a timer, whoever brought it: other threads, or the loop's own
 * (gstk_spawn(), gstk_sem_post(), ... in its callbacks). -EINVAL without an embedded runtime, or on another thread than
 * its own; -EMFILE.
 */
GSTK_API int gstk_runtime_fd(void);

/**
 * Run tasks on the calling thread until none is runnable; wait at most @timeout_ms for the first
 * (0: do not wait, -1: no limit). Returns the number of times a task ran, or -EINVAL.
 * Always the same thread, the one that called gstk_init(). Outside tasks that thread may not wait in other calls
 * of this library, for nobody would run the tasks meanwhile: -EDEADLK.
 */
GSTK_API int gstk_run_once(int timeout_ms);

/** Library version as "major.minor.patch". */
GSTK_API const char *gstk_version(void);

GSTK_END_DECLS
#endif
