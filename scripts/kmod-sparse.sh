#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/kmod-sparse.sh DIR K...
# sparse on every file of the module, with the headers of each kernel; a warning is an error
# (build.sh). Objects of its own, so that nothing else is built anew.
set -eu
for k in "${@:2}"; do
	selftests/vm/build.sh "$k" "$1/sparse-$k" C=2
done
