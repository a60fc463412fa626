// SPDX-License-Identifier: MIT
/*
 * Runs in a signal handler on the worker's signal stack, so: no malloc, no stdio, no locks. The
 * guard is not unprotected, the task is not touched.
 */
#include "debug/overflow.h"

#include <greenstk/task.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "debug/backtrace.h"
#include "debug/running.h"
#include "debug/seal.h"
#include "sched/annex.h"
#include "sched/worker.h"

#define NEAR 512u /* red zone, pushes of one instruction: how far above its limit sp may still be */

static struct sigaction before; /* what was there; SIGSEGV that is not ours goes to it */
static bool installed;

static void on_segv(int sig, siginfo_t *info, void *context);

static bool below(uint32_t window, uintptr_t address, uintptr_t sp)
{
	uintptr_t limit = (uintptr_t)gstk__win_limit(window);
	uintptr_t bytes = (uintptr_t)gstk__win_base(window) - limit;

	/* One large frame may reach past the guard and be touched inside it. */
	return address < limit && address >= limit - gstk__windows.guard && sp < limit + NEAR &&
	       sp >= limit - gstk__windows.guard - bytes;
}

/* Is this fault an overflow of @t's stack, or of an annex of it? Its window, or 0. */
static uint32_t overflowed(const struct gstk_task *t, uintptr_t address, uintptr_t sp)
{
	if (!t || !t->window)
		return 0;
	for (struct gstk__annex *a = gstk__annex(t); a; a = a->outer)
		if (below(a->window, address, sp))
			return a->window;
	return below(t->window, address, sp) ? t->window : 0;
}

static void __attribute__((noreturn)) report(struct gstk_task *t, uint32_t window, uintptr_t address,
					     const ucontext_t *uc)
{
	static struct gstk__symbols symbols;
	static struct gstk__cfi_stack stack[GSTK__OWN_STACKS];
	static _Atomic bool busy;
	uintptr_t limit = (uintptr_t)gstk__win_limit(window), base = (uintptr_t)gstk__win_base(window);
	struct gstk__out o = { .fd = 2 };
	struct gstk__cfi f;

	gstk__cfi_interrupted(&f, uc);
	gstk__outf(&o, "greenstk: stack overflow in task %u \"%s\": %u bytes deep, its stack%s has %u "
		   "(fault at %p, sp %p, gstk_task %p)\n",
		   (uint64_t)gstk__task_index(t), gstk_task_name(t), (uint64_t)(base - f.reg[GSTK__CFI_SP]),
		   window == t->window ? "" : " of gstk_call_on_stack()", (uint64_t)(base - limit), (uint64_t)address,
		   f.reg[GSTK__CFI_SP], (uint64_t)(uintptr_t)t);
	gstk__outf(&o, "greenstk: gstk_spawn_opts.stack_size gives a task a larger stack, gstk_call_on_stack() a call; "
		   "frames, innermost first:\n");
	gstk__out_flush(&o);
	if (!atomic_exchange(&busy, true)) { /* one backtrace: a second thread has no tables to share */
		gstk__own_stacks_on(t, window, f.reg[GSTK__CFI_SP] > limit ? (uintptr_t)f.reg[GSTK__CFI_SP] & ~(uintptr_t)7 : limit,
				    stack);
		gstk__backtrace(&o, &symbols, &f, stack, 16, 8);
		gstk__out_flush(&o);
	}
	abort();
}

/* As if the kernel had called what was there before. */
static void chain(int sig, siginfo_t *info, void *context)
{
	struct sigaction old = before;

	if (old.sa_flags & SA_RESETHAND)
		before = (struct sigaction){ .sa_handler = SIG_DFL };
	if (!(old.sa_flags & SA_SIGINFO) && (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN)) {
		struct sigaction dfl = { .sa_handler = SIG_DFL };

		if (old.sa_handler == SIG_IGN && info->si_code <= 0)
			return; /* sent by somebody: ignored. A fault cannot be: the kernel kills. */
		sigaction(sig, &dfl, NULL);
		/* A fault happens again when we return, with its own address; what was sent is sent again. */
		if (info->si_code <= 0)
			syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, info);
		return;
	}
	if (old.sa_flags & SA_NODEFER) {
		sigset_t self;

		sigemptyset(&self);
		sigaddset(&self, sig);
		pthread_sigmask(SIG_UNBLOCK, &self, NULL);
	}
	pthread_sigmask(SIG_BLOCK, &old.sa_mask, NULL); /* the return from our handler puts the mask back */
	if (old.sa_flags & SA_SIGINFO)
		old.sa_sigaction(sig, info, context);
	else
		old.sa_handler(sig);
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	struct gstk__worker *w = gstk__self();
	int saved = errno;

	if (w && info->si_code > 0) {
		uintptr_t address = (uintptr_t)info->si_addr;
		uintptr_t sp = gstk__context_sp(context);
		uint32_t window = overflowed(w->current, address, sp);

		if (window)
			report(w->current, window, address, context);
		/* About to switch: the next task is current, but this is still the stack of the last. */
		window = w->after != GSTK__AFTER_NOTHING ? overflowed(w->left, address, sp) : 0;
		if (window)
			report(w->left, window, address, context);
	}
	if (__builtin_expect(gstk__sealing, 0) && info->si_code > 0)
		gstk__seal_fault(info, context);
	chain(sig, info, context);
	errno = saved;
}

int gstk__overflow_init(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK }, now;

	if (installed) /* under a handler that was installed over ours and still calls it */
		return 0;
	sa.sa_sigaction = on_segv;
	if (sigaction(SIGSEGV, NULL, &now) || sigaction(SIGSEGV, &sa, &before))
		return -errno;
	installed = true;
	return 0;
}

void gstk__overflow_fini(void)
{
	struct sigaction now;

	if (!installed || sigaction(SIGSEGV, NULL, &now) || !(now.sa_flags & SA_SIGINFO) ||
	    now.sa_sigaction != on_segv)
		return; /* somebody chains to us: stay, all faults pass through */
	sigaction(SIGSEGV, &before, NULL);
	installed = false;
}
