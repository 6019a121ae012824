"""Grants what accounts ask of the pools: rank by rank, within a rank by worth, until nothing more fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.reservation.plan_input import NO_POOL
from addrcast.core.reservation.ration import Asks, ration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from addrcast.core.reservation.curve import NeedCurves
    from addrcast.core.reservation.plan_input import PlanInput


@dataclass(frozen=True, slots=True, eq=False)
class Grants:
    """What N accounts got, int32 `(N,)`, and which pool stopped each of them (NO_POOL: none did)."""

    granted: NDArray[np.int32]
    stopped_by: NDArray[np.int32]


def grant_by_rank(
    given: PlanInput, curves: NeedCurves, *, ask: NDArray[np.int32], depth: NDArray[np.float64]
) -> Grants:
    """Grant `ask` `(N,)` reservations, the units of the need past what is preserved, as far as the pools go.

    `depth` `(N,)` is the one within which every unit asked lies. A rank is served before the next one gets
    anything, within it the most valuable unit first. Nothing is left over that someone turned away could still
    use.
    """
    grants = Grants(np.zeros_like(ask), np.full_like(ask, NO_POOL))
    log_weight = np.log(given.weights())
    for rank, rows in rows_by_rank(given, ask):
        limit = given.pools.reservable(given.headroom_of(rank))
        room = limit - given.draw_sums(grants.granted)
        left = _with_room(given, grants, rows, room)
        while len(left):
            asks = Asks(
                curves,
                left,
                log_weight[left],
                (log_weight - depth)[left],
                given.preserved[left] + grants.granted[left],
                ask[left] - grants.granted[left],
            )
            grants.granted[left] += _through_pools(given, asks, grants, room)
            room = limit - given.draw_sums(grants.granted)
            left = _with_room(given, grants, left[grants.granted[left] < ask[left]], room)
    return grants


def rows_by_rank(given: PlanInput, counts: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The accounts with a count above 0, grouped by rank, 0 first; within a rank in ascending order."""
    ranks = given.ranks()
    for rank in np.unique(ranks[counts > 0]).tolist():
        yield rank, np.flatnonzero((ranks == rank) & (counts > 0))


def _with_room(
    given: PlanInput, grants: Grants, rows: NDArray[np.intp], room: NDArray[np.int64]
) -> NDArray[np.intp]:
    """The accounts all of whose pools have room; each of the others is marked with one that has none."""
    is_open = np.ones(len(rows), dtype=bool)
    is_full = np.append(room <= 0, False)
    for pool in given.draws[rows].T:
        closed = is_full[pool]
        grants.stopped_by[rows[closed & is_open]] = pool[closed & is_open]
        is_open &= ~closed
    return rows[is_open]


def _through_pools(given: PlanInput, asks: Asks, grants: Grants, room: NDArray[np.int64]) -> NDArray[np.int32]:
    """What is left of the asks after each pool drawn on has been rationed in turn, int32 `(M,)`."""
    for pool in given.draws[asks.rows].T:
        fitting = ration(asks, pool, room)
        cut = fitting < asks.ask
        grants.stopped_by[asks.rows[cut]] = pool[cut]
        asks = replace(asks, ask=fitting)
    return asks.ask
