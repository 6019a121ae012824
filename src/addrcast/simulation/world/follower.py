"""A ledger that follows the store over a link, as the services' view does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.keyspace import ELECTIONS, HOSTS_ALIVE, VALUE_TYPES
from addrcast.core.domain.ledger import Ledger
from addrcast.simulation.world.link import Watch, WatchReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.core.domain.transaction import Change, KeyValue
    from addrcast.simulation.store import ModelStore
    from addrcast.simulation.world.link import Link

PREFIXES = tuple(sorted({*VALUE_TYPES, HOSTS_ALIVE, ELECTIONS}))


def scan_all(model: ModelStore, prefixes: Sequence[str]) -> tuple[int, list[KeyValue]]:
    """Everything under some prefixes, and the revision at which it was read."""
    return model.revision, [item for prefix in prefixes for item in model.scan(prefix).items]


class Follower:
    """Owns a Ledger, None until its first snapshot; `moved` is called after every change of it."""

    def __init__(self, link: Link, moved: Callable[[], None], *, prefixes: tuple[str, ...] = PREFIXES) -> None:
        self.ledger: Ledger | None = None
        self._link = link
        self._moved = moved
        self._prefixes = prefixes
        self._watch: Watch | None = None
        self._is_stopped = False
        self._read()

    def stop(self) -> None:
        """The process is gone."""
        self._is_stopped = True
        if self._watch is not None:
            self._watch.stop()

    def _read(self) -> None:
        self._link.ask(lambda model: scan_all(model, self._prefixes), self._scanned)

    def _scanned(self, found: tuple[int, list[KeyValue]] | AddrcastError | None) -> None:
        if self._is_stopped:
            return
        if not isinstance(found, tuple):
            self._link.timeline.after(50, self._read)
            return
        revision, items = found
        self.ledger = Ledger.from_items(items, revision)
        self._watch = self._link.watch(self._prefixes, revision, WatchReceiver(self._changed, self._read))
        self._moved()

    def _changed(self, change: Change) -> None:
        if self.ledger is None:
            return
        if self.ledger.is_undone_by(change):
            if self._watch is not None:
                self._watch.stop()
            self._read()
        else:
            self.ledger.apply(change)
            self._moved()
