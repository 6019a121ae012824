"""Whether the calls are linearizable: each has a point while it was under way at which its answer was true.

The store's revisions are the witness. A call that wrote has its point where its name stands in the history; one
that only looked may have any at which the instance was as the answer says. What remains to be shown is that these
points keep to real time: a call that began after another one had ended comes after it. Since a point that is as
early as possible leaves the most to those that come later, taking calls by their begin and giving each the earliest
point that it may have decides the question. It is decided for the whole store at once, which includes every
instance and every address by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec.structs import replace
from tests.faults.checker.violation import Violation
from tests.faults.history import OK, UNKNOWN

from addrcast.core.domain.codec import decode
from addrcast.core.domain.identity import unescape_instance
from addrcast.core.domain.keyspace import INSTANCES, RECORDS, parts_of
from addrcast.core.domain.record import AddressState, InstanceEntry, InstanceState, Record

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from tests.faults.history import Operation, Seen

    from addrcast.core.domain.transaction import Change

Name = tuple[str, str]

LOST = "no acknowledged write is missing"
REFUSED = "what is refused does not happen"
TWICE = "a call is carried out once"
ORDER = "calls keep to real time"
STALE = "answers were true while the call was under way"
WRONG = "answers say what was written"
CAUSE = "every change of an instance has a call that asked for it"


class Versions:
    """What stood at every instance and record at every revision, and which request wrote it."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.instances: dict[Name, list[tuple[int, InstanceEntry | None]]] = defaultdict(lambda: [(0, None)])
        self.records: dict[Name, list[tuple[int, Record | None]]] = defaultdict(lambda: [(0, None)])
        self.written: dict[str, list[tuple[int, Name]]] = defaultdict(list)
        for change in changes:
            for event in change.events:
                kind, account, rest = parts_of(event.key)
                if kind == INSTANCES:
                    self._instance((account, unescape_instance(rest)), change.revision, event.key, event.value)
                elif kind == RECORDS:
                    record = None if event.value is None else decode(event.key, event.value)
                    assert record is None or isinstance(record, Record)
                    self.records[(account, rest)].append((change.revision, record))

    def _instance(self, name: Name, revision: int, key: str, data: bytes | None) -> None:
        entry = None if data is None else decode(key, data)
        assert entry is None or isinstance(entry, InstanceEntry)
        self.instances[name].append((revision, entry))
        if entry is not None:
            self.written[entry.request].append((revision, name))

    def instance_at(self, name: Name, revision: int) -> tuple[int, InstanceEntry | None]:
        """What stood at an instance, and since when."""
        versions = self.instances[name]
        return versions[bisect_right(versions, revision, key=lambda version: version[0]) - 1]

    def record_at(self, name: Name, revision: int) -> Record | None:
        versions = self.records[name]
        return versions[bisect_right(versions, revision, key=lambda version: version[0]) - 1][1]


class Calls:
    """Gives each call its point, and finds what cannot have one.

    `after` is, by request, the newest revision that is known to have been there before the call began.
    """

    def __init__(self, operations: Iterable[Operation], versions: Versions, receipts: Sequence[Seen] = ()) -> None:
        self.operations = sorted(operations, key=lambda operation: operation.begun_ns)
        self.after: dict[str, int] = {}
        self.points: dict[str, int] = {}
        self._versions = versions
        self._later = self._first_points()
        self._receipts = sorted((line.at_ns, line.revision) for line in receipts if not line.gap)

    def _first_points(self) -> list[tuple[int, int]]:
        """By the time from which on calls began: the first revision that any of them wrote, latest time first."""
        found: list[tuple[int, int]] = []
        for operation in reversed(self.operations):
            for revision, _ in self._versions.written.get(operation.request, ()):
                if not found or revision < found[-1][1]:
                    found.append((operation.begun_ns, revision))
        return found[::-1]

    def _before(self, at_ns: int) -> int:
        """A revision that cannot have been written by a time: a call that began later wrote it."""
        place = bisect_right(self._later, at_ns, key=lambda pair: pair[0])
        return self._later[place][1] if place < len(self._later) else 1 << 62

    def check(self) -> Iterator[Violation]:
        """Everything that is wrong."""
        done = told = place = 0
        under_way: list[tuple[int, int]] = []
        for operation in self.operations:
            while under_way and under_way[0][0] < operation.begun_ns:
                done = max(done, heappop(under_way)[1])
            while place < len(self._receipts) and self._receipts[place][0] < operation.begun_ns:
                told = max(told, self._receipts[place][1])
                place += 1
            self.after[operation.request] = done
            # the store's own reads must show what a watcher has been told; views may be behind it
            point = yield from self._point(operation, max(done, told) if operation.call == "read" else done)
            if point:
                self.points[operation.request] = point
                if operation.outcome == OK:
                    heappush(under_way, (operation.ended_ns, point))
        yield from self._causes()

    def _point(self, operation: Operation, after: int) -> Generator[Violation, None, int]:
        """The point of a call, 0 where it has none; what comes out of it is wrong."""
        written = self._versions.written.get(operation.request, [])
        if len(written) > 1:
            yield Violation(TWICE, f"{_of(operation)} at {[revision for revision, _ in written]}")
        if operation.call == "read":
            return (yield from self._read(operation, after))
        if written:
            return (yield from self._write(operation, after, written[0][0]))
        if operation.outcome == OK:
            if operation.is_change:
                yield Violation(LOST, f"{_of(operation)} was told {operation.revision}")
                return 0
            return (yield from self._look(operation, after))
        if operation.outcome == "Stale":
            return (yield from self._look(operation, after))
        return 0

    def _write(self, operation: Operation, after: int, revision: int) -> Generator[Violation, None, int]:
        if operation.outcome == "Stale" and self._is_over(operation, revision):
            return revision
        if operation.outcome != OK and operation.outcome not in UNKNOWN:
            what = f"{_of(operation)} was told {operation.outcome} ({operation.said}), it happened at {revision}"
            yield Violation(REFUSED, what)
        if revision <= after:
            what = f"{_of(operation)} was carried out at {revision}, before it was asked for: {after} was answered"
            yield Violation(ORDER, what)
        if operation.outcome == OK and operation.call == "delete" and operation.revision > revision:
            # it was in doubt, and done when it was looked for: the answer is that of a delete that finds nothing
            return (yield from self._look(operation, max(after, revision)))
        if operation.outcome == OK and (wrong := self._wrong(operation, revision)):
            yield Violation(WRONG, f"{_of(operation)} at {revision}: {wrong}")
        return revision

    def _is_over(self, operation: Operation, revision: int) -> bool:
        """Whether what a call wrote was ended by another one; being in doubt, it was told that it is late."""
        later = self._versions.instances[operation_name(operation)]
        return any(since > revision and entry is not None for since, entry in later)

    def _wrong(self, operation: Operation, revision: int) -> str:
        """What an answer says otherwise than what the call wrote."""
        _, entry = self._versions.instance_at(operation_name(operation), revision)
        assert entry is not None
        if operation.revision != revision:
            return f"it was told {operation.revision}"
        if operation.got_attempt != entry.attempt:
            return f"it was told attempt {operation.got_attempt}, {entry.attempt} is written"
        if operation.call == "delete":
            return "" if entry.state is InstanceState.TOMBSTONE else "no tombstone is written"
        if entry.state is not InstanceState.BOUND:
            return "no binding is written"
        return self._other_addresses(operation, entry, revision)

    def _other_addresses(self, operation: Operation, entry: InstanceEntry, revision: int) -> str:
        told = tuple(each.logical for each in operation.addresses)
        if told != entry.addresses:
            return f"it was told {told}, {entry.addresses} are bound"
        for each in operation.addresses:
            record = self._versions.record_at((operation.account, each.logical), revision)
            if record is None or record.state is not AddressState.BOUND or record.instance != operation.instance:
                return f"{each.logical} is {record}"
            if (each.physical, each.host) != (record.physical, record.host):
                return f"it was told {each}, it is {record}"
        return ""

    def _look(self, operation: Operation, after: int) -> Generator[Violation, None, int]:
        """The earliest point at which an answer that wrote nothing was true."""
        versions = self._versions.instances[operation_name(operation)]
        if operation.outcome == "Stale":
            # a refusal promises nothing: it may be of an older view, as long as it was true at some time
            if not any(self._is_true(operation, since, entry, since) for since, entry in versions):
                yield Violation(STALE, f"{_of(operation)} was told {operation.said}, which never was so")
            return 0
        first = bisect_right(versions, after, key=lambda version: version[0]) - 1
        if operation.call == "delete" and operation.attempt is None:
            operation = _pinned(operation, versions[first][1])
        for since, entry in versions[first:]:
            point = max(since, after)
            if point >= self._before(operation.ended_ns):
                break
            if self._is_true(operation, since, entry, point):
                return point
        what = f"{_of(operation)} was told {operation.outcome} {operation.revision} {operation.addresses}"
        yield Violation(
            STALE, f"{what}{operation.said}; {after} was answered before, {versions[first][1]} is since"
        )
        return 0

    def _is_true(self, operation: Operation, since: int, entry: InstanceEntry | None, point: int) -> bool:
        is_bound = entry is not None and entry.state is InstanceState.BOUND
        attempt = operation.attempt
        if operation.call == "delete":
            assert operation.outcome == OK, operation
            return not is_bound or (attempt is not None and entry is not None and entry.attempt > attempt)
        assert attempt is not None
        if operation.outcome == "Stale":
            return entry is not None and (entry.attempt > attempt or (not is_bound and entry.attempt == attempt))
        if entry is None or not is_bound or entry.attempt != attempt or since != operation.revision:
            return False
        return not self._other_addresses(operation, entry, point)

    def _read(self, operation: Operation, after: int) -> Generator[Violation, None, int]:
        if operation.outcome != OK:
            return 0
        if operation.revision < after:
            what = f"{_of(operation)} read revision {operation.revision}, {after} was there before"
            yield Violation(STALE, what)
        _, entry = self._versions.instance_at(operation_name(operation), operation.revision)
        found = ("", 0, ()) if entry is None else (entry.state.value, entry.attempt, entry.addresses)
        told = operation.how, operation.got_attempt, tuple(each.logical for each in operation.addresses)
        if told != found:
            yield Violation(STALE, f"{_of(operation)} read {told} at {operation.revision}, {found} was there")
        return operation.revision

    def _causes(self) -> Iterator[Violation]:
        """Each change of an instance is what a call of that instance asked for."""
        by_request = {operation.request: operation for operation in self.operations}
        for name, versions in self._versions.instances.items():
            for (_, before), (revision, entry) in pairwise(versions):
                wrong = _wrong_cause(name, before, entry, by_request)
                if wrong:
                    yield Violation(CAUSE, f"{name} at {revision}, {before} to {entry}: {wrong}")


def _wrong_cause(
    name: Name, before: InstanceEntry | None, entry: InstanceEntry | None, by_request: Mapping[str, Operation]
) -> str:
    if entry is None:
        return "" if before is not None and before.state is InstanceState.TOMBSTONE else "only tombstones end"
    operation = by_request.get(entry.request)
    if operation is None or operation_name(operation) != name:
        return f"no call is {entry.request!r}"
    is_bound = entry.state is InstanceState.BOUND
    if operation.call != ("create" if is_bound else "delete"):
        return f"{operation.call} was asked for"
    if operation.attempt is not None and operation.attempt != entry.attempt:
        return f"attempt {operation.attempt} was asked for"
    return "the attempt is over" if before is not None and _is_over(before, entry) else ""


def _is_over(before: InstanceEntry, entry: InstanceEntry) -> bool:
    """A delete may end the very attempt that it names; everything else has to be of a later one."""
    is_ended = before.state is InstanceState.BOUND and entry.state is InstanceState.TOMBSTONE
    return before.attempt > entry.attempt or (before.attempt == entry.attempt and not is_ended)


def _pinned(operation: Operation, entry: InstanceEntry | None) -> Operation:
    """A delete of whatever is bound is one of the attempt that was bound at some time while it was under way."""
    is_bound = entry is not None and entry.state is InstanceState.BOUND
    return replace(operation, attempt=entry.attempt) if entry is not None and is_bound else operation


def operation_name(operation: Operation) -> Name:
    return operation.account, operation.instance


def _of(operation: Operation) -> str:
    number = "any" if operation.attempt is None else operation.attempt
    return f"{operation.call} {operation.request} of {operation.account}/{operation.instance} attempt {number}"
