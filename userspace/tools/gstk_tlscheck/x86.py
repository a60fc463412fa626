# SPDX-License-Identifier: MIT
"""x86-64: what one instruction does to a state of flow.py."""
import capstone
from capstone import x86_const as x

from .flow import fresh, is_taint, merge_values, moved
from .x86_code import calls, decode, is_padding, may_have_source, slot_of, stub_name  # noqa: F401

ARGS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
RESULT = "rax"
PRESERVED = {"rbx", "rbp", "rsp", "r12", "r13", "r14", "r15"}
SWITCH_PRESERVED = {"rbx", "rbp", "rsp"}
BRANCH_BIAS = 4  # a branch's relocation counts from its own place, the branch from the next instruction
ALIGNED = 1 << 24  # locals of a realigned frame are numbered this far below


def _whole_registers():
    md = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    names = {}
    for r in ("a", "b", "c", "d"):
        for form in ("r%sx", "e%sx", "%sx", "%sl", "%sh"):
            names[form % r] = "r%sx" % r
    for r in ("si", "di", "bp", "sp"):
        for form in ("r%s", "e%s", "%s", "%sl"):
            names[form % r] = "r" + r
    for n in range(8, 16):
        for form in ("r%d", "r%dd", "r%dw", "r%db"):
            names[form % n] = "r%d" % n
    for n in range(32):
        for form in ("xmm%d", "ymm%d", "zmm%d"):
            names[form % n] = "xmm%d" % n
    return {i: names[md.reg_name(i)] for i in range(1, x.X86_REG_ENDING) if md.reg_name(i) in names}


REG = _whole_registers()
# The result holds what the operands held.
_COPIES = {
    "mov",
    "movabs",
    "movq",
    "movd",
    "vmovq",
    "vmovd",
    "movaps",
    "movups",
    "movdqa",
    "movdqu",
    "movapd",
    "movupd",
    "vmovaps",
    "vmovups",
    "vmovdqa",
    "vmovdqu",
    "vmovapd",
    "vmovupd",
    "movntdq",
    "movlps",
    "movlpd",
    "movsd",
    "movnti",
}
_JOINS = {
    "punpcklqdq",
    "vpunpcklqdq",
    "movhps",
    "movhpd",
    "vmovhps",
    "pinsrq",
    "vpinsrq",
    "movlhps",
    "vmovlhps",
    "and",
    "or",
    "xor",
    "vinserti128",
}


def entry_state():
    return {"rsp": ("s", 0)}


def _frame_offset(mem, state):
    if mem.segment not in (0, x.X86_REG_SS, x.X86_REG_DS) or mem.index or not mem.base:
        return None
    value = state.get(REG.get(mem.base))
    return value[1] + mem.disp if value and value[0] == "s" else None


def _deref(mem, state, insn, flow, how="used"):
    for r in (mem.base, mem.index):
        if r:
            flow.use(state.get(REG.get(r)), insn, how)


def _put(state, key, value):
    if value is None:
        state.pop(key, None)
    else:
        state[key] = value


def _put_slot(state, offset, size, value):
    for key in [k for k in state if not isinstance(k, str) and offset - 8 < k < offset + size]:
        del state[key]
    if value is not None and size >= 8 and (size == 8 or is_taint(value)):
        for at in range(offset, offset + size, 8):
            state[at] = value


def _thread_pointer(op, insn):
    """%fs:0, which holds its own address."""
    return (
        op.type == x.X86_OP_MEM
        and op.mem.segment == x.X86_REG_FS
        and not op.mem.base
        and not op.mem.index
        and not op.mem.disp
        and insn.reloc is None
    )


def _load(insn, op, state, flow):
    mem = op.mem
    if _thread_pointer(op, insn):
        return fresh(insn.addr, 0, None)
    if mem.segment == x.X86_REG_FS:
        return None  # the value of a thread-local, read where it is
    if mem.base == x.X86_REG_RIP:
        return _got(insn, mem, flow)
    at = _frame_offset(mem, state)
    if at is not None:
        value = None
        for k in range(at, at + max(op.size, 8), 8):
            value = merge_values(value, state.get(k)) if k != at else state.get(k)
        return value if op.size >= 8 else None
    _deref(mem, state, insn, flow)
    return None


def _got(insn, mem, flow):
    if insn.reloc and insn.reloc[0] == "gottpoff":
        return ("o", None, insn.reloc[1])
    kind, name, off = flow.function.module.slots.get(insn.addr + insn.size + mem.disp, (None, None, None))
    if kind in ("tpoff", "tlsdesc", "dtpmod"):
        return ("o", off if kind == "tpoff" and not name else None, name)
    return None


def _plus(a, b, negative=False):
    """The sum of two values, or of a value and a number."""
    if isinstance(a, int) or (b is not None and not isinstance(b, int) and is_taint(b) and not is_taint(a)):
        a, b = b, a
    if a is None or isinstance(a, int):
        return None
    if isinstance(b, int):
        d = -b if negative else b
        if a[0] == "t":
            return moved(a, d)
        return (a[0], None if a[1] is None else a[1] + d) + a[2:]
    if a[0] == "t":
        return moved(a, b[1], b[2]) if b is not None and b[0] == "o" else moved(a, None)
    return None


def _number(insn, op):
    return op.imm if op.type == x.X86_OP_IMM else None


def _named(insn, value):
    """The variable that a relocation of this instruction names."""
    if value is not None and insn.reloc and insn.reloc[0] in ("tpoff", "dtpoff") and is_taint(value):
        return moved(value, None, insn.reloc[1])
    return value


def _lea(insn, mem, state, flow):
    if mem.base == x.X86_REG_RIP:
        if insn.reloc and insn.reloc[0] in ("tlsgd", "tlsld", "tlsdesc"):
            return ("o", None, insn.reloc[1])
        return _got(insn, mem, flow)
    value = state.get(REG.get(mem.base)) if mem.base else 0
    if mem.index:
        index = state.get(REG.get(mem.index)) if mem.scale == 1 else None
        value = _plus(value, index) if value is not None or index is not None else None
    if value is None or isinstance(value, int):
        return None
    return _named(insn, _plus(value, mem.disp))


def special_call(insn, state, flow):
    """Calls for thread-local storage that are no ordinary calls."""
    c = insn.cs
    if (
        insn.reloc
        and insn.reloc[0] == "tlscall"
        or (
            insn.kind == "icall"
            and c.operands[0].type == x.X86_OP_MEM
            and c.operands[0].mem.base == x.X86_REG_RAX
            and not c.operands[0].mem.disp
            and state.get("rax", ("",))[0] == "o"
        )
    ):
        # A descriptor: rax becomes a distance from the thread pointer, and nothing else changes.
        state["rax"] = ("o", None, state["rax"][2] if state.get("rax", ("",))[0] == "o" else None)
        return True
    if flow.program.callee_name(insn.callee) in ("__tls_get_addr", "___tls_get_addr"):
        arg = state.get("rdi")
        flow.call(insn, state)
        if arg and arg[0] == "o":
            state["rax"] = fresh(insn.addr, None, arg[2])
        return True
    return False


def step(insn, state, flow):
    c = insn.cs
    if c is None or c.id == 0:
        return
    m = c.mnemonic.split()[-1]
    ops = c.operands
    if m in ("push", "pop"):
        sp = state.get("rsp")
        known = sp and sp[0] == "s"
        if m == "push":
            value = None
            if ops[0].type == x.X86_OP_REG:
                value = state.get(REG.get(ops[0].reg))
            elif ops[0].type == x.X86_OP_MEM:
                value = _load(insn, ops[0], state, flow)
            if known:
                state["rsp"] = ("s", sp[1] - 8)
                _put_slot(state, sp[1] - 8, 8, value)
        else:
            value = state.get(sp[1]) if known else None
            if known:
                state["rsp"] = ("s", sp[1] + 8)
                _put_slot(state, sp[1], 8, None)
            if ops[0].type == x.X86_OP_REG and REG.get(ops[0].reg):
                _put(state, REG[ops[0].reg], value)
        return
    if m == "leave":
        bp = state.get("rbp")
        if bp and bp[0] == "s":
            state["rsp"] = ("s", bp[1] + 8)
            _put(state, "rbp", state.get(bp[1]))
        return
    if m == "lea":
        _put(state, REG.get(ops[0].reg), _lea(insn, ops[1].mem, state, flow))
        return
    if m in ("rdfsbase",):
        state[REG[ops[0].reg]] = fresh(insn.addr, 0, None)
        return
    if m in _COPIES and len(ops) == 2:
        _copy(insn, ops, state, flow)
        return
    if m in ("add", "sub") and ops[0].type == x.X86_OP_REG and ops[0].size == 8:
        _add(insn, m, ops, state, flow)
        return
    if (
        m == "and"
        and ops[0].type == x.X86_OP_REG
        and ops[0].reg == x.X86_REG_RSP
        and ops[1].type == x.X86_OP_IMM
    ):
        sp = state.get("rsp")
        if sp and sp[0] == "s" and sp[1] > -ALIGNED:
            state["rsp"] = ("s", sp[1] - ALIGNED)
        return
    if m == "xchg" and all(o.type == x.X86_OP_REG for o in ops):
        a, b = REG.get(ops[0].reg), REG.get(ops[1].reg)
        if a and b:
            va, vb = state.get(a), state.get(b)
            _put(state, a, vb)
            _put(state, b, va)
        return
    if m == "xor" and ops[0].type == ops[1].type == x.X86_OP_REG and ops[0].reg == ops[1].reg:
        state.pop(REG.get(ops[0].reg), None)
        return
    if m.startswith("cmov"):
        value = (
            state.get(REG.get(ops[1].reg))
            if ops[1].type == x.X86_OP_REG
            else _load(insn, ops[1], state, flow)
        )
        _put(state, REG.get(ops[0].reg), merge_values(state.get(REG.get(ops[0].reg)), value))
        return
    _other(insn, m, ops, state, flow)


def _copy(insn, ops, state, flow):
    dst, src = ops
    if src.type == x.X86_OP_REG:
        value = state.get(REG.get(src.reg))
    elif src.type == x.X86_OP_MEM:
        value = _load(insn, src, state, flow)
    else:
        value = ("o", None, insn.reloc[1]) if insn.reloc and insn.reloc[0] in ("tpoff", "dtpoff") else None
    if dst.type == x.X86_OP_REG:
        if REG.get(dst.reg):
            _put(state, REG[dst.reg], value if dst.size >= 8 else None)
        return
    at = _frame_offset(dst.mem, state)
    if at is not None:
        _put_slot(state, at, dst.size, value)
    else:
        _deref(dst.mem, state, insn, flow)
        flow.use(value, insn, "stored")


def _add(insn, m, ops, state, flow):
    reg = REG.get(ops[0].reg)
    old = state.get(reg)
    src = ops[1]
    if src.type == x.X86_OP_IMM:
        value = _named(insn, _plus(old, src.imm, m == "sub"))
    elif m == "add" and _thread_pointer(src, insn):
        value = fresh(
            insn.addr, old[1] if old and old[0] == "o" else None, old[2] if old and old[0] == "o" else None
        )
    else:
        other = state.get(REG.get(src.reg)) if src.type == x.X86_OP_REG else _load(insn, src, state, flow)
        if m == "sub":  # a difference of two addresses uses both; of an address and a number is one
            if is_taint(other):
                flow.use(other, insn, "used")
                other = None
                flow.use(old, insn, "used")
                value = None
            else:
                value = moved(old, None) if is_taint(old) else None
        else:
            value = _plus(old, other) if old is not None or other is not None else None
        if reg == "rsp":
            value = None
    _put(state, reg, value)


def _other(insn, m, ops, state, flow):
    joins = m in _JOINS
    kept = None
    for n, op in enumerate(ops):
        if op.type == x.X86_OP_MEM:
            at = _frame_offset(op.mem, state)
            if at is None:
                if m != "nop":
                    _deref(op.mem, state, insn, flow)
            elif op.access & capstone.CS_AC_WRITE:
                _put_slot(state, at, op.size, None)
            else:
                value = state.get(at)
                kept = merge_values(kept, value)
                if not joins:
                    flow.use(value, insn, "used")
        elif op.type == x.X86_OP_REG and op.access & capstone.CS_AC_READ:
            value = state.get(REG.get(op.reg))
            if is_taint(value):
                kept = merge_values(kept, value)
                if not joins:
                    flow.use(value, insn, "used")
    _, written = insn.cs.regs_access()
    for r in written:
        reg = REG.get(r)
        if reg and reg != "rsp":
            _put(state, reg, kept if joins and is_taint(kept) else None)
