/* SPDX-License-Identifier: MIT */
#ifndef GSTK__HOST_PRESSURE_H
#define GSTK__HOST_PRESSURE_H

#include <stdbool.h>

/*
 * The file that says for how much of the time tasks wait for memory: of the control group that this process is in, which
 * has limits of its own in a container, else of the system. See Documentation/accounting/psi.rst of the kernel. By one
 * thread at a time.
 */
const char *gstk__pressure_file(void);

#endif
