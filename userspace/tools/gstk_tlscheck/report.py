# SPDX-License-Identifier: MIT
"""Findings as text: names as they are in the source, places as file:line."""
import os
import shutil
import subprocess
import tempfile

from .elf import SECTION_SHIFT


def demangled(names):
    """{name: readable name}; as they are without c++filt."""
    names = sorted({n for n in names if n})
    if not names or not shutil.which("c++filt"):
        return {n: n for n in names}
    out = subprocess.run(
        ["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True
    ).stdout.splitlines()
    return dict(zip(names, out)) if len(out) == len(names) else {n: n for n in names}


def addr2line(module):
    """One that knows the file's relocations: of another processor the cross tools', or LLVM's."""
    cpu = "x86_64" if module.machine == "EM_X86_64" else "aarch64"
    choices = ["%s-linux-gnu-addr2line" % cpu, "addr2line" if cpu == os.uname().machine else "llvm-addr2line"]
    return next(filter(None, map(shutil.which, choices)), None)


def lines_of(module, addresses):
    """{address: "file:line"} as far as debugging information tells."""
    found = {}
    tool = addr2line(module)
    if not tool or not addresses:
        return found
    with tempfile.NamedTemporaryFile(prefix="gstk-tlscheck-") as f:
        f.write(module.data)
        f.flush()
        groups = {}
        for a in sorted(addresses):
            groups.setdefault(a >> SECTION_SHIFT if module.relocatable else 0, []).append(a)
        for section, group in groups.items():
            cmd = [tool, "-e", f.name]
            if module.relocatable:
                cmd += ["-j", module.elf.get_section(section).name]
            cmd += [hex(a & ((1 << SECTION_SHIFT) - 1) if module.relocatable else a) for a in group]
            out = subprocess.run(cmd, capture_output=True, text=True).stdout.splitlines()
            for a, line in zip(group, out):
                line = line.split(" (discriminator")[0]
                if not line.startswith("??") and not line.endswith((":?", ":0")):
                    path, _, nr = line.rpartition(":")
                    inside = os.path.relpath(path) if os.path.isabs(path) else path
                    found[a] = "%s:%s" % (path if inside.startswith("..") else inside, nr)
    return found


HOW = {
    "used": "is used%s after %s%s",
    "stored": "is stored%s after %s%s",
    "argument": "is passed on%s after %s%s",
    "returned": "is returned%s after %s%s",
    "passed": "is given%s to %s%s, which goes on with it wherever the task wakes",
}


class Report:
    def __init__(self, findings):
        self.findings = findings
        self.names = demangled(
            [x.function.name for x in findings]
            + [x.name for x in findings]
            + [x.crossed[2] for x in findings]
        )
        by_module = {}
        for x in findings:
            by_module.setdefault(x.function.module, set()).update((x.origin, x.use, x.crossed[0]))
        self.lines = {m: lines_of(m, a) for m, a in by_module.items()}

    def place(self, module, function, addr):
        line = self.lines[module].get(addr)
        return " at %s" % line if line else " at %s+%#x" % (function.name, addr - function.addr)

    def text(self, x):
        m, f = x.function.module, x.function
        name = self.names.get(x.name, x.name)
        what = (
            "the address of '%s'" % name
            if name and "(" not in name
            else "what %s gave" % name
            if name
            else "a thread-local address"
        )
        call = self.names.get(x.crossed[2], x.crossed[2])
        call = (
            "a call through a pointer"
            if call is None
            else call
            if " " in call and "(" not in call
            else call + "()"
            if "(" not in call
            else call
        )
        return "%s: %s: %s, taken%s, %s" % (
            m.name,
            self.names.get(f.name, f.name),
            what,
            self.place(m, f, x.origin),
            HOW[x.how]
            % (self.place(m, f, x.use) if x.how != "passed" else "", call, self.place(m, f, x.crossed[0])),
        )

    def sorted(self):
        return sorted(self.findings, key=lambda x: (x.function.module.name, x.function.addr, x.use))
