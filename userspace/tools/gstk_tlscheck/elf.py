# SPDX-License-Identifier: MIT
"""What the checker knows of a file: its functions, its code, and what relocations say of both."""
import bisect
import io

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

SECTION_SHIFT = 32  # sections of a relocatable file are laid out this far apart

# Relocation types: what an instruction or a slot of the GOT has to do with thread-local storage.
X86 = {
    1: "abs",
    2: "pc",
    4: "pc",
    6: "glob",
    7: "glob",
    9: "pc",
    10: "abs",
    16: "dtpmod",
    18: "tpoff",
    19: "tlsgd",
    20: "tlsld",
    21: "dtpoff",
    22: "gottpoff",
    23: "tpoff",
    34: "tlsdesc",
    35: "tlscall",
    36: "tlsdesc",
    41: "pc",
    42: "pc",
}
ARM = {282: "pc", 283: "pc", 569: "tlscall", 1025: "glob", 1026: "glob", 1030: "tpoff", 1031: "tlsdesc"}
ARM.update({t: "tpoff" for t in range(539, 560)})  # MOVW, ADR/LD of gottprel, ADD of tprel
ARM.update({t: "tlsdesc" for t in range(560, 569)})


class Unusable(Exception):
    """The file cannot be checked; the text says why."""


class Function:
    def __init__(self, module, name, addr, size, is_global):
        self.module, self.name, self.addr, self.size, self.is_global = module, name, addr, size, is_global
        self.end = addr + size


class Module:
    """One ELF file, or one member of an archive."""

    def __init__(self, name, data):
        self.name, self.data = name, data
        try:
            self.elf = ELFFile(io.BytesIO(data))
        except ELFError as e:
            raise Unusable("%s: not an ELF file (%s)" % (name, e))
        self.machine = self.elf["e_machine"]
        if self.machine not in ("EM_X86_64", "EM_AARCH64"):
            raise Unusable(
                "%s: made for %s; x86-64 and aarch64 are understood" % (name, self.machine[3:].lower())
            )
        self.relocatable = self.elf["e_type"] == "ET_REL"
        self.code = {}  # start address: bytes
        self.relocs = {}  # address: (kind, symbol name or None, address of symbol + addend or None)
        self.slots = {}  # address of a GOT slot: (kind, name, offset)
        self.tls = []  # (offset in the segment, or address in a relocatable file; size, name), sorted
        self.functions = []
        self.has_lto = self.has_exceptions = False
        self._sections = list(self.elf.iter_sections())
        self._read_symbols()
        self._read_relocs()
        self._code_starts = sorted(self.code)
        self._func_starts = [f.addr for f in self.functions]

    def _address(self, index, value):
        return (index << SECTION_SHIFT) + value if self.relocatable else value

    def _read_symbols(self):
        funcs, self.symbols = {}, {}
        for i, s in enumerate(self._sections):
            if s["sh_type"] == "SHT_PROGBITS" and s["sh_flags"] & 4:
                self.code[self._address(i, 0 if self.relocatable else s["sh_addr"])] = s.data()
            self.has_exceptions |= s.name.startswith(".gcc_except_table")
            self.has_lto |= s.name.startswith(".gnu.lto_")
        for s in self._sections:
            if not isinstance(s, SymbolTableSection):
                continue
            table = self.symbols[s.name] = []
            for sym in s.iter_symbols():
                shndx, kind = sym["st_shndx"], sym["st_info"]["type"]
                addr = self._address(shndx, sym["st_value"]) if isinstance(shndx, int) else None
                table.append((sym.name, addr, kind))
                if addr is None or not sym.name:
                    continue
                if kind == "STT_TLS" and not sym.name.startswith("$"):
                    self.tls.append((addr, sym["st_size"], sym.name))
                if kind == "STT_FUNC" and sym["st_size"]:
                    is_global = sym["st_info"]["bind"] != "STB_LOCAL"
                    old = funcs.get(addr)
                    if not old or is_global > old.is_global:
                        funcs[addr] = Function(self, sym.name, addr, sym["st_size"], is_global)
        self.functions = sorted(funcs.values(), key=lambda f: f.addr)
        self.tls = sorted(set(self.tls))
        self.stripped = ".symtab" not in self.symbols

    def _read_relocs(self):
        kinds = X86 if self.machine == "EM_X86_64" else ARM
        for s in self._sections:
            if not isinstance(s, RelocationSection) or not s.is_RELA():
                continue
            table = self.symbols.get(self._sections[s["sh_link"]].name, [])
            into = self.relocs if self.relocatable else self.slots
            if self.relocatable and not self._sections[s["sh_info"]]["sh_flags"] & 4:
                continue
            for r in s.iter_relocations():
                kind = kinds.get(r["r_info_type"])
                if not kind:
                    continue
                name, addr, sym_kind = (
                    table[r["r_info_sym"]] if r["r_info_sym"] < len(table) else ("", None, None)
                )
                addend = r["r_addend"]
                target = addr + addend if addr is not None and r["r_info_sym"] else None
                if target is not None and (not name or name.startswith(".L")):  # an anchor of the section
                    name = self._tls_at(target) or name
                into[self._address(s["sh_info"], r["r_offset"])] = (
                    kind,
                    name or None,
                    target if target is not None else addend,
                )

    def bytes_at(self, addr, size):
        """The code from @addr on, at most @size bytes."""
        i = bisect.bisect_right(self._code_starts, addr) - 1
        if i < 0:
            return b""
        start = self._code_starts[i]
        return self.code[start][addr - start : addr - start + size]

    def function_at(self, addr):
        i = bisect.bisect_right(self._func_starts, addr) - 1
        if i >= 0 and addr < self.functions[i].end:
            return self.functions[i]
        return None

    def reloc_in(self, addr, size):
        """The relocation inside an instruction, if any."""
        for a in range(addr, addr + size):
            if a in self.relocs:
                return self.relocs[a]
        return None

    def tls_segment(self):
        for seg in self.elf.iter_segments():
            if seg["p_type"] == "PT_TLS":
                return seg["p_memsz"], max(seg["p_align"], 1)
        return None

    def tls_name(self, tp_offset):
        """The variable at the thread pointer plus @tp_offset, in an executable."""
        seg = None if self.relocatable or tp_offset is None else self.tls_segment()
        if not seg:
            return None
        size, align = seg
        if self.machine == "EM_X86_64":
            off = tp_offset + (size + align - 1) // align * align
        else:
            off = tp_offset - (16 + align - 1) // align * align
        return self._tls_at(off)

    def _tls_at(self, addr):
        return next((n for start, size, n in self.tls if start <= addr < start + max(size, 1)), None)


def archive_members(data):
    """(name, bytes) of a Unix archive."""
    at, long_names = 8, b""
    while at + 60 <= len(data):
        head = data[at : at + 60]
        name, size = head[:16].decode("ascii", "replace").rstrip(), int(head[48:58])
        body = data[at + 60 : at + 60 + size]
        at += 60 + size + (size & 1)
        if name == "//":
            long_names = body
        elif name not in ("/", "/SYM64/"):
            if name.startswith("/"):
                start = int(name[1:])
                name = long_names[start : long_names.index(b"\n", start)].decode().rstrip("/")
            yield name.rstrip("/"), body


def load(path):
    """The modules of a file."""
    with open(path, "rb") as f:
        data = f.read()
    if data.startswith(b"!<thin>\n"):
        raise Unusable("%s: a thin archive; name its members" % path)
    if data.startswith(b"!<arch>\n"):
        members = [("%s(%s)" % (path, n), b) for n, b in archive_members(data)]
    else:
        members = [(path, data)]
    modules = []
    for name, body in members:
        if body[:4] in (b"BC\xc0\xde", b"\xde\xc0\x17\x0b"):
            raise Unusable("%s: LLVM bitcode, no machine code yet; check what it is linked into" % name)
        m = Module(name, body)
        if m.has_lto and not m.functions:
            raise Unusable("%s: an LTO object without machine code; check what it is linked into" % name)
        modules.append(m)
    return modules
