// SPDX-License-Identifier: MIT
/* gstk_ctx_*: what needs no assembly, but for gstk_ctx_create() in api/ctx.c. The switches are in <cpu>/ctx.S. */
#include <stdlib.h>
#include <unistd.h>

#include <greenstk/ctx.h>

#include "arch.h"

int gstk_ctx_check(const char **why)
{
	return gstk__arch_check(why);
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
