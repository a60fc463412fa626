# SPDX-License-Identifier: MIT
"""Records of deep stacks (park/deep.h, park/chunks.h): where the bytes of a page are, and the bytes."""
from . import unpack

ARENA_UNIT, PAGE, CHUNK = 16, 4096, 4


class Record:
    """The record at an arena reference, of a stack whose window ends at base."""

    def __init__(self, runtime, ref, base):
        of = runtime.struct("gstk__deep")
        self.runtime, at = runtime, runtime.arena + ref * ARENA_UNIT
        header = runtime.read(at, of.size)
        self.block, self.chunks, self.nr_pages, self.first = (of.get(header, name)
                                                              for name in ("block", "chunks", "nr_pages", "first"))
        self.end = base + -base % PAGE
        words = (self.nr_pages + 63) // 64 * 8
        bits = runtime.read(at + of.size, 3 * words)
        self._here, self._cold = bits[:words], bits[2 * words:]

    def page_of(self, address):
        """The page that has it."""
        return self.nr_pages - 1 - (self.end - 1 - address) // PAGE

    def here(self, k):
        """Page k of a stack that came back in part is in the window."""
        return k < self.first or bool(self._here[k // 8] >> k % 8 & 1)

    def page(self, k):
        """The bytes of page k: of the block, or of its chunk."""
        if self.chunks and self._cold[k // 8] >> k % 8 & 1:
            return self._packed(self.nr_pages - 1 - k)
        return self.runtime.read(self.runtime.arena + self.block * ARENA_UNIT + k * PAGE, PAGE)

    def _packed(self, j):
        """Page j from the window's end."""
        of, at = self.runtime.struct("gstk__chunks"), self.runtime.arena + self.chunks * ARENA_UNIT
        c = j // CHUNK
        pages = min(CHUNK, of.get(self.runtime.read(at, of.size), "nr_pages") - c * CHUNK)
        ref = int.from_bytes(self.runtime.read(at + of.size + 4 * c, 4), "little")
        packed = self.runtime.arena + ref * ARENA_UNIT
        data = unpack.unpack_image(lambda off, n: self.runtime.read(packed + off, n), pages * PAGE,
                                   self.end - c * CHUNK * PAGE, self.runtime.reference)
        return data[(pages - 1 - j % CHUNK) * PAGE:][:PAGE]
