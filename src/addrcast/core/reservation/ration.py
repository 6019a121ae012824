"""Scarce pools: which units are granted when accounts ask for more than there is, and at which price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.reservation.curve import NeedCurves

# Bisection ends when so few units lie between the two prices that they can be sorted one by one ...
_SORTED_MAX = 1 << 16
# ... or when the prices are so near that what lies between is tied (as logarithm; far above rounding).
_NEAR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Asks:
    """M accounts that ask for the units `base + 1 .. base + ask` of their need, best first.

    `rows` `(M,)` are rows of `curves` in ascending order; `log_weight` and `floor` are float64 `(M,)`. The worth
    of a unit is `weight * P(need >= k)`; all logarithms here are natural. `floor` is below the log worth of every
    unit asked.
    """

    curves: NeedCurves
    rows: NDArray[np.intp]
    log_weight: NDArray[np.float64]
    floor: NDArray[np.float64]
    base: NDArray[np.int32]
    ask: NDArray[np.int32]

    def above(self, log_price: NDArray[np.float64]) -> NDArray[np.int32]:
        """How many of the units asked are worth more than `log_price[i]`, int32 `(M,)`."""
        counts = self.curves.counts(self.log_weight - log_price, self.rows)
        within: NDArray[np.int32] = np.clip(counts - self.base, 0, self.ask)
        return within

    def of(self, chosen: NDArray[np.intp]) -> Asks:
        """The asks of some accounts only."""
        return Asks(
            self.curves,
            self.rows[chosen],
            self.log_weight[chosen],
            self.floor[chosen],
            self.base[chosen],
            self.ask[chosen],
        )


def ration(asks: Asks, pool: NDArray[np.int32], room: NDArray[np.int64]) -> NDArray[np.int32]:
    """Grant the `room[g]` most valuable of the units asked in pool g; equal worth goes by account, int32 `(M,)`.

    `pool` is int32 `(M,)`, negative for accounts that draw on none and get what they ask; `room` is int64 `(G,)`.
    """
    granted = asks.ask.copy()
    drawing = np.flatnonzero((pool >= 0) & (asks.ask > 0))
    is_over = _sums(pool[drawing], asks.ask[drawing], len(room)) > room
    short = drawing[is_over[pool[drawing]]]
    if len(short):
        scarce, local = np.unique(pool[short], return_inverse=True)
        granted[short] = _best_units(asks.of(short), local, room[scarce])
    return granted


def _best_units(asks: Asks, pool: NDArray[np.intp], room: NDArray[np.int64]) -> NDArray[np.int32]:
    """`ration` where every pool is asked for more than it has."""
    low, high = _price_bounds(asks, pool, room)
    granted = asks.above(high[pool])
    open_units = asks.above(low[pool]) - granted
    rows = np.repeat(np.arange(len(pool)), open_units)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(open_units) - open_units, open_units)
    units = (asks.base[rows] + granted[rows] + 1 + within).astype(np.int32)
    # rounded, so that what is equal but for the last bits is tied, and ties go by account
    worth = np.round(asks.log_weight[rows] - asks.curves.unit_depths(asks.rows[rows], units), 9)
    order = np.lexsort((units, rows, -worth, pool[rows]))
    ordered = pool[rows][order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered, side="left")
    left = room - _sums(pool, granted, len(room))
    won = rows[order[place < left[ordered]]]
    return (granted + np.bincount(won, minlength=len(pool))).astype(np.int32)


def _price_bounds(
    asks: Asks, pool: NDArray[np.intp], room: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log prices per pool between which the last unit granted and the first refused lie."""
    low = np.full(len(room), np.inf)
    np.minimum.at(low, pool, asks.floor)
    high = np.full(len(room), -np.inf)
    np.maximum.at(high, pool, asks.log_weight)
    at_low, at_high = asks.ask, np.zeros_like(asks.ask)
    while int((at_low - at_high).sum()) > _SORTED_MAX and float((high - low).max()) > _NEAR:
        middle = (low + high) / 2
        at_middle = asks.above(middle[pool])
        fits = _sums(pool, at_middle, len(room)) <= room
        high, low = np.where(fits, middle, high), np.where(fits, low, middle)
        at_high = np.where(fits[pool], at_middle, at_high)
        at_low = np.where(fits[pool], at_low, at_middle)
    return low - _NEAR, high + _NEAR


def _sums(pool: NDArray[np.int32] | NDArray[np.intp], counts: NDArray[np.int32], pools: int) -> NDArray[np.int64]:
    # float64 sums are exact here: the counts of a pool stay far below 2**53
    return np.bincount(pool, weights=counts, minlength=pools).astype(np.int64)
