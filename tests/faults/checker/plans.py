"""Whether a plan ever served a lower tier from a pool in which a higher one went without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.checker.violation import Violation
from tests.faults.site import ACCOUNTS, SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.faults.history import Planned

DISPLACED = "no plan displaces a higher tier with unmet need"


def check_plans(plans: Iterable[Planned]) -> Iterator[Violation]:
    """Of accounts whose only pool is one shared pool: where one went short, lower tiers got nothing of it."""
    for plan in plans:
        rows = [row for row in plan.rows if set(ACCOUNTS[row[0]].pools) <= SHARED]
        for account, rank, _, _, short in rows:
            for other, other_rank, _, reserved, _ in rows:
                if short > 0 and other_rank > rank and reserved > 0:
                    what = f"at {plan.revision} {account} lacks {short} and {other} is granted {reserved}"
                    yield Violation(DISPLACED, what)
