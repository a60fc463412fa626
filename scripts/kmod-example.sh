#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/kmod-example.sh DIR
# The example in Documentation/uapi.rst compiles, and every test that its table names exists.
set -eu
mkdir -p "$1"
sed -n '/^.. code-block:: c/,/^How it stays/p' Documentation/uapi.rst | sed '1,2d;$d;s/^   //' |
	sed '/^How it/,$d' >"$1/example.c"
gcc -std=gnu11 -Wall -Wextra -Iinclude/uapi -o "$1/example" "$1/example.c"
bad=0
while read -r suite name; do
	grep -q "$name" "selftests/uapi/${suite}_test.c" || { echo "uapi.rst: no test $suite: $name"; bad=1; }
done < <(grep -oE '(switch|life|args|lazy|pager|trace|parallel): [a-z0-9_]+$' Documentation/uapi.rst | tr -d :)
exit $bad
