# SPDX-License-Identifier: MIT
# Shared by the scripts of selftests/vm: the cache, the kernel list, a private
# apt. Sourced, never run. Needs CACHE (downloads, shared between checkouts).
set -euo pipefail

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$VM_DIR/../.." && pwd)
: "${CACHE:=${GREENSTK_CACHE:-$TOP/build/cache}}"
mkdir -p "$CACHE" && CACHE=$(cd "$CACHE" && pwd)

say() { echo "vm: $*" >&2; }
die() { echo "vm: error: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2 (or: make deps)"; }

# with_lock NAME CMD...: one process at a time does CMD for this cache.
with_lock() {
	local name=$1; shift
	mkdir -p "$CACHE/locks"
	(
		flock -x 9
		"$@"
	) 9>"$CACHE/locks/$name"
}

# Sets K, ROOT, SUITE and FLAVOUR from kernels.list.
kernel_line() {
	local line
	line=$(awk -v k="$1" '$1 == k' "$VM_DIR/kernels.list")
	[ -n "$line" ] || die "no kernel '$1' in selftests/vm/kernels.list: $(kernels)"
	read -r K ROOT SUITE FLAVOUR <<<"$line"
}

kernels() { awk '!/^#/ && NF { printf "%s%s", s, $1; s = " " } END { print "" }' "$VM_DIR/kernels.list"; }

# "uri" of the machine's own Debian archive, or of its security archive. The
# mirror is whatever this machine already uses; nothing here names a host.
mirror() {
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
	awk -v want="$1" '$3 == "main" {
		sec = ($2 ~ /security/)
		plain = ($2 ~ /^(bullseye|bookworm|trixie|forky|sid|stable|testing|oldstable)$/)
		if ((want == "security" && sec) || (want == "main" && plain)) { print $1; exit }
	}'
}

# apt_in ROOT CMD...: apt with its own sources, lists and an empty package
# data base: it resolves whole closures and never touches the machine's state.
# Packages are those of APT_ARCH (amd64).
apt_in() {
	local root=$1 cmd=$2; shift 2
	local d=$CACHE/apt-$root
	"$cmd" -q -o Dir::Etc="$d/etc" -o Dir::Etc::sourcelist=sources.list \
		-o Dir::Etc::sourceparts="$d/etc/none.d" -o Dir::Etc::preferences="$d/etc/none" -o Dir::Etc::preferencesparts="$d/etc/none.d" \
		-o Dir::Etc::trusted=/etc/apt/trusted.gpg -o Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d/ \
		-o Dir::State="$d/state" -o Dir::State::status="$d/status" -o Dir::Cache="$d/cache" \
		-o APT::Sandbox::User=root -o APT::Architecture="${APT_ARCH:-amd64}" -o APT::Architectures="${APT_ARCH:-amd64}" \
		-o APT::Install-Recommends=false -o APT::Keep-Downloaded-Packages=true \
		-o DPkg::Post-Invoke::= -o APT::Update::Post-Invoke::= -o Acquire::Languages=none \
		-o Acquire::Retries=3 "$@"
}

# Lists of one root, fetched anew when older than a day (or on REFRESH=1).
apt_setup() {
	local root=$1 release=${1%%-*} d=$CACHE/apt-$1 main security key=/usr/share/keyrings/debian-archive-keyring.gpg opt=
	[ -z "${REFRESH:-}" ] && [ -n "$(find "$d/stamp" -mtime -1 2>/dev/null)" ] && return
	need apt-get apt
	main=$(mirror main)
	[ -n "$main" ] || die "no Debian archive in this machine's apt sources"
	security=$(mirror security)
	[ -e $key ] && opt="[signed-by=$key]"
	mkdir -p "$d"/{etc/none.d,state/lists/partial,cache/archives/partial}
	: >"$d/status"
	{
		echo "deb $opt $main $release main"
		echo "deb $opt $main $release-backports main"
		[ -z "$security" ] || echo "deb $opt $security $release-security main"
	} >"$d/etc/sources.list"
	say "package lists of $root from $main"
	apt_in "$root" apt-get update >"$d/update.log" 2>&1 || { cat "$d/update.log" >&2; die "apt-get update for $root"; }
	touch "$d/stamp"
}

# Newest package "PREFIX-K.<anything>-FLAVOUR" that the archive has.
newest_package() {
	apt_in "$ROOT" apt-cache pkgnames "$1-$2." |
	grep -E "^$1-${2//./\\.}\.[0-9][0-9.+a-z]*(-[0-9]+)?-$FLAVOUR\$" | sort -V | tail -1
}

# Stock kernel K: sets KVER (what uname -r says) and KPKG.
kernel_version() {
	kernel_line "$1"
	with_lock "apt-$ROOT" apt_setup "$ROOT"
	KPKG=$(newest_package linux-headers "$K")
	[ -n "$KPKG" ] || die "the archive's $SUITE has no linux-headers-$K.*-$FLAVOUR any more: edit kernels.list"
	KVER=${KPKG#linux-headers-}
}
