// SPDX-License-Identifier: MIT
/* What other parts want to do when the runtime and its workers begin and end. */
#ifndef GSTK__API_LIFE_H
#define GSTK__API_LIFE_H

struct gstk__worker;

int gstk__life_init(void);
void gstk__life_fini(void);
void gstk__life_thread_begin(struct gstk__worker *w);
void gstk__life_thread_end(struct gstk__worker *w);

#endif
