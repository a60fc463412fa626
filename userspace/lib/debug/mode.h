// SPDX-License-Identifier: MIT
/* GREENSTK_DEBUG: words, separated by commas. */
#ifndef GSTK__DEBUG_MODE_H
#define GSTK__DEBUG_MODE_H

#include <stdint.h>

#define GSTK__DEBUG_WORDS(X) X(STACKS, "stacks") X(LOCKS, "locks") X(WARN, "warn") X(HANDLES, "handles")
enum {
#define GSTK__X(name, word) GSTK__DEBUG_BIT_##name,
	GSTK__DEBUG_WORDS(GSTK__X)
#undef GSTK__X
#define GSTK__X(name, word) GSTK__DEBUG_##name = 1 << GSTK__DEBUG_BIT_##name,
	GSTK__DEBUG_WORDS(GSTK__X)
#undef GSTK__X
};

extern uint32_t gstk__debugging; /* bits of the modes that are on */

/* What the environment asks for. 0, or -EINVAL with a line on stderr. */
int gstk__debug_mode(uint32_t *mode);

#endif
