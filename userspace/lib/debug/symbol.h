// SPDX-License-Identifier: MIT
/*
 * Names of addresses, from the symbol tables of the files that are loaded: static functions too,
 * which dladdr() does not know. Only system calls that a signal handler may make.
 */
#ifndef GSTK__DEBUG_SYMBOL_H
#define GSTK__DEBUG_SYMBOL_H

#include <stdint.h>

#define GSTK__SYMBOL_OBJECTS 64u
#define GSTK__SYMBOL_CACHE   1024u

struct gstk__symbol_object {
	uintptr_t start, end, bias;
	const char *path;
	char *syms, *names; /* copies; NULL: there are none */
	uint64_t syms_bytes, names_bytes;
};

/* What one reader has loaded so far. All zero to begin with. */
struct gstk__symbols {
	unsigned int nr;
	struct gstk__symbol_object object[GSTK__SYMBOL_OBJECTS];
	struct gstk__symbol {
		uintptr_t pc;
		const char *name;	/* NULL: unknown */
		uint64_t offset;	/* of pc in it */
		const char *object;	/* NULL: in no loaded file */
		uint64_t object_offset;
	} cache[GSTK__SYMBOL_CACHE];
};

const struct gstk__symbol *gstk__symbol_find(struct gstk__symbols *s, uintptr_t pc);
void gstk__symbols_free(struct gstk__symbols *s);

#endif
