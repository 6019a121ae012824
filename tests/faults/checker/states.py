"""Every state between two changes: the rules between keys, who is refused, whose idle address is taken back."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.faults.checker.violation import Violation
from tests.faults.site import ACCOUNTS, LOGICALS, PHYSICALS, RANKS, SHARED

from addrcast.core.assignment.request import CreateRequest
from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import AddressState, Record
from addrcast.simulation.checkers import Broken, Truth
from addrcast.simulation.world.scarcity import ScarcityChecker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.faults.checker.times import Times
    from tests.faults.history import Operation

    from addrcast.core.domain.transaction import Change
    from addrcast.simulation.checkers import Name

LOWEST_FIRST = "idle addresses are taken back from the lowest tier first"


class Owned:
    """An address got an owner: at which revision, and of which life of the record."""

    def __init__(self, revision: int, name: Name, physical: str, *, is_new: bool) -> None:
        self.revision = revision
        self.name = name
        self.physical = physical
        self.is_new = is_new


class States:
    """Lives through the history once more, and judges each state.

    `full_every`: the rules of `core.domain.invariants`, which look at everything, are asked for each so many
    revisions and at the end; those of the simulation look at what a change touches, and are asked for each.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        operations: Sequence[Operation],
        *,
        after: Mapping[str, int],
        times: Times,
        founded: int,
        full_every: int = 1,
    ) -> None:
        self.truth = Truth()
        self.ledger = Ledger()
        self.owned: list[Owned] = []
        self._changes = changes
        self._founded = founded
        self._full_every = full_every
        self._after = after
        self._scarcity = ScarcityChecker(self.truth, ACCOUNTS, LOGICALS, PHYSICALS, SHARED)
        self._order = TakenBack(self.truth, operations, after)
        self.truth.on_owner.append(self._own)
        self._arrivals, self._refusals = _windows(operations, after, times, self._names_that_take_back())

    def check(self) -> Iterator[Violation]:
        """Everything that is wrong; after a broken rule nothing more can be said of later states."""
        try:
            yield from self._replay()
        except Broken as broken:
            yield Violation(broken.rule, f"at {self.truth.revision}: {broken}")
        except AddrcastError as error:
            yield Violation("the history can be read", f"at {self.truth.revision}: {error}")

    def _replay(self) -> Iterator[Violation]:
        arrivals = sorted(self._arrivals.items())
        refusals = sorted(self._refusals.items())
        for number, change in enumerate(self._changes):
            while arrivals and arrivals[0][0] < change.revision:
                self._arrive(arrivals.pop(0)[1])
            while refusals and refusals[0][0] < change.revision:
                self._refuse(refusals.pop(0)[1])
            self.truth.see(change)
            self.ledger.apply(change)
            self._scarcity.moved(0)
            yield from self._order.found()
            if change.revision >= self._founded and number % self._full_every == 0:
                yield from self._full()
        for _, requests in arrivals:
            self._arrive(requests)
        for _, requests in refusals:
            self._refuse(requests)
        yield from self._full()

    def _full(self) -> Iterator[Violation]:
        for finding in violations(self.ledger):
            yield Violation(finding.rule, f"at {self.ledger.revision}: {finding.what}: {finding.keys}")

    def _arrive(self, requests: list[CreateRequest]) -> None:
        for request in requests:
            self._scarcity.arrived(request)

    def _refuse(self, requests: list[CreateRequest]) -> None:
        for request in requests:
            self._scarcity.refused(request)

    def _own(self, name: Name, record: Record, before: Record | None) -> None:
        self.owned.append(Owned(self.truth.revision, name, record.physical, is_new=before is None))

    def _names_that_take_back(self) -> frozenset[str]:
        """The requests that had an idle address cool for them."""
        found = set()
        truth = Truth()
        truth.on_record.append(
            lambda _name, _before, record: (
                found.add(record.request) if record is not None and record.state is AddressState.COOLING else None
            )
        )
        for change in self._changes:
            try:
                truth.see(change)
            except Broken:
                break  # the replay proper tells of it
        return frozenset(found)


def _windows(
    operations: Iterable[Operation], after: Mapping[str, int], times: Times, that_take_back: frozenset[str]
) -> tuple[dict[int, list[CreateRequest]], dict[int, list[CreateRequest]]]:
    """From which revision on a create was there, and by which it was refused, of those that this matters for."""
    arrivals: dict[int, list[CreateRequest]] = defaultdict(list)
    refusals: dict[int, list[CreateRequest]] = defaultdict(list)
    for operation in operations:
        is_refused = operation.outcome == "Exhausted"
        if operation.call != "create" or not (is_refused or operation.request in that_take_back):
            continue
        request = CreateRequest(
            account=operation.account,
            instance=operation.instance,
            deadline_ms=0,
            host=operation.host,
            attempt=operation.attempt or 0,
            request=operation.request,
        )
        arrivals[after[operation.request]].append(request)
        if is_refused:
            refusals[times.last_before(operation.ended_ns)].append(request)
    return arrivals, refusals


class TakenBack:
    """Watches idle addresses that creates have taken back: was there one of a lower tier that would have served?

    Told of are only cases without doubt: a reservation of a lower tier in the same shared pool and on the same
    host, that stood untouched since before the create began, while no create of its account was under way.
    """

    def __init__(self, truth: Truth, operations: Sequence[Operation], after: Mapping[str, int]) -> None:
        self._truth = truth
        self._operations = {operation.request: operation for operation in operations}
        self._creates: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            if operation.call == "create":
                self._creates[operation.account].append(operation)
        self._after = after
        self._since: dict[Name, int] = {}
        self._found: list[Violation] = []
        truth.on_record.append(self._changed)

    def found(self) -> list[Violation]:
        """What has been found since it was last asked."""
        found, self._found = self._found, []
        return found

    def _changed(self, name: Name, before: Record | None, record: Record | None) -> None:
        self._since[name] = self._truth.revision
        if before is None or record is None or record.state is not AddressState.COOLING:
            return
        operation = self._operations.get(record.request)
        if operation is None or before.state is not AddressState.RESERVED or not before.is_shared:
            return
        for other, each in self._truth.records.items():
            if (
                each.state is AddressState.RESERVED
                and each.is_shared
                and (each.pool, each.host) == (before.pool, before.host)
                and _rank(other) > _rank(name)
                and self._since[other] <= self._after[operation.request]
                and not self._is_busy(other[0], operation)
            ):
                what = f"{name} for {record.request}, while {other} was idle since {self._since[other]}"
                self._found.append(Violation(LOWEST_FIRST, f"at {self._truth.revision}: {what}"))

    def _is_busy(self, account: str, operation: Operation) -> bool:
        """Whether a create of an account was under way that may have had the address in its hands."""
        return any(
            each.process == operation.process
            and each.begun_ns < operation.ended_ns
            and each.ended_ns > operation.begun_ns
            for each in self._creates[account]
        )


def _rank(name: Name) -> int:
    return RANKS[ACCOUNTS[name[0]].tier]
