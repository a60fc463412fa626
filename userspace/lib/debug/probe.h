// SPDX-License-Identifier: MIT
/*
 * USDT probes: a nop each, and a note that says where its arguments are (Documentation/debugging.rst has
 * the table). Without <sys/sdt.h> (systemtap-sdt-dev) there are none. On a hot path only what is in a
 * register or one load away there may be an argument.
 */
#ifndef GSTK__DEBUG_PROBE_H
#define GSTK__DEBUG_PROBE_H

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define GSTK__PROBE1(name, a)	    STAP_PROBE1(greenstk, name, a)
#define GSTK__PROBE2(name, a, b)    STAP_PROBE2(greenstk, name, a, b)
#define GSTK__PROBE3(name, a, b, c) STAP_PROBE3(greenstk, name, a, b, c)
#else
#define GSTK__PROBE1(name, a)	    ((void)(a))
#define GSTK__PROBE2(name, a, b)    ((void)(a), (void)(b))
#define GSTK__PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
