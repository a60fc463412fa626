// SPDX-License-Identifier: MIT
/* The object that is compiled with each compiler, language and level. */
#include "ctx_cases_impl.h"
