// SPDX-License-Identifier: MIT
/* For tests of stackless tasks. */
#ifndef FUTURE_TEST_H
#define FUTURE_TEST_H

#include "wait_test.h"

/* A type, and the head of its poll function. */
#define FUTURE(ident, state, drop_)                                                              \
	static enum gstk_progress ident##_poll(gstk_future *f, void *state_);                   \
	static const struct gstk_future_type ident = { sizeof(struct gstk_future_type), #ident, \
						       sizeof(state), ident##_poll, drop_ };    \
	static enum gstk_progress ident##_poll(gstk_future *f, void *state_)

static _Atomic int dropped;

static inline void count_drop(void *state)
{
	dropped++;
}

static inline void *ptr(long v)
{
	return (void *)v;
}

static inline gstk_task *future(const struct gstk_future_type *type, const void *state)
{
	gstk_task *t;

	CHECK_EQ(gstk_future_spawn(&t, type, state), 0);
	return t;
}

#endif
