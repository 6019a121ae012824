"""The function type of the level engines, and what each one's quantiles must keep to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory
from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.features import DAY_S, WEEK_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

LevelEngine = Callable[[CountHistory, int, Sequence[float]], "NDArray[np.float32]"]
"""`(history, horizon, levels) -> quantiles` of the count, float32 `(N, H, Q)`.

They are one-sided, ascend in level, are never negative and at most CAP times the largest count of the history.
Column `h` of the horizon is `h + 1` steps after the last known; `levels` ascend. The engine fills gaps (NaN).
An account for which it found no answer has NaN in all its cells; the engines of `core` always find one."""

CAP = 2.0


def season_steps(step_s: int) -> int:
    """The steps of the shortest cycle that the grid can show: a day, or a week where a step is a day or more."""
    return max(1, round((DAY_S if step_s < DAY_S else WEEK_S) / step_s))


def answered(quantiles: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For which accounts there is an answer in `quantiles` `(N, H, Q)`: all of it, or it is none."""
    sound: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(quantiles), axis=(1, 2))
    return sound


def or_else(
    quantiles: NDArray[np.float32],
    fallback: LevelEngine,
    history: CountHistory,
    horizon: int,
    levels: Sequence[float],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The quantiles with those of `fallback` where there was no answer, and for which accounts that was `(N,)`."""
    absent = ~answered(quantiles)
    rows = np.flatnonzero(absent)
    if not len(rows):
        return quantiles, absent
    names = tuple(history.accounts[row] for row in rows)
    some = CountHistory(names, history.start_s, history.step_s, history.counts[rows])
    served = quantiles.copy()
    served[rows] = fallback(some, horizon, levels)
    return served, absent


def bounded(quantiles: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Quantiles `(N, H, Q)` made to ascend, and held between 0 and the cap of `counts` `(N, T)`."""
    cap = np.float32(CAP) * counts.max(axis=1)
    ascending = np.maximum.accumulate(quantiles, axis=2)
    return np.clip(ascending, 0, cap[:, None, None]).astype(np.float32)


def check_request(history: CountHistory, horizon: int, levels: Sequence[float]) -> None:
    """Refuse what no engine can answer.

    Raises: Invalid for a history without times, a horizon below 1, and levels that are none, do not ascend or
    are not strictly between 0 and 1.
    """
    if history.steps == 0:
        raise Invalid("history", 0, "at least one time is needed to forecast from")
    if horizon < 1:
        raise Invalid("horizon", horizon, "a forecast is at least one step ahead")
    if not levels or list(levels) != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1:
        raise Invalid("levels", list(levels), "levels ascend strictly between 0 and 1, such as 0.5 0.8 0.95")
