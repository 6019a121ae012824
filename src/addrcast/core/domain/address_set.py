"""A set of addresses that costs by its irregularity, not by its size: a whole /8 or /64 is one run."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHIFT = 10
_CHUNK = 1 << _SHIFT
_OFFSET = _CHUNK - 1
_FULL = (1 << _CHUNK) - 1


class AddressSet:
    """Numbers of one family, in chunks of 1024.

    A chunk that is neither empty nor full has a bitmap; full ones are kept as runs, empty ones not at all, so
    equal sets have equal representations. Membership is one dictionary access, a change of a bitmap one more;
    searches and chunks that become full or empty are binary searches.

    `size` is the number of members; `len` could not hold that of an IPv6 /64.
    """

    __slots__ = ("_bitmaps", "_ends", "_order", "_starts", "size")

    def __init__(self) -> None:
        self.size = 0
        self._bitmaps: dict[int, int] = {}
        self._order: list[int] = []  # the chunks of _bitmaps, ascending
        self._starts: list[int] = []  # runs of full chunks, half open, ascending, never touching
        self._ends: list[int] = []

    def copy(self) -> AddressSet:
        """An independent set of the same members."""
        other = AddressSet()
        other.size = self.size
        other._bitmaps = self._bitmaps.copy()
        other._order = self._order.copy()
        other._starts = self._starts.copy()
        other._ends = self._ends.copy()
        return other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AddressSet):
            return NotImplemented
        return self._bitmaps == other._bitmaps and self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, number: int) -> bool:
        return bool(self._bitmap(number >> _SHIFT) >> (number & _OFFSET) & 1)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.intervals():
            yield from range(first, last + 1)

    def add(self, number: int) -> None:
        """Make `number` a member."""
        chunk = number >> _SHIFT
        before = self._bitmap(chunk)
        self._write(chunk, before, before | 1 << (number & _OFFSET))

    def discard(self, number: int) -> None:
        """Make `number` no member."""
        chunk = number >> _SHIFT
        before = self._bitmap(chunk)
        self._write(chunk, before, before & ~(1 << (number & _OFFSET)))

    def add_range(self, first: int, last: int) -> None:
        """Make all of `first` to `last`, both included, members."""
        for chunk, mask in _edges(first, last):
            before = self._bitmap(chunk)
            self._write(chunk, before, before | mask)
        start, end = _whole_chunks(first, last)
        if start < end:
            self._clear(start, end)
            self._insert_run(start, end)
            self.size += end - start << _SHIFT

    def discard_range(self, first: int, last: int) -> None:
        """Make none of `first` to `last`, both included, a member."""
        for chunk, mask in _edges(first, last):
            before = self._bitmap(chunk)
            self._write(chunk, before, before & ~mask)
        start, end = _whole_chunks(first, last)
        if start < end:
            self._clear(start, end)

    def at_least(self, number: int) -> int | None:
        """The lowest member that is not below `number`."""
        chunk = number >> _SHIFT
        bitmap = self._bitmap(chunk) >> (number & _OFFSET)
        if bitmap:
            return number + _lowest(bitmap)
        partial = bisect_right(self._order, chunk)
        run = bisect_right(self._starts, chunk)
        has_partial, has_run = partial < len(self._order), run < len(self._starts)
        if has_partial and not (has_run and self._starts[run] < self._order[partial]):
            chunk = self._order[partial]
            return (chunk << _SHIFT) + _lowest(self._bitmaps[chunk])
        return self._starts[run] << _SHIFT if has_run else None

    def absent_at_least(self, number: int) -> int:
        """The lowest number that is no member and not below `number`."""
        while True:
            chunk = number >> _SHIFT
            bitmap = self._bitmaps.get(chunk)
            if bitmap is None:
                run = bisect_right(self._starts, chunk) - 1
                if run < 0 or self._ends[run] <= chunk:
                    return number
                number = self._ends[run] << _SHIFT
                continue
            holes = (bitmap ^ _FULL) >> (number & _OFFSET)
            if holes:
                return number + _lowest(holes)
            number = chunk + 1 << _SHIFT

    def intervals(self, number: int = 0) -> Iterator[tuple[int, int]]:
        """The members that are not below `number` as intervals, both ends included, ascending, as long as can be.

        The set may change between two of them; what is yielded was true when it was.
        """
        first = self.at_least(number)
        while first is not None:
            end = self.absent_at_least(first)
            yield first, end - 1
            first = self.at_least(end)

    def run_of(self, length: int, *, number: int = 0) -> int | None:
        """The first of the lowest `length` members in a row that are not below `number`."""
        for first, last in self.intervals(number):
            if last - first + 1 >= length:
                return first
        return None

    def _bitmap(self, chunk: int) -> int:
        bitmap = self._bitmaps.get(chunk)
        if bitmap is not None:
            return bitmap
        run = bisect_right(self._starts, chunk) - 1
        return _FULL if run >= 0 and chunk < self._ends[run] else 0

    def _write(self, chunk: int, before: int, after: int) -> None:
        if before == after:
            return
        self.size += after.bit_count() - before.bit_count()
        was_partial, is_partial = before not in (0, _FULL), after not in (0, _FULL)
        if is_partial:
            self._bitmaps[chunk] = after
            if not was_partial:
                insort(self._order, chunk)
        else:  # no single change leads from empty to full or back
            del self._bitmaps[chunk]
            del self._order[bisect_left(self._order, chunk)]
        if before == _FULL:
            self._remove_run(chunk, chunk + 1)
        elif after == _FULL:
            self._insert_run(chunk, chunk + 1)

    def _clear(self, start: int, end: int) -> None:
        low, high = bisect_left(self._order, start), bisect_left(self._order, end)
        for chunk in self._order[low:high]:
            self.size -= self._bitmaps.pop(chunk).bit_count()
        del self._order[low:high]
        self.size -= self._remove_run(start, end) << _SHIFT

    def _insert_run(self, start: int, end: int) -> None:
        low, high = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def _remove_run(self, start: int, end: int) -> int:
        low, high = bisect_right(self._ends, start), bisect_left(self._starts, end)
        cut = list(zip(self._starts[low:high], self._ends[low:high], strict=True))
        kept = [piece for piece in ((cut[0][0], start), (end, cut[-1][1])) if piece[0] < piece[1]] if cut else []
        self._starts[low:high] = [piece[0] for piece in kept]
        self._ends[low:high] = [piece[1] for piece in kept]
        return sum(min(last, end) - max(first, start) for first, last in cut)


def _lowest(bitmap: int) -> int:
    return (bitmap & -bitmap).bit_length() - 1


def _edges(first: int, last: int) -> list[tuple[int, int]]:
    """The chunks that a range covers in part, with the bits it covers there."""
    low, high = first >> _SHIFT, last >> _SHIFT
    from_first = _FULL >> (first & _OFFSET) << (first & _OFFSET)
    to_last = _FULL >> (_OFFSET - (last & _OFFSET))
    edges = [(low, from_first & to_last)] if low == high else [(low, from_first), (high, to_last)]
    return [(chunk, mask) for chunk, mask in edges if mask != _FULL]


def _whole_chunks(first: int, last: int) -> tuple[int, int]:
    return first + _OFFSET >> _SHIFT, last + 1 >> _SHIFT
