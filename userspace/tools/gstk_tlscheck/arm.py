# SPDX-License-Identifier: MIT
"""aarch64: what one instruction does to a state of flow.py. There "mrs x, tpidr_el0" is the one source."""
import re

import capstone
from capstone import arm64_const as a

from .flow import Insn, fresh, is_taint, merge_values, moved

ARGS = tuple("x%d" % n for n in range(8))
RESULT = "x0"
PRESERVED = {"x%d" % n for n in range(19, 30)} | {"sp"}
SWITCH_PRESERVED = {"x19", "x29", "sp"}
# include/greenstk/ctx-aarch64.h: adr x16, 2f; stp x16, x29, [sp, #-32]!; str x19, [sp, #16];
# mov x17, sp; str x17, [x1]
SWITCH = re.compile(rb"....\xf0\x77\xbe\xa9\xf3\x0b\x00\xf9\xf1\x03\x00\x91\x31\x00\x00\xf9", re.S)
SOURCE = re.compile(rb"[\x40-\x5f]\xd0\x3b\xd5")
BRANCH_BIAS = 0
TPIDR_EL0 = 0xDE82

_md = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
_md.detail = True
_md.skipdata = True
_lite = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
_lite.skipdata = True


def _whole_registers():
    regs = {}
    for i in range(1, a.ARM64_REG_ENDING):
        name = _md.reg_name(i)
        if not name:
            continue
        if re.fullmatch(r"[wx]\d+", name):
            regs[i] = "x" + name[1:]
        elif re.fullmatch(r"[bhsdqv]\d+", name):
            regs[i] = "v" + name[1:]
        elif name in ("sp", "wsp"):
            regs[i] = "sp"
    regs[a.ARM64_REG_X29], regs[a.ARM64_REG_X30] = "x29", "x30"
    return regs


REG = _whole_registers()
_BRANCH = {
    "b": "jmp",
    "bl": "call",
    "br": "ijmp",
    "blr": "icall",
    "cbz": "jcc",
    "cbnz": "jcc",
    "tbz": "jcc",
    "tbnz": "jcc",
    "ret": "ret",
    "retaa": "ret",
    "retab": "ret",
    "brk": "trap",
    "udf": "trap",
}


def entry_state():
    return {"sp": ("s", 0)}


def is_padding(i):
    return i.cs is not None and (i.cs.id == 0 or i.cs.mnemonic in ("nop", "hint", "bti", "brk", "udf"))


def _kind(m):
    return "jcc" if m.startswith("b.") else _BRANCH.get(m, "op")


def decode(module, start, end):
    code = module.bytes_at(start, end - start)
    switches = {start + m.start() for m in SWITCH.finditer(code)}
    insns, skip_to, stack_moved = [], start, None
    for c in _md.disasm(code, start):
        if c.address in switches and c.mnemonic == "adr":
            skip_to = c.operands[1].imm
            insns.append(Insn(c.address, c.size, "switch", skip_to))
            continue
        if c.address < skip_to:
            continue
        reloc = module.relocs.get(c.address) if module.relocatable else None
        kind, target = "op" if c.id == 0 else _kind(c.mnemonic), None
        if kind in ("jmp", "jcc", "call"):
            target = c.operands[-1].imm
            if reloc and reloc[0] == "pc":
                target = reloc[2] if isinstance(reloc[2], int) and reloc[2] > 0 else None
        elif kind == "ijmp" and stack_moved is not None and c.address - stack_moved <= 12:
            kind = "trap"  # to another stack for good
        elif c.mnemonic == "add" and c.op_str.startswith("sp, x2,"):
            stack_moved = c.address
        insns.append(Insn(c.address, c.size, kind, target, c, reloc))
    return insns


def calls(module, f):
    """(address, size, kind, target or None, None) of each branch out, quickly."""
    code = module.bytes_at(f.addr, f.size)
    found, returns = [], False
    for addr, size, m, ops in _lite.disasm_lite(code, f.addr):
        kind = _kind(m)
        if kind == "ret":
            returns = True
        if kind not in ("call", "jmp", "jcc", "icall", "ijmp"):
            continue
        target = int(ops.split("#")[-1], 16) if kind in ("call", "jmp", "jcc") else None
        if (
            kind in ("jmp", "jcc")
            and f.addr <= target < f.end
            and not (module.relocatable and addr in module.relocs)
        ):
            continue
        found.append((addr, size, "jmp" if kind == "jcc" else kind, target, None))
    return found, returns, SWITCH.search(code) is not None


def may_have_source(code):
    return SOURCE.search(code) is not None


def slot_of(insn):
    return None


def stub_name(module, addr):
    """The symbol that a PLT entry jumps to: adrp x16; ldr x17, [x16, #n]; add; br x17."""
    page = None
    for c in _md.disasm(module.bytes_at(addr, 24), addr):
        if c.id == 0 or c.mnemonic == "br":
            return None
        if c.mnemonic == "adrp":
            page = c.operands[1].imm
        elif c.mnemonic == "ldr" and page is not None:
            kind, name, _ = module.slots.get(page + c.operands[1].mem.disp, (None, None, None))
            return name if kind == "glob" else None
    return None


def _put(state, key, value):
    if value is None:
        state.pop(key, None)
    elif key is not None:
        state[key] = value


def _frame_offset(mem, state):
    value = state.get(REG.get(mem.base)) if not mem.index else None
    return value[1] + mem.disp if value and value[0] == "s" else None


def _put_slot(state, offset, size, value):
    for key in [k for k in state if not isinstance(k, str) and offset - 8 < k < offset + size]:
        del state[key]
    if value is not None and size >= 8:
        for at in range(offset, offset + size, 8):
            state[at] = value


def _size(c, op):
    name = c.reg_name(op.reg)
    if c.mnemonic.endswith(("b", "h")) and c.mnemonic not in ("sub",):
        return 1
    return {"w": 4, "s": 4, "q": 16, "v": 16, "b": 1, "h": 2}.get(name[0] if name not in ("sp",) else "x", 8)


def _plus(v, w, negative=False):
    if v is None or (not is_taint(v) and w is not None and not isinstance(w, int) and is_taint(w)):
        v, w = w, v
    if v is None or isinstance(v, int):
        return None
    if isinstance(w, int):
        d = -w if negative else w
        if is_taint(v):
            return moved(v, d)
        return (v[0], None if v[1] is None else v[1] + d) + v[2:] if v[0] == "s" else ("o",) + v[1:]
    if is_taint(v):
        return moved(v, w[1], w[2]) if w is not None and w[0] == "o" else moved(v, None)
    return None


def special_call(insn, state, flow):
    """A TLS descriptor's resolver: x0 becomes a distance from the thread pointer, all else stays."""
    tls = insn.reloc and insn.reloc[0] == "tlscall"
    if tls or (insn.kind == "icall" and state.get("x0", ("",))[0] == "o"):
        name = insn.reloc[1] if tls else state["x0"][2]
        state["x0"] = ("o", None, name)
        state.pop("x30", None)
        return True
    return False


def step(insn, state, flow):
    c = insn.cs
    if c is None:
        return
    if c.id == 0:
        _unknown(c, state, insn, flow)
        return
    m, ops = c.mnemonic, c.operands
    if m == "mrs":
        _put(state, REG.get(ops[0].reg), fresh(insn.addr, 0, None) if ops[1].value.reg == TPIDR_EL0 else None)
    elif m in ("adr", "adrp"):
        value = None
        if insn.reloc and insn.reloc[0] in ("tpoff", "tlsdesc"):
            value = ("o", None, insn.reloc[1])
        elif m == "adrp":
            value = ("p", ops[1].imm)
        _put(state, REG.get(ops[0].reg), value)
    elif m in ("ldr", "ldur", "ldp", "ldrsw", "ldrb", "ldrh", "ldursw", "ldnp") or m.startswith(
        ("ldx", "ldax", "ldar")
    ):
        _load(insn, c, ops, state, flow)
    elif m in ("str", "stur", "stp", "strb", "strh", "stnp") or m.startswith("stlr"):
        _store(insn, c, ops, state, flow)
    elif m in ("mov", "fmov") and len(ops) == 2:
        _put(
            state,
            REG.get(ops[0].reg),
            state.get(REG.get(ops[1].reg)) if ops[1].type == a.ARM64_OP_REG and REG.get(ops[1].reg) else None,
        )
    elif m in ("add", "sub") and len(ops) == 3:
        _add(insn, m, ops, state, flow)
    elif m == "csel":
        _put(
            state,
            REG.get(ops[0].reg),
            merge_values(state.get(REG.get(ops[1].reg)), state.get(REG.get(ops[2].reg))),
        )
    elif insn.kind == "op" or insn.kind == "jcc":
        _other(insn, c, ops, state, flow)


def _unknown(c, state, insn, flow):
    """Newer than the disassembler: of loads and stores at least the base is known."""
    if len(c.bytes) < 4:
        return
    word = int.from_bytes(c.bytes[:4], "little")
    if word >> 27 & 1 and not word >> 25 & 1 and (word >> 5 & 31) != 31:
        flow.use(state.get("x%d" % (word >> 5 & 31)), insn, "used")


def _deref(mem, state, insn, flow):
    base, index = (state.get(REG.get(r)) if r else None for r in (mem.base, mem.index))
    for value, other in ((base, index), (index, base)):
        if is_taint(value):
            flow.use(_plus(value, other) if other is not None else value, insn, "used")


def _write_back(c, mem, ops, state):
    if not c.writeback:
        return
    base = REG.get(mem.base)
    post = ops[-1].imm if ops[-1].type == a.ARM64_OP_IMM else None
    value = state.get(base)
    if value is not None and value[0] in ("s", "t"):
        _put(state, base, _plus(value, mem.disp if post is None else post))


def _load(insn, c, ops, state, flow):
    n = (
        next(i for i, o in enumerate(ops) if o.type == a.ARM64_OP_MEM)
        if any(o.type == a.ARM64_OP_MEM for o in ops)
        else None
    )
    if n is None:
        for o in ops[:1]:
            _put(state, REG.get(o.reg), None)
        return
    mem = ops[n].mem
    at = _frame_offset(mem, state)
    values = []
    base = state.get(REG.get(mem.base))
    for k in range(n):
        size = _size(c, ops[k])
        if at is not None:
            values.append(state.get(at + k * size) if size >= 8 else None)
        elif base is not None and base[0] == "p":  # a page and an offset: the GOT
            kind, name, off = flow.function.module.slots.get(base[1] + mem.disp, (None, None, None))
            values.append(
                ("o", off if kind == "tpoff" and not name else None, name)
                if kind in ("tpoff", "tlsdesc")
                else None
            )
        elif insn.reloc and insn.reloc[0] in ("tpoff", "tlsdesc"):
            values.append(("o", None, insn.reloc[1]))
        else:
            values.append(None)
    if at is None:
        _deref(mem, state, insn, flow)
    _write_back(c, mem, ops, state)
    for k in range(n):
        _put(state, REG.get(ops[k].reg), values[k])


def _store(insn, c, ops, state, flow):
    n = next((i for i, o in enumerate(ops) if o.type == a.ARM64_OP_MEM), None)
    if n is None:
        return
    mem = ops[n].mem
    at = _frame_offset(mem, state)
    for k in range(n):
        size = _size(c, ops[k])
        value = state.get(REG.get(ops[k].reg))
        if at is not None:
            _put_slot(state, at + k * size, size, value)
        else:
            flow.use(value, insn, "stored")
    if at is None:
        _deref(mem, state, insn, flow)
    _write_back(c, mem, ops, state)


def _add(insn, m, ops, state, flow):
    v = state.get(REG.get(ops[1].reg))
    shifted = ops[2].shift.type and ops[2].shift.value
    if ops[2].type == a.ARM64_OP_IMM:
        value = _plus(v, ops[2].imm << (ops[2].shift.value if shifted else 0), m == "sub")
        if insn.reloc and insn.reloc[0] in ("tpoff", "tlsdesc"):
            value = moved(v, None, insn.reloc[1]) if is_taint(v) else ("o", None, insn.reloc[1])
        elif v is not None and v[0] == "p":
            kind, name, _ = flow.function.module.slots.get(v[1] + ops[2].imm, (None, None, None))
            value = ("o", None, name) if kind == "tlsdesc" else None
    else:
        w = state.get(REG.get(ops[2].reg))
        if m == "sub":
            if is_taint(w):
                flow.use(w, insn, "used")
                flow.use(v, insn, "used")
                value = None
            else:
                value = moved(v, None) if is_taint(v) else None
        else:
            value = (
                _plus(v, None if shifted and not is_taint(w) else w)
                if v is not None or w is not None
                else None
            )
            if value is not None and value[0] not in ("t", "s"):
                value = None
    _put(state, REG.get(ops[0].reg), value)


def _other(insn, c, ops, state, flow):
    for op in ops:
        if op.type == a.ARM64_OP_MEM:
            if _frame_offset(op.mem, state) is None:
                _deref(op.mem, state, insn, flow)
        elif op.type == a.ARM64_OP_REG and op.access & capstone.CS_AC_READ and insn.kind == "op":
            flow.use(state.get(REG.get(op.reg)), insn, "used")
    _, written = c.regs_access()
    for r in written:
        reg = REG.get(r)
        if reg and reg != "sp":
            state.pop(reg, None)
