#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: selftests/preload/programs.sh LIBRARY
# Programs without any task work with the interposed libc in them as they do without.
set -u
lib=$(realpath "$1") || exit 2
n=0 bad=0
echo "TAP version 13"; echo "1..6"
same() { # what command...
	local what=$1 want got
	shift
	n=$((n + 1))
	want=$(timeout 60 "$@" 2>&1; echo "exit $?")
	got=$(LD_PRELOAD=$lib timeout 60 "$@" 2>&1; echo "exit $?")
	if [ "$want" = "$got" ] && [[ $got == *"exit 0" ]]; then echo "ok $n $what"; return; fi
	printf '# without: %s\n# with: %s\nnot ok %s %s\n' "${want//$'\n'/ | }" "${got//$'\n'/ | }" "$n" "$what"
	bad=1
}
# shellcheck disable=SC2016
same "a shell with pipes and children" bash -c 'for i in 1 2 3; do (echo $i | cat); done; sleep 0.1 & wait; read -t 0.1 x <&0; echo done'
same "many files" find /usr/include -maxdepth 1 -name 'std*.h' -exec cat {} +
same "fork, waitpid and a file lock" perl -MFcntl=:flock -e '
	open my $f, "<", "/etc/passwd"; flock $f, LOCK_SH; my $p = fork; exit 3 unless $p; waitpid $p, 0; print $? >> 8, "\n"'
if command -v python3 >/dev/null; then
	same "threads, locks and conditions" python3 -c '
import queue, threading, time
q = queue.Queue()
def work():
    while q.get() is not None:
        time.sleep(0.001); q.task_done()
t = [threading.Thread(target=work) for _ in range(8)]
for x in t: x.start()
for i in range(200): q.put(i)
q.join()
for x in t: q.put(None)
for x in t: x.join()
print("done")'
	same "sockets, timeouts, select and names" python3 -c '
import select, socket, time
a, b = socket.socketpair(); a.settimeout(0.05); t = time.monotonic()
try: a.recv(1)
except socket.timeout: print("timeout", time.monotonic() - t >= 0.049)
b.send(b"x"); print(select.select([a], [], [], 10)[0] == [a], a.recv(1))
print(socket.getaddrinfo("localhost", 80, socket.AF_INET)[0][4])'
	same "processes of a program with threads" python3 -c '
import subprocess, threading
t = threading.Timer(0.05, lambda: None); t.start()
print(subprocess.run(["sh", "-c", "echo hi; exit 2"], capture_output=True)); t.join()'
else
	for what in threads sockets processes; do n=$((n + 1)); echo "ok $n $what # SKIP no python3"; done
fi
exit $bad
