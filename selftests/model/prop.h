/* SPDX-License-Identifier: MIT */
/* A property by its name: the name is a variable that is never set, and so stands in the report. */
#define PROP(name, cond) assert((cond) || name)
