"""The need forecaster: a pooled model fitted on a bounded sample, with the rules that serve where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.calibration import at_positions, level_positions
from addrcast.core.forecast.need import NEED_LEVELS, NeedFitter, NeedHistory, NeedModel, NeedSample, need_quantiles
from addrcast.core.forecast.regime import (
    MODEL,
    OWN_QUANTILE,
    TAIL_LEVELS,
    Tail,
    choose_rules,
    choose_tail,
    day_columns,
    reactive_quantiles,
    served,
    tail_quantiles,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_MAX = 120_000
"""Rows a model is fitted on; more change the quantiles little and cost in proportion."""

_ROWS_CHECKED_MAX = 40_000
_CHECKED_SHARE = 0.25
_SHORT_SHARE = 0.1
_UNCHECKED = np.arange(len(NEED_LEVELS), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class NeedForecaster:
    """A fitted model with what serves beside and beyond it: quantiles of the need at `levels`.

    `rules` is int8 `(N, Q)` over the accounts of the history it was fitted on and the model's levels; `fleet`
    `(Q,)` are the quantiles of all needs at the tail's levels, in addresses. `positions` `(Q,)` are where along the
    served quantiles the model's levels lie by their measured coverage.
    """

    model: NeedModel
    rules: NDArray[np.int8]
    positions: NDArray[np.float32]
    tail: Tail
    fleet: NDArray[np.float32]

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of `quantiles`, ascending: the model's with one between each two, then the tail's."""
        misses = 1 - np.asarray(self.model.levels)
        between = np.sqrt(misses[:-1] * misses[1:])
        return (*(1 - np.sort(np.concatenate([misses, between]))[::-1]).tolist(), *TAIL_LEVELS)

    def quantiles(self, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
        """Needs in addresses, float32 `(N, C, Q)`: for each of `columns` from what was known then.

        Ascending in level and never negative. The history has the accounts that the forecaster was fitted on.
        """
        body = model_quantiles(self.model, history, columns)
        ruled = np.flatnonzero((self.rules != MODEL).any(axis=1))
        if len(ruled):
            rules = rule_quantiles(history.only(ruled), columns, self.model.levels)
            body[ruled] = served(body[ruled], rules, self.rules[ruled])
        tail = tail_quantiles(self.tail, body[..., -1], largest_needs(history, columns), self.fleet)
        return np.concatenate([at_positions(body, _halved(self.positions)), tail], axis=-1)


def model_quantiles(model: NeedModel, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
    """The model's quantiles in addresses, float32 `(N, C, Q)`."""
    found = [history.features_at(t) for t in columns]
    features, scales = (np.concatenate(parts) for parts in zip(*found, strict=True))
    caps = np.concatenate([history.cap_at(t) for t in columns])
    flat = need_quantiles(model.predict(features), scales, caps)
    return flat.reshape(len(columns), len(history.counts), -1).transpose(1, 0, 2)


def rule_quantiles(history: NeedHistory, columns: Sequence[int], levels: Sequence[float]) -> NDArray[np.float32]:
    """The reactive rules' quantiles in addresses, float32 `(R, N, C, Q)`."""
    found = [reactive_quantiles(*history.window_at(t), levels, step_s=history.step_s) for t in columns]
    return np.stack(found, axis=2)


def largest_needs(history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
    """The largest need each account had in its window, float32 `(N, C)`."""
    return np.stack([history.window_at(t)[1].max(axis=1) for t in columns], axis=1)


def sample_needs(history: NeedHistory, until: int, *, rows_max: int, seed: int) -> NeedSample:
    """A bounded sample of what was known at columns whose lead window ended before `until`.

    Some of it is told with a shorter history than there is, so that a new account is no stranger to the model.
    There are no rows where no lead window began and ended before `until`.
    """
    rng = np.random.default_rng(seed)
    accounts = len(history.counts)
    if accounts > rows_max:
        history = history.only(np.sort(rng.choice(accounts, rows_max, replace=False)))
    known = np.arange(until - history.lead)
    size = min(len(known), max(1, rows_max // accounts))
    names = history.feature_names
    features = [np.zeros((0, len(names)), np.float32)]
    labels, scales = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for t in np.sort(rng.choice(known, size, replace=False)).tolist():
        width = int(rng.integers(1, t + 1)) if t and rng.random() < _SHORT_SHARE else None
        rows, scale = history.features_at(t, width=width)
        features.append(rows)
        scales.append(scale)
        labels.append(history.needs[:, t + history.lead] / scale)
    return NeedSample(np.concatenate(features), np.concatenate(labels), np.concatenate(scales), names)


def fit_need(
    history: NeedHistory, until: int, fit: NeedFitter, *, seed: int, rows_max: int = ROWS_MAX
) -> NeedForecaster:
    """Fit on the columns before `until`, of which there is at least one.

    A model of the first three quarters is set beside the reactive rules on the last; the model that serves is
    then fitted on all. Where no lead window has ended yet, each account's own needs serve.
    """
    needs = history.needs[:, min(history.lead, until - 1) : until]
    fleet = np.quantile(needs, TAIL_LEVELS).astype(np.float32)
    sample = sample_needs(history, until, rows_max=rows_max, seed=seed)
    if not len(sample.labels):
        rules = np.full((len(history.counts), len(NEED_LEVELS)), OWN_QUANTILE, np.int8)
        return NeedForecaster(_Nothing(NEED_LEVELS), rules, _UNCHECKED, Tail.OWN, fleet)
    rules, positions, tail = _checked(history, until, fit, seed=seed, rows_max=rows_max // 2, fleet=fleet)
    return NeedForecaster(fit(sample, NEED_LEVELS, seed), rules, positions, tail, fleet)


def _checked(
    history: NeedHistory, until: int, fit: NeedFitter, *, seed: int, rows_max: int, fleet: NDArray[np.float32]
) -> tuple[NDArray[np.int8], NDArray[np.float32], Tail]:
    """Rules, positions and tail by the last quarter before `until`, served by a model of what came before."""
    accounts = len(history.counts)
    begin = until - int(_CHECKED_SHARE * until)
    early = sample_needs(history, begin, rows_max=rows_max, seed=seed)
    stride = max(1, accounts * (until - begin) // _ROWS_CHECKED_MAX)
    columns = range(begin, until - history.lead, stride)
    if not len(early.labels) or not columns:
        return np.full((accounts, len(NEED_LEVELS)), MODEL, np.int8), _UNCHECKED, Tail.OWN
    model = model_quantiles(fit(early, NEED_LEVELS, seed), history, columns)
    reactive = rule_quantiles(history, columns, NEED_LEVELS)
    came = history.needs[:, np.asarray(columns) + history.lead]
    rules = choose_rules(
        came,
        model=model,
        reactive=reactive,
        levels=NEED_LEVELS,
        block=day_columns(history.step_s, stride),
        happened=np.count_nonzero(history.needs[:, begin + history.lead : until], axis=1),
    )
    quantiles = served(model, reactive, rules)
    coverage = (came[..., None] <= np.rint(quantiles)).mean(axis=(0, 1), dtype=np.float32)
    tail = choose_tail(came, top=quantiles[..., -1], own_largest=largest_needs(history, columns), fleet=fleet)
    return rules, level_positions(coverage, NEED_LEVELS), tail


@dataclass(frozen=True, slots=True)
class _Nothing:
    """The model of a fleet of which nothing is known yet: no need at all."""

    levels: tuple[float, ...]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros((len(features), len(self.levels)), np.float32)


def _halved(positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """The positions with the middle of each two neighbours between them."""
    both = np.empty(2 * len(positions) - 1, np.float32)
    both[::2], both[1::2] = positions, (positions[:-1] + positions[1:]) / 2
    return both
