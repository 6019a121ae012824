"""Answers of a watch put together to changes: whole revisions of all watched ranges, in order."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from addrcast.adapters.stores.etcd_keys import end_of, events_of, key_range, range_of
from addrcast.core.domain.keyspace import WholeKey
from addrcast.core.domain.transaction import Change, Event
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from addrcast.adapters.stores.etcd_keys import Range
    from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire


def ranges_of(prefixes: Iterable[str], root: bytes) -> list[Range]:
    """The ranges to watch for some prefixes, none inside another one.

    Whole kinds of keys (no dot but at the end), if there are several, are watched as the one range from the first
    to the last: what lies between them is little, and changes of one range need not be put together.
    """
    kept: list[str] = []
    for prefix in sorted(set(prefixes), key=str.encode):
        if not kept or isinstance(kept[-1], WholeKey) or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    kinds = [prefix for prefix in kept if "." not in prefix[:-1]]
    if len(kinds) < 2:
        return [_range_of(prefix, root) for prefix in kept]
    hull = (root + kinds[0].encode(), end_of(root + kinds[-1].encode()))
    others = [_range_of(prefix, root) for prefix in kept if prefix not in kinds]
    return [hull, *[other for other in others if not hull[0] <= other[0] < hull[1]]]


def _range_of(prefix: str, root: bytes) -> Range:
    return key_range(root + prefix.encode()) if isinstance(prefix, WholeKey) else range_of(root + prefix.encode())


# more than that is not held back in memory
HELD_MAX = 100_000


class Assembly:
    """The changes of one stream, after the revision `passed`.

    Each watch of the stream tells its events in order and whole revisions at a time, if need be in fragments. A
    revision is complete once every watch has come past it, by an event or by a note of progress. Raises Compacted
    where more than HELD_MAX events would have to wait for that: a snapshot is smaller.
    """

    def __init__(self, root: bytes, prefixes: Sequence[str], *, watches: int, after_revision: int) -> None:
        self.passed = after_revision
        self._root = root
        self._prefixes = tuple(prefixes)
        self._watches = watches
        self._known: dict[int, int] = {}
        self._fragments: dict[int, list[Event]] = {}
        self._held: dict[int, list[Event]] = {}
        self._held_count = 0

    @property
    def is_waiting(self) -> bool:
        """Whether events are held back until the other watches have come as far."""
        return bool(self._held)

    def created(self, watch: int) -> None:
        """A watch of the stream has begun."""
        self._known[watch] = self.passed

    @property
    def is_begun(self) -> bool:
        """Whether all watches of the stream have."""
        return len(self._known) == self._watches

    def take(self, answer: wire.WatchResponse) -> list[Change]:
        """The changes that an answer with events, or a note of progress, completes."""
        watch = answer.watch_id
        if not answer.events and not self._fragments.get(watch):
            self._progress(watch, answer.header.revision)
            return self._complete()
        events = self._fragments.pop(watch, [])
        events += events_of(answer.events, self._root)
        if answer.fragment:
            self._fragments[watch] = events
            return []
        if self._watches == 1:
            return self._changes(events)
        for event in events:
            if event.mod_revision > self.passed:
                self._held.setdefault(event.mod_revision, []).append(event)
                self._held_count += 1
        if events:
            self._known[watch] = max(self._known.get(watch, 0), events[-1].mod_revision)
        changes = self._complete()
        if self._held_count > HELD_MAX:
            raise Compacted(max(self._held))
        return changes

    def _progress(self, watch: int, revision: int) -> None:
        # of all watches of the stream where it names none
        for each in [watch] if watch in self._known else list(self._known):
            self._known[each] = max(self._known[each], revision)

    def _changes(self, events: Iterable[Event]) -> list[Change]:
        changes = []
        for revision, group in groupby(events, key=lambda event: event.mod_revision):
            if revision > self.passed:
                self.passed = revision
                watched = tuple(event for event in group if event.key.startswith(self._prefixes))
                if watched:
                    changes.append(Change(revision, watched))
        return changes

    def _complete(self) -> list[Change]:
        if not self.is_begun:
            return []
        through = min(self._known.values())
        ready = sorted(revision for revision in self._held if revision <= through)
        changes = self._changes(
            event for revision in ready for event in sorted(self._held.pop(revision), key=lambda event: event.key)
        )
        self._held_count -= sum(len(change.events) for change in changes)
        self.passed = max(self.passed, through)
        return changes
