// SPDX-License-Identifier: MIT
#ifndef GSTK__API_CONFIG_H
#define GSTK__API_CONFIG_H

#include <greenstk/runtime.h>

/* Effective configuration: fields, then environment, then defaults. -EINVAL with a line on stderr. */
int gstk__config_resolve(struct gstk_config *out, const struct gstk_config *in);
extern struct gstk_config gstk__config; /* of the running runtime */

#endif
