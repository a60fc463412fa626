# SPDX-License-Identifier: MIT
"""
The data flow: which registers and stack slots may hold an address that belongs to one thread, at each
instruction of a function, over its control flow graph (a "may" analysis, to a fixpoint).

A state maps a register's name or a slot (its offset from the stack pointer at entry, an int) to a value:
    ("s", offset)          an address in this frame
    ("o", offset, name)    a distance from the thread pointer, as loaded from the GOT
    ("t", origins)         an address of thread-local storage; origins is a dict as a sorted tuple:
                           (where it was taken, offset from the thread pointer, name, the call it crossed)
What is not in the map is nothing of these. A value "crosses" a call in which the task may leave its
thread; it is reported when it is used after that, not when it merely lies there.
"""
MERGE_LIMIT = 200000  # block visits; a function past that is given up, and said so


class Insn:
    __slots__ = ("addr", "size", "kind", "target", "cs", "callee", "reloc")

    def __init__(self, addr, size, kind, target=None, cs=None, reloc=None):
        self.addr, self.size, self.kind, self.target = addr, size, kind, target
        self.cs, self.reloc, self.callee = cs, reloc, None


class Finding:
    def __init__(self, function, origin, name, crossed, use, how):
        self.function, self.origin, self.name = function, origin, name
        self.crossed, self.use, self.how = crossed, use, how


def taint(origins):
    return ("t", tuple(sorted(origins, key=lambda o: o[0])))


def fresh(addr, offset, name):
    return ("t", ((addr, offset, name, None),))


def is_taint(value):
    return value is not None and value[0] == "t"


def moved(value, delta, name=None):
    """A thread-local address plus @delta (None: unknown)."""
    return taint(
        (a, None if off is None or delta is None else off + delta, n or name, crossed)
        for a, off, n, crossed in value[1]
    )


def crossing(value, call):
    return taint((a, off, n, crossed or call) for a, off, n, crossed in value[1])


def merge_values(a, b):
    if a == b:
        return a
    if is_taint(a) and is_taint(b):
        both = {o[0]: o for o in a[1]}
        for addr, off, name, crossed in b[1]:
            if addr in both:
                _, off2, name2, crossed2 = both[addr]
                names = [n for n in (name, name2) if n]
                calls = [c for c in (crossed, crossed2) if c]
                both[addr] = (
                    addr,
                    off if off == off2 else None,
                    min(names) if names else None,
                    min(calls) if calls else None,
                )
            else:
                both[addr] = (addr, off, name, crossed)
        return taint(both.values())
    if is_taint(a):
        return a
    if is_taint(b):
        return b
    return None


def merge_states(into, state):
    """Merges @state into @into; True if that changed it."""
    changed = False
    for key in set(into) | set(state):
        old = into.get(key)
        new = merge_values(old, state.get(key))
        if new != old:
            changed = True
            if new is None:
                del into[key]
            else:
                into[key] = new
    return changed


class Analysis:
    """One function."""

    def __init__(self, program, function, arguments=False):
        """With @arguments, these are followed instead: of argument i the origin is ~i."""
        self.program, self.arch, self.function, self.arguments = program, program.arch, function, arguments
        self.findings = {}
        self.returns_any = False  # it returns a thread-local address,
        self.returns = None  # of this variable
        self.final = False
        self.gave_up = False

    # What the CPU's part calls while it steps through an instruction.

    def use(self, value, insn, how):
        """@value is used by @insn."""
        if not self.final or not is_taint(value):
            return
        for origin, off, name, crossed in value[1]:
            if crossed is None or (crossed[1] and not self.program.warn_indirect):
                continue
            key = (origin, crossed[0])
            if key not in self.findings or insn.addr < self.findings[key].use:
                self.findings[key] = Finding(
                    self.function, origin, name or self.function.module.tls_name(off), crossed, insn.addr, how
                )

    def passed(self, value, insn, callee):
        """@value goes to @callee, which parks with it."""
        for origin, off, name, crossed in value[1]:
            if crossed is None:
                self.findings.setdefault(
                    (origin, insn.addr),
                    Finding(
                        self.function,
                        origin,
                        name or self.function.module.tls_name(off),
                        (insn.addr, False, callee),
                        insn.addr,
                        "passed",
                    ),
                )

    def call(self, insn, state, is_tail=False):
        """A call: what is used, what it leaves alive, what it returns."""
        arch, program = self.arch, self.program
        name = program.callee_name(insn.callee)
        parks = program.parks(insn.callee)
        unknown = insn.callee is None and insn.kind in ("icall", "ijmp")
        for i, reg in enumerate(arch.ARGS):
            value = state.get(reg)
            if value is None:
                continue
            self.use(value, insn, "argument")
            if parks and self.final and is_taint(value) and i in program.kept_arguments(insn.callee):
                self.passed(value, insn, name)
        if is_tail:
            return
        mark = (insn.addr, unknown and not parks, name) if parks or unknown else None
        for key in list(state):
            if isinstance(key, str) and key not in arch.PRESERVED:
                del state[key]
            elif mark and is_taint(state[key]):
                state[key] = crossing(state[key], mark)
        what = program.thread_address(insn.callee)
        if what is not False and not self.arguments:
            state[arch.RESULT] = fresh(insn.addr, None, what)

    def stack_switch(self, insn, state):
        """An inlined switch to another stack: what is kept comes back on any thread."""
        for key in list(state):
            if isinstance(key, str) and key not in self.arch.SWITCH_PRESERVED:
                del state[key]
            elif is_taint(state[key]):
                state[key] = crossing(state[key], (insn.addr, False, "a switch of stacks"))

    def ret(self, insn, state):
        value = state.get(self.arch.RESULT)
        self.use(value, insn, "returned")
        if self.final and is_taint(value) and all(o[3] is None for o in value[1]):
            self.returns = value[1][0][2] or self.function.module.tls_name(value[1][0][1])
            self.returns_any = True

    # The graph.

    def _code(self):
        """Every instruction of the function and of the parts that the compiler put elsewhere."""
        f, insns, todo, ends = self.function, {}, [self.function.addr], set()
        module, arch = f.module, self.arch
        while todo:
            start = todo.pop()
            if start in insns:
                continue
            part = module.function_at(start)
            if not part or part in ends:
                continue
            ends.add(part)
            for i in arch.decode(module, part.addr, part.end):
                insns.setdefault(i.addr, i)
                if i.kind in ("call", "icall", "jmp", "jcc", "ijmp"):
                    i.callee = self.program.callee(module, i)
                if i.kind in ("jmp", "jcc") and i.target is not None and self._inside(i):
                    todo.append(i.target)
        return insns

    def _inside(self, i):
        """Does this branch stay in the function? To the start of another one it is a call."""
        to = self.function.module.function_at(i.target)
        if to is None:
            return False
        return to is self.function or i.target != to.addr or to.name.startswith(self.function.name + ".cold")

    def _blocks(self, insns):
        order = sorted(insns)
        leaders, targets, seen_end = {self.function.addr}, set(), False
        for n, addr in enumerate(order):
            i = insns[addr]
            gap = n and order[n - 1] + insns[order[n - 1]].size != addr
            if n == 0 or seen_end or gap:
                leaders.add(addr)
            ends = i.kind in ("jmp", "ret", "ijmp", "trap", "switch")
            if i.kind in ("jmp", "jcc", "switch") and i.target in insns:
                targets.add(i.target)
            seen_end = (
                ends or i.kind == "jcc" or (i.kind in ("call", "icall") and self.program.no_return(i.callee))
            )
        leaders |= targets
        blocks, current = {}, None
        for addr in order:
            if addr in leaders:
                current = blocks[addr] = []
            current.append(insns[addr])
        successors, has_pred = {}, {self.function.addr}
        for start, body in blocks.items():
            last = body[-1]
            after = last.addr + last.size
            to = set()
            if (
                last.kind in ("jmp", "jcc", "switch")
                and last.target in blocks
                and (last.kind == "switch" or self._inside(last))
            ):
                to.add(last.target)
            if last.kind in ("op", "jcc") or (
                last.kind in ("call", "icall") and not self.program.no_return(last.callee)
            ):
                if after in blocks:
                    to.add(after)
            successors[start] = to
            has_pred |= to
        # Nobody jumps there: cases of a jump table, or landing pads of exceptions.
        lone = [
            b
            for b in blocks
            if b not in has_pred and any(i.kind != "op" or not self.arch.is_padding(i) for i in blocks[b])
        ]
        tables = [b for b in blocks if blocks[b][-1].kind == "ijmp" and blocks[b][-1].callee is None]
        for b in tables:
            successors[b] = successors[b] | set(lone)
        self.pads = [] if tables and not self.function.module.has_exceptions else lone
        return blocks, successors

    def run(self):
        insns = self._code()
        if not insns:
            return self
        blocks, successors = self._blocks(insns)
        entry = self.function.addr
        states = {entry: self.arch.entry_state()}
        if self.arguments:
            states[entry].update((r, fresh(~i, None, None)) for i, r in enumerate(self.arch.ARGS))
        todo, visits = [entry], 0
        while todo:
            visits += 1
            if visits > MERGE_LIMIT:
                self.gave_up = True
                break
            start = todo.pop()
            state = dict(states[start])
            landed = self._walk(blocks[start], state)
            edges = [(to, state) for to in successors[start]] + [(p, s) for s in landed for p in self.pads]
            for to, s in edges:
                if to not in states:
                    states[to] = dict(s)
                    todo.append(to)
                elif merge_states(states[to], s):
                    todo.append(to)
        self.final = True
        for start, state in states.items():
            self._walk(blocks[start], dict(state))
        return self

    def _walk(self, block, state):
        """Steps through a block; the states in which its calls may throw."""
        landed = []
        for i in block:
            if i.kind in ("call", "icall"):
                if not self.arch.special_call(i, state, self):
                    self.call(i, state)
                if self.pads:
                    landed.append({k: v for k, v in state.items() if k != self.arch.RESULT})
            elif i.kind == "switch":
                self.stack_switch(i, state)
            elif i.kind == "ret":
                self.ret(i, state)
            elif (
                i.kind in ("jmp", "jcc", "ijmp")
                and i.callee is not None
                and not (i.target is not None and self._inside(i))
            ):
                self.call(i, state, is_tail=True)
            elif i.kind != "trap":
                self.arch.step(i, state, self)
        return landed
