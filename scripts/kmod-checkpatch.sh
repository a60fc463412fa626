#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/kmod-checkpatch.sh
# checkpatch --strict of a kernel source (CHECKPATCH=, else the newest in the cache).
set -eu
cache=${CACHE:-${GREENSTK_CACHE:-build/cache}}
: "${CHECKPATCH:=$(ls -d "$cache"/{kselftest,root-*/src/linux-*/scripts}/checkpatch.pl 2>/dev/null | sort -V | tail -1)}"
[ -e "$CHECKPATCH" ] || { echo "kmod-checkpatch: no kernel source with checkpatch.pl in the cache"; exit 4; }
# Ignored: what would need a newer kernel than 6.1, X-macros, and version tests, which
# are what compat/ is for; the fall-back list of kernel types in plan.h is for user space.
ignored=LINUX_VERSION_CODE,NEW_TYPEDEFS,MACRO_ARG_REUSE,FILE_PATH_CHANGES,SPDX_LICENSE_TAG,TRAILING_SEMICOLON,MULTISTATEMENT_MACRO_USE_DO_WHILE,COMPLEX_MACRO,CONSTANT_COMPARISON,ALLOC_WITH_SIZEOF,MSLEEP,MACRO_ARG_PRECEDENCE,MACRO_WITH_FLOW_CONTROL
look() { # TYPES FILE...
	"$CHECKPATCH" --no-tree --strict --terse --no-summary --show-types --max-line-length=100 \
		--ignore "$ignored$1" -f "${@:2}"
}
look "" $(ls kmod/*.[ch] kmod/compat/*.h | grep -v trace.h) include/uapi/linux/greenstk.h
# Every TRACE_EVENT() of the kernel is laid out like these.
look ,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT kmod/trace.h
