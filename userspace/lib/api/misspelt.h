/* SPDX-License-Identifier: MIT */
/* Variables of the environment that are nearly one of the library's, which would be ignored without a word. */
#ifndef GSTK__API_MISSPELT_H
#define GSTK__API_MISSPELT_H

#include <stddef.h>

/* The name, without its prefix, that is meant by the first @bytes of @variable; NULL: none, or it is right. */
const char *gstk__misspelt(const char *variable, size_t bytes);
/* A line on stderr for each of @environment, once a process. */
void gstk__misspelt_tell(char *const *environment);

#endif
