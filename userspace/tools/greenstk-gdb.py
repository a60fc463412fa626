# SPDX-License-Identifier: MIT
"""
gdb commands for programs that use greenstk: "info gstk-tasks" and "gstk-bt". Live or from a core;
the program's memory and registers are never written. See Documentation/debugging.rst.
"""
import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from greenstk_gdb import runtime, unpack, unwind  # noqa: E402

FRAME_SIZE = 24  # arch/x86_64/layout.h: pc, rbp, rbx


def started():
    try:
        return runtime.Runtime()
    except runtime.Absent as e:
        raise gdb.GdbError("greenstk: %s" % e)


def line(t):
    text = '%6d  "%s"  %s' % (t.index, t.name, "thread" if t.foreign else t.state)
    if t.state == "running" and t.worker is not None:
        text += " on worker %d" % int(t.worker["index"])
    if t.state == "waiting":
        text += " for %s" % t.why
        if t.fd is not None:
            text += ", descriptor %d" % t.fd
        text += ", %d ms" % t.age if t.age is not None else ", for long"
    if t.window:
        text += ", %s" % ("not started" if t.tier == "none" else t.tier)
        if t.state != "running" and t.used:
            text += " %d bytes" % t.used
            if t.annexes:
                text += " and %d of gstk_call_on_stack()" % sum(base - sp for sp, base in t.annexes)
        text += ", window %d%s" % (t.window, " shared" if t.shared else "")
    elif not t.foreign and t.state != "ended":
        text += ", not started"
    return text


class InfoTasks(gdb.Command):
    """List green tasks: number, name, state, wait reason and age, where the stack is and its bytes.
Usage: info gstk-tasks [TEXT]
With TEXT, only the lines that contain it."""

    def __init__(self):
        super().__init__("info gstk-tasks", gdb.COMMAND_STATUS)

    def invoke(self, arg, from_tty):
        nr = 0
        for t in started().all():
            text = line(t)
            if arg in text:
                print(text)
                nr += 1
        print("%d tasks" % nr)


class Backtrace(gdb.Command):
    """Backtrace of a green task, whether it runs, waits in its window, or its stack is evicted or packed.
Usage: gstk-bt NUMBER|NAME|all"""

    def __init__(self):
        super().__init__("gstk-bt", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        r, unwinder = started(), unwind.Unwinder()
        arg = arg.strip()
        if len(arg) > 1 and arg[0] == arg[-1] == '"':  # as the list has it
            arg = arg[1:-1]
        if not arg:
            raise gdb.GdbError("gstk-bt NUMBER|NAME|all")
        if arg.isdigit():
            tasks = [r.one(int(arg))]
        else:
            tasks = [t for t in r.all() if arg in ("all", t.name)]
            if not tasks and arg != "all":
                raise gdb.GdbError("no task is called %s" % arg)
        for t in tasks:
            print(line(t))
            try:
                self.show(r, unwinder, t)
            except (unpack.BadImage, gdb.MemoryError) as e:  # the next one may be whole
                print("    (its stack cannot be read: %s)" % e)
            except unwind.NoElftools as e:
                raise gdb.GdbError("greenstk: %s" % e)

    def show(self, r, unwinder, t):
        if t.worker is not None:
            self.running(t)
            return
        if t.state == "running" or t.foreign or not t.used:
            return
        if not self.known_cpu():
            print("    (frames of a stack that is off the CPU: on x86-64 only)")
            return
        stacks = r.stacks(t)
        low, stack = stacks[0]
        word = [int.from_bytes(stack[i:i + 8], "little") for i in (0, 8, 16)]
        if not word[0]:
            raise unpack.BadImage("it is not in this core")
        regs = {unwind.PC: word[0], unwind.BP: word[1], unwind.BX: word[2],
                unwind.SP: low + FRAME_SIZE}
        nr = 0
        for pc, exact, _ in unwinder.frames(regs, stacks):
            names, where = unwind.describe(pc, exact)
            for i, name in enumerate(names):
                print("#%-3d %#018x in %s ()%s%s" % (nr, pc, name, " (inlined)" if i + 1 < len(names) else "",
                                                   "" if i else where))
                nr += 1

    def known_cpu(self):
        return "x86-64" in gdb.execute("show architecture", to_string=True)

    def running(self, t):
        """Its registers are those of its worker's thread: gdb does that itself."""
        tid, was = int(t.worker["tid"]), gdb.selected_thread()
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == tid:
                thread.switch()
                try:
                    gdb.execute("bt")
                finally:
                    if was is not None:
                        was.switch()
                return
        print("    (its thread %d is not here)" % tid)


InfoTasks()
Backtrace()
