#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: trace_check.py FILE: is this trace whole? Prints what it has, one "what number" a line."""
import collections
import json
import sys

events = json.load(open(sys.argv[1], encoding="utf-8"))
rows = {e["tid"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
runs, seen, ended = collections.defaultdict(list), collections.Counter(), set()
begun = {}
for e in events:
    if e["ph"] != "M":
        assert e["tid"] in rows and e["ts"] >= 0, e
    if e["ph"] == "X":
        assert e["name"] and e["args"]["task"] > 0 and e["args"]["until"], e
        runs[e["tid"]].append((e["ts"], e["ts"] + e["dur"], e))
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
EPS = 0.0011  # nanoseconds are rounded to digits, and sums of them once more
for row in runs.values():
    row.sort(key=lambda r: r[:2])
    for a, b in zip(row, row[1:]):
        assert b[0] >= a[1] - EPS, ("overlap", a, b)
dropped = any(e["name"] == "dropped records" for e in events)
for e in events:
    if e["ph"] == "s" and not dropped:
        assert any(a - EPS <= e["ts"] <= b + EPS for a, b, _ in runs[e["tid"]]), ("an arrow out of no run", e)
    if e["ph"] == "f":
        seen["arrow"] += 1
        assert e["id"] not in ended, ("an arrow with two ends", e)
        ended.add(e["id"])
        assert dropped or e["id"] in begun, ("an arrow from nowhere", e)
        if e["id"] in begun:
            assert begun[e["id"]]["ts"] <= e["ts"] + EPS, ("an arrow back in time", e)
        assert any(a == e["ts"] for a, _, _ in runs[e["tid"]]), ("an arrow to no run", e)
# A task is on one worker at a time.
of_task = collections.defaultdict(list)
for row in runs.values():
    for a, b, e in row:
        of_task[e["args"]["task"]].append((a, b, e))
for row in of_task.values():
    row.sort(key=lambda r: r[:2])
    for a, b in zip(row, row[1:]):
        assert b[0] >= a[1] - EPS, ("one task twice", a, b)
for what, n in sorted(seen.items()):
    print(what.replace(" ", "_"), n)
