"""A level engine applied to a whole fleet: each account from its own last known time, by bounded blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.forecast.engine import LevelEngine

BLOCK_CELLS = 20_000_000

Advance = Callable[[int, int], None]
"""Called with how many accounts are done, and how many there are."""


def spans(history: CountHistory) -> Iterator[tuple[NDArray[np.intp], CountHistory]]:
    """The accounts that are last known at the same time, with the history up to then, the longest first.

    An account of which nothing is known goes with those that are known to the end.
    """
    known = ~np.isnan(history.counts)
    width = history.steps
    ends = np.where(known.any(axis=1), width - np.argmax(known[:, ::-1], axis=1), width)
    for end in np.unique(ends)[::-1].tolist():
        rows = np.flatnonzero(ends == end)
        names = tuple(history.accounts[row] for row in rows)
        yield rows, CountHistory(names, history.start_s, history.step_s, history.counts[rows, :end])


def fleet_quantiles(
    history: CountHistory,
    horizon: int,
    levels: Sequence[float],
    engine: LevelEngine,
    *,
    on_progress: Advance | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The engine's quantiles `(N, H, Q)`, and how many columns of each account were known, int64 `(N,)`."""
    quantiles = np.empty((len(history.accounts), horizon, len(levels)), np.float32)
    known = np.empty(len(history.accounts), np.int64)
    done = 0
    for rows, ending in spans(history):
        known[rows] = ending.steps
        size = max(1, BLOCK_CELLS // (ending.steps + horizon * len(levels)))
        for first in range(0, len(rows), size):
            block = slice(first, first + size)
            part = CountHistory(ending.accounts[block], ending.start_s, ending.step_s, ending.counts[block])
            quantiles[rows[block]] = engine(part, horizon, levels)
            done += len(part.accounts)
            if on_progress is not None:
                on_progress(done, len(history.accounts))
    return quantiles, known
