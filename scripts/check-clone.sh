#!/bin/bash
# SPDX-License-Identifier: MIT
# What is committed is enough: clones the checkout into an empty folder, runs make quick there, and
# looks whether it left anything that git would see. GREENSTK_CACHE saves the downloads.
set -u -o pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
git -C "$root" rev-parse HEAD >/dev/null 2>&1 || { echo "SKIP not a git checkout"; exit 4; }
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
git clone -q "$root" "$dir/clone" || exit 1
cd "$dir/clone" || exit 2
unset MAKEFLAGS MAKELEVEL MFLAGS RESULTS LOGS O SAN
[ -n "${GREENSTK_CACHE-}" ] || [ ! -d "$root/build/cache" ] || export GREENSTK_CACHE=$root/build/cache
t=$SECONDS
make quick >"$dir/log" 2>&1 || { grep -A40 '^not ok\|Error \|error:' "$dir/log" | head -n 60; tail -n 5 "$dir/log"; exit 1; }
echo "make quick in a clone: $((SECONDS - t)) s"
out=$(git status --porcelain)
[ -z "$out" ] || { echo "left behind, and not ignored:"; echo "$out"; exit 1; }
