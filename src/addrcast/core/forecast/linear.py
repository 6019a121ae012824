"""Trend, day and week by ridge regression for all accounts in one solve, with a direct correction per horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.features import DAY_S, WEEK_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF_LIFE_S = 14 * DAY_S
_DAY_WAVES = 6
_WEEK_WAVES = 4
_RIDGE = 1.0
_LAG_RIDGE = 0.1


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A fitted regression of N accounts, in the square root of the count.

    `weights` is `(P, N)` over the terms of `_terms`; `lag_weights` is `(H, L, N)` over the lagged residuals.
    """

    weights: NDArray[np.float64]
    lag_weights: NDArray[np.float64]
    start_s: int
    step_s: int
    fitted_steps: int

    def forecast(self, counts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Counts of the next H steps, float32 `(N, H)`, after `counts` `(N, t)`, which begin at `start_s`."""
        width, horizon = counts.shape[1], len(self.lag_weights)
        lags = _lags(self.step_s)
        first = max(0, width - max(lags))
        residual = np.sqrt(counts[:, first:]) - (self._terms(first, width) @ self.weights).T
        seen = _lagged(residual, np.array([residual.shape[1] - 1]), lags)[:, 0]
        level = (self._terms(width, width + horizon) @ self.weights).T
        level += np.einsum("hln,nl->nh", self.lag_weights, seen)
        return np.square(np.maximum(level, 0)).astype(np.float32)

    def _terms(self, first: int, end: int) -> NDArray[np.float64]:
        return _terms(self.start_s, self.step_s, first, end, scale=self.fitted_steps)


def fit_linear(counts: NDArray[np.float32], horizon: int, *, start_s: int, step_s: int) -> LinearModel:
    """Fit on all of `counts` `(N, T)`, old columns weighing half as much every two weeks."""
    width = counts.shape[1]
    roots = np.sqrt(counts.astype(np.float64))
    age = np.arange(width - 1, -1, -1, dtype=np.float64)
    importance = 0.5 ** (age * step_s / _HALF_LIFE_S)
    terms = _terms(start_s, step_s, 0, width, scale=width)
    penalty = _RIDGE * np.eye(terms.shape[1])
    penalty[0, 0] = 1e-6  # the mean is not drawn to zero
    weighted = terms * importance[:, None]
    weights = np.linalg.solve(weighted.T @ terms + penalty, weighted.T @ roots.T).astype(np.float64)
    residual = roots - (terms @ weights).T
    lag_weights = _fit_lags(residual, importance, horizon, _lags(step_s))
    return LinearModel(weights, lag_weights, start_s, step_s, width)


def _terms(start_s: int, step_s: int, first: int, end: int, *, scale: int) -> NDArray[np.float64]:
    """One, the trend, and waves of the day and of the week that the grid can show: `(end - first, P)`."""
    place = np.arange(first, end, dtype=np.float64)
    times = start_s + step_s * place
    columns = [np.ones_like(place), place / scale]
    for period_s, waves in ((DAY_S, _DAY_WAVES), (WEEK_S, _WEEK_WAVES)):
        for k in range(1, waves + 1):
            if 2 * k * step_s < period_s:
                angle = 2 * np.pi * k * (times % period_s) / period_s
                columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1)


def _lags(step_s: int) -> tuple[int, ...]:
    """How many columns back the residuals lie that correct a forecast, 1 being the last known."""
    return tuple(sorted({1, 2, 3, max(1, DAY_S // step_s), max(1, WEEK_S // step_s)}))


def _lagged(residual: NDArray[np.float64], places: NDArray[np.int64], lags: tuple[int, ...]) -> NDArray[np.float64]:
    """Residuals `(N, O, L)` seen from `places` `(O,)`; 0 before the history."""
    columns = places[:, None] + 1 - np.asarray(lags)[None]
    return np.where(columns >= 0, residual[:, np.maximum(columns, 0)], 0.0)


def _fit_lags(
    residual: NDArray[np.float64], importance: NDArray[np.float64], horizon: int, lags: tuple[int, ...]
) -> NDArray[np.float64]:
    """Weights `(H, L, N)` of the lagged residuals on the residual `h + 1` steps later: small solves at once."""
    accounts, width = residual.shape
    found = np.zeros((horizon, len(lags), accounts))
    spread = np.eye(len(lags)) * (_LAG_RIDGE * (1e-6 + np.square(residual).mean(axis=1)) * width)[:, None, None]
    seen = _lagged(residual, np.arange(width), lags)
    for h in range(min(horizon, width - 1)):
        weighted = seen[:, : width - 1 - h] * importance[None, h + 1 :, None]
        square = np.einsum("nol,nom->nlm", weighted, seen[:, : width - 1 - h], optimize=True)
        toward = np.einsum("nol,no->nl", weighted, residual[:, h + 1 :], optimize=True)
        found[h] = np.linalg.solve(square + spread, toward[..., None])[..., 0].T
    return found
