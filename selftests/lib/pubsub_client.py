#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: pubsub_client.py PORT: what a Python program does with the server, through redis-py."""
import sys
import threading
import redis

port = int(sys.argv[1])
r = redis.Redis(port=port, client_name="tester", socket_timeout=20)
assert r.ping()
assert r.client_getname() == "tester", r.client_getname()
assert any(c["name"] == "tester" for c in r.client_list())
assert r.info("server")["redis_mode"] == "standalone"
assert r.echo("x") == b"x"
pipe = r.pipeline(transaction=False)
for i in range(500):
    pipe.echo(str(i))
assert pipe.execute() == [str(i).encode() for i in range(500)]

# Messages and patterns; a health check (PING while subscribed) at every get_message.
p = redis.Redis(port=port, health_check_interval=1, socket_timeout=20).pubsub()
p.subscribe("news", "weather")
p.psubscribe("n*")
kinds = [p.get_message(timeout=10)["type"] for _ in range(3)]
assert kinds == ["subscribe", "subscribe", "psubscribe"], kinds
assert r.publish("news", "one") == 2
assert r.publish("weather", b"\x00\r\n\xff") == 1
got = [p.get_message(timeout=10) for _ in range(3)]
assert [g["type"] for g in got] == ["message", "pmessage", "message"], got
assert got[2]["data"] == b"\x00\r\n\xff"
assert p.ping() is None
assert r.pubsub_channels() and dict(r.pubsub_numsub("news"))[b"news"] == 1
assert r.pubsub_numpat() == 1
p.unsubscribe()
p.punsubscribe()
while p.subscribed:
    assert p.get_message(timeout=10) is not None
p.close()

# Subscribers in threads, each with its own connection; every one gets every message in order.
NR, MESSAGES = 20, 200
ready = threading.Barrier(NR + 1)
wrong = []


def listen():
    sub = redis.Redis(port=port, socket_timeout=20).pubsub(ignore_subscribe_messages=False)
    sub.subscribe("all")
    assert sub.get_message(timeout=10)["type"] == "subscribe"
    ready.wait(20)
    for i in range(MESSAGES):
        m = sub.get_message(timeout=20)
        if m is None or m["data"] != str(i).encode():
            wrong.append((i, m))
            break
    sub.close()


threads = [threading.Thread(target=listen) for _ in range(NR)]
for t in threads:
    t.start()
ready.wait(20)
for i in range(MESSAGES):
    assert r.publish("all", i) == NR
for t in threads:
    t.join()
assert not wrong, wrong

try:
    r.execute_command("GET", "x")
    raise SystemExit("GET must be refused")
except redis.ResponseError as e:
    assert "unknown command" in str(e), e
print("done")
