#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: debug-kernel.sh K
# Builds the debug kernel for K (tinyconfig + debug.config) in K's build root:
# root-NAME/debug/linux-K. Built again only when source, options or compiler change.
. "$(dirname "$0")/lib.sh"

inside() { chroot "$root" env -i PATH=/usr/bin:/usr/sbin LC_ALL=C HOME=/ KBUILD_BUILD_USER=greenstk \
	KBUILD_BUILD_HOST=greenstk KBUILD_BUILD_TIMESTAMP=@0 "$@"; }

build_debug() {
	local id log=$root/debug/linux-$K.log t0=$SECONDS
	id=$(cat "$VM_DIR/debug.config" "$root/src/linux-$K/.deb" 2>/dev/null | md5sum; inside gcc --version | head -1)
	[ "$(cat "$root/debug/linux-$K/.id" 2>/dev/null)" = "$id" ] && return
	say "debug kernel $K: about ten minutes on two cores, once (log: $log)"
	local o=/debug/linux-$K
	mkdir -p "$root$o"
	cp "$VM_DIR/debug.config" "$root$o/debug.config"
	{
		inside make -C "/src/linux-$K" O="$o" tinyconfig &&
		inside env KCONFIG_CONFIG="$o/.config" sh -c \
			"cd $o && /src/linux-$K/scripts/kconfig/merge_config.sh -m .config debug.config" &&
		inside make -C "/src/linux-$K" O="$o" olddefconfig
	} >"$log" 2>&1 || { tail "$log" >&2; die "configuring the debug kernel"; }
	local want missing=
	while read -r want; do
		grep -qxF "$want" "$root$o/.config" || missing+=" $want"
	done < <(grep -E '^CONFIG_' "$VM_DIR/debug.config" | grep -v '# if there')
	[ -z "$missing" ] || die "options that the source of $K did not take:$missing"
	inside make -j2 -C "/src/linux-$K" O="$o" bzImage modules >>"$log" 2>&1 ||
		{ grep -E 'error|Error' "$log" | head >&2; die "building the debug kernel: $log"; }
	echo "$id" >"$root$o/.id"
	say "debug kernel $K built in $((SECONDS - t0)) s"
}

kernel_line "${1:?K}"
root=$CACHE/root-$ROOT
"$VM_DIR/fetch.sh" root "$ROOT"
"$VM_DIR/fetch.sh" source "$K"
with_lock "debug-$K" build_debug
