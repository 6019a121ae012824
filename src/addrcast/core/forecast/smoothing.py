"""Double seasonal exponential smoothing for all accounts at once: level, day and week that follow what came.

The parameters are a few fixed sets, not fitted ones: so one pass over the history gives the forecasts of every set
from every past origin, and which set serves an account is decided by what it would have got wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Smoothing(NamedTuple):
    """How quickly each part follows the last error, and how much of an error lasts to the next step."""

    level: float
    season: float
    week: float
    memory: float


SMOOTHINGS = (
    Smoothing(0.01, 0.05, 0.1, 0.0),
    Smoothing(0.01, 0.05, 0.3, 0.0),
    Smoothing(0.01, 0.05, 0.6, 0.0),
    Smoothing(0.2, 0.05, 0.1, 0.0),
    Smoothing(0.2, 0.2, 0.1, 0.0),
    Smoothing(0.2, 0.4, 0.1, 0.0),
    Smoothing(0.05, 0.05, 0.1, 0.9),
    Smoothing(0.05, 0.4, 0.1, 0.0),
)
"""Chosen greedily from 162 on the M4 hourly series; more add nothing (docs/decisions/forecast-smoothing.md)."""

_FIRST_WEEKS = 2
_WEEK_SHARE = 0.5
_QUIET = 1e-3


def smoothed(
    counts: NDArray[np.float32], origins: Sequence[int], horizon: int, *, season: int, week: int
) -> NDArray[np.float32]:
    """The count that each of SMOOTHINGS forecasts from each origin, float32 `(S, N, O, H)`.

    All is smoothed in the logarithm of the count. `counts` is `(N, T)`; an origin is how many of its columns are
    known. `season` and `week` are in steps, the week a multiple of the season; equal ones are one season.

    Source: Taylor, Short-Term Electricity Demand Forecasting Using Double Seasonal Exponential Smoothing, JORS 54
    (2003), in its additive error correction form with an autoregressive residual.
    """
    quiet = np.float32(_QUIET) * (counts.mean(axis=1, keepdims=True) + 1)
    levels = np.log(counts + quiet)
    level_rate, season_rate, week_rate, memory = np.array(SMOOTHINGS, np.float32).T[:, :, None]
    level, season_part, week_part = _begin(levels, season=season, week=week)
    error = np.zeros_like(level)
    ahead = np.arange(horizon)
    lasting = memory[None] ** (ahead[:, None, None] + 1)
    forecasts = np.empty((len(SMOOTHINGS), len(counts), len(origins), horizon), np.float32)
    place = {origin: column for column, origin in enumerate(origins)}
    for t in range(max(origins) + 1):
        if t in place:
            parts = season_part[(t + ahead) % season] + week_part[(t + ahead) % week]
            forecasts[:, :, place[t]] = (level + parts + lasting * error).transpose(1, 2, 0)
        if t == counts.shape[1]:
            break
        in_season, in_week = t % season, t % week
        miss = levels[:, t] - (level + season_part[in_season] + week_part[in_week])
        news = miss - memory * error
        level = level + level_rate * news
        season_part[in_season] += season_rate * news
        week_part[in_week] += week_rate * news
        error = miss
    found: NDArray[np.float32] = np.exp(forecasts) - quiet[None, :, None]
    return found


def _begin(
    levels: NDArray[np.float32], *, season: int, week: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Level `(S, N)`, season `(season, S, N)` and week `(week, S, N)` to begin with, from the first two weeks."""
    first = levels[:, : _FIRST_WEEKS * week]
    mean = first.mean(axis=1)
    places = np.arange(first.shape[1]) % week
    profile = np.zeros((week, len(levels)), np.float32)
    np.add.at(profile, places, (first - mean[:, None]).T)
    profile /= np.maximum(np.bincount(places, minlength=week), 1)[:, None].astype(np.float32)
    days = profile.reshape(week // season, season, -1).mean(axis=0)
    rest = np.float32(_WEEK_SHARE) * (profile - np.tile(days, (week // season, 1)))
    sets = len(SMOOTHINGS)
    return (
        np.repeat(mean[None], sets, axis=0),
        np.repeat(days[:, None], sets, axis=1),
        np.repeat(rest[:, None], sets, axis=1),
    )
