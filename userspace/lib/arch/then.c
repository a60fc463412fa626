// SPDX-License-Identifier: MIT
#include "arch.h"

int (*gstk__then_back)(uintptr_t word, const struct gstk__kept *kept);
