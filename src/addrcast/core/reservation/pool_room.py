"""What there is of each pool: counted for a plan, and what a batch of steps may still take of it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.ranges import Counts
from addrcast.core.domain.resource import PoolKind
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED

if TYPE_CHECKING:
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.reservation.plan_input import PlanInput

SUM = "+"
"""Joins the names of pools that are planned as one: the physical pools of a family. No name holds it."""

# an IPv6 prefix has more addresses than an int64 holds; that many are as good as without end
_COUNT_MAX = 1 << 48

_NONE = Counts(*[0] * len(Counts._fields))


def pool_counts(ledger: Ledger, name: str) -> Counts:
    """The addresses by state of a shared or physical pool, or of several whose names are joined by SUM.

    No figure is above 2**48. A pool that is not declared any more has none.
    """
    found = [_counts(ledger, part) for part in name.split(SUM) if ledger.pool(part).value is not None]
    return Counts(*(min(sum(column), _COUNT_MAX) for column in zip(_NONE, *found, strict=True)))


def usable_now(ledger: Ledger, name: str) -> int:
    """How many addresses new use may take, of a shared pool or of the family of physical ones; 2**48 at most.

    Of physical ones those count that lie on hosts which take new use.
    """
    pool = ledger.pool(name.partition(SUM)[0]).value
    if pool is None:
        return 0
    if pool.kind is PoolKind.LOGICAL:
        return min(ledger.counts(name).usable, _COUNT_MAX)
    family = parse_prefix(pool.prefixes[0]).family
    up = (host for host, entry in ledger.hosts().items() if entry.required.takes_use)
    return min(sum(ledger.free_count(host, family=family) for host in up), _COUNT_MAX)


def _counts(ledger: Ledger, name: str) -> Counts:
    is_physical = ledger.pool(name).required.kind is PoolKind.PHYSICAL
    return ledger.physical_counts(pool=name) if is_physical else ledger.counts(name)


class PoolRoom:
    """The addresses of the planned pools that are free in the ledger, less those already taken for this batch."""

    def __init__(self, given: PlanInput, ledger: Ledger) -> None:
        self._given = given
        self._free = np.array([usable_now(ledger, name) for name in given.pools.names], dtype=np.int64)

    def of(self, row: int) -> int:
        """How many reservations an account may take without touching what its rank leaves free."""
        _, tier = self._given.tiers[self._given.tier[row]]
        left = self._free - self._given.pools.left_free(self._given.headroom_of(tier.rank))
        return max(min((int(left[pool]) for pool in self._drawn(row)), default=UNLIMITED), 0)

    def take(self, row: int, count: int) -> None:
        """Count `count` reservations of an account as taken."""
        for pool in self._drawn(row):
            self._free[pool] -= count

    def _drawn(self, row: int) -> list[int]:
        return [pool for pool in self._given.draws[row].tolist() if pool != NO_POOL]
