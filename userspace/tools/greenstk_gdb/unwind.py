# SPDX-License-Identifier: MIT
"""
Call frame information, applied by hand: the bytes of a stack that is evicted are nowhere that gdb
could find them, and nothing is ever written into the program. Needs pyelftools.
"""
import bisect
import io
import re
import struct

import gdb

BX, BP, SP, PC = 3, 6, 7, 16
CALLEE_SAVED = (BX, BP, 12, 13, 14, 15)


class NoElftools(Exception):
    pass


class Tables:
    """The .eh_frame of one loaded file, whose section @name is at @start."""

    def __init__(self, path, name, start):
        try:
            from elftools.elf.elffile import ELFFile
        except ImportError:
            raise NoElftools("backtraces of tasks off the CPU need pyelftools: apt-get install python3-pyelftools")
        self.starts, self.entries, self.rows = [], [], {}
        with open(path, "rb") as f:
            elf = ELFFile(f)
            self.bias = start - elf.get_section_by_name(name)["sh_addr"]
            frames, index = elf.get_section_by_name(".eh_frame"), elf.get_section_by_name(".eh_frame_hdr")
            if not frames:
                return
            self.data, self.address = frames.data(), frames["sh_addr"]
            # By the linker's index: to decode thousands of entries takes seconds. This is the one form that linkers make.
            table = index.data() if index else b""
            if table[:4] == b"\x01\x1b\x03\x3b":
                nr = int.from_bytes(table[8:12], "little")
                for at, entry in struct.iter_unpack("<ii", table[12:12 + 8 * nr]):
                    self.starts.append(index["sh_addr"] + at)
                    self.entries.append(index["sh_addr"] + entry - self.address)

    def _fde(self, offset):
        """The entry at @offset, decoded with its CIE alone: what precedes it is cut out."""
        from elftools.dwarf.callframe import FDE, CallFrameInfo
        from elftools.dwarf.structs import DWARFStructs

        def entry(at):
            return self.data[at:at + 4 + int.from_bytes(self.data[at:at + 4], "little")]

        fde, back = entry(offset), int.from_bytes(self.data[offset + 4:offset + 8], "little")
        cie = entry(offset + 4 - back)
        both = cie + fde[:4] + struct.pack("<I", len(cie) + 4) + fde[8:]
        structs = DWARFStructs(little_endian=True, dwarf_format=32, address_size=8)
        info = CallFrameInfo(io.BytesIO(both), len(both), self.address + offset - len(cie), structs, for_eh_frame=True)
        return [e for e in info.get_entries() if isinstance(e, FDE)][0]

    def row(self, pc):
        """The rules at pc, or None. Many tasks wait at few places: each is decoded once."""
        pc -= self.bias
        if pc not in self.rows:
            i = bisect.bisect_right(self.starts, pc) - 1
            fde = self._fde(self.entries[i]) if i >= 0 else None
            there = fde and pc < fde["initial_location"] + fde["address_range"]
            rows = [r for r in fde.get_decoded().table if r["pc"] <= pc] if there else []
            self.rows[pc] = rows[-1] if rows else None
        return self.rows[pc]


class Unwinder:
    def __init__(self):
        self.files = []  # start, end, section, path: where gdb has put the text of each file
        self.tables = {}
        main = gdb.current_progspace().filename
        for line in gdb.execute("info files", to_string=True).splitlines():
            m = re.match(r"\s+(0x[0-9a-f]+) - (0x[0-9a-f]+) is (\.\w+)(?: in (.+))?$", line)
            if m and m.group(3) in (".text", ".plt"):
                self.files.append((int(m.group(1), 16), int(m.group(2), 16), m.group(3), m.group(4) or main))

    def _table(self, pc):
        for start, end, name, path in self.files:
            if not start <= pc < end:
                continue
            if path not in self.tables:
                self.tables[path] = Tables(path, name, start)
            return self.tables[path]
        return None

    def step(self, regs, exact, word):
        """Registers of the caller, or None at the end; word(address) reads the stack."""
        table = self._table(regs[PC] - (not exact))
        row = table and table.row(regs[PC] - (not exact))
        if not row:
            return None
        cfa = row["cfa"]
        if cfa.reg is None or cfa.reg not in regs:
            return None
        at = (regs[cfa.reg] + cfa.offset) & (1 << 64) - 1
        new = {r: regs[r] for r in CALLEE_SAVED if r in regs}
        for r, rule in row.items():
            if not isinstance(r, int):
                continue
            if rule.type == "OFFSET":
                new[r] = word(at + rule.arg)
            elif rule.type == "VAL_OFFSET":
                new[r] = at + rule.arg
            elif rule.type == "REGISTER" and rule.arg in regs:
                new[r] = regs[rule.arg]
            elif rule.type == "UNDEFINED" or "EXPRESSION" in rule.type:
                new.pop(r, None)
        new[SP] = at
        return new if new.get(PC) else None

    def frames(self, regs, stacks):
        """(pc, exact, sp) of each frame, from the innermost; stacks: of each that it stands on the lowest address, and bytes."""
        exact = True

        def word(address):
            for low, stack in stacks:
                if low <= address <= low + len(stack) - 8:
                    return int.from_bytes(stack[address - low:address - low + 8], "little")
            raise IndexError("%#x is outside the stack" % address)

        for _ in range(100000):
            yield regs[PC], exact, regs[SP]
            try:
                regs, exact = self.step(regs, exact, word), False
            except IndexError:
                return
            if regs is None:
                return


def describe(pc, exact):
    """What gdb calls a place: function names from the inlined ones outwards, file and line."""
    at = pc - (not exact)
    sal = gdb.find_pc_line(at)
    where = " at %s:%d" % (sal.symtab.filename, sal.line) if sal.symtab else ""
    names, block = [], gdb.block_for_pc(at)
    while block is not None and not block.is_static and not block.is_global:
        if block.function is not None:
            names.append(block.function.print_name)
        block = block.superblock
    if not names:
        m = re.match(r"(.+?)(?: \+ \d+)? in section", gdb.execute("info symbol %#x" % at, to_string=True))
        names = [m.group(1) if m else "??"]
        lib = gdb.solib_name(at)
        where = where or (" from %s" % lib if lib else "")
    return names, where
