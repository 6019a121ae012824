"""What of one account is not in the kernel table yet: in batches, what failed again after a pause."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Backoff:
    """A pause that doubles with every failure in a row, from `first_ms` to `last_ms`."""

    first_ms: int = 200
    last_ms: int = 30_000

    def pause_ms(self, failures: int) -> int:
        """How long to wait after the n-th failure in a row, n from 1."""
        return min(self.last_ms, self.first_ms << min(failures - 1, 32))


@dataclass(frozen=True, slots=True)
class _Failing:
    revision: int
    failures: int
    due_ms: int


class Unapplied:
    """Logical addresses whose entry has yet to be written or removed.

    Each remembers the earliest revision that asked for it: below the earliest of all, the account is complete. The
    value is not kept; who programs an address reads what is desired at that time, so that changes coalesce.
    """

    __slots__ = ("_backoff", "_failing", "_flying", "_waiting")

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._waiting: dict[str, int] = {}
        self._flying: dict[str, int] = {}
        self._failing: dict[str, _Failing] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self._flying or self._failing)

    @property
    def is_untried(self) -> bool:
        """Whether an address waits, or is in flight, that the kernel has not refused."""
        return any(name not in self._failing for waiting in (self._waiting, self._flying) for name in waiting)

    def mark(self, logical: str, revision: int) -> None:
        """Ask for an address to be programmed; one that fails is tried at once, since its value is new."""
        failing = self._failing.pop(logical, None)
        earliest = self._waiting.get(logical, revision)
        self._waiting[logical] = min(earliest, revision, failing.revision if failing else revision)

    def take(self, batch_max: int, now_ms: int) -> list[str]:
        """The next addresses to program, in the order asked; they are in flight until `settle`."""
        for logical in [logical for logical, failing in self._failing.items() if failing.due_ms <= now_ms]:
            self._waiting.setdefault(logical, self._failing[logical].revision)
        batch = list(islice(self._waiting, batch_max))
        for logical in batch:
            self._flying[logical] = self._waiting.pop(logical)
        return batch

    def settle(self, rejected: AbstractSet[str], now_ms: int) -> None:
        """The batch in flight is done but for `rejected`, which is tried again after a pause."""
        for logical, revision in self._flying.items():
            before = self._failing.pop(logical, None)
            if logical not in rejected:
                continue
            if logical in self._waiting:
                self._waiting[logical] = min(revision, self._waiting[logical])
                continue
            failures = before.failures + 1 if before else 1
            self._failing[logical] = _Failing(revision, failures, now_ms + self._backoff.pause_ms(failures))
        self._flying.clear()

    def floor(self) -> int | None:
        """The earliest revision that is not in the kernel yet; None where all are."""
        revisions = [*self._waiting.values(), *self._flying.values()]
        revisions += [failing.revision for failing in self._failing.values()]
        return min(revisions, default=None)

    def deadline_ms(self, now_ms: int) -> int | None:
        """When there is something to take: now, at the end of a pause, or never by itself."""
        if self._waiting:
            return now_ms
        idle = (failing.due_ms for logical, failing in self._failing.items() if logical not in self._flying)
        return min(idle, default=None)
