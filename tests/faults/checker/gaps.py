"""How long nobody got a binding, and while which fault."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.faults.history import OK
from tests.faults.schedule import MEMBER_FAULTS, SIDE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.faults.history import Operation, Struck

AFTER_NS = 500_000_000
"""A gap counts for a fault also where it begins so soon after the fault was mended."""


def longest_gaps(
    operations: Iterable[Operation], faults: Sequence[Struck], *, until_ns: int
) -> dict[str, list[float]]:
    """For each kind of fault and each time it struck, the longest time without a binding, in seconds.

    Where faults meet, a gap counts for what befell a member; `calm` is the longest that no fault had a part in.
    What was under way at `until_ns` does not count.
    """
    bindings = sorted(
        operation.ended_ns
        for operation in operations
        if operation.call == "create" and operation.outcome == OK and operation.is_change
    )
    pairs = [(begin, end) for begin, end in pairwise(bindings) if end <= until_ns]
    found: dict[str, list[float]] = defaultdict(list)
    for lane in (MEMBER_FAULTS, SIDE_FAULTS):
        told: set[tuple[int, int]] = set()
        for fault in faults:
            if fault.kind in lane:
                last_ns = fault.ended_ns + AFTER_NS
                over = [(begin, end) for begin, end in pairs if end > fault.begun_ns and begin < last_ns]
                told.update(over)
                found[fault.kind].append(_longest(over))
        pairs = [pair for pair in pairs if pair not in told]
    found["calm"] = [_longest(pairs)]
    return dict(found)


def _longest(pairs: Sequence[tuple[int, int]]) -> float:
    return max((end - begin for begin, end in pairs), default=0) / 1e9
