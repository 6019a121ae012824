"""The one store of a world: every change is told to its watchers and shown to the checkers."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from addrcast.core.domain.codec import decode, encode
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import EpochState, StoreEpoch
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.simulation.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from addrcast.core.domain.transaction import Change
    from addrcast.simulation.world.timeline import Timeline


class Site:
    """Owns the model store; `lineage` counts how often it was replaced by an older state.

    Whoever changes `model` calls `publish` before anything else happens.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.model = ModelStore()
        self.lineage = 0
        self.on_change: list[Callable[[Change], None]] = []
        self.on_restore: list[Callable[[], None]] = []
        self.watchers: dict[int, Callable[[], None]] = {}
        self._timeline = timeline
        self._published = 0
        self._entered = 0
        self._epoch_revisions: set[int] = set()

    def publish(self) -> None:
        """Show what is new to the checkers, then let the watchers know."""
        if self.model.revision == self._published:
            return
        changes = self.model.changes(("",), after_revision=self._published, up_to=self.model.revision)
        self._published = self.model.revision
        for change in changes:
            if any(event.key == EPOCH for event in change.events):
                self._epoch_revisions.add(change.revision)
            written = " ".join(f"{event.key}{'' if event.value is None else '+'}" for event in change.events)
            self._timeline.note("store", f"{change.revision} {written}")
        for change in changes:
            for see in self.on_change:
                see(change)
        self.wake()

    def enter(self, watcher: Callable[[], None]) -> int:
        """Let a watcher know of changes from now on, until its number is taken out of `watchers`."""
        self._entered += 1
        self.watchers[self._entered] = watcher
        return self._entered

    def wake(self) -> None:
        """Let every watcher look."""
        for watcher in list(self.watchers.values()):
            watcher()

    def expire(self) -> None:
        """End the leases whose time is over."""
        self.model.expire(now_ms=self._timeline.now_ms)
        self.publish()

    def backup(self) -> ModelStore:
        """The store as it stands."""
        return deepcopy(self.model)

    def restore(self, backup: ModelStore, *, with_epoch: bool) -> None:
        """Go back to a backup: revisions go back too, the epoch goes up by one and the store is closed.

        At no revision does it stand twice: by that number alone a transaction of the lost time could compare well.
        A real restore writes every key anew, so that there all that it compares would have to agree by chance.
        """
        before = _epoch_of(self.model)
        self.model = backup
        if with_epoch:
            # above both, since the lost time may itself have seen a restore
            epoch = StoreEpoch(epoch=max(before, _epoch_of(backup)) + 1, state=EpochState.CLOSED)
            for _ in range(len(self._epoch_revisions)):
                if self.model.revision + 1 in self._epoch_revisions:
                    self.model.commit([Transaction((), (Put("restored", b""),))])
            self.model.commit([Transaction((), (Put(EPOCH, encode(epoch)),))])
            self._epoch_revisions.add(self.model.revision)
        self.lineage += 1
        self._published = self.model.revision
        self._timeline.note("store", f"restored at {self.model.revision}")
        for tell in self.on_restore:
            tell()
        self.wake()


def _epoch_of(model: ModelStore) -> int:
    items = model.read([EPOCH]).items
    value = decode(EPOCH, items[0].value) if items else None
    return value.epoch if isinstance(value, StoreEpoch) else 0
