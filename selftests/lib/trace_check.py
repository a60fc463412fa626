#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: trace_check.py FILE: is this trace whole? Prints what it has, one "what number" a line."""
import bisect
import collections
import json
import sys



def ns(us):
    """As Perfetto reads it."""
    return int(us * 1000.0)


events = json.load(open(sys.argv[1], encoding="utf-8"))
rows = {e["tid"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
runs, seen, ended = collections.defaultdict(list), collections.Counter(), set()
begun = {}
for e in events:
    if e["ph"] != "M":
        assert e["tid"] in rows and e["ts"] >= 0, e
    if e["ph"] == "X":
        assert e["args"]["stack"] > 0 or e["args"]["until"] == "end", e
        assert e["name"] and e["args"]["task"] > 0 and e["args"]["until"], e
        runs[e["tid"]].append((ns(e["ts"]), ns(e["ts"]) + ns(e["dur"]), e))
        seen["run"] += 1
        seen["name:" + e["name"]] += 1
        seen["until:" + e["args"]["until"]] += 1
    elif e["ph"] == "i":
        seen[e["name"]] += 1
    elif e["ph"] == "C":
        seen["counter:" + e["name"]] += 1
    elif e["ph"] == "s":
        assert e["id"] not in begun, e
        begun[e["id"]] = e
for row in runs.values():
    row.sort(key=lambda r: r[:2])
    for a, b in zip(row, row[1:]):
        assert b[0] >= a[1], ("overlap", a, b)
starts = {tid: [a for a, _, _ in row] for tid, row in runs.items()}


def run_at(e):
    """The run of its row that began last before it."""
    i = bisect.bisect_right(starts.get(e["tid"], []), ns(e["ts"])) - 1
    return runs[e["tid"]][i] if i >= 0 else (-1, -1, None)


ROUNDING = 2  # of an arrow's place
dropped = any(e["name"] == "dropped records" for e in events)
for e in events:
    if e["ph"] == "s" and not dropped:
        assert run_at(e)[1] + ROUNDING >= ns(e["ts"]), ("an arrow out of no run", e)
    if e["ph"] == "f":
        seen["arrow"] += 1
        assert e["id"] not in ended, ("an arrow with two ends", e)
        ended.add(e["id"])
        assert dropped or e["id"] in begun, ("an arrow from nowhere", e)
        if e["id"] in begun:
            assert begun[e["id"]]["ts"] <= e["ts"], ("an arrow back in time", e)
        assert run_at(e)[0] == ns(e["ts"]), ("an arrow to no run", e)
# A task is on one worker at a time.
of_task = collections.defaultdict(list)
for row in runs.values():
    for a, b, e in row:
        of_task[e["args"]["task"]].append((a, b, e))
for row in of_task.values():
    row.sort(key=lambda r: r[:2])
    for a, b in zip(row, row[1:]):
        assert b[0] >= a[1], ("one task twice", a, b)
for what, n in sorted(seen.items()):
    print(what.replace(" ", "_"), n)
