#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: pubsub_tools.sh SERVER
# The example server with tools and libraries that know nothing of it: redis-cli, redis-benchmark,
# the Python client. The variant's environment (GREENSTK_...) is inherited by the server.
set -u
server=$1
dir=$(mktemp -d) || exit 2
here=$(cd "$(dirname "$0")" && pwd)
trap 'kill "$pid" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
# The one that the distribution's packages are for.
python=/usr/bin/python3
for tool in redis-cli redis-benchmark $python; do
	command -v $tool >/dev/null || { echo "1..0 # SKIP $tool is not installed"; exit 4; }
done
"$server" --port=0 --listen="unix:$dir/sock" >"$dir/out" 2>"$dir/err" &
pid=$!
for _ in $(seq 200); do grep -q unix: "$dir/out" && break; sleep 0.05; done
port=$(sed -n 's/^listening on 127.*:\([0-9]*\)$/\1/p' "$dir/out")
[ -n "$port" ] || { cat "$dir/err"; echo "Bail out! no server"; exit 1; }

n=0 bad=0
is() { # name want got
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n $1"; return; fi
	echo "not ok $n $1"
	printf 'wanted: %s\ngot: %s\n' "$2" "$3" | sed 's/^/# /'
	bad=1
}
like() { # name pattern got
	if [[ $3 =~ $2 ]]; then is "$1" yes yes; else is "$1" "$2" "$3"; fi
}
cli() { timeout 20 redis-cli -p "$port" "$@" 2>&1; }
benchmark() { timeout 100 redis-benchmark -p "$port" --csv "$@" 2>&1; }
# The answers of a benchmark in CSV: a line with a rate for each test, and no error.
rates() { grep -cE '^"[^"]+","[0-9]+\.[0-9]+"' <<<"$1"; }

echo "TAP version 13"
echo "1..18"
is "redis-cli: PING" PONG "$(cli ping)"
is "redis-cli: over a Unix socket" PONG "$(timeout 20 redis-cli -s "$dir/sock" ping)"
is "redis-cli -3: RESP3" PONG "$(cli -3 ping)"
is "redis-cli: an error" "ERR DB index is out of range" "$(cli select 5 | head -1)"
like "redis-cli -a: refused, but goes on" "without any password.*PONG" "$(cli -a secret ping | tr '\n' ' ')"
like "redis-cli: INFO" "connected_clients:1" "$(cli info clients)"
like "redis-cli: CLIENT LIST" "cmd=client" "$(cli client list)"
is "redis-cli: commands from a pipe" "PONG b" "$(printf 'ping\necho b\n' | cli | tr '\n' ' ' | sed 's/ $//')"
like "redis-cli --latency" "^[0-9]" "$(timeout 10 redis-cli -p "$port" --raw --latency -i 1 </dev/null 2>&1 | head -c 200 | tr -d '\0')"

# A subscriber and a pattern subscriber, until each has what it waits for.
timeout 20 redis-cli -p "$port" subscribe a b >"$dir/sub" 2>&1 &
s1=$!
timeout 20 redis-cli -3 -p "$port" psubscribe '[ab]' >"$dir/psub" 2>&1 &
s2=$!
for _ in $(seq 200); do [ "$(cli pubsub numpat)$(cli pubsub channels | wc -l)" = 12 ] && break; sleep 0.05; done
is "redis-cli: PUBLISH counts both" 2 "$(cli publish a hello)"
cli publish b world >/dev/null
for _ in $(seq 200); do grep -q world "$dir/sub" && grep -q world "$dir/psub" && break; sleep 0.05; done
kill $s1 $s2
is "redis-cli: SUBSCRIBE" "subscribe a 1 subscribe b 2 message a hello message b world" "$(tr '\n' ' ' <"$dir/sub" | sed 's/ $//')"
is "redis-cli -3: PSUBSCRIBE" "psubscribe [ab] 1 pmessage [ab] a hello pmessage [ab] b world" "$(tr '\n' ' ' <"$dir/psub" | sed 's/ $//')"

out=$(benchmark -t ping -n 20000)
is "redis-benchmark: PING, inline and not" 2 "$(rates "$out")"
out=$(benchmark -t ping -n 50000 -P 32 -c 100)
is "redis-benchmark: pipelined" 2 "$(rates "$out")"
out=$(benchmark -n 20000 -c 50 publish ch message)
is "redis-benchmark: PUBLISH" 1 "$(rates "$out")"
out=$(benchmark -n 2000 -d 100000 -c 10 publish ch __data__)
is "redis-benchmark: PUBLISH of 100 kB each" 1 "$(rates "$out")"
out=$(timeout 60 $python "$here/pubsub_client.py" "$port" 2>&1)
is "Python client" done "$(tail -n 1 <<<"$out")"
kill -TERM $pid
wait $pid
is "the server ends well" 0 $?
exit $bad
