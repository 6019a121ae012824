"""The two engines that fit nothing: the last season again, and the last value with its past changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory, fill_gaps
from addrcast.core.forecast.calibration import error_quantiles
from addrcast.core.forecast.engine import bounded, check_request, season_steps
from addrcast.core.forecast.features import window_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray


def season_ago(counts: NDArray[np.float32], horizon: int, *, season: int) -> NDArray[np.float32]:
    """The newest known count at the same place in the season, float32 `(N, H)`, or the last where none is."""
    width = counts.shape[1]
    ahead = np.arange(1, horizon + 1)
    place = width - 1 + ahead - season * -(-ahead // season)
    return counts[:, np.where(place >= 0, place, width - 1)]


def last_value(counts: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """The last count at every step, float32 `(N, H)`."""
    return np.repeat(counts[:, -1:], horizon, axis=1)


def seasonal(history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
    """The count one season ago, with quantiles of what that rule got wrong in the history: a LevelEngine."""
    check_request(history, horizon, levels)
    counts = fill_gaps(history).counts
    season = season_steps(history.step_s)
    offsets = np.empty((len(counts), horizon, len(levels)), np.float32)
    for first in range(0, horizon, season):
        back = season * (first // season + 1)
        offsets[:, first : first + season] = error_quantiles(counts[:, back:] - counts[:, :-back], levels)[:, None]
    return bounded(season_ago(counts, horizon, season=season)[..., None] + offsets, counts)


def last(history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
    """The last count, with quantiles of its past changes over as many steps: a LevelEngine."""
    check_request(history, horizon, levels)
    counts = fill_gaps(history).counts
    recent = counts[:, -window_steps(history.step_s) - horizon :]
    offsets = np.stack(
        [error_quantiles(recent[:, h:] - recent[:, :-h], levels) for h in range(1, horizon + 1)], axis=1
    )
    return bounded(last_value(counts, horizon)[..., None] + offsets, counts)
