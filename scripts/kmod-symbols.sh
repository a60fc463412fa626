#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/kmod-symbols.sh greenstk.ko...
# What the module takes from the kernel is on the list of its kernel (kmod/symbols/K.allow): a new
# name must be looked at, for it may not be exported by the next kernel. K is in the folder's name.
# UPDATE=1 writes the lists. Which registers indirect calls go through is the compiler's choice (REG).
set -eu
export LC_ALL=C
bad=0
for ko; do
	k=$(sed -E 's|.*kmod-([^/]*)/.*|\1|' <<<"$ko")
	list=kmod/symbols/$k.allow
	nm -u "$ko" | awk '{ sub(/^__x86_indirect_thunk_.*/, "__x86_indirect_thunk_REG", $2); print $2 }' | sort -u >"$ko.undefined"
	if [ "${UPDATE:-}" ]; then
		mkdir -p kmod/symbols
		{ echo "# SPDX-License-Identifier: GPL-2.0"; cat "$ko.undefined"; } >"$list"
		continue
	fi
	new=$(comm -13 <(grep -v '^#' "$list") "$ko.undefined")
	[ -z "$new" ] || { echo "$ko takes what $list does not allow:"; sed 's/^/  /' <<<"$new"; bad=1; }
done
exit $bad
