"""The figures of a report as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.schedule import FAULTS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tests.faults.judge import Report


def lines_of(report: Report) -> Iterator[str]:
    """Operations, faults, errors, unknown outcomes, gaps, violations."""
    first, last = report.seeds[0], report.seeds[-1]
    yield f"seeds {first} to {last}, {report.seconds:.0f} s under faults"
    bindings = sum(count for how, count in report.outcomes.items() if how != "repeat")
    yield f"operations   {report.operations.total()}: {_counts(report.operations)}"
    yield f"bindings     {bindings} ({bindings / max(1.0, report.seconds):.0f}/s): {_counts(report.outcomes)}"
    yield f"faults       {report.faults.total()}: {_counts(report.faults)}"
    yield f"errors       {report.errors.total()}: {_counts(report.errors)}"
    yield f"of the store {report.store_errors.total()}: {_counts(report.store_errors)}"
    yield f"unknown      {report.unknown} to callers, of which {report.unknown_happened} had happened"
    yield f"revisions    {report.revisions} with {report.events} events, {report.scans} scans compared"
    yield f"looks        {report.full_looks} at whole states, and at each change by itself; {report.plans} plans"
    yield f"tables       {report.entries} changes of entries"
    yield f"watchers     times begun again/compacted: {'; '.join(report.watchers)}"
    yield "longest time without a binding, s: median and largest by fault"
    for kind in (*FAULTS, "calm"):
        lengths = sorted(report.gaps.get(kind, ()))
        if lengths:
            yield f"  {kind:22} {lengths[len(lengths) // 2]:5.2f} {lengths[-1]:5.2f}  ({len(lengths)})"
    yield f"violations   {len(report.violations)}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
