#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: demo.sh BIN-DIRECTORY
# Runs the publish/subscribe server with as many real loopback subscribers as the limits allow (and
# redis-server beside it, when it is installed), in an active and an idle phase, and prints a table.
# CONNS=N subscribers, IDLE=SECONDS of idleness (default 60), SHORT=1: 2000 and 8.
set -u -o pipefail
bin=$1
dir=$(mktemp -d) || exit 1
ulimit -n "$(ulimit -Hn)" 2>/dev/null
limit=$(ulimit -n)
[ "$limit" = unlimited ] && limit=1000000
most=$((limit - 100))
# Some 12 KiB of kernel memory for both ends of a connection; use at most half of what is free.
free_kb=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
[ $((free_kb / 2 / 24)) -lt $most ] && most=$((free_kb / 2 / 24))
[ $most -gt 100000 ] && most=100000
conns=${CONNS:-$([ -n "${SHORT-}" ] && echo 2000 || echo $most)}
[ "$conns" -gt $most ] && conns=$most
idle=${IDLE:-$([ -n "${SHORT-}" ] && echo 8 || echo 60)}
procs=$((conns / 8000 + 2))
fan=100 publishers=16 paced=10000
rooms=$((conns / fan > 0 ? conns / fan : 1))
started=()

say() { printf '\033[1m%s\033[0m\n' "$*"; }
stop() {
	local p
	for p in "${started[@]}"; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

declare -A port pid v in out
# One request, its answer in plain lines.
ask() { # server request...
	local s=$1 line len fd
	shift
	exec {fd}<>"/dev/tcp/127.0.0.1/${port[$s]}" || return 1
	printf '%s\r\n' "$*" >&"$fd"
	IFS= read -r -t 20 line <&"$fd"
	line=${line%$'\r'}
	case $line in
	\$*) len=${line#\$}; head -c "$len" <&"$fd" | tr -d '\r' ;;
	*) echo "${line#?}" ;;
	esac
	exec {fd}>&-
}
field() { sed -n "s/^$1:\([0-9]*\).*/\1/p"; }
# Resident memory and page tables in bytes.
memory() {
	awk '/^Rss:/ { r = $2 } END { printf "%d ", r * 1024 }' "/proc/${pid[$1]}/smaps_rollup"
	awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/${pid[$1]}/status"
}
# Ticks of CPU; context switches of all its threads.
cpu() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/${pid[$1]}/stat"; }
switches() { cat "/proc/${pid[$1]}/task/"*/status 2>/dev/null | awk '/ctxt_switches/ { n += $2 } END { print n }'; }
get() { tr ' ' '\n' <<<"$1" | grep -A1 -x "$2" | tail -1; }

start_greenstk() {
	"$bin/pubsub" --port=0 --maxclients=$((conns + 50)) >"$dir/greenstk.out" 2>"$dir/greenstk.err" &
	pid[greenstk]=$!
	started+=($!)
	local i
	for i in $(seq 100); do
		port[greenstk]=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$dir/greenstk.out")
		[ -n "${port[greenstk]}" ] && return
		sleep 0.05
	done
	cat "$dir/greenstk.err"
	return 1
}

start_redis() {
	local try i
	for try in 1 2 3 4 5; do
		port[redis]=$((20000 + RANDOM % 10000))
		cat >"$dir/redis.conf" <<-CONF
			bind 127.0.0.1
			port ${port[redis]}
			protected-mode no
			daemonize no
			save ""
			appendonly no
			dir $dir
			maxclients $((conns + 50))
			tcp-backlog 4096
		CONF
		redis-server "$dir/redis.conf" >"$dir/redis.out" 2>&1 &
		pid[redis]=$!
		started+=($!)
		for i in $(seq 60); do
			kill -0 ${pid[redis]} 2>/dev/null || break
			[ "$(ask redis PING 2>/dev/null)" = PONG ] && return 0
			sleep 0.05
		done
		kill ${pid[redis]} 2>/dev/null
	done
	return 1
}

start_load() { # server
	mkfifo "$dir/$1.in" "$dir/$1.answers"
	"$bin/pubsub-load" --port="${port[$1]}" --processes=$procs --rooms=$rooms <"$dir/$1.in" >"$dir/$1.answers" &
	started+=($!)
	exec {in[$1]}>"$dir/$1.in" {out[$1]}<"$dir/$1.answers"
}
order() { # server command: its answer in $answer
	echo "$2" >&"${in[$1]}"
	IFS= read -r -t 90 answer <&"${out[$1]}" || { echo "no answer from pubsub-load ($1: $2)" >&2; exit 1; }
}

per_connection() { # server: sets rss and pte, bytes
	local r p
	read -r r p < <(memory "$1" | xargs)
	rss=$(((r - ${v[$1.rss0]}) / conns)) pte=$(((p - ${v[$1.pte0]}) / conns))
}

connect_phase() {
	read -r "v[$1.rss0]" "v[$1.pte0]" < <(memory "$1" | xargs)
	order "$1" "connect $conns"
	[ "$(get "$answer" connected)" = "$conns" ] || { echo "$1: $answer"; exit 1; }
	v[$1.connect]=$(awk -v n="$conns" -v s="$(get "$answer" seconds)" 'BEGIN { printf "%.0f", n / s }')
	sleep 1
	per_connection "$1"
	v[$1.mem1]="$((rss + pte))" v[$1.mem1.parts]="$rss + $pte"
	echo "  $1: $conns subscribers in $(get "$answer" seconds) s; $((rss + pte)) bytes each after 1 s"
}

active_phase() {
	local c0 c1 s0 s1 n
	c0=$(cpu "$1") s0=$(switches "$1")
	order "$1" "publish $2 $publishers 0"
	c1=$(cpu "$1") s1=$(switches "$1") n=$(get "$answer" received)
	v[$1.rate]=$(get "$answer" deliveries_per_s)
	v[$1.lost]=$(get "$answer" lost)
	v[$1.cpu]=$(awk -v t=$((c1 - c0)) -v hz="$(getconf CLK_TCK)" -v n="$n" 'BEGIN { printf "%.2f", n ? t / hz * 1e6 / n : 0 }')
	v[$1.csw]=$(awk -v s=$((s1 - s0)) -v n="$n" 'BEGIN { printf "%.1f", n ? s * 1000 / n : 0 }')
	v[$1.p50]=$(get "$answer" p50_us) v[$1.p99]=$(get "$answer" p99_us)
	order "$1" "publish $3 $publishers $((paced / fan))"
	v[$1.paced50]=$(get "$answer" p50_us) v[$1.paced99]=$(get "$answer" p99_us)
	v[$1.lost]=$((${v[$1.lost]} + $(get "$answer" lost)))
	echo "  $1: ${v[$1.rate]} messages/s, server CPU ${v[$1.cpu]} us each, lost ${v[$1.lost]}"
}

wake_phase() {
	order "$1" "round 0"
	v[$1.round50]=$(get "$answer" p50_us) v[$1.round99]=$(get "$answer" p99_us)
	v[$1.lost]=$((${v[$1.lost]} + $(get "$answer" lost)))
	order "$1" ping
	v[$1.ping50]=$(get "$answer" p50_us) v[$1.ping99]=$(get "$answer" p99_us)
	v[$1.pongs]=$(get "$answer" pongs)
	echo "  $1: every subscriber got a message and an answer to PING (${v[$1.pongs]})"
}

# How many tasks have left their windows, as the runtime says.
evicted() {
	local info
	info=$(ask greenstk INFO greenstk)
	v[copied]=$(($(field tasks_copied <<<"$info") + $(field tasks_remapped <<<"$info")))
	v[packed]=$(field tasks_packed <<<"$info")
	v[info]=$info
	echo $((v[copied] + v[packed]))
}

say "greenstk: publish/subscribe with real subscribers on this machine"
echo "$(nproc) CPUs, $((free_kb / 1048576)) GiB free, $limit open files a process: $conns subscribers," \
	"$rooms channels, $procs client processes"
servers=greenstk
start_greenstk || exit 1
if command -v redis-server >/dev/null && start_redis; then
	servers="greenstk redis"
else
	echo "redis-server is not there: no comparison"
fi
for s in $servers; do start_load "$s"; done

say "1/4 connect"
for s in $servers; do connect_phase "$s"; done
say "2/4 active: $publishers publishers as fast as they can, then $paced messages a second"
for s in $servers; do active_phase "$s" "${ACTIVE:-5}" 3; done
say "3/4 idle: $idle s, and until at least half of the subscribers are evicted"
t0=$SECONDS said=-10 n=0
until [ $((SECONDS - t0)) -ge "$idle" ] && [ "$n" -ge $((conns / 2)) ]; do
	sleep 2
	evicted >/dev/null
	n=$((v[copied] + v[packed]))
	[ $((SECONDS - t0)) -gt $((idle + 60)) ] && { echo "  too few were evicted"; exit 1; }
	[ -t 1 ] && printf '\r'
	# Not a terminal: a line every ten seconds is enough.
	[ -t 1 ] || [ $((SECONDS - t0)) -ge $((said + 10)) ] || continue
	said=$((SECONDS - t0))
	printf '  %2d s: %s of %s subscribers evicted (%s copied or remapped, %s packed)' $((SECONDS - t0)) "$n" "$conns" \
		"${v[copied]}" "${v[packed]}"
	[ -t 1 ] || echo
done
[ -t 1 ] && echo
v[evicted]=$n
for s in $servers; do
	per_connection "$s"
	v[$s.mem60]="$((rss + pte))" v[$s.mem60.parts]="$rss + $pte"
done
evicted >/dev/null
idle_info=${v[info]}
idle_memory=$(ask greenstk INFO memory)
per() { echo $(($(field "$2" <<<"$1") / conns)); }
part_tasks=$(per "$idle_info" task_bytes) part_images=$(per "$idle_info" image_arena_bytes)
part_fds=$(per "$idle_info" fd_bytes) part_clients=$(per "$idle_memory" used_memory_clients)
part_topics=$(per "$idle_memory" used_memory_topics)
say "4/4 wake: one message to each channel, then PING from each subscriber"
for s in $servers; do wake_phase "$s"; done
evicted >/dev/null

row() { # title key
	printf '  %-46s' "$1"
	for s in $servers; do printf ' %14s' "${v[$s.$2]-}"; done
	echo
}
echo
printf '  %-46s' "$conns subscribers, $fan a channel"
for s in $servers; do printf ' %14s' "$s"; done
echo
row "connect and subscribe, connections/s" connect
row "active, messages delivered/s" rate
row "  server CPU us a message" cpu
row "  context switches of the server / 1000 msgs" csw
row "  delivery p50 us" p50
row "  delivery p99 us" p99
row "$paced messages/s, delivery p50 us" paced50
row "  delivery p99 us" paced99
row "after ${idle} s idle, delivery p50 us" round50
row "  delivery p99 us" round99
row "  PING p50 us (wakes evicted tasks)" ping50
row "  PING p99 us" ping99
row "messages lost" lost
row "user memory a connection after 1 s, bytes" mem1
row "  RSS + page tables" mem1.parts
row "user memory a connection after ${idle} s, bytes" mem60
row "  RSS + page tables" mem60.parts
echo
echo "  where they are after ${idle} s (greenstk): task $part_tasks, stack image $part_images, descriptor $part_fds," \
	"connection $part_clients, subscription $part_topics"
info() { field "$1" <<<"${v[info]}"; }
echo "  evicted when idle: ${v[evicted]} of $conns; in all: $(info evictions) evictions, $(info restores) restores," \
	"$(info packs) packed; $(info conflicts) conflicts on $(info windows) windows; $(info switches) task switches"
lost=0
for s in $servers; do lost=$((lost + ${v[$s.lost]})); done
[ "${v[greenstk.lost]}" = 0 ] && [ "${v[greenstk.pongs]}" = "$conns" ] || { echo "messages or answers are missing"; exit 1; }
