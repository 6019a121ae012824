"""A host's own view of the records of one account: a snapshot, then changes, never backwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from addrcast.core.domain.errors import Stale
from addrcast.core.domain.record import Record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All records of one account at one revision, read linearizably, with the store's epoch at it.

    `unread` are addresses whose record is there but could not be read, known once `records` came to its end.
    """

    epoch: int
    revision: int
    records: Iterable[tuple[str, Record]]
    unread: Collection[str] = ()


class AccountMirror(Generic[T]):
    """What a host keeps of each record of an account.

    `keep` makes of a record what is kept, None for nothing; a record takes no more memory than that. Reading goes
    `begin`, then `adopt`; the changes that come in between are laid over the snapshot, which may be older.

    Invariants: `revision` never falls within an epoch; no change at or below it has an effect; where more than
    `removal_max` entries are only absent from a snapshot, with no record that says so, they stay until a second
    snapshot lacks them.
    """

    __slots__ = ("_doubted", "_floor", "_keep", "_newer", "_removal_max", "epoch", "is_synced", "kept", "revision")

    def __init__(self, keep: Callable[[Record], T | None], *, removal_max: int) -> None:
        self._keep = keep
        self._removal_max = removal_max
        self._doubted: set[str] = set()
        self._newer: dict[str, tuple[int, Record | None]] = {}
        self._floor = 0
        self.kept: dict[str, T] = {}
        self.epoch = 0
        self.revision = 0
        self.is_synced = False

    @property
    def doubted(self) -> int:
        """How many entries wait for a second snapshot before they are removed."""
        return len(self._doubted)

    def begin(self, epoch: int) -> None:
        """A snapshot is asked for: from here on the view has gaps, until one is adopted.

        In a newer epoch revisions may start again at any number, as after a restore.
        """
        if epoch > self.epoch:
            self.epoch, self.revision = epoch, 0
            self._newer.clear()
        self._floor = self.revision
        self.is_synced = False

    def adopt(self, snapshot: Snapshot, *, present: dict[str, T] | None = None) -> list[str]:
        """Take a snapshot; answers with the addresses whose kept value changed, in ascending order.

        `present` is what the host has to start with (its kernel table, after a restart). The view is synced
        unless entries are doubted. Raises: Stale for a snapshot of an older epoch, or of an older revision than
        was known when it was asked for; it is to be begun again.
        """
        if (snapshot.epoch, snapshot.revision) < (self.epoch, self._floor):
            raise Stale(
                f"a snapshot of epoch {snapshot.epoch} at revision {snapshot.revision} is older than what is known,"
                f" epoch {self.epoch} at revision {self._floor}; read it again from another member"
            )
        if present is not None:
            self.kept = present
        newer = {name: record for name, (at, record) in self._newer.items() if at > snapshot.revision}
        seen = set(newer)
        changed = [logical for logical, record in newer.items() if self._put(logical, record)]
        for logical, record in snapshot.records:
            if logical not in seen:
                seen.add(logical)
                if self._put(logical, record):
                    changed.append(logical)
        lacking = self.kept.keys() - seen - set(snapshot.unread)
        confirmed = lacking & self._doubted
        if len(lacking - confirmed) <= self._removal_max:
            confirmed = lacking
        for logical in confirmed:
            del self.kept[logical]
        self._doubted = set(lacking - confirmed)
        self._newer.clear()
        self.epoch, self.revision = snapshot.epoch, max(snapshot.revision, self.revision)
        self.is_synced = not self._doubted
        return sorted([*changed, *confirmed])

    def change(self, logical: str, record: Record | None, revision: int) -> bool:
        """Take one change; true where the kept value is another than before. An older one has no effect."""
        if revision <= self.revision:
            return False
        self._doubted.discard(logical)
        if not self.is_synced:
            self._newer[logical] = (revision, record)
        return self._put(logical, record)

    def advance(self, revision: int) -> None:
        """All changes up to a revision have been taken."""
        self.revision = max(self.revision, revision)

    def _put(self, logical: str, record: Record | None) -> bool:
        value = None if record is None else self._keep(record)
        if value is None:
            return self.kept.pop(logical, None) is not None
        before, self.kept[logical] = self.kept.get(logical), value
        return before != value
