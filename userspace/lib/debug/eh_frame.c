// SPDX-License-Identifier: MIT
#include "debug/eh_frame.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include "debug/cfi.h"

uint64_t gstk__eh_uleb(const uint8_t **p)
{
	uint64_t v = 0;

	for (unsigned int shift = 0;; shift += 7) {
		uint8_t b = *(*p)++;

		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
}

int64_t gstk__eh_sleb(const uint8_t **p)
{
	uint64_t v = 0;
	unsigned int shift = 0;
	uint8_t b;

	do {
		b = *(*p)++;
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80);
	if (shift < 64 && (b & 0x40))
		v |= ~(uint64_t)0 << shift;
	return (int64_t)v;
}

uint64_t gstk__eh_fixed(const uint8_t **p, unsigned int bytes, bool is_signed)
{
	uint64_t v = 0;

	memcpy(&v, *p, bytes); /* little endian */
	*p += bytes;
	if (is_signed && bytes < 8 && v >> (bytes * 8 - 1))
		v |= ~(uint64_t)0 << (bytes * 8);
	return v;
}

/* DW_EH_PE_*; @data: what datarel counts from. An indirect one is left as the address of the address. */
uint64_t gstk__eh_encoded(const uint8_t **p, uint8_t encoding, const uint8_t *data)
{
	uint64_t at = (uintptr_t)*p, v;

	if (encoding == 0xff)
		return 0;
	switch (encoding & 0xf) {
	case 1: v = gstk__eh_uleb(p); break;
	case 2: v = gstk__eh_fixed(p, 2, false); break;
	case 3: v = gstk__eh_fixed(p, 4, false); break;
	case 9: v = (uint64_t)gstk__eh_sleb(p); break;
	case 0xa: v = gstk__eh_fixed(p, 2, true); break;
	case 0xb: v = gstk__eh_fixed(p, 4, true); break;
	default: v = gstk__eh_fixed(p, 8, false); break;
	}
	if ((encoding & 0x70) == 0x10)
		v += at;
	else if ((encoding & 0x70) == 0x30)
		v += (uintptr_t)data;
	return v;
}

static bool parse_cie(struct gstk__eh_entry *e, const uint8_t *p)
{
	const char *aug;
	uint32_t length = (uint32_t)gstk__eh_fixed(&p, 4, false);
	uint8_t version;

	if (length >= 0xfffffff0u)
		return false;
	e->cie_end = p + length;
	p += 4;
	version = *p++;
	aug = (const char *)p;
	p += strlen(aug) + 1;
	e->code_align = gstk__eh_uleb(&p);
	e->data_align = gstk__eh_sleb(&p);
	e->ra = version == 1 ? *p++ : gstk__eh_uleb(&p);
	e->encoding = 0;
	e->signal = false;
	e->augmented = *aug == 'z';
	if (*aug && !e->augmented)
		return false;
	if (e->augmented) {
		uint64_t bytes = gstk__eh_uleb(&p);
		const uint8_t *q = p;

		for (aug++; *aug; aug++) {
			if (*aug == 'R')
				e->encoding = *q++;
			else if (*aug == 'L')
				q++;
			else if (*aug == 'S')
				e->signal = true;
			else if (*aug == 'P') {
				uint8_t encoding = *q++;

				gstk__eh_encoded(&q, encoding, NULL);
			}
		}
		p += bytes;
	}
	e->cie_begin = p;
	return e->ra < GSTK__CFI_REGS;
}

static bool parse_fde(struct gstk__eh_entry *e, const uint8_t *p, uintptr_t pc)
{
	uint32_t length = (uint32_t)gstk__eh_fixed(&p, 4, false);
	const uint8_t *id = p;
	uint32_t back;

	if (length >= 0xfffffff0u || !length)
		return false;
	e->end = p + length;
	back = (uint32_t)gstk__eh_fixed(&p, 4, false);
	if (!back || !parse_cie(e, id - back))
		return false;
	e->pc = gstk__eh_encoded(&p, e->encoding, NULL);
	e->pc_end = e->pc + gstk__eh_encoded(&p, e->encoding & 0xf, NULL);
	if (e->augmented) {
		uint64_t bytes = gstk__eh_uleb(&p);

		p += bytes;
	}
	e->begin = p;
	return pc >= e->pc && pc < e->pc_end;
}

bool gstk__eh_find(struct gstk__eh_entry *e, uintptr_t pc)
{
	struct dl_find_object object;
	const uint8_t *header, *p;
	const int32_t *table;
	uint64_t nr, low = 0;

	if (_dl_find_object((void *)pc, &object))
		return false;
	header = object.dlfo_eh_frame;
	if (!header || header[0] != 1 || header[3] != 0x3b)
		return false;
	p = header + 4;
	gstk__eh_encoded(&p, header[1], header);
	nr = gstk__eh_encoded(&p, header[2], header);
	table = (const int32_t *)p;
	if (!nr || pc < (uintptr_t)header + (uintptr_t)(intptr_t)table[0])
		return false;
	while (nr > 1) { /* invariant: the entry is in [low, low + nr) */
		uint64_t half = nr / 2;

		if (pc >= (uintptr_t)header + (uintptr_t)(intptr_t)table[2 * (low + half)]) {
			low += half;
			nr -= half;
		} else {
			nr = half;
		}
	}
	return parse_fde(e, header + table[2 * low + 1], pc);
}
