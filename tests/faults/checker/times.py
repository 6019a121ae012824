"""When a revision was written, as far as those who saw it can tell."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.faults.history import Operation, Seen


class Times:
    """Bounds on the time of each revision, from what watchers were told and from the calls that wrote.

    A revision was there once somebody was told of it or of a later one; it was not there before a call began that
    wrote it or an earlier one.
    """

    def __init__(
        self, receipts: Iterable[Seen], operations: Iterable[Operation], points: Mapping[str, int]
    ) -> None:
        there = [(line.revision, line.at_ns) for line in receipts if line.events]
        begun = []
        for operation in operations:
            point = points.get(operation.request)
            if point and operation.is_change:
                there.append((point, operation.ended_ns))
                begun.append((point, operation.begun_ns))
        self._there = _earliest_of_later(there)
        self._begun = _latest_of_earlier(begun)

    def there_ns(self, revision: int) -> int | None:
        """A time at which the revision was written; None where nobody saw it."""
        place = bisect_left(self._there, revision, key=lambda pair: pair[0])
        return self._there[place][1] if place < len(self._there) else None

    def not_before_ns(self, revision: int) -> int:
        """A time at which the revision was not written yet; 0 where nothing is known."""
        place = bisect_right(self._begun, revision, key=lambda pair: pair[0])
        return self._begun[place - 1][1] if place else 0

    def last_before(self, at_ns: int) -> int:
        """The newest revision that may have been written by a time."""
        place = bisect_right(self._begun, at_ns, key=lambda pair: pair[1])
        return self._begun[place][0] - 1 if place < len(self._begun) else 1 << 62


def _earliest_of_later(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for revision, at_ns in sorted(pairs, reverse=True):
        earliest = min(at_ns, found[-1][1]) if found else at_ns
        if found and found[-1][0] == revision:
            found[-1] = (revision, earliest)
        else:
            found.append((revision, earliest))
    return found[::-1]


def _latest_of_earlier(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for revision, at_ns in sorted(pairs):
        latest = max(at_ns, found[-1][1]) if found else at_ns
        if found and found[-1][0] == revision:
            found[-1] = (revision, latest)
        else:
            found.append((revision, latest))
    return found
