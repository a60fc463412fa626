#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/install-man.sh MANDIR PAGE...
# Installs each page once, and a link under every further name of its NAME line.
set -eu
mandir=$1; shift
for page; do
	sec=${page##*.}; base=${page##*/}
	install -d "$mandir/man$sec"
	# A page of its own wins over a name on another page: never write through a link.
	rm -f "$mandir/man$sec/$base.gz"
	gzip -9nc "$page" >"$mandir/man$sec/$base.gz"
	for name in $("$(dirname "$0")"/man-names.sh "$page"); do
		[ "$name.$sec" = "$base" ] || ln -sf "$base.gz" "$mandir/man$sec/$name.$sec.gz"
	done
done
