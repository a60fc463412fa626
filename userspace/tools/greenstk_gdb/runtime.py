# SPDX-License-Identifier: MIT
"""What a runtime in the program's memory, live or in a core, says of its tasks. Only reads."""
import time

import gdb

from . import deep, unpack

STATE_MASK, SHARED = 7, 1 << 4            # task/state.h
PEER_INDEX, PEER_EXT = 0x07ffffff, 1 << 31  # task/task.h
ARENA_UNIT, PAGE = 16, 4096
CHUNK = 1 << 14                           # tasks read at once


class Absent(Exception):
    pass


def variable(name, beside=None):
    """A variable of the library; beside: a function of the file in which it is static."""
    s = gdb.lookup_global_symbol(beside or name)
    if s and beside:
        s = gdb.lookup_symbol(name, s.symtab.static_block())[0]
    if s:
        return s.value()
    try:
        gdb.parse_and_eval("(long)&gstk_init")
    except gdb.error:
        raise Absent("no greenstk in this program (or it is not started yet)")
    raise Absent("libgreenstk has no debug information here (%s is not known): use a library that was "
                 "built with -g and not stripped" % name)


class Struct:
    """Fields of a C structure by name, out of bytes; unnamed unions and structures are looked into."""

    def __init__(self, name):
        self.type = gdb.lookup_type("struct " + name)
        self.size, self.at = self.type.sizeof, {}
        self._add(self.type, 0)

    def _add(self, t, base):
        for f in t.fields():
            ft, at = f.type.strip_typedefs(), base + f.bitpos // 8
            if not f.name:
                self._add(ft, at)
            else:
                self.at[f.name] = (at, ft.sizeof)

    def get(self, data, name, base=0):
        at, size = self.at[name]
        return int.from_bytes(data[base + at:base + at + size], "little")


def names(enum, prefix):
    return {f.enumval: f.name[len(prefix):].lower().replace("_", " ")
            for f in gdb.lookup_type("enum " + enum).fields()}


class Task:
    """One task as it was when it was looked at."""


class Runtime:
    def __init__(self):
        self.tasks = int(variable("gstk__tasks"))
        if not self.tasks:
            raise Absent("the runtime is not started")
        self.high = int(variable("gstk__tasks_high"))
        self.arena = int(variable("gstk__arena_base"))
        self.windows, self.sched = variable("gstk__windows"), variable("gstk__sched")
        self.task_type, self.ext_type = Struct("gstk_task"), Struct("gstk__ext")
        self.window_type = Struct("gstk__window")
        self.structs = {}
        self.states = names("gstk__state", "GSTK__")
        self.tiers = names("gstk__tier", "GSTK__TIER_")
        self.why = names("gstk__why", "GSTK__WAIT_")
        self.foreign = int(gdb.parse_and_eval("(int)GSTK__T_FOREIGN"))
        self.annex = int(gdb.parse_and_eval("(int)GSTK__T_ANNEX"))
        self.ext = int(variable("pool", "gstk__ext_at")["ext"])
        self.workers = [self.sched["worker"][i].dereference() for i in range(int(self.sched["nr"]))]
        self.current = {int(w["current"]): w for w in self.workers if int(w["current"])}
        self.now = self._now()

    def struct(self, name):
        """The fields of a structure, looked up once."""
        if name not in self.structs:
            self.structs[name] = Struct(name)
        return self.structs[name]

    def read(self, address, nbytes):
        return bytes(gdb.selected_inferior().read_memory(address, nbytes)) if nbytes else b""

    def _now(self):
        """The clock of ->tick: this machine's while the program lives, else the latest that a worker read."""
        ticks = [int(w["tick"]) for w in self.workers]
        connection = getattr(gdb.selected_inferior(), "connection", None)
        if connection is not None and connection.type == "native":
            return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000000 & 0xffffffff
        return max(ticks, default=0)

    def all(self):
        size = self.task_type.size
        for first in range(1, self.high, CHUNK):
            nr = min(CHUNK, self.high - first)
            data = self.read(self.tasks + first * size, nr * size)
            for i in range(nr):
                t = self._task(first + i, data, i * size)
                if t:
                    yield t

    def one(self, index):
        t = None
        if 0 < index < self.high:
            t = self._task(index, self.read(self.tasks + index * self.task_type.size, self.task_type.size), 0)
        if not t:
            raise gdb.GdbError("no task %d" % index)
        return t

    def _task(self, index, data, at):
        def get(name):
            return self.task_type.get(data, name, at)
        word = get("word")
        state = self.states.get(word & STATE_MASK, "?")
        if state == "free":
            return None
        t = Task()
        t.index, t.address = index, self.tasks + index * self.task_type.size
        t.state = {"parked": "waiting", "owned": "waiting", "done": "ended"}.get(state, state)
        t.foreign, t.shared = bool(get("flags") & self.foreign), bool(word & SHARED)
        t.tier = self.tiers.get(get("tier"), "?")
        t.deep = t.tier in ("deep", "deep packed")
        t.tier = {"deep": "copied", "deep packed": "packed"}.get(t.tier, t.tier)
        t.why = self.why.get(get("why"), "?") if t.state == "waiting" else "-"
        t.fd = self._fd(get("obj")) if t.why in ("fd read", "fd write", "connect") else None
        t.window, t.sp, t.image = get("window"), get("sp"), get("image")
        t.used = get("used")
        t.age = None
        if t.state == "waiting" and get("tick") != 0xffffffff:
            age = self.now - get("tick") & 0xffffffff
            t.age = age if age < 1 << 31 else 0
        t.worker = self.current.get(t.address)
        peer, t.name, t.annexes = get("peer"), "", []
        if peer & PEER_EXT:
            x = self.read(self.ext + (peer & PEER_INDEX) * self.ext_type.size, self.ext_type.size)
            where, n = self.ext_type.at["name"]
            t.name = x[where:where + n].split(b"\0")[0].decode(errors="replace")
            if get("flags") & self.annex and t.state == "waiting":
                t.annexes = self._annexes(self.ext_type.get(x, "annex"), self.ext_type.get(x, "annex_sp"))
        if t.tier == "stackless":
            t.name = self._type_name(t.sp) or "future"
        if t.foreign or t.state == "ended" or not t.window:
            t.base, t.used, t.tier = 0, 0, "-" if t.foreign or t.state == "ended" else t.tier
        else:
            t.base = self.base(t.window)
            if t.tier == "resident":
                t.used = t.base - t.sp
        return t

    def _annexes(self, annex, sp):
        """Stacks of gstk_call_on_stack(), innermost first, each from sp to its base: sched/annex.h."""
        fields, found = self.struct("gstk__annex"), []
        try:
            while annex:
                found.append((sp, annex + fields.size))
                annex = fields.get(self.read(annex, fields.size), "outer")
                sp = fields.get(self.read(annex, fields.size), "sp") if annex else 0
        except gdb.MemoryError:  # gcore leaves them out
            pass
        return found

    def _fd(self, record):
        """Its number: records lie in a table by that (wait/fd.c)."""
        table, size = variable("table", "gstk__fd_get"), self.struct("gstk__fd").size
        at = record - int(table["fd"])
        return at // size if at >= 0 and at % size == 0 and at // size < int(table["nr"]) else None

    def _type_name(self, stackless):
        """struct gstk__stackless, and the struct gstk_future_type that it begins with a pointer to."""
        try:
            of_type = int.from_bytes(self.read(stackless, 8), "little")
            name = int.from_bytes(self.read(of_type + 8, 8), "little")
            return gdb.Value(name).cast(gdb.lookup_type("char").pointer()).string() if name else ""
        except gdb.MemoryError:
            return ""

    def base(self, index):
        """gstk__win_base()."""
        ws = self.windows
        if index > int(ws["nr"]):
            w = self.read(int(ws["win"]) + index * self.window_type.size, self.window_type.size)
            return self.window_type.get(w, "map") + self.window_type.get(w, "map_size")
        shift, group_shift, stride = int(ws["shift"]), int(ws["group_shift"]), int(ws["stride"])
        group, h = index - 1 >> group_shift, index * 0x9e3779b1 & 0xffffffff
        start = int(ws["region"]) + (group << shift + group_shift)
        start += ((group * 0x9e3779b1 & 0xffffffff) >> 16 & int(ws["skip_mask"])) * PAGE
        start += (index - 1 - (group << group_shift)) * stride
        return start + stride - (h >> 8) % 24 * 64 - (h >> 29 & int(ws["drop_mask"])) * PAGE

    def reference(self, ident):
        e = variable("entries", "gstk__pack_ref_at")[ident]
        n, at = int(e["bytes"]), self.arena + int(e["block"]) * ARENA_UNIT
        return unpack.Reference(self.read(at, n), self.read(at + n, (n // 8 + 7) // 8), int(e["base"]))

    def stack(self, t):
        """The bytes of a task's stack, wherever they are."""
        at = self.arena + t.image * ARENA_UNIT
        if t.tier == "resident":
            return self._lazy(t) or self.read(t.sp, t.used)
        if t.deep:
            d, sp = deep.Record(self, t.image, t.base), t.base - t.used
            return b"".join(d.page(k) for k in range(d.page_of(sp), d.nr_pages))[sp % PAGE:][:t.used]
        if t.tier == "copied":
            return self.read(at, t.used)
        if t.tier == "packed":
            return unpack.unpack_image(lambda off, n: self.read(at + off, n), t.used, t.base, self.reference)
        if t.tier == "remapped":
            slot = int.from_bytes(self.read(at + 8, 8), "little") + int(variable("gstk__module")["map"])
            return self._slot(slot + (t.base - t.used) % PAGE, t.used)
        return b""

    def stacks(self, t):
        """Lowest address and bytes of each stack that it stands on, innermost first."""
        own = self.stack(t)
        return [(sp, self.read(sp, base - sp)) for sp, base in t.annexes] + [(t.base - len(own), own)]

    def _lazy(self, t):
        """A stack that came back in part: pages that are not there are in the image (park/lazy.h)."""
        ref = 0
        if 0 < t.window <= int(self.windows["nr"]):
            w = self.read(int(self.windows["win"]) + t.window * self.window_type.size, self.window_type.size)
            ref = self.window_type.get(w, "lazy")
        if ref in (0, 0xffffffff):
            return b""
        if int(self.windows["module"]): # a record of park/cold.h: what has not come reads as zero
            return self._slot(t.sp, t.used)
        d, out, at = deep.Record(self, ref, t.base), b"", t.sp
        while at < t.base:
            k, n = d.page_of(at), min(PAGE - at % PAGE, t.base - at)
            out += self.read(at, n) if d.here(k) else d.page(k)[at % PAGE:][:n]
            at += n
        return out

    def _slot(self, address, nbytes):
        """Pages that the stack never touched are holes; its first one is there."""
        out = b""
        while len(out) < nbytes:
            n = min(PAGE - address % PAGE, nbytes - len(out))
            try:
                out += self.read(address, n)
            except gdb.MemoryError:
                if not out:
                    raise
                out += bytes(n)
            address += n
        return out
