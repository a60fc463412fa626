// SPDX-License-Identifier: MIT
/*
 * Facts to hold in mind:
 * - A row says where the caller's registers are. The program of the CIE makes the first row, that of
 *   the FDE changes it up to the pc. A return address is looked up one byte before itself.
 * - The CFA is the caller's stack pointer. A register without a rule is unchanged.
 */
#include "debug/cfi.h"

#include <stddef.h>
#include <string.h>
#include "debug/eh_frame.h"
#include "host/host.h"

enum rule { SAME, UNDEFINED, OFFSET, VAL_OFFSET, REGISTER, EXPRESSION, VAL_EXPRESSION };

struct row {
	uint8_t rule[GSTK__CFI_REGS];
	int64_t value[GSTK__CFI_REGS]; /* offset, register, or address of the expression's block */
	uint64_t cfa_reg;
	int64_t cfa_offset;
	const uint8_t *cfa_expr; /* NULL: register + offset */
	bool signed_ra;
};

static void set(struct row *r, uint64_t reg, enum rule rule, int64_t value)
{
	if (reg >= GSTK__CFI_REGS)
		return;
	r->rule[reg] = (uint8_t)rule;
	r->value[reg] = value;
}

static void set_block(struct row *r, uint64_t reg, enum rule rule, const uint8_t **p)
{
	uint64_t bytes;

	set(r, reg, rule, (int64_t)(intptr_t)*p);
	bytes = gstk__eh_uleb(p);
	*p += bytes;
}

/* Run a program up to @pc. @first: the row to restore from. False for what we do not know. */
static bool run(const struct gstk__eh_entry *e, const uint8_t *p, const uint8_t *end, uintptr_t pc, struct row *r,
		const struct row *first)
{
	struct row stack[4];
	unsigned int depth = 0;
	uintptr_t at = e->pc;

	while (p < end && at <= pc) {
		uint8_t op = *p++;
		uint64_t reg;

		switch (op >> 6) {
		case 1: at += (op & 0x3f) * e->code_align; continue;
		case 2: set(r, op & 0x3f, OFFSET, (int64_t)gstk__eh_uleb(&p) * e->data_align); continue;
		case 3: reg = op & 0x3f; goto restore;
		}
		switch (op) {
		case 0x00: break;
		case 0x01: at = gstk__eh_encoded(&p, e->encoding, NULL); break;
		case 0x02: at += gstk__eh_fixed(&p, 1, false) * e->code_align; break;
		case 0x03: at += gstk__eh_fixed(&p, 2, false) * e->code_align; break;
		case 0x04: at += gstk__eh_fixed(&p, 4, false) * e->code_align; break;
		case 0x05: reg = gstk__eh_uleb(&p); set(r, reg, OFFSET, (int64_t)gstk__eh_uleb(&p) * e->data_align); break;
		case 0x06:
			reg = gstk__eh_uleb(&p);
		restore:
			if (reg < GSTK__CFI_REGS)
				set(r, reg, first ? (enum rule)first->rule[reg] : SAME, first ? first->value[reg] : 0);
			break;
		case 0x07: set(r, gstk__eh_uleb(&p), UNDEFINED, 0); break;
		case 0x08: set(r, gstk__eh_uleb(&p), SAME, 0); break;
		case 0x09: reg = gstk__eh_uleb(&p); set(r, reg, REGISTER, (int64_t)gstk__eh_uleb(&p)); break;
		case 0x0a:
			if (depth == sizeof(stack) / sizeof(*stack))
				return false;
			stack[depth++] = *r;
			break;
		case 0x0b:
			if (!depth)
				return false;
			*r = stack[--depth];
			break;
		case 0x0c: r->cfa_reg = gstk__eh_uleb(&p); r->cfa_offset = (int64_t)gstk__eh_uleb(&p); r->cfa_expr = NULL; break;
		case 0x0d: r->cfa_reg = gstk__eh_uleb(&p); r->cfa_expr = NULL; break;
		case 0x0e: r->cfa_offset = (int64_t)gstk__eh_uleb(&p); break;
		case 0x0f: r->cfa_expr = p; reg = gstk__eh_uleb(&p); p += reg; break;
		case 0x10: reg = gstk__eh_uleb(&p); set_block(r, reg, EXPRESSION, &p); break;
		case 0x11: reg = gstk__eh_uleb(&p); set(r, reg, OFFSET, gstk__eh_sleb(&p) * e->data_align); break;
		case 0x12: r->cfa_reg = gstk__eh_uleb(&p); r->cfa_offset = gstk__eh_sleb(&p) * e->data_align; r->cfa_expr = NULL; break;
		case 0x13: r->cfa_offset = gstk__eh_sleb(&p) * e->data_align; break;
		case 0x14: reg = gstk__eh_uleb(&p); set(r, reg, VAL_OFFSET, (int64_t)gstk__eh_uleb(&p) * e->data_align); break;
		case 0x15: reg = gstk__eh_uleb(&p); set(r, reg, VAL_OFFSET, gstk__eh_sleb(&p) * e->data_align); break;
		case 0x16: reg = gstk__eh_uleb(&p); set_block(r, reg, VAL_EXPRESSION, &p); break;
		case 0x2d: r->signed_ra = !r->signed_ra; break; /* aarch64 */
		case 0x2e: gstk__eh_uleb(&p); break; /* size of pushed arguments */
		case 0x2f: reg = gstk__eh_uleb(&p); set(r, reg, OFFSET, -(int64_t)gstk__eh_uleb(&p) * e->data_align); break;
		default: return false;
		}
	}
	return true;
}

/* Where @nr bytes of a stack are found, or NULL. */
static const char *bytes_at(const struct gstk__cfi_stack *s, uint64_t address, size_t nr)
{
	for (; s; s = s->outer)
		if (address >= s->from && address <= s->to && s->to - address >= nr)
			return s->bytes + (address - s->from);
	return NULL;
}

/* In place there are red zones, too, when what leads there was only taken for a frame. */
__attribute__((no_sanitize("address", "thread"))) static bool load(const struct gstk__cfi_stack *s, uint64_t address,
								   uint64_t *out)
{
	const char *p = bytes_at(s, address, sizeof(*out));

	if (p)
		*out = *(const volatile uint64_t *)p;
	return p;
}

/* A stack machine: what the PLT, signal frames and switches use of it. Block: length, operations. */
static bool evaluate(const uint8_t *p, const struct gstk__cfi *f, const struct gstk__cfi_stack *s,
		     const uint64_t *cfa, uint64_t *out)
{
	uint64_t length = gstk__eh_uleb(&p), v[16], x;
	const uint8_t *end = p + length;
	int n = 0, steps = 0;

	if (cfa)
		v[n++] = *cfa;
	while (p < end) {
		uint8_t op = *p++;
		int needs = (op >= 0x1a && op <= 0x1e) || op == 0x21 || op == 0x22 || (op >= 0x24 && op <= 0x27) ||
			    (op >= 0x29 && op <= 0x2e) || op == 0x14 || op == 0x16 ? 2
			    : op == 0x06 || op == 0x12 || op == 0x13 || op == 0x1f || op == 0x20 || op == 0x23 || op == 0x28;

		if (n < needs || n > 14 || ++steps > 1000)
			return false;
		x = n ? v[n - 1] : 0;
		if (op >= 0x30 && op <= 0x4f) { /* lit0.. */
			v[n++] = op - 0x30u;
			continue;
		}
		if (op >= 0x70 && op <= 0x8f) { /* breg0.. */
			int64_t offset = gstk__eh_sleb(&p);

			op -= 0x70;
			if (op >= GSTK__CFI_REGS || !(f->known >> op & 1))
				return false;
			v[n++] = f->reg[op] + (uint64_t)offset;
			continue;
		}
		if (needs == 2 && op != 0x14 && op != 0x16)
			n--;
		switch (op) {
		case 0x03: v[n++] = gstk__eh_fixed(&p, 8, false); break;
		case 0x06: if (!load(s, x, &v[n - 1])) return false; break;
		case 0x08: v[n++] = gstk__eh_fixed(&p, 1, false); break;
		case 0x09: v[n++] = gstk__eh_fixed(&p, 1, true); break;
		case 0x0a: v[n++] = gstk__eh_fixed(&p, 2, false); break;
		case 0x0b: v[n++] = gstk__eh_fixed(&p, 2, true); break;
		case 0x0c: v[n++] = gstk__eh_fixed(&p, 4, false); break;
		case 0x0d: v[n++] = gstk__eh_fixed(&p, 4, true); break;
		case 0x0e: case 0x0f: v[n++] = gstk__eh_fixed(&p, 8, false); break;
		case 0x10: v[n++] = gstk__eh_uleb(&p); break;
		case 0x11: v[n++] = (uint64_t)gstk__eh_sleb(&p); break;
		case 0x12: v[n++] = x; break;
		case 0x13: n--; break;
		case 0x14: v[n] = v[n - 2]; n++; break;
		case 0x16: v[n - 1] = v[n - 2]; v[n - 2] = x; break;
		case 0x1a: v[n - 1] &= x; break;
		case 0x1c: v[n - 1] -= x; break;
		case 0x1e: v[n - 1] *= x; break;
		case 0x1f: v[n - 1] = -x; break;
		case 0x20: v[n - 1] = ~x; break;
		case 0x21: v[n - 1] |= x; break;
		case 0x22: v[n - 1] += x; break;
		case 0x23: v[n - 1] += gstk__eh_uleb(&p); break;
		case 0x24: v[n - 1] = x < 64 ? v[n - 1] << x : 0; break;
		case 0x25: v[n - 1] = x < 64 ? v[n - 1] >> x : 0; break;
		case 0x26: v[n - 1] = (uint64_t)((int64_t)v[n - 1] >> (x < 64 ? x : 63)); break;
		case 0x27: v[n - 1] ^= x; break;
		case 0x28: {
			int16_t skip = (int16_t)gstk__eh_fixed(&p, 2, true);

			n--;
			p += x ? skip : 0;
			break;
		}
		case 0x29: v[n - 1] = v[n - 1] == x; break;
		case 0x2a: v[n - 1] = (int64_t)v[n - 1] >= (int64_t)x; break;
		case 0x2b: v[n - 1] = (int64_t)v[n - 1] > (int64_t)x; break;
		case 0x2c: v[n - 1] = (int64_t)v[n - 1] <= (int64_t)x; break;
		case 0x2d: v[n - 1] = (int64_t)v[n - 1] < (int64_t)x; break;
		case 0x2e: v[n - 1] = v[n - 1] != x; break;
		case 0x2f: {
			int16_t skip = (int16_t)gstk__eh_fixed(&p, 2, true);

			p += skip;
			break;
		}
		case 0x96: break;
		default: return false;
		}
	}
	*out = n ? v[n - 1] : 0;
	return n > 0;
}

static bool cfa_of(const struct row *r, const struct gstk__cfi *f, const struct gstk__cfi_stack *s, uint64_t *cfa)
{
	if (r->cfa_expr)
		return evaluate(r->cfa_expr, f, s, NULL, cfa);
	if (r->cfa_reg >= GSTK__CFI_REGS || !(f->known >> r->cfa_reg & 1))
		return false;
	*cfa = f->reg[r->cfa_reg] + (uint64_t)r->cfa_offset;
	return true;
}

#ifdef GSTK__SIGRETURN_CODE
/* No tables: is it a signal frame? */
static int step_signal(struct gstk__cfi *f, const struct gstk__cfi_stack *s)
{
	static const uint32_t code[] = GSTK__SIGRETURN_CODE;
	uint64_t at = f->reg[GSTK__CFI_SP] + GSTK__SIGRETURN_CONTEXT;
	uint32_t there[2];

	if (f->exact || f->reg[GSTK__CFI_PC] % 4 || !bytes_at(s, at, sizeof(ucontext_t)) ||
	    !gstk__mem_peek(there, (const void *)(uintptr_t)f->reg[GSTK__CFI_PC], sizeof(there)) ||
	    memcmp(there, code, sizeof(code)))
		return -1;
	gstk__context_regs((const ucontext_t *)bytes_at(s, at, sizeof(ucontext_t)), f->reg);
	f->known = (1ull << GSTK__CFI_REGS) - 1;
	f->exact = true;
	return 1;
}
#else
static int step_signal(struct gstk__cfi *f, const struct gstk__cfi_stack *s)
{
	return -1;
}
#endif

int gstk__cfi_step(struct gstk__cfi *f, const struct gstk__cfi_stack *stack)
{
	uintptr_t pc = f->reg[GSTK__CFI_PC] - !f->exact;
	struct row first = { .cfa_reg = UINT64_MAX }, row;
	struct gstk__cfi up = { .known = 0 };
	struct gstk__eh_entry e;
	uint64_t cfa;

	if (!gstk__eh_find(&e, pc))
		return step_signal(f, stack);
	if (!run(&e, e.cie_begin, e.cie_end, UINTPTR_MAX, &first, NULL))
		return -1;
	row = first;
	if (!run(&e, e.begin, e.end, pc, &row, &first))
		return -1;
	if (row.rule[e.ra] == UNDEFINED)
		return 0;
	if (!cfa_of(&row, f, stack, &cfa))
		return -1;
	for (unsigned int i = 0; i < GSTK__CFI_REGS; i++) {
		const uint8_t *block = (const uint8_t *)(intptr_t)row.value[i];
		uint64_t at = cfa + (uint64_t)row.value[i];
		bool known = false;

		switch ((enum rule)row.rule[i]) {
		case SAME:
			up.reg[i] = f->reg[i];
			known = f->known >> i & 1;
			break;
		case UNDEFINED: break;
		case OFFSET: known = load(stack, at, &up.reg[i]); break;
		case VAL_OFFSET: up.reg[i] = at; known = true; break;
		case REGISTER:
			if ((uint64_t)row.value[i] < GSTK__CFI_REGS) {
				up.reg[i] = f->reg[row.value[i]];
				known = f->known >> row.value[i] & 1;
			}
			break;
		case EXPRESSION: known = evaluate(block, f, stack, &cfa, &at) && load(stack, at, &up.reg[i]); break;
		case VAL_EXPRESSION: known = evaluate(block, f, stack, &cfa, &up.reg[i]); break;
		}
		up.known |= (uint64_t)known << i;
	}
	if (row.rule[GSTK__CFI_SP] == SAME) {
		up.reg[GSTK__CFI_SP] = cfa;
		up.known |= 1ull << GSTK__CFI_SP;
	}
	if (!(up.known >> e.ra & 1))
		return -1;
	up.reg[GSTK__CFI_PC] = row.signed_ra ? gstk__return_address(up.reg[e.ra]) : up.reg[e.ra];
	up.known |= 1ull << GSTK__CFI_PC;
	up.exact = e.signal;
	/* A frame that leads nowhere would be walked for ever. */
	if (up.reg[GSTK__CFI_PC] == f->reg[GSTK__CFI_PC] && up.reg[GSTK__CFI_SP] == f->reg[GSTK__CFI_SP])
		return -1;
	*f = up;
	return up.reg[GSTK__CFI_PC] ? 1 : 0;
}
