"""One plan for a million accounts in scarce pools: seconds against the goal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.resource import DEFAULT_TIERS
from addrcast.core.reservation.plan import plan_for
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED, PlanInput, PoolColumns
from benchmarks.row import below, table

if TYPE_CHECKING:
    from addrcast.core.reservation.plan import Plan
    from benchmarks.row import Row

GOAL_S = 5.0
LEVELS = np.array([0.5, 0.8, 0.9, 0.95, 0.98, 0.99])


def fleet(accounts: int, *, shared_pools: int = 64, seed: int = 7) -> PlanInput:
    """Accounts with skewed needs; half of them share logical pools, all of them compete for one physical pool."""
    dice = np.random.default_rng(seed)
    scale = dice.lognormal(0.0, 1.2, size=(accounts, 1))
    need = (scale * -np.log1p(-LEVELS) * dice.uniform(0.6, 1.4, size=(accounts, 1))).astype(np.float32)
    tier = dice.choice(3, size=accounts, p=[0.1, 0.3, 0.6]).astype(np.int16)
    shared = dice.integers(0, 2 * shared_pools, size=accounts)
    logical = np.where(shared < shared_pools, shared, NO_POOL)
    draws = np.stack([logical, np.full(accounts, shared_pools)], axis=1).astype(np.int32)
    reserved = dice.poisson(1.0, size=accounts).astype(np.int32)
    preserved = dice.poisson(0.5, size=accounts).astype(np.int32)
    names = (*(f"shared-{pool:03d}" for pool in range(shared_pools)), "physical")
    held = np.bincount(draws.ravel()[draws.ravel() >= 0], np.repeat(reserved, 2)[draws.ravel() >= 0])
    total = np.append(np.full(shared_pools, 3 * accounts // shared_pools), 4 * accounts).astype(np.int64)
    return PlanInput(
        accounts=tuple(f"account-{row:09d}" for row in range(accounts)),
        levels=LEVELS,
        need=need,
        fault=(dice.random(accounts) < 0.01).astype(np.uint8),
        tiers=tuple(DEFAULT_TIERS.items()),
        tier=tier,
        preserved=preserved,
        within_hold=preserved // 2,
        reserved=reserved,
        bound=dice.poisson(20 * scale[:, 0]).astype(np.int32),
        quota=np.where(dice.random(accounts) < 0.2, 25, UNLIMITED).astype(np.int32),
        room=np.full(accounts, UNLIMITED, dtype=np.int32),
        pools=PoolColumns(
            names=names,
            total=total,
            free=total // 6,
            reserved=held.astype(np.int64),
            preserved=total // 10,
            cooling=total // 50,
            holding_price=np.zeros(len(names)),
        ),
        draws=draws,
        unwanted_rounds=np.zeros(accounts, dtype=np.int32),
        approved=reserved,
        wanted_before=reserved + preserved,
        revision=1,
        now_ms=0,
    )


def measure(accounts: int, *, rounds: int = 3) -> tuple[float, Plan]:
    """The least seconds one plan took, and the plan."""
    given = fleet(accounts)
    took_s = []
    for _ in range(rounds):
        start_s = time.perf_counter()
        plan = plan_for(given)
        took_s.append(time.perf_counter() - start_s)
    return min(took_s), plan


def rows(*, accounts: int = 1_000_000) -> list[Row]:
    """The rows for the table of `make bench`."""
    value, _ = measure(accounts)
    return [below(f"one plan for {accounts:,} accounts", value, "s", limit=GOAL_S)]


if __name__ == "__main__":
    print(table(rows()))
