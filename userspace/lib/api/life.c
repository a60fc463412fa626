// SPDX-License-Identifier: MIT
#include "api/life.h"

int gstk__life_init(void)
{
	return 0;
}

void gstk__life_fini(void)
{
}

void gstk__life_thread_begin(struct gstk__worker *w)
{
}

void gstk__life_thread_end(struct gstk__worker *w)
{
}
