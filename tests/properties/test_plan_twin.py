"""The vectorised plan beside a naive twin that sells one unit after the other, and beside its own promises."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.core.reservation.fleet import plan_input, pool_columns, tier

from addrcast.core.reservation.explanation import explain, to_json
from addrcast.core.reservation.plan import plan_for
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED
from addrcast.core.reservation.ration import _SORTED_MAX

if TYPE_CHECKING:
    from addrcast.core.domain.resource import Tier
    from addrcast.core.reservation.plan_input import PlanInput

LEVELS = (0.5, 0.8, 0.95)
NEAR = 1e-9


@st.composite
def fleets(draw: st.DrawFn, *, is_nested: bool) -> PlanInput:
    """Up to eight accounts of up to three tiers, in logical pools inside one physical; else in any two pools."""
    tiers = {
        f"t{index}": tier(
            rank=draw(st.integers(0, 2)),
            weight=draw(st.sampled_from([0.5, 1.0, 2.0, 4.0])),
            service_level=draw(st.sampled_from([0.5, 0.77, 0.9, 0.95, 0.98])),
            headroom=draw(st.sampled_from([0.0, 0.05, 0.25])),
        )
        for index in range(draw(st.integers(1, 3)))
    }
    size = draw(st.integers(1, 8))
    rows = st.lists(st.integers(0, 9), min_size=3, max_size=3).map(sorted)
    pools = pool_columns(
        *(
            {
                "name": f"p{index}",
                "free": draw(st.integers(0, 20)),
                "reserved": draw(st.integers(0, 10)),
                "cooling": draw(st.integers(0, 3)),
                "preserved": draw(st.integers(0, 5)),
                "holding_price": draw(st.sampled_from([0.0, 0.0, 0.3])),
            }
            for index in range(3)
        )
    )
    first = st.sampled_from([NO_POOL, 0, 1])
    second = st.just(2) if is_nested else st.sampled_from([NO_POOL, 2])

    def column(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=size, max_size=size))

    preserved = column(st.integers(0, 3))
    return plan_input(
        draw(st.lists(rows, min_size=size, max_size=size)),
        levels=LEVELS,
        tiers=tiers,
        tier=draw(st.lists(st.sampled_from(sorted(tiers)), min_size=size, max_size=size)),
        pools=pools,
        draws=[list(pair) for pair in zip(column(first), column(second), strict=True)],
        preserved=preserved,
        within_hold=[draw(st.integers(0, count)) for count in preserved],
        reserved=column(st.integers(0, 5)),
        bound=column(st.integers(0, 5)),
        quota=column(st.sampled_from([3, 8, 12, UNLIMITED])),
        room=column(st.sampled_from([0, 4, UNLIMITED])),
    )


def log_chance(need: list[float], unit: int) -> float:
    """`ln P(need >= unit)` by the definition: log-linear between the quantiles, in plain Python."""
    knots = [(0.0, 0.0), *((float(q), -math.log1p(-level)) for q, level in zip(need, LEVELS, strict=True))]
    x = unit - 0.5
    below = max(index for index, (q, _) in enumerate(knots) if q <= x)
    below = min(below, len(knots) - 2)
    (q0, d0), (q1, d1) = knots[below], knots[below + 1]
    return -math.inf if q1 == q0 else -(d0 + (x - q0) / ((q1 - q0) / (d1 - d0)))


def tier_of(fleet: PlanInput, row: int) -> Tier:
    _, own = fleet.tiers[int(fleet.tier[row])]
    return own


def draws_of(fleet: PlanInput, row: int) -> list[int]:
    return [pool for pool in fleet.draws[row].tolist() if pool != NO_POOL]


def least_worth(fleet: PlanInput, row: int) -> float:
    """The log price that a unit of an account has to exceed in any case: its tier's, or what its pools ask."""
    own = tier_of(fleet, row)
    holding = sum(fleet.pools.holding_price[pool] for pool in draws_of(fleet, row))
    return math.log(max(own.weight * (1 - own.service_level), holding))


def asked(fleet: PlanInput, row: int) -> list[float]:
    """The log worth of each unit that an account may ask for, past what is preserved, best first."""
    most = min(fleet.quota[row] - fleet.bound[row] - fleet.preserved[row], fleet.room[row], 10**4)
    worth = []
    for unit in range(fleet.preserved[row] + 1, fleet.preserved[row] + max(most, 0) + 1):
        value = math.log(tier_of(fleet, row).weight) + log_chance(fleet.need[row].tolist(), unit)
        if value <= least_worth(fleet, row):
            break
        worth.append(value)
    return worth


def is_decided_by_rounding(fleet: PlanInput) -> bool:
    """Whether some unit is worth its price but for the last bits, so that twins may differ."""
    return any(
        abs(math.log(tier_of(fleet, row).weight) + log_chance(need, unit) - least_worth(fleet, row)) < NEAR
        for row, need in enumerate(fleet.need.tolist())
        for unit in range(1, 30)
    )


def sell_one_by_one(fleet: PlanInput) -> list[int]:
    """Every (account, unit), best rank first, then by worth, then by account: sold while its pools have room."""
    offers = sorted(
        (tier_of(fleet, row).rank, -round(worth, 9), row, worth)
        for row in range(len(fleet.accounts))
        for worth in asked(fleet, row)
    )
    sold = [0] * len(fleet.accounts)
    used = [0] * len(fleet.pools.names)
    for rank, _, row, _ in offers:
        limit = fleet.pools.reservable(fleet.headroom_of(rank))
        pools = draws_of(fleet, row)
        if all(used[pool] < limit[pool] for pool in pools):
            sold[row] += 1
            for pool in pools:
                used[pool] += 1
    return sold


@given(fleets(is_nested=True))
def test_the_plan_equals_selling_unit_by_unit(fleet: PlanInput) -> None:
    assume(not is_decided_by_rounding(fleet))
    assert plan_for(fleet).reserved.tolist() == sell_one_by_one(fleet)


@given(fleets(is_nested=False))
def test_of_what_is_preserved_the_plan_lets_go_what_is_neither_guaranteed_nor_worth_its_price(
    fleet: PlanInput,
) -> None:
    assume(not is_decided_by_rounding(fleet))
    plan = plan_for(fleet)
    for row, need in enumerate(fleet.need.tolist()):
        weight, least = math.log(tier_of(fleet, row).weight), least_worth(fleet, row)
        preserved, within_hold = int(fleet.preserved[row]), int(fleet.within_hold[row])
        worth = sum(weight + log_chance(need, unit) > least for unit in range(1, preserved + 1))
        assert plan.let_go[row] == preserved - max(worth, within_hold)
        assert plan.target[row] == plan.reserved[row] + max(worth, within_hold)


@given(fleets(is_nested=False))
def test_no_pool_gives_more_than_it_has_less_headroom(fleet: PlanInput) -> None:
    plan = plan_for(fleet)
    ranks = fleet.ranks()
    for rank in np.unique(ranks).tolist():
        taken = fleet.draw_sums(np.where(ranks <= rank, plan.reserved, 0).astype(np.int32))
        later = fleet.draw_sums(np.where(ranks == rank, plan.reserved, 0).astype(np.int32))
        assert np.all((taken <= fleet.pools.reservable(fleet.headroom_of(rank))) | (later == 0))


@given(fleets(is_nested=False))
def test_no_account_holds_more_than_its_quota_or_room(fleet: PlanInput) -> None:
    plan = plan_for(fleet)
    assert np.all((plan.reserved == 0) | (plan.reserved + fleet.bound + fleet.preserved <= fleet.quota))
    assert np.all(plan.reserved <= fleet.room)


@given(fleets(is_nested=False))
def test_whoever_is_turned_away_finds_a_full_pool_and_no_later_rank_in_it(fleet: PlanInput) -> None:
    plan = plan_for(fleet)
    ranks = fleet.ranks()
    for row in np.flatnonzero(plan.by_pool).tolist():
        rank = int(ranks[row])
        limit = fleet.pools.reservable(fleet.headroom_of(rank))
        up_to = fleet.draw_sums(np.where(ranks <= rank, plan.reserved, 0).astype(np.int32))
        full = [pool for pool in draws_of(fleet, row) if up_to[pool] >= limit[pool]]
        assert full
        later = fleet.draw_sums(np.where(ranks > rank, plan.reserved, 0).astype(np.int32))
        assert all(later[pool] == 0 for pool in full)
        assert plan.pool_rank[plan.stopped_by[row]] <= rank


@given(fleets(is_nested=False))
def test_an_explanation_adds_up(fleet: PlanInput) -> None:
    plan = plan_for(fleet)
    cuts = plan.covered + plan.by_price + plan.by_quota + plan.by_room + plan.by_pool
    assert (plan.wanted - cuts + plan.kept).tolist() == plan.reserved.tolist()
    for row, account in enumerate(fleet.accounts):
        total, totals = 0, []
        for figure in (line.split()[0] for line in explain(plan, account)[1:]):
            if figure[0] in "+-":
                total += int(figure)
            elif figure.isdigit():
                assert int(figure) == total
                totals.append(total)
        assert totals == [plan.reserved[row], plan.target[row]]


@given(fleets(is_nested=False))
def test_the_same_input_gives_the_same_bytes(fleet: PlanInput) -> None:
    again = replace(fleet, need=fleet.need.copy(), draws=fleet.draws.copy())
    assert to_json(plan_for(fleet)) == to_json(plan_for(again))


def moved_to(fleet: PlanInput, row: int, grant: Tier) -> PlanInput:
    """The same fleet with one account in a tier of its own."""
    tier = fleet.tier.copy()
    tier[row] = len(fleet.tiers)
    return replace(fleet, tiers=(*fleet.tiers, ("own", grant)), tier=tier)


@given(fleets(is_nested=True), st.integers(0, 7), st.sampled_from([1.5, 4.0]))
def test_nobody_gets_less_by_weighing_more(fleet: PlanInput, row: int, factor: float) -> None:
    row %= len(fleet.accounts)
    heavier = msgspec.structs.replace(tier_of(fleet, row), weight=tier_of(fleet, row).weight * factor)
    alone = moved_to(fleet, row, heavier)
    assert plan_for(alone).reserved[row] >= plan_for(fleet).reserved[row]


@given(fleets(is_nested=True), st.integers(0, 7))
def test_nobody_gets_less_at_a_higher_service_level(fleet: PlanInput, row: int) -> None:
    row %= len(fleet.accounts)
    alone = moved_to(fleet, row, msgspec.structs.replace(tier_of(fleet, row), service_level=0.99))
    assert plan_for(alone).reserved[row] >= plan_for(fleet).reserved[row]


@given(fleets(is_nested=True), st.integers(1, 9))
def test_nobody_gets_less_from_a_larger_pool_around_all(fleet: PlanInput, more: int) -> None:
    larger = replace(fleet, pools=replace(fleet.pools, free=fleet.pools.free + np.array([0, 0, more])))
    assert np.all(plan_for(larger).reserved >= plan_for(fleet).reserved)


def test_past_the_bisection_the_plan_still_equals_selling_unit_by_unit() -> None:
    # so many units that the prices are searched, with many tied accounts at the margin
    size = 3_000
    needs = [[20.0 + row % 5, 40.0 + row % 5, 80.0 + row % 5] for row in range(size)]
    pools = pool_columns(
        {"name": "p0", "free": 61_234}, {"name": "p1", "free": 50_000}, {"name": "all", "free": 70_001}
    )
    fleet = plan_input(
        needs,
        levels=LEVELS,
        tiers={"t": tier(service_level=0.9, headroom=0.0)},
        tier=["t"] * size,
        pools=pools,
        draws=[[row % 2, 2] for row in range(size)],
    )
    plan = plan_for(fleet)
    assert int(plan.wanted.sum()) > _SORTED_MAX
    assert plan.reserved.tolist() == sell_one_by_one(fleet)
