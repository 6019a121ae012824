"""Netlink messages of one size made, and read, by the thousand: only some bytes differ from one to the next."""

from __future__ import annotations

from typing import NamedTuple


class Hole(NamedTuple):
    """Where in a message a value of its own stands, and how wide it is."""

    offset: int
    width: int


class Template:
    """A message and the holes in it.

    A column holds the values of one hole for all messages, end to end. Columns go in and out by strided slices: a
    step of C for each byte of a hole, not one of Python for each message.
    """

    __slots__ = ("_holes", "_prototype")

    def __init__(self, prototype: bytes, *holes: Hole) -> None:
        bare = bytearray(prototype)
        for hole in holes:
            bare[hole.offset : hole.offset + hole.width] = bytes(hole.width)
        self._prototype = bytes(bare)
        self._holes = holes

    @property
    def size(self) -> int:
        """Bytes of one message."""
        return len(self._prototype)

    def fill(self, *columns: bytes) -> bytearray:
        """As many messages as the columns have values, end to end; one column for each hole."""
        count = len(columns[0]) // self._holes[0].width
        buffer = bytearray(self._prototype * count)
        for hole, column in zip(self._holes, columns, strict=True):
            for at in range(hole.width):
                buffer[hole.offset + at :: self.size] = column[at :: hole.width]
        return buffer

    def read(self, buffer: bytes | bytearray) -> tuple[bytes, ...] | None:
        """The columns of messages that differ from this one in the holes only; None where one differs elsewhere."""
        count, rest = divmod(len(buffer), self.size)
        if rest:
            return None
        bare = bytearray(buffer)
        columns = []
        for hole in self._holes:
            column = bytearray(count * hole.width)
            for at in range(hole.width):
                column[at :: hole.width] = buffer[hole.offset + at :: self.size]
                bare[hole.offset + at :: self.size] = bytes(count)
            columns.append(bytes(column))
        return tuple(columns) if bare == self._prototype * count else None

    def value(self, message: bytes, index: int) -> bytes:
        """What one message has in the hole of an index."""
        hole = self._holes[index]
        return message[hole.offset : hole.offset + hole.width]
