# SPDX-License-Identifier: MIT
"""x86-64: machine code as instructions of flow.py, and where it branches to."""
import re

import capstone
from capstone import x86_const as x

from .flow import Insn

# include/greenstk/ctx-x86_64.h: lea 2f(%rip),%rcx; push %rbx; push %rbp; push %rcx; mov %rsp,(%rdi)
SWITCH = re.compile(rb"\x48\x8d\x0d(....)\x53\x55\x51\x48\x89\x27", re.S)
# mov or add %fs:0 to a register; rdfsbase
SOURCE = re.compile(rb"\x64[\x48\x4c][\x8b\x03]|\xf3[\x48\x49]\x0f\xae")

_md = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
_md.detail = True
_md.skipdata = True
_lite = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
_lite.skipdata = True


def is_padding(i):
    return i.cs is not None and (
        i.cs.mnemonic in ("nop", "int3", "endbr64", ".byte")
        or i.cs.op_str in ("ax, ax", "eax, eax")
        and i.cs.mnemonic in ("xchg", "mov")
    )


def decode(module, start, end):
    code = module.bytes_at(start, end - start)
    switches = {start + m.start(): m for m in SWITCH.finditer(code)}
    insns, stack_moved, skip_to = [], 0, start
    for c in _md.disasm(code, start):
        m, a = c.mnemonic.split()[-1], c.address
        reloc = module.reloc_in(a, c.size) if module.relocatable else None
        if a in switches:
            target = a + 7 + int.from_bytes(switches[a].group(1), "little", signed=True)
            if reloc and reloc[0] == "pc" and isinstance(reloc[2], int):
                target = reloc[2] + 4
            insns.append(Insn(a, c.size, "switch", target))
            skip_to = target
            continue
        if a < skip_to:  # inside a switch
            continue
        if c.id == 0:
            insns.append(Insn(a, c.size, "op", None, c))
            continue
        kind, target = "op", None
        if m == "call" or m.startswith("j"):
            op = c.operands[0]
            if op.type == x.X86_OP_IMM:
                target = op.imm
                if reloc and reloc[0] == "pc":
                    target = reloc[2] + 4 if isinstance(reloc[2], int) and reloc[2] >= 0 else None
                kind = "call" if m == "call" else "jmp" if m == "jmp" else "jcc"
            else:
                kind = "icall" if m == "call" else "ijmp"
                if kind == "ijmp" and a - stack_moved < 12 and stack_moved:
                    kind = "trap"  # to another stack for good
        elif m.startswith("ret"):
            kind = "ret"
        elif m in ("ud2", "hlt"):
            kind = "trap"
        elif m == "lea" and c.operands[0].reg == x.X86_REG_RSP and c.operands[1].mem.base == x.X86_REG_RSI:
            stack_moved = a
        insns.append(Insn(a, c.size, kind, target, c, reloc))
    return insns


def calls(module, f):
    """(address, size, kind, target or None, address of the GOT slot or None) of each branch out, quickly."""
    code = module.bytes_at(f.addr, f.size)
    found, returns = [], False
    for a, size, m, ops in _lite.disasm_lite(code, f.addr):
        m = m.split()[-1]
        if m.startswith("ret"):
            returns = True
        elif m == "call" or m[0] == "j":
            direct = ops.startswith("0x")
            target = int(ops, 16) if direct else None
            if (
                m != "call"
                and direct
                and f.addr <= target < f.end
                and not (module.relocatable and module.reloc_in(a, size))
            ):
                continue
            slot = (
                a + size + int(ops.split("rip")[1].strip(" ]").replace(" ", "") or "0", 16)
                if "[rip" in ops
                else None
            )
            found.append(
                (a, size, ("" if direct else "i") + ("call" if m == "call" else "jmp"), target, slot)
            )
    return found, returns, bool(SWITCH.search(code))


def may_have_source(code):
    return SOURCE.search(code) is not None


def slot_of(insn):
    """The address that an indirect call or jump through memory reads its target from."""
    op = insn.cs.operands[0]
    if op.type == x.X86_OP_MEM and op.mem.base == x.X86_REG_RIP:
        return insn.addr + insn.size + op.mem.disp
    return None


def stub_name(module, addr):
    """The symbol that a PLT entry jumps to."""
    for c in _md.disasm(module.bytes_at(addr, 32), addr):
        if c.id and c.mnemonic.split()[-1] == "jmp":
            op = c.operands[0]
            if op.type == x.X86_OP_MEM and op.mem.base == x.X86_REG_RIP:
                kind, name, _ = module.slots.get(c.address + c.size + op.mem.disp, (None, None, None))
                return name if kind == "glob" else None
            return None
    return None
