"""The pooled need forecaster: fitted on a bounded sample of accounts and times, applied to all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.features import window_steps
from addrcast.core.forecast.need import NEED_LEVELS, NeedFitter, NeedHistory, NeedModel, NeedSample, need_quantiles
from addrcast.core.forecast.regime import TAIL_LEVELS, Tail, choose_tail, tail_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_MAX = 120_000
"""Rows a model is fitted on; more change the quantiles little and cost in proportion."""

_ROWS_CHECKED_MAX = 40_000
_CHECKED_SHARE = 0.25
_SHORT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class NeedForecaster:
    """A fitted model with what serves beyond it: quantiles of the need at `levels` for any account.

    `fleet` `(Q,)` are the quantiles of all sampled needs at the tail's levels, in addresses.
    """

    model: NeedModel
    tail: Tail
    fleet: NDArray[np.float32]

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of `quantiles`, ascending."""
        return (*self.model.levels, *TAIL_LEVELS)

    def quantiles(self, history: NeedHistory, columns: Iterable[int]) -> NDArray[np.float32]:
        """Needs in addresses, float32 `(N, C, Q)`: for each of `columns` from what was known then.

        Ascending in level and never negative.
        """
        body, largest = model_quantiles(self.model, history, columns)
        tail = tail_quantiles(self.tail, body[..., -1], largest, self.fleet)
        return np.concatenate([body, tail], axis=-1)


def model_quantiles(
    model: NeedModel, history: NeedHistory, columns: Iterable[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The model's quantiles `(N, C, Q)` and each account's largest need in its window `(N, C)`, in addresses."""
    found = [(*history.features_at(t), history.largest_at(t)) for t in columns]
    features, scales, largest = (np.concatenate(parts) for parts in zip(*found, strict=True))
    cap = np.concatenate([history.cap_at(t) for t in columns])
    flat = need_quantiles(model.predict(features), scales, cap)
    accounts = history.counts.shape[0]
    by_column = flat.reshape(len(found), accounts, -1)
    return by_column.transpose(1, 0, 2), largest.reshape(len(found), accounts).T


def sample_needs(history: NeedHistory, first: int, until: int, *, rows_max: int, seed: int) -> NeedSample:
    """A bounded sample of what was known at columns of `[first, until)` whose lead window ended before `until`.

    Some of it is told with a shorter history than there is, so that a new account is no stranger to the model.
    """
    rng = np.random.default_rng(seed)
    accounts = history.counts.shape[0]
    known = np.arange(first, until - history.lead)
    size = max(1, min(len(known), rows_max // accounts))
    kept = np.arange(accounts)
    if accounts > rows_max:
        kept = np.sort(rng.choice(accounts, rows_max, replace=False))
        history = history.only(kept)
    full = window_steps(history.step_s)
    features, labels, scales = [], [], []
    for t in np.sort(rng.choice(known, size, replace=False)):
        width = int(rng.integers(2, full)) if rng.random() < _SHORT_SHARE else full
        rows, scale = history.features_at(int(t), width=width)
        features.append(rows)
        scales.append(scale)
        labels.append(history.needs[:, t + history.lead] / scale)
    return NeedSample(np.concatenate(features), np.concatenate(labels), np.concatenate(scales))


def fit_need(
    history: NeedHistory, until: int, fit: NeedFitter, *, seed: int, rows_max: int = ROWS_MAX
) -> NeedForecaster:
    """Fit on columns before `until`: which tail serves is chosen on their last quarter, then all are fitted on."""
    first = min(history.lead, max(0, until - history.lead - 1))
    fleet = np.quantile(history.needs[:, history.lead : until], TAIL_LEVELS).astype(np.float32)
    begin = until - int(_CHECKED_SHARE * (until - first))
    checked = np.arange(begin, until - history.lead)
    tail = Tail.OWN
    if len(checked):
        early = fit(sample_needs(history, first, begin, rows_max=rows_max // 2, seed=seed), NEED_LEVELS[-1:], seed)
        stride = max(1, history.counts.shape[0] * len(checked) // _ROWS_CHECKED_MAX)
        checked = checked[::stride]
        body, largest = model_quantiles(early, history, checked.tolist())
        tail = choose_tail(
            history.needs[:, checked + history.lead], top=body[..., -1], own_largest=largest, fleet=fleet
        )
    sample = sample_needs(history, first, until, rows_max=rows_max, seed=seed)
    return NeedForecaster(fit(sample, NEED_LEVELS, seed), tail, fleet)
