#!/bin/sh
# SPDX-License-Identifier: MIT
# usage (in a guest, by make vm-demo): demo.sh CONNECTIONS STACK-USE
# The publish/subscribe server with real loopback subscribers, twice in the same boot: as it is on a stock kernel,
# and with the module; then one table. Its clock counts instructions, so of times it gives ratios only: what a cache
# miss or an interrupt costs is not in them.
set -u
conns=$1 use=$2 rooms=$(($1 / 50 + 1)) procs=2 publishers=8
# Both times the same: fewer windows than connections, and idle stacks leave as soon as they are cold.
windows=$((conns / 3 + 1))
export GREENSTK_RESIDENT_BUDGET=4194304
cd /tmp || exit 1

die() { echo "vm-demo: $*"; [ ! -e err ] || cat err; exit 1; }
seconds() { cut -d. -f1 /proc/uptime; }
ask() { printf '%s\r\nQUIT\r\n' "$*" | nc 127.0.0.1 "$port" | tr -d '\r'; }
field() { sed -n "s/^$1:\([0-9]*\).*/\1/p"; }
shootdowns() {
	awk '/^ *TLB:/ { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+$/) n += $i } END { print n + 0 }' /proc/interrupts
}
cpu() { sed 's/.*) //' "/proc/$server/stat" | awk '{ print $12 + $13 }'; }
get() { echo "$answer" | tr ' ' '\n' | grep -A1 -x "$1" | tail -1; }
order() { echo "$1" >&3; IFS= read -r answer <&4 || die "no answer from pubsub-load: $1"; }
object() { sed -n "s/.* $1=\([0-9]*\).*/\1/p" /sys/kernel/debug/greenstk/objects 2>/dev/null | grep . || echo 0; }
# Memory and page tables of the server, in bytes: a sum.
resident() {
	awk '/^Rss:/ { printf "%d + ", $2 * 1024 }' "/proc/$server/smaps_rollup"
	awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$server/status"
}
# What the run called $1 has as $2 is $3; and what it has.
keep() { eval "v_$1_$2='$3'"; }
kept() { eval "echo \"\${v_$1_$2-}\""; }

# Bytes a connection, beyond what the server had before the first one: $1 run, $2 when.
memory() {
	local info clients
	info=$(ask INFO greenstk)
	clients=$(ask INFO memory | field used_memory_clients)
	keep "$1" "mem$2" $((($(resident) - $(kept "$1" mem0)) / conns))
	keep "$1" "image$2" $(($(echo "$info" | field image_arena_bytes) / conns))
	keep "$1" "slot$2" $(($(object pages) * 4096 / conns))
	keep "$1" "table$2" $(($(object tables) * 4096 / conns))
	keep "$1" "rest$2" $((($(echo "$info" | field task_bytes) + $(echo "$info" | field fd_bytes) + clients) / conns))
	keep "$1" "where$2" "$(for f in resident copied remapped packed; do echo "$info" | field tasks_$f; done | paste -sd/)"
}

# Until $2 of the stacks at least are out of their windows ($3: packed), for $4 seconds at most.
wait_idle() {
	local end=$(($(seconds) + $4)) said=0 info c r p
	while :; do
		sleep 2
		info=$(ask INFO greenstk)
		c=$(echo "$info" | field tasks_copied) r=$(echo "$info" | field tasks_remapped) p=$(echo "$info" | field tasks_packed)
		[ $(($(seconds) - said)) -lt 10 ] || { said=$(seconds); echo "  $1: $c copied, $r remapped, $p packed"; }
		if [ "$3" = packed ]; then [ "$p" -lt "$2" ] || break; else [ $((c + r + p)) -lt "$2" ] || break; fi
		[ "$(seconds)" -lt $end ] || die "$1: after $4 s too few stacks are $3: $c copied, $r remapped, $p packed"
	done
}

run() { # NAME
	local name=$1 ipi cpu0 info
	/vm/pubsub --port=0 --maxclients=$((conns + 50)) --windows=$windows --stack-use="$use" >out 2>err &
	server=$! port=
	while [ -z "$port" ]; do
		sleep 0.2
		kill -0 $server 2>/dev/null || die "the server has ended"
		port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' out)
	done
	mkfifo in answers
	/vm/pubsub-load --port="$port" --processes=$procs --rooms=$rooms <in >answers &
	load=$!
	exec 3>in 4<answers
	keep "$name" mem0 $(($(resident)))
	ipi=$(shootdowns)
	order "connect $conns"
	[ "$(get connected)" = "$conns" ] || die "connected: $answer"
	echo "  $name: $conns subscribers on $windows windows, $use bytes more on the stack of each"
	cpu0=$(cpu)
	order "publish 3 $publishers 0"
	keep "$name" rate "$(get deliveries_per_s)"
	keep "$name" lost "$(get lost)"
	keep "$name" received "$(get received)"
	keep "$name" cpu $((($(cpu) - cpu0) * 100000 / $(get received)))
	echo "  $name: $(get received) messages delivered, $(get lost) lost"
	wait_idle "$name" $((conns / 2)) out 120
	memory "$name" 1
	order ping
	[ "$(get pongs)" = "$conns" ] || die "PING: $answer"
	keep "$name" ping "$(get seconds)"
	echo "  $name: every subscriber was woken, and answered"
	order "round 0"
	keep "$name" lost $(($(kept "$name" lost) + $(get lost)))
	wait_idle "$name" $((conns * 9 / 10)) packed 300
	memory "$name" 2
	order ping
	[ "$(get pongs)" = "$conns" ] || die "PING of packed ones: $answer"
	keep "$name" unpack "$(get seconds)"
	keep "$name" ipi $(($(shootdowns) - ipi))
	info=$(ask INFO greenstk)
	for f in evictions restores packs unpacks remaps remap_returns remap_calls remap_pack_calls trims; do
		keep "$name" $f "$(echo "$info" | field $f)"
	done
	keep "$name" flushes "$(object flushes)"
	keep "$name" lazy "$(object faults_lazy)"
	echo quit >&3
	exec 3>&- 4<&-
	wait $load
	kill -TERM $server
	wait $server || die "the server ended with $?"
	rm -f in answers
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'; }
row() { printf '  %-58s %14s %14s\n' "$1" "$2" "$3"; }
both() { row "$1" "$(kept stock "$2")" "$(kept module "$2")"; }

ulimit -n 20000
echo "1/2 stock: no module is loaded"
run stock
echo "2/2 insmod greenstk.ko"
insmod /vm/greenstk.ko || die "insmod"
run module
rmmod greenstk || die "rmmod"

moved=$(($(kept module remaps) + $(kept module remap_returns)))
echo
row "$(uname -r), $conns subscribers" stock module
row "messages delivered, of stock's rate" 1 "$(ratio "$(kept module rate)" "$(kept stock rate)")"
row "  CPU time a message of the server, of stock's" 1 "$(ratio "$(kept module cpu)" "$(kept stock cpu)")"
row "time for PING to all, stacks out, of stock's" 1 "$(ratio "$(kept module ping)" "$(kept stock ping)")"
row "  the same, stacks packed" 1 "$(ratio "$(kept module unpack)" "$(kept stock unpack)")"
both "messages lost" lost
both "evictions" evictions
row "  by copying" $(($(kept stock evictions) - $(kept stock remaps))) $(($(kept module evictions) - $(kept module remaps)))
both "  by moving pages" remaps
both "restores" restores
both "  by moving pages" remap_returns
both "packed" packs
row "ioctls that moved stacks" - "$(kept module remap_calls)"
row "  stacks an ioctl" - "$(ratio $moved "$(kept module remap_calls)")"
row "  rounds of interrupts: its flushes, of RECLAIM too" - "$(kept module flushes)"
row "  rounds saved against one for each stack" - $((moved - $(kept module flushes)))
both "TLB interrupts of the whole system in the run" ipi
both "bytes a connection, stacks out: RSS and page tables" mem1
both "  images of the runtime" image1
row "  pages in slots and windows; the module's tables" - "$(kept module slot1) + $(kept module table1)"
both "  resident, copied, remapped, packed" where1
both "bytes a connection, nine in ten packed" mem2
both "  images of the runtime" image2
row "  pages in slots and windows; the module's tables" - "$(kept module slot2) + $(kept module table2)"
both "  resident, copied, remapped, packed" where2
both "  task, descriptor, connection" rest2
for r in stock module; do [ "$(kept $r lost)" = 0 ] || die "$r: messages were lost"; done
[ "$(kept module remaps)" -gt 0 ] || die "the module moved no stack"
