#!/bin/bash
# SPDX-License-Identifier: MIT
# Only task/state.h writes a task's word. The compiler finds offenders, so it is exact by type: in a
# copy of the library the word is const under its own name, and state.h alone knows it by another.
set -u
lib=userspace/lib
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/$lib" && cp -r $lib/. "$dir/$lib/" && cp -r include "$dir/" && cd "$dir" || exit 2
before=$(cat $lib/task/task.h $lib/task/state.h | cksum)
sed -i '0,/_Atomic uint32_t word;/s//union { _Atomic uint32_t word_of_state; const _Atomic uint32_t word; };/' $lib/task/task.h
grep -q word_of_state $lib/task/task.h || { echo "task/task.h: no \"_Atomic uint32_t word;\": teach this check the new name"; exit 1; }
sed -i 's/->word\b/->word_of_state/g' $lib/task/state.h
[ "$(cat $lib/task/task.h $lib/task/state.h | cksum)" != "$before" ] || exit 2
command -v clang >/dev/null || { echo "SKIP no clang (gcc accepts atomic stores through const)"; exit 4; }
bad=0
for f in $(grep -rlE '\bword\b|task/' $lib --include='*.c'); do
	out=$(clang -std=gnu11 -D_GNU_SOURCE -DGSTK_BUILD -DGSTK_VERSION='""' -Iinclude -I$lib -w -fsyntax-only "$f" 2>&1 |
		grep -E "error:.*(const|read-only|'word')") && { bad=1; echo "$out"; }
done
[ $bad = 0 ] || echo "(a task's word is written outside task/state.h)"
exit $bad
