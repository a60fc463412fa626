// SPDX-License-Identifier: MIT
/* .eh_frame: its numbers, and which entry is that of a pc. Any thread; takes no lock. */
#ifndef GSTK__DEBUG_EH_FRAME_H
#define GSTK__DEBUG_EH_FRAME_H

#include <stdbool.h>
#include <stdint.h>

struct gstk__eh_entry {
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra;
	uint8_t encoding;
	bool signal, augmented;
	const uint8_t *cie_begin, *cie_end, *begin, *end;
	uintptr_t pc, pc_end;
};

/* LEB128, numbers of so many bytes, pointers in the encodings of DW_EH_PE; *p moves on. */
uint64_t gstk__eh_uleb(const uint8_t **p);
int64_t gstk__eh_sleb(const uint8_t **p);
uint64_t gstk__eh_fixed(const uint8_t **p, unsigned int bytes, bool is_signed);
uint64_t gstk__eh_encoded(const uint8_t **p, uint8_t encoding, const uint8_t *data);

/* By the sorted table of .eh_frame_hdr, which every linker writes for what unwinds at all. */
bool gstk__eh_find(struct gstk__eh_entry *e, uintptr_t pc);

#endif
