#!/bin/bash
# SPDX-License-Identifier: MIT
# Only task/state.c writes a task's state word.
set -u
out=$(grep -rnP --include='*.[ch]' '(->|\.)state\s*([|&+^-]?=(?!=)|\+\+|--)|atomic\w*_(store|exchange|compare_exchange|fetch|xchg|cmpxchg|cas)\w*\s*\(\s*&[^,;]*(->|\.)state\b' \
	userspace/lib | grep -v '^userspace/lib/task/state\.[ch]:' | grep -v '/\* not a task: ')
[ -z "$out" ] || { echo "a task's state is written outside task/state.c:"; echo "$out"; exit 1; }
