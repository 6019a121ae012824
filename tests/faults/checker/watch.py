"""Whether watchers were told everything, in order, once; and whether scans show what the changes add up to."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from tests.faults.checker.violation import Violation

from addrcast.runtime.view import PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.faults.history import Put, Scanned, Seen

    from addrcast.core.domain.transaction import Change, Event

MISSED = "the watch misses nothing"
ONCE = "the watch tells everything once, in order"
TRUE = "the watch tells what happened"
SCANS = "scans show the state of their revision"
CHAIN = "revisions follow each other"


def check_chain(changes: Sequence[Change], *, is_whole: bool) -> Iterator[Violation]:
    """Every key's revisions go on from what stood there; where all keys were watched, no revision is left out."""
    created: dict[str, int] = {}
    before = changes[0].revision - 1 if changes else 0
    for change in changes:
        if change.revision <= before or (is_whole and change.revision != before + 1):
            yield Violation(CHAIN, f"revision {change.revision} comes after {before}")
        before = change.revision
        for event in change.events:
            known = created.get(event.key, 0)
            if event.mod_revision != change.revision:
                yield Violation(CHAIN, f"{event.key} at {event.mod_revision} is told of at {change.revision}")
            if event.value is None:
                if not known:
                    yield Violation(CHAIN, f"{event.key}, removed at {change.revision}, was not there")
                created.pop(event.key, None)
            else:
                if event.create_revision != (known or change.revision):
                    what = f"{event.key} at {change.revision} was created at {event.create_revision}"
                    yield Violation(CHAIN, f"{what}, not at {known or change.revision}")
                created[event.key] = event.create_revision


def check_watch(
    name: str, lines: Iterable[Seen], changes: Sequence[Change], *, is_whole: bool = True
) -> Iterator[Violation]:
    """Compare what one watcher was told with all that happened; only one that is not `is_whole` may have gaps."""
    happened = {change.revision: change for change in changes}
    order = [change.revision for change in changes]
    at, has_gap = 0, False
    for line in lines:
        if line.gap:
            # a snapshot stands for what came before it
            if line.revision <= at:
                yield Violation(MISSED, f"{name} was told that {line.revision} is the oldest, it was at {at}")
            has_gap = True
        elif line.begins:
            if not has_gap and line.revision != at:
                yield Violation(MISSED, f"{name} began again after {line.revision}, it was at {at}")
            if has_gap and is_whole:
                # compaction never takes what these have yet to see
                lost = _between(order, at, line.revision)
                yield from (Violation(MISSED, f"{name} was not told of {each}, compacted") for each in lost)
            at, has_gap = max(at, line.revision), False
        else:
            yield from _check_line(name, line, at, happened, order)
            at = max(at, line.revision)
    yield from (Violation(MISSED, f"{name} was not told of {each}") for each in _between(order, at, order[-1]))


def _check_line(
    name: str, line: Seen, at: int, happened: dict[int, Change], order: list[int]
) -> Iterator[Violation]:
    if line.revision < at or (line.events and line.revision == at):
        yield Violation(ONCE, f"{name} was told of {line.revision} when it was at {at}")
        return
    last = line.revision - 1 if line.events else line.revision
    for missed in _between(order, at, last):
        yield Violation(MISSED, f"{name} was told of {line.revision} after {at}, not of {missed}")
    if line.events:
        change = happened.get(line.revision)
        told = sorted(_told(put) for put in line.events)
        if change is None or told != sorted(map(_happened, change.events)):
            yield Violation(TRUE, f"{name} was told of {line.revision} {told}, it was {change}")


def _between(order: list[int], after: int, last: int) -> list[int]:
    """The revisions of (after, last]."""
    return order[bisect_right(order, after) : bisect_right(order, last)]


def _told(put: Put) -> tuple[str, bool, str, int, int]:
    return put.key, put.value is None, put.value or "", put.created if put.value is not None else 0, put.modified


def _happened(event: Event) -> tuple[str, bool, str, int, int]:
    value = event.value
    created = event.create_revision if value is not None else 0
    return event.key, value is None, (value or b"").decode(), created, event.mod_revision


def check_scans(scans: Iterable[Scanned], changes: Sequence[Change]) -> Iterator[Violation]:
    """Compare each scan with what the changes up to its revision add up to."""
    state: dict[str, tuple[int, int, str]] = {}
    place = 0
    for scan in sorted(scans, key=lambda scan: scan.revision):
        while place < len(changes) and changes[place].revision <= scan.revision:
            for event in changes[place].events:
                if event.value is None:
                    state.pop(event.key, None)
                else:
                    state[event.key] = (event.create_revision, event.mod_revision, event.value.decode())
            place += 1
        found = {key: (created, modified, value) for key, created, modified, value in scan.items}
        wrong = sorted(key for key in found.keys() | state.keys() if found.get(key) != state.get(key))
        if wrong:
            first = wrong[0]
            what = f"{first} is {found.get(first)} in the scan at {scan.revision}, {state.get(first)} by the watch"
            yield Violation(SCANS, f"{what}; {len(wrong)} keys differ")


def ours(changes: Iterable[Change]) -> list[Change]:
    """The changes of the keys that the project's watchers ask for."""
    found = []
    for change in changes:
        events = tuple(event for event in change.events if event.key.startswith(PREFIXES))
        if events:
            found.append(type(change)(change.revision, events))
    return found
