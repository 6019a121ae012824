"""The default level engine: a linear model and three simple rules, each made true, mixed by what they lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory, fill_gaps
from addrcast.core.forecast.calibration import conformal_offsets
from addrcast.core.forecast.engine import bounded, check_request, season_steps
from addrcast.core.forecast.linear import fit_linear
from addrcast.core.forecast.naive import last, last_value, season_ago
from addrcast.core.forecast.scoring import pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIGINS_MAX = 48
_SEASONS_MEDIAN = 7
_SHARPNESS = 8.0
"""How quickly a candidate's weight falls with its loss relative to the best one's."""

Rule = Callable[["NDArray[np.float32]"], "NDArray[np.float32]"]


def linear(history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
    """The mixture of all candidates, for all accounts at once: a LevelEngine.

    The candidates forecast from origins in the last third of the history (the linear model fitted before it);
    their errors there make their quantiles and their weights. Under two seasons of history `last` serves.
    """
    check_request(history, horizon, levels)
    counts = fill_gaps(history).counts
    season = season_steps(history.step_s)
    width = counts.shape[1]
    if width < 2 * season + horizon:
        return last(history, horizon, levels)
    begin = max(season + 1, width - max(width // 3, horizon + 1))
    origins = np.unique(np.linspace(begin, width - horizon, _ORIGINS_MAX, dtype=np.int64))
    early = _rules(history, counts[:, :begin], horizon, season)
    late = _rules(history, counts, horizon, season)
    quantiles, losses = [], []
    for rule, rule_now in zip(early, late, strict=True):
        actual = np.stack([counts[:, o : o + horizon] for o in origins], axis=1)
        forecast = np.stack([rule(counts[:, :o]) for o in origins], axis=1)
        offsets = conformal_offsets(actual - forecast, levels)
        losses.append(pinball(actual - forecast, offsets[:, None], levels).mean(axis=(1, 2, 3)))
        quantiles.append(rule_now(counts)[..., None] + offsets)
    return bounded(np.einsum("cn,cnhq->nhq", mixing_weights(np.stack(losses)), np.stack(quantiles)), counts)


def mixing_weights(losses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights `(C, N)` that sum to 1 for each account, from losses `(C, N)`: exp(-sharpness * relative loss)."""
    best = np.maximum(losses.min(axis=0), np.float32(1e-9))
    # Beyond some hundreds the weight is nothing anyway, and the quotient of a perfect account has no bound.
    weights = np.exp(-np.minimum(_SHARPNESS * (losses / best - 1), 500))
    shares: NDArray[np.float32] = (weights / weights.sum(axis=0)).astype(np.float32)
    return shares


def _rules(history: CountHistory, fitted_on: NDArray[np.float32], horizon: int, season: int) -> list[Rule]:
    model = fit_linear(fitted_on, horizon, start_s=history.start_s, step_s=history.step_s)

    def season_before(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        return season_ago(counts, horizon, season=season)

    def seasons_median(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        cuts = [counts[:, : counts.shape[1] - k * season] for k in range(_SEASONS_MEDIAN)]
        seen = [season_ago(cut, horizon, season=season) for cut in cuts if cut.shape[1] >= season]
        return np.median(np.stack(seen), axis=0).astype(np.float32)

    def unchanged(counts: NDArray[np.float32]) -> NDArray[np.float32]:
        return last_value(counts, horizon)

    return [model.forecast, seasons_median, season_before, unchanged]
