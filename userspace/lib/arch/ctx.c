// SPDX-License-Identifier: MIT
/* gstk_ctx_*: what needs no assembly. The switches are in <cpu>/ctx.S. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <greenstk/ctx.h>

#include "arch.h"

int gstk_ctx_check(const char **why)
{
	return gstk__arch_check(why);
}

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
	if (!ctx || !stack || !entry || size < GSTK_CTX_STACK_MIN)
		return -EINVAL;
	if (thread_check())
		return -ENOTSUP;
	ctx->sp = gstk__ctx_prepare((char *)stack + size, entry);
	return 0;
}

void gstk_ctx_leave(const struct gstk_ctx *to, uintptr_t word)
{
	gstk__switch_final(to->sp, word);
}

/* From assembly, on the stack of the context at fault: there is nowhere to return to. */
void gstk__ctx_returned(void)
{
	static const char text[] =
		"greenstk: the first function of a context returned; it must end in gstk_ctx_leave()\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
		/* Nothing else to tell it to. */
	}
	abort();
}
