"""What simple candidates would have forecast from past origins: the same rules that forecast from now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.direct import direct
from addrcast.core.forecast.linear import fit_linear
from addrcast.core.forecast.naive import last_value, season_ago
from addrcast.core.forecast.smoothing import smoothed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.domain.demand import CountHistory

_ORIGINS_MAX = 20
_SHARE = 2 / 3
_SEASONS_MEDIAN = 7
_SHIFT_MAX = 3.0

Rule = Callable[["NDArray[np.float32]"], "NDArray[np.float32]"]
"""Counts `(N, t)` known at an origin into counts of the next H steps, `(N, H)`."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """The candidates' forecasts, float32: `past` `(C, N, O, H)` from O origins, `now` `(C, N, H)`, and what came.

    `came` is `(N, O, H)`. Origins are a season apart, the newest last, at the same place in the season as now; they
    lie in the last two thirds of the history, and at least one season lies before the first.
    """

    past: NDArray[np.float32]
    now: NDArray[np.float32]
    came: NDArray[np.float32]


def past_origins(width: int, horizon: int, *, season: int) -> list[int]:
    """How many columns were known at each origin, ascending; none where the history is too short."""
    newest = -(-horizon // season)
    first = max(season + 1, round(width * (1 - _SHARE)))
    found = [width - k * season for k in range(newest, newest + _ORIGINS_MAX)]
    return sorted(origin for origin in found if origin >= first)


def roll(
    counts: NDArray[np.float32], origins: list[int], horizon: int, *, clock: CountHistory, season: int
) -> Rolled:
    """Let every candidate forecast from every origin and from now; the regression is fitted before the first.

    `clock` gives start and step of `counts` `(N, T)`, which have no gaps.
    """
    width = counts.shape[1]
    week = 7 * season if width >= 7 * season and season > 1 and clock.step_s < 86_400 else season
    smooth = smoothed(counts, [*origins, width], horizon, season=season, week=week)
    regressed = direct(counts, [*origins, width], horizon, season=season, week=week)[None]

    def rules(fitted_on: NDArray[np.float32]) -> list[Rule]:
        return _rules(clock, fitted_on, horizon, season=season, week=week)

    early, late = rules(counts[:, : origins[0]]), rules(counts)
    past = [np.stack([rule(counts[:, :origin]) for origin in origins], axis=1) for rule in early]
    return Rolled(
        past=np.maximum(np.concatenate([smooth[:, :, :-1], regressed[:, :, :-1], np.stack(past)]), 0),
        now=np.maximum(
            np.concatenate([smooth[:, :, -1], regressed[:, :, -1], np.stack([rule(counts) for rule in late])]), 0
        ),
        came=np.stack([counts[:, origin : origin + horizon] for origin in origins], axis=1),
    )


def _rules(
    clock: CountHistory, fitted_on: NDArray[np.float32], horizon: int, *, season: int, week: int
) -> list[Rule]:
    model = fit_linear(fitted_on, horizon, start_s=clock.start_s, step_s=clock.step_s)

    def season_before(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        return season_ago(counts, horizon, season=season)

    def seasons_median(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        cuts = [counts[:, : counts.shape[1] - k * season] for k in range(_SEASONS_MEDIAN)]
        seen = [season_ago(cut, horizon, season=season) for cut in cuts if cut.shape[1] >= season]
        return np.median(np.stack(seen), axis=0).astype(np.float32)

    def unchanged(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        return last_value(counts, horizon)

    def levels(counts: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The mean of the last season, and of the same season a week before."""
        before = counts[:, : counts.shape[1] - week][:, -season:]
        now = counts[:, -season:].mean(axis=1, keepdims=True)
        return now, before.mean(axis=1, keepdims=True) if before.shape[1] else now

    def week_shifted(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        now, before = levels(counts)
        return season_ago(counts, horizon, season=week) + (now - before)

    def week_scaled(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        now, before = levels(counts)
        shift = np.clip(now / np.maximum(before, np.float32(1e-9)), 1 / _SHIFT_MAX, _SHIFT_MAX)
        return (season_ago(counts, horizon, season=week) * shift).astype(np.float32)

    return [model.forecast, seasons_median, season_before, unchanged, week_shifted, week_scaled]
