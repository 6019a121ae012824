"""Judges a run by its history: all checkers, and the figures that are printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from tests.faults.checker.calls import Calls, Versions
from tests.faults.checker.gaps import longest_gaps
from tests.faults.checker.hosts import CONVERGE, check_end, check_order, check_strangers
from tests.faults.checker.plans import check_plans
from tests.faults.checker.states import States
from tests.faults.checker.times import Times
from tests.faults.checker.violation import Violation
from tests.faults.checker.watch import check_chain, check_scans, check_watch, ours
from tests.faults.history import OK, UNKNOWN, Mapped, Operation, Planned, Scanned, Seen, Struck, Trouble, lines_of
from tests.faults.observer import WATCHERS, WHOLE
from tests.faults.run import Ran
from tests.faults.witness import changes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from addrcast.core.domain.transaction import Change

FULL_LOOKS = 1_000
"""How often the rules that look at everything are asked for in one run, evenly over its revisions (8 ms a look)."""


@dataclass(slots=True)
class Report:
    """The figures of one run or of several, and what was broken."""

    seeds: list[int] = field(default_factory=list)
    seconds: float = 0.0
    revisions: int = 0
    events: int = 0
    full_looks: int = 0
    plans: int = 0
    entries: int = 0
    scans: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    store_errors: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    unknown_happened: int = 0
    watchers: list[str] = field(default_factory=list)
    gaps: dict[str, list[float]] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Sum up several runs."""
        self.seeds += other.seeds
        self.violations += other.violations
        self.watchers += other.watchers
        for name in ("seconds", "revisions", "events", "full_looks", "plans", "entries", "scans", "unknown"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unknown_happened += other.unknown_happened
        for name in ("operations", "outcomes", "errors", "faults", "store_errors"):
            getattr(self, name).update(getattr(other, name))
        for kind, lengths in other.gaps.items():
            self.gaps.setdefault(kind, []).extend(lengths)


def judge(directory: Path, *, looks: int = FULL_LOOKS) -> Report:
    """Check everything that a run has left in a directory."""
    ran = _ran(directory)
    happened = list(changes_of(directory / "witness"))
    changes = ours(happened)
    operations = [
        operation for name in ("a", "b") for operation in lines_of(Operation, directory / f"{name}.operations")
    ]
    faults = list(lines_of(Struck, directory / "faults"))
    watched = {name: list(lines_of(Seen, directory / f"{name}.changes")) for name in WATCHERS}
    report = Report(seeds=[ran.seed], revisions=len(changes), seconds=(ran.calm_ns - ran.begun_ns) / 1e9)
    report.events = sum(len(change.events) for change in changes)
    report.watchers = [f"{ran.watchers} etcdctl={ran.witness_starts - 1}"]
    report.faults = Counter(fault.kind for fault in faults)
    report.gaps = longest_gaps(operations, faults, until_ns=ran.calm_ns)
    for path in directory.glob("*.troubles"):
        report.store_errors.update(f"{each.call} {each.error}" for each in lines_of(Trouble, path))
    found = report.violations
    found += _ends(ran, directory)
    found += check_chain(happened, is_whole=True)
    for name, lines in watched.items():
        found += check_watch(name, lines, changes, is_whole=name in WHOLE)
    scans = list(lines_of(Scanned, directory / "scans"))
    report.scans = len(scans)
    found += check_scans(scans, changes)
    receipts = [line for name in WHOLE for line in watched[name]]
    calls = Calls(operations, Versions(changes), receipts)
    found += calls.check()
    _count(report, calls)
    found += _judge_states(report, directory, changes=changes, calls=calls, receipts=receipts, looks=looks)
    return report


def _judge_states(
    report: Report, directory: Path, *, changes: list[Change], calls: Calls, receipts: list[Seen], looks: int
) -> Iterator[Violation]:
    ran = _ran(directory)
    times = Times(receipts, calls.operations, calls.points)
    every = max(1, len(changes) // looks)
    states = States(
        changes, calls.operations, after=calls.after, times=times, founded=ran.founded, full_every=every
    )
    report.full_looks = len(changes) // every
    yield from states.check()
    mapped = list(lines_of(Mapped, directory / "tables"))
    report.entries = len(mapped)
    yield from check_strangers(mapped, states.owned, times)
    yield from check_order(mapped, states.truth.history)
    yield from check_end(states.ledger, ran.tables)
    plans = list(lines_of(Planned, directory / "plans"))
    report.plans = len(plans)
    yield from check_plans(plans)


def _ran(directory: Path) -> Ran:
    return msgspec.json.decode((directory / "ran.json").read_bytes(), type=Ran)


def _ends(ran: Ran, directory: Path) -> Iterator[Violation]:
    """What a run found out about itself."""
    if ran.unsettled:
        yield Violation(CONVERGE, f"in the calm end: {ran.unsettled}")
    crashes = directory / "crashes"
    if crashes.exists():
        yield Violation("no service ends by itself", crashes.read_text())
    for told in (*ran.callers, *ran.watchers.split(" ")):
        if told != "done" and "=" not in told:
            yield Violation("no service ends by itself", told)


def _count(report: Report, calls: Calls) -> None:
    for operation in calls.operations:
        report.operations[operation.call] += 1
        if operation.outcome != OK:
            report.errors[f"{operation.call} {operation.outcome}"] += 1
        elif operation.call == "create":
            report.outcomes["repeat" if not operation.is_change else operation.how] += 1
        if operation.outcome in UNKNOWN:
            report.unknown += 1
            report.unknown_happened += operation.request in calls.points
