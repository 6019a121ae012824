"""Regression of a count on the counts before it, for all accounts at once, fitted anew at every origin."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUIET = 1e-3
_RIDGE = 1e-4
"""The penalty in units of a term's mean square: the terms differ little, and nearly all of the fit is kept."""

_HALF_LIFE_WEEKS = 2.0
_EDGES = (2, 6, 12, 24, 36, 48)
_STEPS_MAX = 12
_ORIGINS_A_SEASON = 8
_SEASONS_MEAN = 7
_RECENT = (2, 3, 6)
_GROWTH_MAX = 2.0


@dataclass(frozen=True, slots=True)
class _Past:
    """Logarithms of counts `(N, T)` and their sums before each column `(N, T + 1)`; cycles in steps."""

    logs: NDArray[np.float64]
    sums: NDArray[np.float64]
    season: int
    week: int

    def terms(self, origins: NDArray[np.int64], ahead: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What origins `(K,)` know of the count `ahead` steps later `(N, K, P)`, less the week's mean `(N, K)`.

        An origin is how many columns are known; no column from it on is looked at.
        """
        season, week, target = self.season, self.week, origins + ahead - 1
        near, same = season * -(-ahead // season), week * -(-ahead // week)

        def at(place: NDArray[np.int64]) -> NDArray[np.float64]:
            return self.logs[:, np.clip(place, 0, origins - 1)]

        def mean(end: NDArray[np.int64], size: int) -> NDArray[np.float64]:
            end = np.maximum(end, 1)
            begin = np.maximum(end - size, 0)
            found: NDArray[np.float64] = (self.sums[:, end] - self.sums[:, begin]) / (end - begin)
            return found

        usual, level, now = mean(origins, week), mean(origins, season), at(origins - 1)
        lags = (near, near + season, same, same + week, near + week, same - 1, same + 1, near - 1, near + 1)
        days = sum(at(target - near - k * season) for k in range(_SEASONS_MEAN)) / _SEASONS_MEAN
        found = [at(target - lag) - usual for lag in lags]
        found += [days - usual, level - usual, mean(origins - week, season) - usual]
        found += [now - at(origins - 1 - season), now - at(origins - 1 - week), now - level]
        found += [at(origins - k) - at(origins - k - season) for k in _RECENT]
        return np.stack(found, axis=2), usual


def direct(
    counts: NDArray[np.float32], origins: Sequence[int], horizon: int, *, season: int, week: int
) -> NDArray[np.float32]:
    """What the regression forecasts from each origin, float32 `(N, O, H)`, fitted on what was known there alone.

    `counts` is `(N, T)`; origins ascend, each being how many columns are known. Steps ahead of a range share their
    weights. Squares and products are summed up from origin to origin, so that a fit at each costs a small solve.
    """
    quiet = _QUIET * (counts.mean(axis=1, keepdims=True).astype(np.float64) + 1)
    logs = np.log(counts + quiet)
    past = _Past(logs, np.cumsum(np.pad(logs, ((0, 0), (1, 0))), axis=1), season, week)
    ends = np.asarray(origins, np.int64)
    found = np.empty((len(counts), len(ends), horizon))
    edges = [0, *(edge for edge in _EDGES if edge < horizon), horizon]
    for first, last in itertools.pairwise(edges):
        weights = _weights(past, ends, range(first + 1, last + 1))
        for ahead in range(first + 1, last + 1):
            terms, usual = past.terms(ends, ahead)
            found[:, :, ahead - 1] = usual + np.einsum("nop,onp->no", terms, weights)
    highest = np.log(_GROWTH_MAX * counts.max(axis=1) + 1)
    told = np.exp(np.minimum(found, highest[:, None, None])) - quiet[:, :, None]
    answer: NDArray[np.float32] = np.maximum(told, 0).astype(np.float32)
    return answer


def _weights(past: _Past, ends: NDArray[np.int64], steps: Sequence[int]) -> NDArray[np.float64]:
    """Weights `(O, N, P)` at each origin of `ends`, from the pairs of origin and step that were over by then."""
    stride = max(1, past.season // _ORIGINS_A_SEASON)
    starts = np.arange(past.week + past.season + max(_RECENT), int(ends[-1]), stride)
    size = past.terms(ends[:1], 1)[0].shape[2]
    squares = np.zeros((len(ends), len(past.logs), size, size))
    products = np.zeros((len(ends), len(past.logs), size))
    for ahead in steps[:: -(-len(steps) // _STEPS_MAX)]:
        came = starts[starts + ahead <= ends[-1]]
        terms, usual = past.terms(came, ahead)
        actual = past.logs[:, came + ahead - 1] - usual
        bounds = [0, *np.searchsorted(came + ahead, ends, side="right").tolist()]
        for place, (begin, end) in enumerate(itertools.pairwise(bounds)):
            turned = terms[:, begin:end].transpose(0, 2, 1)
            squares[place] += turned @ terms[:, begin:end]
            products[place] += (turned @ actual[:, begin:end, None])[..., 0]
    for place, lasting in enumerate(0.5 ** (np.diff(ends) / (_HALF_LIFE_WEEKS * past.week)), start=1):
        squares[place] += lasting * squares[place - 1]
        products[place] += lasting * products[place - 1]
    means = np.maximum(np.einsum("onpp->on", squares) / size, 1e-9)
    penalty = _RIDGE * means[..., None, None] * np.eye(size)
    return np.linalg.solve(squares + penalty, products[..., None])[..., 0]
