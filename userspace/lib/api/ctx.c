// SPDX-License-Identifier: MIT
/* Fresh contexts: arguments are checked here, the rest is in arch/. */
#include <greenstk/ctx.h>

#include <errno.h>
#include "arch/arch.h"
#include "host/refuse.h"

/* Asked once per thread: creating a context is cheap otherwise. */
static int thread_check(void)
{
	static __thread signed char checked;

	if (!checked) {
		if (gstk__arch_check(NULL))
			return -ENOTSUP;
		checked = 1;
	}
	return 0;
}

int gstk_ctx_create(struct gstk_ctx *ctx, void *stack, size_t size, gstk_ctx_entry entry)
{
	if (!ctx || !stack || !entry)
		return gstk__refuse("gstk_ctx_create: the %s", !ctx ? "context is NULL; give the address of a struct gstk_ctx"
				    : !stack ? "stack is NULL; give its lowest address" : "first function is NULL; give what begins on the stack");
	if (size < GSTK_CTX_STACK_MIN)
		return gstk__refuse("gstk_ctx_create: a stack of %zu bytes; at least GSTK_CTX_STACK_MIN, which is %d", size,
				    GSTK_CTX_STACK_MIN);
	if (size > UINTPTR_MAX - (uintptr_t)stack)
		return gstk__refuse("gstk_ctx_create: a stack of %zu bytes at %p ends beyond all memory", size, stack);
	if (thread_check())
		return -ENOTSUP;
	ctx->sp = gstk__ctx_prepare((char *)stack + size, entry);
	return 0;
}
