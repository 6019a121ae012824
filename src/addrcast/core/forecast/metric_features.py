"""Scale-free features of CPU, memory, network and other metrics, beside the count that they go with.

A metric is measured against its own past, as a logarithm, and against what one instance of the account usually
uses: so the unit of a metric does not matter, and a model fitted on some accounts serves others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.features import HOUR_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP_WINDOW = 6
_HOUR_WINDOWS = (24, 168)
_CHANGES = 3
_DAY_H, _WEEK_H = 24, 168
_QUIET = 0.1
"""Added to a level in units of its mean: a metric that falls to nothing is quiet, not infinitely far down."""
_TINY = 1e-6

_OF_EACH: tuple[str, ...] = (
    f"over_mean_{_STEP_WINDOW}_steps",
    *(f"over_mean_{h}_h" for h in _HOUR_WINDOWS),
    "over_mean",
    f"over_maximum_{_DAY_H}_h",
    "over_maximum",
    "over_minimum",
    *(f"change_{k}" for k in range(_CHANGES)),
    "next_1_d_ago",
    "next_7_d_ago",
    "change_1_d_ago",
    "use_over_count",
    "instances_short",
    "use_of_each",
)


def metric_feature_names(metrics: Sequence[str]) -> tuple[str, ...]:
    """The names of the features of some metrics, in the order of the columns of `metric_features`."""
    return tuple(f"{metric}_{feature}" for metric in metrics for feature in _OF_EACH)


def metrics_of(features: Sequence[str]) -> tuple[str, ...]:
    """The metrics whose `metric_feature_names` these are, as far as the names tell."""
    return tuple(name.removesuffix(f"_{_OF_EACH[0]}") for name in features[:: len(_OF_EACH)])


def metric_features(
    values: NDArray[np.float32],
    counts: NDArray[np.float32],
    scale: NDArray[np.float32],
    *,
    step_s: int,
    lead: int,
) -> NDArray[np.float32]:
    """The features `(N, F)`, float32, of metrics `(M, N, W)` whose last column is now; NaN is what is not known.

    `counts` is `(N, W)` on the same columns, `scale` `(N,)` the account's unit in addresses. What a metric was last
    known as stands for a gap; an account of which nothing is known has NaN in all features of that metric.
    """
    found = np.full((counts.shape[0], len(values) * len(_OF_EACH)), np.nan, np.float32)
    for place, metric in enumerate(values):
        known = np.flatnonzero(~np.isnan(metric).all(axis=1))
        if len(known):
            columns = _of_metric(_filled(metric[known]), counts[known], scale[known], step_s=step_s, lead=lead)
            found[known, place * len(_OF_EACH) : (place + 1) * len(_OF_EACH)] = np.stack(columns, axis=1)
    return found


def _of_metric(
    use: NDArray[np.float32], counts: NDArray[np.float32], scale: NDArray[np.float32], *, step_s: int, lead: int
) -> list[NDArray[np.float32]]:
    accounts, width = use.shape
    level = np.log(use / (use.mean(axis=1, keepdims=True) + np.float32(_TINY)) + np.float32(_QUIET))
    now = level[:, -1]

    def past(columns: int) -> NDArray[np.float32]:
        return level[:, -1 - columns] if 0 <= columns < width else np.full(accounts, np.nan, np.float32)

    def steps(hours: int) -> int:
        return max(1, round(hours * HOUR_S / step_s))

    day, week = steps(_DAY_H), steps(_WEEK_H)
    usual = use.sum(axis=1) / np.maximum(counts.sum(axis=1), np.float32(_TINY))
    asks_for = use[:, -1] / np.maximum(usual, np.float32(_TINY))
    return [
        *(now - level[:, -k:].mean(axis=1) for k in (_STEP_WINDOW, *(steps(h) for h in _HOUR_WINDOWS))),
        now - level.mean(axis=1),
        now - level[:, -day:].max(axis=1),
        now - level.max(axis=1),
        now - level.min(axis=1),
        *(past(k) - past(k + 1) for k in range(_CHANGES)),
        past(day - lead) - now,
        past(week - lead) - now,
        past(day - lead) - past(day),
        (asks_for - counts[:, -1]) / scale,
        asks_for - counts[:, -1],
        asks_for / np.maximum(counts[:, -1], 1),
    ]


def _filled(metric: NDArray[np.float32]) -> NDArray[np.float32]:
    """A metric `(N, W)` without gaps, never negative: what was known last, before that what was known first."""
    known = ~np.isnan(metric)
    first = np.argmax(known, axis=1)
    place = np.where(known, np.arange(metric.shape[1]), first[:, None])
    np.maximum.accumulate(place, axis=1, out=place)
    return np.maximum(np.take_along_axis(metric, place, axis=1), 0)
