#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/check-returns.sh [LIBRARY]
# A wait comes back on another stack than it was called on, where a plain return is mispredicted (arch/far.h).
# So on the short ways who waits either returns far itself or is jumped to, not called. A local whose
# address leaves the file is enough for a compiler to turn the jump into a call (20 ns a round trip).
# What compilers set apart as cold does not wait: calls that are refused.
set -u -o pipefail
lib=${1:-build/lib/libgreenstk.so.0}
case $(objdump -f "$lib" | sed -n 's/^architecture: \([^,]*\),.*/\1/p') in
i386:x86-64) ;;
*) echo "SKIP only x86-64 returns far"; exit 4 ;;
esac
objdump -d --no-show-raw-insn "$lib" | awk '
	/^[0-9a-f]+ <.*>:$/ { f = substr($2, 2, length($2) - 3) }
	/jmp .*<__x86_return_thunk/ { far[f] = 1 }
	/\tret/ { near[f] = 1 }
	/jmp .*<[a-z0-9_.]+>$/ && !/__x86_return_thunk/ { jumps[f] = jumps[f] " " substr($NF, 2, length($NF) - 2) }
	/call .*<[a-z0-9_.]+>$/ { calls[f] = calls[f] " " substr($NF, 2, length($NF) - 2) }
	END {
		far["gstk__switch_then_packed"] = 1 # comes back by a jump of its own
		for (more = 1; more;) { # who has no return and only jumps to such
			more = 0
			for (f in jumps) {
				if (f in far || f in near) continue
				n = split(jumps[f], c, " "); all = 1
				for (i = 1; i <= n; i++) if (!(c[i] in far) && c[i] !~ /_framed$|_refused$|\.cold$/) all = 0
				if (all) more = far[f] = 1
			}
		}
		for (f in far) if (f ~ /^(send|recv)_wait$/) waits++
		if (waits != 2) { print "send_wait() and recv_wait() do not return far, or are gone: teach this check"; bad = 1 }
		for (f in calls) {
			if (f in far || f !~ /^gstk_(chan|mutex|rwlock|sem|cond|waitgroup|event|join)/) continue # others spend their time elsewhere
			n = split(calls[f], c, " ")
			for (i = 1; i <= n; i++) if (c[i] in far && c[i] !~ /_slow/) { print f " calls " c[i] ", and returns near"; bad = 1 }
		}
		for (f in far) {
			n = split(jumps[f], c, " ")
			for (i = 1; i <= n; i++) if (!(c[i] in far) && c[i] !~ /_foreign$|_refused$|_framed$|\.cold$/) { print f " returns far, but by " c[i] " near"; bad = 1 }
		}
		exit bad
	}'
