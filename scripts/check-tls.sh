#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/check-tls.sh [BUILD-DIR]
# No thread-local address is kept across a park in our own code: library, interposed libc, examples, benchmarks.
set -u -o pipefail
shopt -s nullglob
O=${1:-build}
/usr/bin/python3 -c 'import capstone, elftools' 2>/dev/null || { echo "SKIP no python3-capstone or python3-pyelftools"; exit 4; }
export PYTHONDONTWRITEBYTECODE=1
# What is allowed here may not be there when another compiler, or processor, made the code.
userspace/tools/gstk-tlscheck -W -a userspace/lib/tlscheck.allow "$O"/lib/*.a "$O"/obj/{examples,bench}/*.o \
	"$O"/obj/{examples,bench}/*/*.o 2> >(grep -v 'not found any more' >&2)
