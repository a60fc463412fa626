#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: demo.sh BIN-DIRECTORY
# Crawls a generated site that a private nginx serves, with tasks and with threads in turn, and prints answers a second and CPU each;
# then pages of many slow hosts at once, and prints how much memory each connection under way takes.
# PAGES=N (default 10000), SLOW=N hosts (default 4000), ROUNDS=N (default 5), SHORT=1: 1000, 500 and 2.
set -u -o pipefail
bin=$1
pages=${PAGES:-$([ -n "${SHORT-}" ] && echo 1000 || echo 10000)}
slow=${SLOW:-$([ -n "${SHORT-}" ] && echo 500 || echo 4000)}
rounds=${ROUNDS:-$([ -n "${SHORT-}" ] && echo 2 || echo 5)}
hosts=8
ulimit -n "$(ulimit -Hn)" 2>/dev/null
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || { echo "demo-crawler: nginx is not there: apt-get install nginx-light"; exit 4; }
dir=$(mktemp -d) || exit 1
nginx=
stop() {
	[ -n "$nginx" ] && kill "$nginx" 2>/dev/null && wait "$nginx" 2>/dev/null
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

say() { printf '\033[1m%s\033[0m\n' "$*"; }
serves() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
start() {
	local i try
	for try in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 10000))
		serves && continue
		"$bin/crawler-site" "$dir" $port "$pages" $hosts "$slow" || return 1
		nginx -c "$dir/nginx.conf" -p "$dir" 2>"$dir/out" &
		nginx=$!
		for i in $(seq 100); do
			kill -0 $nginx 2>/dev/null || break
			serves && return 0
			sleep 0.05
		done
	done
	cat "$dir/out"
	return 1
}
field() { awk -v name="$1" '$1 == name { print $2 }' "$dir/report"; }
# The site, without the host that asks for pauses.
fast() {
	local names=() h
	for h in $(seq 0 $((hosts - 1))); do names+=(--domain=h"$h".crawl.test); done
	"$bin/$1" "${names[@]}" --resolve="*:$port:127.0.0.1" "http://h0.crawl.test:$port/p/0.html" >"$dir/report" || exit 1
	# The page that stands for itself beside them is /private/open.html.
	[ "$(field pages)" = $((pages + 1)) ] && [ "$(field left)" = 0 ] ||
		{ echo "$1: pages are missing"; cat "$dir/report"; exit 1; }
}
crowd() {
	"$bin/$1" --memory --tasks=$((slow + 200)) --domain=crawl.test --resolve="*:$port:127.0.0.1" \
		"http://h0.crawl.test:$port/slow.html" >"$dir/report" || exit 1
	[ "$(field pages)" = $((slow + 1)) ] || { echo "$1: pages are missing"; cat "$dir/report"; exit 1; }
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

programs="crawler crawler-threads"
say "1/2 a site of $pages pages on $hosts hosts, 4 connections to each; $rounds rounds in turn"
start || exit 1
for p in $programs; do fast "$p"; done # the files are in memory now
for i in $(seq "$rounds"); do
	for p in $programs; do
		fast "$p"
		field per_second >>"$dir/$p.rate"
		field cpu_us >>"$dir/$p.cpu"
		printf '  %-16s %6s answers a second, %6s us of CPU each\n' "$p" "$(tail -1 "$dir/$p.rate")" \
			"$(tail -1 "$dir/$p.cpu")"
	done
done
say "2/2 $slow hosts that take ten seconds for a page, all at once"
for p in $programs; do
	crowd "$p"
	field resident_a_task >"$dir/$p.memory"
	printf '  %-16s %6s pages in %s s, %s bytes for each of %s connections\n' "$p" "$(field pages)" "$(field seconds)" \
		"$(field resident_a_task)" "$(sed -n 's/.*with \([0-9]*\) tasks/\1/p' "$dir/report")"
done
echo
printf '%-44s %12s %12s\n' "" tasks threads
printf '%-44s %12s %12s\n' "answers a second, median" "$(median <"$dir/crawler.rate")" "$(median <"$dir/crawler-threads.rate")"
printf '%-44s %12s %12s\n' "CPU an answer, us, median" "$(median <"$dir/crawler.cpu")" "$(median <"$dir/crawler-threads.cpu")"
printf '%-44s %12s %12s\n' "user memory a connection under way, bytes" "$(cat "$dir/crawler.memory")" "$(cat "$dir/crawler-threads.memory")"
