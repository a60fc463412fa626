// SPDX-License-Identifier: MIT
#ifndef GSTK__DEBUG_MACHINE_H
#define GSTK__DEBUG_MACHINE_H

/* What this kernel offers and which limits bind, as `name value` lines, each with what to do. */
void gstk__machine_print(int fd);

#endif
