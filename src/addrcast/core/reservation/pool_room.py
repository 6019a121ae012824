"""How much of each pool a batch of steps may still take, now rather than once what is cooling has come free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.resource import PoolKind
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED

if TYPE_CHECKING:
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.reservation.plan_input import PlanInput


class PoolRoom:
    """The addresses of the planned pools that are free in the ledger, less those already taken for this batch."""

    def __init__(self, given: PlanInput, ledger: Ledger) -> None:
        self._given = given
        self._free = np.array([_free(ledger, name) for name in given.pools.names], dtype=np.int64)

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


def _free(ledger: Ledger, name: str) -> int:
    pool = ledger.pool(name).value
    if pool is None:
        return 0
    counts = ledger.physical_counts(pool=name) if pool.kind is PoolKind.PHYSICAL else ledger.counts(name)
    return counts.usable
