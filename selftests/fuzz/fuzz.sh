#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: O=BUILD SEED=n FUZZ_RUNS=n selftests/fuzz/fuzz.sh NAME
# Gives BUILD/fuzz/NAME inputs that libFuzzer makes up. What breaks it is left as BUILD/fuzz/NAME-crash-...; the program
# with that file as its argument does it again.
set -eu
dict=selftests/fuzz/$1.dict
set -- "$O/fuzz/$1"
[ ! -f "$dict" ] || set -- "$1" "-dict=$dict"
exec "$@" -seed="$SEED" -runs="$FUZZ_RUNS" -max_len=700 -timeout=20 -artifact_prefix="$1-"
