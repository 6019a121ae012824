"""The plan: how many addresses each account holds idle, and why; a value to show, refuse and replay."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.reservation.curve import curves_of, depth_of
from addrcast.core.reservation.granting import grant_by_rank
from addrcast.core.reservation.hysteresis import kept_surplus
from addrcast.core.reservation.plan_input import NO_POOL
from addrcast.core.reservation.policy import Fault
from addrcast.core.reservation.refusal import refusals_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.reservation.curve import NeedCurves
    from addrcast.core.reservation.granting import Grants
    from addrcast.core.reservation.hysteresis import Kept
    from addrcast.core.reservation.plan_input import PlanInput
    from addrcast.core.reservation.refusal import Refusal


class Reason(IntFlag):
    """What decided on an account's target; the first five say what stopped it, the rest what else bore on it."""

    SERVICE_LEVEL = 1
    HOLDING_PRICE = 2
    QUOTA = 4
    PREFERENCE = 8
    POOL = 16
    FALLBACK = 32
    HYSTERESIS = 64
    REFUSED = 128


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What N accounts shall hold idle; all columns are `(N,)`, int32 unless said otherwise.

    `wanted` is the need at the tier's service level; `covered` of it are preserved already. Of the rest,
    `by_price`, `by_quota`, `by_room` and `by_pool` are not granted, and `kept` are held beyond it for the time
    being, so that `reserved = wanted - covered - by_price - by_quota - by_room - by_pool + kept` and `delta =
    reserved - given.reserved`. Of what is preserved, `surplus` is past its hold and worth no more than the price,
    and `let_go` of it go back, all or none. `target = reserved + given.preserved - let_go` is what will lie idle.
    `level` (float32) is the hit probability the target reaches, `worth` (float32) that of the next address, not
    held, and `price` (float32) what it would have had to exceed. `stopped_by` is the pool that ran short, `reason`
    (uint8) a set of Reason.

    `pool_price` float64 `(G,)` is the worth of the best unit that a pool turned away at `pool_rank` `(G,)`, the
    first rank it could not serve in full; 0 and -1 where it served all. `pool_reserved` int64 `(G,)` is what the
    plan takes.
    """

    given: PlanInput
    wanted: NDArray[np.int32]
    covered: NDArray[np.int32]
    by_price: NDArray[np.int32]
    by_quota: NDArray[np.int32]
    by_room: NDArray[np.int32]
    by_pool: NDArray[np.int32]
    kept: NDArray[np.int32]
    reserved: NDArray[np.int32]
    delta: NDArray[np.int32]
    surplus: NDArray[np.int32]
    let_go: NDArray[np.int32]
    target: NDArray[np.int32]
    level: NDArray[np.float32]
    worth: NDArray[np.float32]
    price: NDArray[np.float32]
    stopped_by: NDArray[np.int32]
    reason: NDArray[np.uint8]
    unwanted_rounds: NDArray[np.int32]
    pool_price: NDArray[np.float64]
    pool_rank: NDArray[np.int32]
    pool_reserved: NDArray[np.int64]
    refusals: tuple[Refusal, ...]

    @property
    def revision(self) -> int:
        """The store's revision at which the counts were read that the plan rests on."""
        return self.given.revision

    @property
    def expires_ms(self) -> int:
        """From when on no step of the plan may be taken."""
        return self.given.now_ms + self.given.settings.ttl_ms

    def allowed_delta(self, *, is_forced: bool = False) -> NDArray[np.int32]:
        """The changes that may be carried out, `(N,)`: those withheld by a refusal are 0 unless forced."""
        return self._allowed(self.delta, is_forced=is_forced)

    def allowed_let_go(self, *, is_forced: bool = False) -> NDArray[np.int32]:
        """The preserved addresses that may go back, `(N,)`: those withheld by a refusal are 0 unless forced."""
        return self._allowed(self.let_go, is_forced=is_forced)

    def _allowed(self, changes: NDArray[np.int32], *, is_forced: bool) -> NDArray[np.int32]:
        return changes if is_forced else np.where(self.reason & Reason.REFUSED, 0, changes).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class _Cuts:
    """How the wanted addresses shrink before the pools are asked; int32 `(N,)`, `depth` float64 `(N,)`."""

    wanted: NDArray[np.int32]
    covered: NDArray[np.int32]
    by_price: NDArray[np.int32]
    by_quota: NDArray[np.int32]
    by_room: NDArray[np.int32]
    ask: NDArray[np.int32]
    surplus: NDArray[np.int32]
    depth: NDArray[np.float64]
    price: NDArray[np.float64]


def plan_for(given: PlanInput) -> Plan:
    """Make the plan for all accounts at once; the same input gives the same plan byte for byte.

    The k-th idle address of an account is worth `weight * P(need >= k)` and is held while that exceeds the price:
    the larger of the tier's own (`weight * (1 - service_level)`, at which the target is the need's quantile at
    the service level), the pools' holding price, and the price at which a scarce pool fits. Raises Invalid.
    """
    curves = curves_of(given.levels, given.need)
    cuts = _cuts(given, curves)
    grants = grant_by_rank(given, curves, ask=cuts.ask, depth=cuts.depth)
    stopped_by = np.where(grants.granted < cuts.ask, grants.stopped_by, NO_POOL)
    kept = kept_surplus(given, grants.granted, stopped_by=stopped_by, surplus=cuts.surplus)
    return _plan(given, curves, cuts, grants, kept)


def _cuts(given: PlanInput, curves: NeedCurves) -> _Cuts:
    rows = np.arange(len(given.accounts))
    weights, holding = given.weights(), given.holding_prices()
    depth = np.array([depth_of(tier.service_level) for _, tier in given.tiers])[given.tier]
    tier_price = np.array([tier.weight * (1 - tier.service_level) for _, tier in given.tiers])[given.tier]
    wanted = priced = curves.counts(depth, rows)
    if holding.any():
        with np.errstate(divide="ignore"):
            depth = np.minimum(depth, np.log(weights) - np.log(holding))
        priced = curves.counts(depth, rows)
    to_reserve = np.maximum(wanted - given.preserved, 0)
    after_price = np.maximum(priced - given.preserved, 0)
    after_quota = np.minimum(after_price, given.quota_room())
    ask = np.minimum(after_quota, given.room)
    return _Cuts(
        wanted,
        wanted - to_reserve,
        to_reserve - after_price,
        after_price - after_quota,
        after_quota - ask,
        ask,
        given.preserved - np.minimum(given.preserved, np.maximum(priced, given.within_hold)),
        depth,
        np.maximum(tier_price, holding),
    )


def _plan(given: PlanInput, curves: NeedCurves, cuts: _Cuts, grants: Grants, kept: Kept) -> Plan:
    by_pool = cuts.ask - grants.granted
    reserved = grants.granted + kept.kept
    delta = reserved - given.reserved
    target = reserved + given.preserved - kept.let_go
    rows = np.arange(len(target))
    next_depth = curves.unit_depths(rows, target + 1)
    refusals, refused = refusals_of(given, delta, kept.let_go, cuts.wanted)
    pool_price, pool_rank = _pool_prices(given, curves, grants, by_pool)
    is_short = by_pool > 0
    price = np.where(is_short, np.append(pool_price, 0.0)[grants.stopped_by], cuts.price)
    return Plan(
        given=given,
        wanted=cuts.wanted,
        covered=cuts.covered,
        by_price=cuts.by_price,
        by_quota=cuts.by_quota,
        by_room=cuts.by_room,
        by_pool=by_pool,
        kept=kept.kept,
        reserved=reserved,
        delta=delta,
        surplus=cuts.surplus,
        let_go=kept.let_go,
        target=target,
        level=(-np.expm1(-next_depth)).astype(np.float32),
        worth=(given.weights() * np.exp(-next_depth)).astype(np.float32),
        price=price.astype(np.float32),
        stopped_by=np.where(is_short, grants.stopped_by, NO_POOL).astype(np.int32),
        reason=_reasons(given, cuts, by_pool=by_pool, kept=kept, refused=refused),
        unwanted_rounds=kept.unwanted_rounds,
        pool_price=pool_price,
        pool_rank=pool_rank,
        pool_reserved=given.draw_sums(reserved),
        refusals=refusals,
    )


def _pool_prices(
    given: PlanInput, curves: NeedCurves, grants: Grants, by_pool: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The worth of the best unit turned away by each pool at the first rank it turned away, and that rank."""
    pools = len(given.pools.names)
    rows = np.flatnonzero(by_pool > 0)
    pool, ranks = grants.stopped_by[rows], given.ranks()[rows]
    first = np.full(pools, np.iinfo(np.int32).max, dtype=np.int32)
    np.minimum.at(first, pool, ranks)
    at_first = ranks == first[pool]
    rows, pool = rows[at_first], pool[at_first]
    refused = curves.unit_depths(rows, given.preserved[rows] + grants.granted[rows] + 1)
    price = np.zeros(pools)
    np.maximum.at(price, pool, given.weights()[rows] * np.exp(-refused))
    return price, np.where(first == np.iinfo(np.int32).max, -1, first).astype(np.int32)


def _reasons(
    given: PlanInput,
    cuts: _Cuts,
    *,
    by_pool: NDArray[np.int32],
    kept: Kept,
    refused: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    reason = np.full(len(by_pool), Reason.SERVICE_LEVEL, dtype=np.uint8)
    # the last cut is the one that stopped the account
    for cut, why in (
        (cuts.by_price, Reason.HOLDING_PRICE),
        (cuts.by_quota, Reason.QUOTA),
        (cuts.by_room, Reason.PREFERENCE),
        (by_pool, Reason.POOL),
    ):
        reason[cut > 0] = why
    for held, flag in (
        (given.fault != Fault.NONE, Reason.FALLBACK),
        ((kept.kept > 0) | (kept.let_go < cuts.surplus), Reason.HYSTERESIS),
        (refused, Reason.REFUSED),
    ):
        reason[held] |= np.uint8(flag)
    return reason
