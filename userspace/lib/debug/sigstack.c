// SPDX-License-Identifier: MIT
#include "debug/sigstack.h"

#include <signal.h>
#include <unistd.h>
#include "host/host.h"

#define NEEDED (48u << 10) /* the report of an overflow, without the CPU's state */
#define GUARD  4096u

void gstk__sigstack_begin(struct gstk__sigstack *state)
{
	long frame = sysconf(_SC_MINSIGSTKSZ); /* with all registers that this CPU has */
	stack_t old, new = { 0 };

	if (sigaltstack(NULL, &old))
		return;
	frame = frame < 4096 ? 4096 : (frame + 4095) & ~4095l;
	if (!(old.ss_flags & SS_DISABLE) && old.ss_size >= NEEDED + (size_t)frame)
		return;
	state->bytes = GUARD + NEEDED + (size_t)frame;
	state->map = gstk__mem_reserve(state->bytes, 4096);
	if (!state->map)
		return;
	gstk__mem_protect_none(state->map, GUARD);
	new.ss_sp = (char *)state->map + GUARD;
	new.ss_size = state->bytes - GUARD;
	if (sigaltstack(&new, NULL)) {
		gstk__mem_release(state->map, state->bytes);
		state->map = NULL;
		return;
	}
	if (!(old.ss_flags & SS_DISABLE)) {
		state->old = old.ss_sp;
		state->old_bytes = old.ss_size;
	}
}

void gstk__sigstack_end(struct gstk__sigstack *state)
{
	stack_t now, back = { .ss_flags = SS_DISABLE };

	if (!state->map)
		return;
	if (state->old)
		back = (stack_t){ .ss_sp = state->old, .ss_size = state->old_bytes };
	/* Somebody may have put in another one since; that stays. */
	if (!sigaltstack(NULL, &now) && now.ss_sp == (char *)state->map + GUARD)
		sigaltstack(&back, NULL);
	gstk__mem_release(state->map, state->bytes);
	*state = (struct gstk__sigstack){ 0 };
}
