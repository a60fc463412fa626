/* SPDX-License-Identifier: MIT */
/* What gstk__arch_check() asks the kernel through; tests put their own answer there. */
#ifndef GSTK__AARCH64_CHECK_H
#define GSTK__AARCH64_CHECK_H

extern long (*gstk__shstk_status)(unsigned long *features);

#endif
