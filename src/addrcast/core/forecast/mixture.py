"""The default level engine: smoothing, regression and simple rules for all accounts, mixed by what they lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory, fill_gaps
from addrcast.core.forecast.calibration import error_quantiles
from addrcast.core.forecast.engine import bounded, check_request, season_steps
from addrcast.core.forecast.naive import last
from addrcast.core.forecast.rolling import Rolled, past_origins, roll

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHARPNESS = 7.0
"""How quickly a candidate's weight falls with its loss relative to the best one's."""

_AGEING = 0.85
"""How much less an origin counts than the one after it."""

_CELLS_AT_ONCE = 4_000_000
_SMOOTHED_SHARE = 0.05
_EVEN_SHARE = 0.1
_LAPLACE_SHARE = 0.4


def linear(history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
    """The mixture of all candidates, for all accounts at once: a LevelEngine.

    Candidates are averaged with weights by what they lost from past origins. What the mixture of the *other*
    origins got wrong at each origin gives its quantiles: so they are not those of a mixture that has seen the
    answer. Under two seasons of history `last` serves. No account's answer depends on another's.
    """
    check_request(history, horizon, levels)
    counts = fill_gaps(history).counts
    season = season_steps(history.step_s)
    origins = past_origins(counts.shape[1], horizon, season=season)
    if len(origins) < 2:
        return last(history, horizon, levels)
    size = max(1, _CELLS_AT_ONCE // (len(origins) * horizon + counts.shape[1]))
    found = []
    for begin in range(0, len(counts), size):
        block = counts[begin : begin + size]
        rolled = roll(block, origins, horizon, clock=history, season=season)
        found.append(bounded(_quantiles(rolled, levels, season=season), block))
    return np.concatenate(found)


def mixing_weights(losses: NDArray[np.float32], *, sharpness: float = _SHARPNESS) -> NDArray[np.float32]:
    """Weights `(C, N)` that sum to 1 for each account, from losses `(C, N)`: exp(-sharpness * relative loss).

    A candidate whose loss is infinite has no part in the mixture.
    """
    best = np.maximum(losses.min(axis=0), np.float32(1e-9))
    # Beyond some hundreds the weight is nothing anyway, and the quotient of a perfect account has no bound.
    weights = np.exp(-np.minimum(sharpness * (losses / best - 1), 500))
    shares: NDArray[np.float32] = (weights / weights.sum(axis=0)).astype(np.float32)
    return shares


def _quantiles(rolled: Rolled, levels: Sequence[float], *, season: int) -> NDArray[np.float32]:
    ages = np.arange(rolled.came.shape[1] - 1, -1, -1)
    importance = (_AGEING**ages).astype(np.float32)
    losses = np.abs(rolled.past - rolled.came).mean(axis=3)
    point = np.einsum("cn,cnh->nh", mixing_weights(losses @ importance / importance.sum()), rolled.now)
    spread, errors = _errors(rolled, losses, importance, season=season)
    own = error_quantiles((errors / spread[:, None]).reshape(len(errors), -1), levels)
    shape = (1 - _LAPLACE_SHARE) * own + _LAPLACE_SHARE * _laplace(levels)
    quantiles: NDArray[np.float32] = point[..., None] + spread[..., None] * shape[:, None]
    return quantiles


def _errors(
    rolled: Rolled, losses: NDArray[np.float32], importance: NDArray[np.float32], *, season: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The spread by horizon `(N, H)`, and the errors `(N, O, H)` of a mixture that has not seen their origins."""
    origins, horizon = rolled.came.shape[1:]
    overlap = -(-horizon // season)
    errors = np.empty_like(rolled.came)
    for origin in range(origins):
        apart = np.abs(np.arange(origins) - origin) >= overlap
        others = importance * (apart if apart.any() else np.arange(origins) != origin)
        weights = mixing_weights(losses @ others / others.sum())
        errors[:, origin] = rolled.came[:, origin] - np.einsum("cn,cnh->nh", weights, rolled.past[:, :, origin])
    squares = np.einsum("noh,o->nh", np.square(errors), importance / importance.sum())
    squares = squares @ _bell(horizon, max(0.5, _SMOOTHED_SHARE * season))
    even = (1 - _EVEN_SHARE) * squares + _EVEN_SHARE * squares.mean(axis=1, keepdims=True)
    least = np.float32(1e-6) * (1 + rolled.came.mean(axis=(1, 2)))
    spread: NDArray[np.float32] = np.sqrt(even) + least[:, None]
    return spread, errors


def _bell(size: int, width: float) -> NDArray[np.float32]:
    """Weights `(size, size)` that smooth over neighbouring steps; each column sums to 1."""
    apart = np.subtract.outer(np.arange(size), np.arange(size)) / width
    weights = np.exp(-np.square(apart) / 2)
    normed: NDArray[np.float32] = (weights / weights.sum(axis=0)).astype(np.float32)
    return normed


def _laplace(levels: Sequence[float]) -> NDArray[np.float32]:
    """Quantiles of the Laplace distribution of unit variance: the shape of errors that is assumed beforehand."""
    level = np.asarray(levels)
    tail = np.log(2 * np.minimum(level, 1 - level)) / np.sqrt(2)
    quantiles: NDArray[np.float32] = np.where(level < 0.5, tail, -tail).astype(np.float32)
    return quantiles
