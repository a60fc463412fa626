# SPDX-License-Identifier: MIT
"""Packed images: the formats of park/codec.c and park/tier_pack.c. Knows nothing of gdb."""
import ctypes

MASK64 = (1 << 64) - 1
OWN, TWO, LARGE, RAW = range(4)
(ZERO, SAME, NEAR, BACK1, BACK2, SMALL, INT, SP, SPB, REG2, REG3, REG4, HALVES, MASK, LIT,
 TINY) = range(16)


class BadImage(Exception):
    pass


class Reference:
    """Another stack, against which this one is coded."""

    def __init__(self, image, moves, base):
        self.word = [int.from_bytes(image[i:i + 8], "little") for i in range(0, len(image), 8)]
        self.moves, self.base = moves, base

    def predict(self, i, base):
        move = self.moves[i // 8] >> i % 8 & 1
        return (self.word[i] + (base - self.base if move else 0)) & MASK64


def unpack_words(stream, nbytes, base, ref=None):
    """The bytes of a stack that ends at base, from the codec's stream."""
    out, region, at, nr = [], [0] * 16, 0, nbytes // 8

    def take(n):
        nonlocal at
        if at + n > len(stream):
            raise BadImage("the stream ends early")
        v = int.from_bytes(stream[at:at + n], "little")
        at += n
        return v

    def low(n):
        return (1 << 8 * n) - 1

    while len(out) < nr:
        b = take(1)
        op, p = b >> 4, b & 15
        if op in (ZERO, SAME):
            run = 16 + take(1) if p == 15 else p + 1
            if op == SAME and (ref is None or len(out) + run > len(ref.word)):
                raise BadImage("no such reference")
            out += [ref.predict(len(out) + i, base) for i in range(run)] if op == SAME else [0] * run
            continue
        if op in (BACK1, BACK2):
            back = p + 1 if op == BACK1 else (p << 8 | take(1)) + 17
            if back > len(out):
                raise BadImage("a word before the first one")
            out.append(out[-back])
            continue
        if op in (TINY, SMALL, HALVES, SP, SPB):
            out.append(p + 1 if op == TINY else
                       p << 8 | take(1) if op == SMALL else
                       p << 32 | take(1) if op == HALVES else
                       base - 8 * (p << 8 | take(1)) if op == SP else
                       base - (p << 16 | take(2)))
            continue
        if op == LIT:
            words = [take(8) for _ in range(p + 1)]
        elif op in (REG2, REG3, REG4):
            n = {REG2: 2, REG3: 3, REG4: 4}[op]
            words = [region[p] & ~low(n) | take(n)]
        elif op == NEAR:
            if ref is None or len(out) >= len(ref.word):
                raise BadImage("no such reference")
            words = [ref.predict(len(out), base) & ~low(p) | take(p)]
        elif op == INT:
            n = p & 7
            words = [take(n) | (MASK64 & ~low(n) if p & 8 else 0)]
        else:
            bits = take(1)
            words = [sum(take(1) << 8 * k for k in range(8) if bits >> k & 1)]
        for w in words:
            region[((w >> 24) * 0x9e3779b97f4a7c15 & MASK64) >> 60] = w
            out.append(w)
    if len(out) != nr or at != len(stream):
        raise BadImage("the stream and the stack differ in length")
    return b"".join((w & MASK64).to_bytes(8, "little") for w in out)


def unzstd(stream, nbytes):
    """By the library that greenstk itself needs."""
    try:
        lib = ctypes.CDLL("libzstd.so.1")
    except OSError as e:
        raise BadImage("packed with zstd, and libzstd is not here: %s" % e)
    lib.ZSTD_decompress.restype = ctypes.c_size_t
    lib.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    to = ctypes.create_string_buffer(nbytes)
    if lib.ZSTD_decompress(to, nbytes, bytes(stream), len(stream)) != nbytes:
        raise BadImage("zstd does not understand it")
    return to.raw[:nbytes]


def unpack_image(read, nbytes, base, reference):
    """A packed image: read(offset, bytes) gives its block, reference(id) a Reference."""
    head = int.from_bytes(read(0, 4), "little")
    kind, ident = head >> 30, head >> 18 & 0xfff
    if kind == LARGE:
        return unzstd(read(4, head & 0x3fffffff), nbytes)
    stream = read(4, head & 0x3ffff)
    if kind == RAW:
        return stream
    if kind == TWO:
        stream = unzstd(stream[4:], int.from_bytes(stream[:4], "little"))
    return unpack_words(stream, nbytes, base, reference(ident) if ident else None)
