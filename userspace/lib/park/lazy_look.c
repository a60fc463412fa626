// SPDX-License-Identifier: MIT
/* The bytes of deep stacks for those who only look: dumps, and whoever must not fault. */
#include "park/lazy.h"

#include <string.h>
#include "host/host.h"
#include "host/lock.h"
#include "park/cold.h"

#define PAGE 4096u

void gstk__lazy_look_away(const struct gstk_task *t, void *to, size_t bytes)
{
	struct gstk__deep_reader r = gstk__deep_reader(gstk__deep(t->image), t->window, NULL);

	gstk__deep_read(&r, to, gstk__win_base(t->window) - t->used, bytes);
	gstk__deep_reader_end(&r);
}

enum found { NOT_THERE, THERE, PACKED };

/* From the record, if that is where the page at @from is; PACKED: for that a scratch is needed. The lock keeps the
 * record, and nobody waits for anything under it. */
static enum found look_in_record(struct gstk__scratch *s, uint32_t window, void *to, const char *from, size_t bytes)
{
	struct gstk__window *win = gstk__win(window);
	enum found found = NOT_THERE;

	gstk__lock(&win->lazy_lock);
	if (win->lazy && win->lazy != GSTK__LAZY_CLOSED) {
		const struct gstk__deep *d = gstk__deep(win->lazy);
		uint32_t k = gstk__deep_page_of(d, window, (const char *)((uintptr_t)from & ~(uintptr_t)(PAGE - 1)));

		if (k >= d->first && k < d->nr_pages && !gstk__deep_here(d, k))
			found = gstk__deep_cold(d, k) && !s ? PACKED : THERE;
		if (found == THERE) {
			struct gstk__deep_reader r = gstk__deep_reader(d, window, s);

			memcpy(to, gstk__deep_at(&r, k) + (uintptr_t)from % PAGE, bytes);
		}
	}
	gstk__unlock(&win->lazy_lock);
	return found;
}

void gstk__lazy_look(uint32_t window, void *to, const char *from, size_t bytes)
{
	struct gstk__scratch *s = NULL;

	if (gstk__windows.module) {
		gstk__cold_look_in(window, to, from, bytes);
		return;
	}
	for (size_t n; bytes; to = (char *)to + n, from += n, bytes -= n) {
		enum found found;

		n = PAGE - (uintptr_t)from % PAGE;
		n = n < bytes ? n : bytes;
		found = look_in_record(s, window, to, from, n);
		if (found == PACKED && (s = gstk__scratch_get()))
			found = look_in_record(s, window, to, from, n);
		if (found != THERE && !gstk__mem_peek(to, from, n))
			memset(to, 0, n);
	}
	if (s)
		gstk__scratch_put(s);
}
