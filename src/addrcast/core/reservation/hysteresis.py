"""Keeps small surpluses for some rounds, so that plans do not give back what the next one asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.reservation.granting import rows_by_rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.reservation.plan_input import PlanInput


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The surplus kept against the price, and for how many rounds each account has had one; int32 `(N,)`."""

    kept: NDArray[np.int32]
    unwanted_rounds: NDArray[np.int32]


def kept_surplus(given: PlanInput, granted: NDArray[np.int32]) -> Kept:
    """Keep surpluses over `granted` `(N,)` that are small and young, where nobody else asks for the room.

    Growth is never damped: an address too few costs a create its wait, one too many costs the holding price.
    """
    settings = given.settings
    surplus = np.maximum(given.reserved - granted, 0)
    rounds = np.where(surplus > 0, given.unwanted_rounds + 1, 0).astype(np.int32)
    band = np.maximum(settings.dead_band, np.ceil(settings.dead_band_share * given.reserved))
    is_kept = (surplus <= band) & (rounds < settings.unwanted_rounds_max)
    bound = np.maximum(np.minimum(given.quota_room(), given.room) - granted, 0)
    kept = np.where(is_kept, np.minimum(surplus, bound), 0).astype(np.int32)
    used = given.draw_sums(granted)
    for rank, rows in rows_by_rank(given, kept):
        room = given.pools.reservable(given.headroom_of(rank)) - used
        for pool in given.draws[rows].T:
            kept[rows] = _in_order(kept[rows], pool, room)
        mine = np.zeros_like(kept)
        mine[rows] = kept[rows]
        used = used + given.draw_sums(mine)
    return Kept(kept, rounds)


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
