# SPDX-License-Identifier: MIT
"""All files that are checked together: who calls whom, and which functions may park."""
from . import names
from .flow import Analysis


class Program:
    def __init__(self, modules, arch, parking=(), preload=False, warn_indirect=False):
        self.modules, self.arch, self.warn_indirect = modules, arch, warn_indirect
        self.named = set(parking)
        self.preload = preload
        self.globals = {}
        self.functions = [f for m in modules for f in m.functions]
        for f in self.functions:
            if f.is_global:
                self.globals.setdefault(f.name, f)
        self.returning = {}  # functions that return a thread-local address: its name
        self._plt = {}
        self._kept = {}
        self._edges = {}
        self._no_return = set()
        self._calls()
        self._parking = self._closure(self._parks_itself)

    # Who is called.

    def _target(self, module, addr, size, target, slot):
        """The function (or the name of one that is not here) that a branch goes to."""
        reloc = module.reloc_in(addr, size) if module.relocatable else None
        if reloc and reloc[0] in ("pc", "abs"):
            _, name, to = reloc
            f = module.function_at(to + self.arch.BRANCH_BIAS)
            return f or (self.globals.get(name, name) if name else None)
        if slot is not None:
            kind, name, _ = module.slots.get(slot, (None, None, None))
            return self._by_name(name) if kind == "glob" and name else None
        if target is None:
            return None
        f = module.function_at(target)
        return f if f else self._by_name(self._stub(module, target))

    def _by_name(self, name):
        return self.globals.get(name, name) if name else None

    def _stub(self, module, addr):
        """The name behind an entry of the PLT."""
        key = (module, addr)
        if key not in self._plt:
            self._plt[key] = self.arch.stub_name(module, addr)
        return self._plt[key]

    def callee(self, module, insn):
        slot = self.arch.slot_of(insn) if insn.kind in ("icall", "ijmp") else None
        if insn.kind in ("icall", "ijmp") and slot is None:
            return None
        return self._target(module, insn.addr, insn.size, insn.target, slot)

    @staticmethod
    def callee_name(callee):
        return callee if callee is None or isinstance(callee, str) else callee.name

    def kept_arguments(self, callee):
        """Which arguments a function that parks may use after that: by the table, or by its code."""
        name = self.callee_name(callee)
        if name in names.PARKS:
            return range(names.PARKS[name])
        if callee is None or isinstance(callee, str):
            return ()
        if callee not in self._kept:
            self._kept[callee] = ()  # where functions call each other in a circle
            found = Analysis(self, callee, arguments=True).run().findings.values()
            self._kept[callee] = {~x.origin for x in found if x.origin < 0}
        return self._kept[callee]

    def _calls(self):
        for f in self.functions:
            found, returns, switches = self.arch.calls(f.module, f)
            to, leaves = set(), returns
            for addr, size, kind, target, slot in found:
                callee = self._target(f.module, addr, size, target, slot)
                if callee is f:
                    continue
                if callee is not None:
                    to.add(callee)
                leaves |= kind in ("jmp", "ijmp") and self.callee_name(callee) not in names.NO_RETURN
            self._edges[f] = (to, switches)
            if not leaves and not switches:
                self._no_return.add(f)

    def no_return(self, callee):
        return callee in self._no_return or self.callee_name(callee) in names.NO_RETURN

    # Who parks.

    def _parks_by_name(self, name):
        if name in names.PARKS or name in self.named:
            return True
        return self.preload and name in names.PRELOAD_PARKS

    def _parks_itself(self, f):
        return self._edges[f][1] or self._parks_by_name(f.name)

    @staticmethod
    def _is_api(name):
        return name.startswith("gstk_") and not name.startswith("gstk__")

    def _closure(self, seed, through_api=False):
        """All functions from which one of @seed can be reached; the table decides on public ones."""
        callers = {}
        for f, (to, _) in self._edges.items():
            for c in to:
                callers.setdefault(c, []).append(f)
        todo = [f for f in self.functions if seed(f)]
        todo += [n for n in callers if isinstance(n, str) and self._parks_by_name(n)]
        found = set()
        while todo:
            f = todo.pop()
            if f in found:
                continue
            name = self.callee_name(f)
            if name in names.KEEPS_THREAD or (
                self._is_api(name) and not through_api and name not in names.PARKS
            ):
                continue
            found.add(f)
            todo += callers.get(f, ())
        return found

    def found_parking(self):
        """The public functions from which a switch of stacks can be reached, by the code alone."""
        switching = self._closure(
            lambda f: self._edges[f][1] or f.name in ("gstk_ctx_switch", "gstk_ctx_switch_ontop"),
            through_api=True,
        )
        return sorted(
            f.name for f in switching if not isinstance(f, str) and f.is_global and self._is_api(f.name)
        )

    def parks(self, callee):
        return callee is not None and (
            callee in self._parking or self._parks_by_name(self.callee_name(callee))
        )

    # Thread-local addresses.

    def thread_address(self, callee):
        """What a callee returns a thread-local address of (None: unknown), False if it does not."""
        name = self.callee_name(callee)
        if name in names.THREAD_ADDRESS:
            return names.THREAD_ADDRESS[name]
        return self.returning.get(callee, False)

    def check(self):
        """(findings, functions given up)."""
        callers = {}
        for f, (to, _) in self._edges.items():
            for c in to:
                callers.setdefault(c, set()).add(f)
        sources = [c for c in callers if self.callee_name(c) in names.THREAD_ADDRESS]
        todo = {f for f in self.functions if self.arch.may_have_source(f.module.bytes_at(f.addr, f.size))}
        for s in sources:
            todo |= callers[s]
        results = {}
        while todo:
            again = set()
            for f in sorted(todo, key=lambda f: (f.module.name, f.addr)):
                a = Analysis(self, f).run()
                results[f] = a
                if a.returns_any and f not in self.returning:
                    self.returning[f] = a.returns
                    again |= callers.get(f, set())
            todo = again
        findings = [x for a in results.values() for x in a.findings.values()]
        return findings, [f for f, a in results.items() if a.gave_up]
