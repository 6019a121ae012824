"""Keeps small surpluses for some rounds, so that plans do not give back what the next one asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.reservation.granting import rows_by_rank
from addrcast.core.reservation.plan_input import NO_POOL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.reservation.plan_input import PlanInput


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The reservations kept against the price, the preserved addresses let go; int32 `(N,)`.

    `unwanted_rounds` is for how many rounds each account has had a surplus of either.
    """

    kept: NDArray[np.int32]
    let_go: NDArray[np.int32]
    unwanted_rounds: NDArray[np.int32]


def kept_surplus(
    given: PlanInput, granted: NDArray[np.int32], *, stopped_by: NDArray[np.int32], surplus: NDArray[np.int32]
) -> Kept:
    """Keep what is idle beyond the need if that is little and new, where nobody else asks for the room.

    Of reservations that is what exceeds `granted` `(N,)`, of preserved addresses `surplus` `(N,)`; `stopped_by`
    `(N,)` is the pool that turned an account away, NO_POOL for none. Growth is never damped: an address too few
    costs a create its wait, one too many costs the holding price.
    """
    settings = given.settings
    unwanted = np.maximum(given.reserved - granted, 0)
    rounds = np.where(unwanted + surplus > 0, given.unwanted_rounds + 1, 0).astype(np.int32)
    band = np.maximum(settings.dead_band, np.ceil(settings.dead_band_share * (given.reserved + given.preserved)))
    is_kept = (unwanted + surplus <= band) & (rounds < settings.unwanted_rounds_max)
    is_asked_for = np.isin(given.draws, stopped_by[stopped_by != NO_POOL]).any(axis=1)
    let_go = np.where(is_kept & ~is_asked_for, 0, surplus).astype(np.int32)
    bound = np.maximum(np.minimum(given.quota_room(), given.room) - granted, 0)
    kept = np.where(is_kept, np.minimum(unwanted, bound), 0).astype(np.int32)
    used = given.draw_sums(granted)
    for rank, rows in rows_by_rank(given, kept):
        room = given.pools.reservable(given.headroom_of(rank)) - used
        for pool in given.draws[rows].T:
            kept[rows] = _in_order(kept[rows], pool, room)
        mine = np.zeros_like(kept)
        mine[rows] = kept[rows]
        used = used + given.draw_sums(mine)
    return Kept(kept, let_go, rounds)


def _in_order(counts: NDArray[np.int32], pool: NDArray[np.int32], room: NDArray[np.int64]) -> NDArray[np.int32]:
    """As much of `counts` `(M,)` as fits `room` `(G,)`, first come first served."""
    order = np.argsort(pool, kind="stable")
    ordered, asked = pool[order], counts[order].astype(np.int64)
    before = np.cumsum(asked) - asked
    before -= before[np.searchsorted(ordered, ordered, side="left")]
    room_of = np.append(np.maximum(room, 0), np.iinfo(np.int64).max // 2)
    fitting = np.empty_like(counts)
    fitting[order] = np.clip(room_of[ordered] - before, 0, asked)
    return fitting
