// SPDX-License-Identifier: MIT
/*
 * Contexts: the raw layer below tasks. A stack, a place to go on at, and nothing else: no
 * scheduler, no allocation, no system call. Independent of the runtime.
 *
 * A switch leaves the calling context suspended in *from and goes on in *to, which must be
 * suspended; the word travels along. Whoever switches back later makes the call return. A context
 * may be resumed by another thread than it left, provided nothing on it still holds the address
 * of a thread-local variable; the thread that left it must be off it first, which only code that
 * runs after the switch can announce (gstk_ctx_switch_ontop).
 *
 * Not inside tasks whose window is shared: a context on such a stack could be moved away.
 */
#ifndef GREENSTK_CTX_H
#define GREENSTK_CTX_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/** A suspended context: where its stack pointer is. Who resumes it must have seen it suspended. */
struct gstk_ctx {
	void *sp;
};

/** The least that gstk_ctx_create() accepts, in bytes. Signal handlers on the stack need more. */
#define GSTK_CTX_STACK_MIN 1024

/** The first function of a context. It must not return, but end in gstk_ctx_leave(). */
typedef void (*gstk_ctx_entry)(uintptr_t word);

/** What runs on top of a suspended context; its result is the word that this context sees. */
typedef uintptr_t (*gstk_ctx_fn)(uintptr_t word);

/**
 * Lay out a fresh context on @stack, @size bytes long; nothing is kept elsewhere, so to give it up
 * is to stop using it. The first switch to it calls @entry with the word, with the FP control
 * modes of the caller of this function.
 *
 * -EINVAL: no context, no stack, no entry, or less than GSTK_CTX_STACK_MIN bytes. -ENOTSUP: this thread runs
 * on a hardware shadow stack, see gstk_ctx_check(). From any thread.
 */
GSTK_API int gstk_ctx_create(struct gstk_ctx *ctx, void *stack, size_t size,
			     gstk_ctx_entry entry);

/**
 * May the calling thread switch stacks? 0, or -ENOTSUP when it runs on a hardware shadow stack (CET),
 * where the first return after a switch would be fatal. Then *@why (unless @why is NULL) is a
 * static sentence that says what to do.
 */
GSTK_API int gstk_ctx_check(const char **why);

/**
 * Suspend the caller in *@from and go on in *@to with @word. Returns the word of whoever switches
 * back. FP control words (rounding, exception masks, flush to zero) are kept per context; the
 * sticky exception flags are not, as with any call. Any thread, any context; no system call.
 */
GSTK_API uintptr_t gstk_ctx_switch(struct gstk_ctx *from, const struct gstk_ctx *to, uintptr_t word);

/**
 * As gstk_ctx_switch(), but before *@to goes on, @fn(@word) runs on its stack, when *@from is already
 * suspended: the place to publish *@from, or to free a stack. @fn must return; what it returns is the
 * word that *@to sees. It runs with the FP modes of the caller.
 */
GSTK_API uintptr_t gstk_ctx_switch_ontop(struct gstk_ctx *from, const struct gstk_ctx *to,
					 gstk_ctx_fn fn, uintptr_t word);

/** Go on in *@to with @word and never come back: the end of a context. Its stack is free then. */
GSTK_API void gstk_ctx_leave(const struct gstk_ctx *to, uintptr_t word) __attribute__((noreturn));

GSTK_END_DECLS

#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__)
#ifdef __x86_64__
#include <greenstk/ctx-x86_64.h>
#else
#include <greenstk/ctx-aarch64.h>
#endif
#define GSTK_CTX_INLINE 1

/**
 * gstk_ctx_switch() without the call and without FP control words: for contexts that all run in the
 * same modes. The compiler spills what is live, so it is cheapest where little is. Both forms may
 * be mixed: each resumes what the other suspended. Only where GSTK_CTX_INLINE is defined.
 */
static inline __attribute__((always_inline)) uintptr_t
gstk_ctx_switch_inline(struct gstk_ctx *from, const struct gstk_ctx *to, uintptr_t word)
{
	return gstk__switch(&from->sp, to->sp, word);
}
#endif

#endif
