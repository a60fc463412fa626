// SPDX-License-Identifier: MIT
#include "debug/backtrace.h"

#include <string.h>
#include "arch/arch.h"

#define MAX_TAIL 16u
#define MAX_FRAMES 10000000u

static void frame(struct gstk__out *o, struct gstk__symbols *symbols, uint64_t nr, uintptr_t pc, bool exact)
{
	/* A return address may be that of the next function: name the call before it. */
	const struct gstk__symbol *s = gstk__symbol_find(symbols, pc - !exact);
	const char *file = s->object ? strrchr(s->object, '/') : NULL;

	gstk__outf(o, "    #%u %p", nr, (uint64_t)pc);
	if (s->name)
		gstk__outf(o, " %s+%x", s->name, s->offset + !exact);
	if (s->object)
		gstk__outf(o, " (%s+%x)", file ? file + 1 : s->object, s->object_offset + !exact);
	gstk__outf(o, "\n");
}

void gstk__backtrace(struct gstk__out *o, struct gstk__symbols *symbols, const struct gstk__cfi *from,
		     const struct gstk__cfi_stack *stack, unsigned int head, unsigned int tail)
{
	struct gstk__cfi f = *from;
	uintptr_t last[MAX_TAIL];
	bool last_exact[MAX_TAIL];
	uint64_t nr = 0;
	int step;

	if (tail > MAX_TAIL)
		tail = MAX_TAIL;
	do {
		if (nr < head) {
			frame(o, symbols, nr, f.reg[GSTK__CFI_PC], f.exact);
		} else if (tail) {
			last[(nr - head) % tail] = f.reg[GSTK__CFI_PC];
			last_exact[(nr - head) % tail] = f.exact;
		} else {
			gstk__outf(o, "    ...\n");
			return;
		}
		nr++;
		step = gstk__cfi_step(&f, stack);
	} while (step > 0 && nr < MAX_FRAMES);
	if (nr > head) {
		uint64_t first = nr - head > tail ? nr - tail : head;

		if (first > head)
			gstk__outf(o, "    ... %u frames\n", first - head);
		for (uint64_t i = first; i < nr; i++)
			frame(o, symbols, i, last[(i - head) % tail], last_exact[(i - head) % tail]);
	}
	if (step < 0)
		gstk__outf(o, "    (no unwind information for %p)\n", f.reg[GSTK__CFI_PC]);
}

void gstk__print_place(struct gstk__out *o, struct gstk__symbols *symbols, const char *what, const void *at, bool call)
{
	const struct gstk__symbol *s = gstk__symbol_find(symbols, (uintptr_t)at - call);

	gstk__outf(o, "%s%s", what, s->name ? s->name : "?");
	if (s->name)
		gstk__outf(o, "+%x", s->offset + call);
	else
		gstk__outf(o, " (%p)", (uint64_t)(uintptr_t)at);
}

void gstk__backtrace_pcs(struct gstk__out *o, struct gstk__symbols *symbols, const uintptr_t *pc, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		frame(o, symbols, i, pc[i], false);
}

void gstk__cfi_interrupted(struct gstk__cfi *f, const void *context)
{
	gstk__context_regs(context, f->reg);
	f->known = (1ull << GSTK__CFI_REGS) - 1;
	f->exact = true;
}

void gstk__cfi_parked(struct gstk__cfi *f, const char *frame, uintptr_t sp)
{
	struct gstk__regs regs;

	gstk__frame_regs(frame, sp, &regs);
	memset(f, 0, sizeof(*f));
	f->reg[GSTK__CFI_PC] = regs.pc;
	f->reg[GSTK__CFI_SP] = regs.sp;
	f->reg[GSTK__CFI_BP] = regs.fp;
	f->reg[GSTK__CFI_BX] = regs.bx;
	f->known = 1ull << GSTK__CFI_PC | 1ull << GSTK__CFI_SP | 1ull << GSTK__CFI_BP | 1ull << GSTK__CFI_BX;
	f->exact = true;
}
