"""How good an engine would have been: its forecasts from past origins against what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory, fill_gaps
from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.engine import season_steps
from addrcast.core.forecast.fleet import spans
from addrcast.core.forecast.scoring import pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Fold:
    """One origin of some accounts: what was known then, and what came in the steps after it, float32 `(N, H)`.

    `rows` are the accounts' places in the whole history.
    """

    rows: NDArray[np.intp]
    known: CountHistory
    came: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Score:
    """What an engine got wrong, means over accounts, origins and steps.

    `pinball` is the mean over the levels, in units of each account's in-sample seasonal error; `coverage` has the
    share of what came that each level's quantile reached; `mase` is the median's absolute error in the same unit.
    `failures` counts forecasts of an account that were missing or no numbers; they are left out of the rest.
    """

    pinball: float
    coverage: dict[str, float]
    mase: float
    failures: int


def folds(history: CountHistory, horizon: int, *, origins: int) -> list[Fold]:
    """The last `origins` origins, `horizon` steps apart, as far as a season is known before each.

    Raises Invalid where no account has one.
    """
    season = season_steps(history.step_s)
    found = []
    for rows, ending in spans(history):
        counts = fill_gaps(ending).counts
        for back in range(1, origins + 1):
            end = ending.steps - back * horizon
            if end > season:
                known = CountHistory(ending.accounts, ending.start_s, ending.step_s, ending.counts[:, :end])
                found.append(Fold(rows, known, counts[:, end : end + horizon]))
    if not found:
        rule = f"a season of {season} steps before {horizon} steps ahead is needed: give a longer history"
        raise Invalid("horizon", horizon, rule)
    return found


def seasonal_error(known: CountHistory) -> NDArray[np.float32]:
    """The mean absolute change over a season of each account, float32 `(N,)`: the unit of the scores.

    An account that repeats exactly has that of a single step, and one that never changed 1.

    Source: Hyndman and Koehler, Another Look at Measures of Forecast Accuracy, IJF 22 (2006).
    """
    counts = fill_gaps(known).counts
    season = min(season_steps(known.step_s), counts.shape[1] - 1)
    scale = np.abs(counts[:, season:] - counts[:, :-season]).mean(axis=1)
    steps = np.abs(np.diff(counts, axis=1)).mean(axis=1)
    unit: NDArray[np.float32] = np.where(scale > _TINY, scale, np.where(steps > _TINY, steps, 1)).astype(np.float32)
    return unit


def scored(found: Sequence[tuple[Fold, NDArray[np.float32]]], *, levels: Sequence[float]) -> Score:
    """The score of quantiles `(N, H, Q)` for each fold; `levels` ascend and have the median among them."""
    losses, covered, misses = [], [], []
    failures = 0
    middle = list(levels).index(0.5)
    for fold, quantiles in found:
        sound = np.isfinite(quantiles).all(axis=(1, 2))
        failures += int(np.count_nonzero(~sound))
        unit = seasonal_error(fold.known)[sound]
        came, told = fold.came[sound], quantiles[sound]
        losses.append(pinball(came, told, levels).mean(axis=(1, 2)) / unit)
        misses.append(np.abs(came - told[..., middle]).mean(axis=1) / unit)
        covered.append((came[..., None] <= told + np.float32(_TINY)).mean(axis=1))
    if not sum(map(len, losses)):
        return Score(float("nan"), dict.fromkeys(map(str, levels), float("nan")), float("nan"), failures)
    coverage = np.concatenate(covered).mean(axis=0)
    return Score(
        pinball=float(np.concatenate(losses).mean()),
        coverage={str(level): float(share) for level, share in zip(levels, coverage, strict=True)},
        mase=float(np.concatenate(misses).mean()),
        failures=failures,
    )
