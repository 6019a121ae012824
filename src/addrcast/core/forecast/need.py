"""The need of the next lead window: labels for the pooled model, and its answers turned back into addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from addrcast.core.forecast.features import NEED_FEATURES, lead_needs, need_features, window_steps
from addrcast.core.forecast.metric_features import metric_feature_names, metric_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.domain.demand import MetricHistory

NEED_LEVELS = (0.1, 0.4, 0.65, 0.8, 0.88, 0.93, 0.96, 0.98, 0.99, 0.996)
"""The levels a pooled model is fitted at."""

CAP = 2.0
"""No quantile is above this multiple of the largest count or need in the account's window."""


@dataclass(frozen=True, slots=True)
class NeedSample:
    """What a pooled model is fitted on: at least one row, each of one account at one time.

    `features` is `(R, F)`, `labels` `(R,)` are needs in units of `scales` `(R,)` addresses; all float32. `names`
    are those of the F features.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.float32]
    scales: NDArray[np.float32]
    names: tuple[str, ...] = NEED_FEATURES


class NeedModel(Protocol):
    """A fitted pooled model: quantiles of the need, in units of each row's scale, from scale-free features."""

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels it answers for, ascending."""
        ...

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quantiles float32 `(R, Q)` of the rows of `features` `(R, F)`; they may cross and be negative."""
        ...


class NeedFitter(Protocol):
    """Fits a pooled model; the same sample, levels and seed give the same model."""

    def __call__(self, sample: NeedSample, levels: Sequence[float], seed: int) -> NeedModel:
        """Fit one quantile for each of `levels`, which ascend."""
        ...


@dataclass(frozen=True, slots=True)
class NeedHistory:
    """What is known of N accounts up to a column: float32 `(N, T)` counts and needs, without gaps.

    `needs` is `lead_needs` of the counts; column `t` is the time `start_s + t * step_s`. `metrics` is float32
    `(M, N, T)` with NaN where unknown, M the number of `metric_names`.
    """

    counts: NDArray[np.float32]
    needs: NDArray[np.float32]
    start_s: int
    step_s: int
    lead: int
    metrics: NDArray[np.float32] | None = None
    metric_names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        counts: NDArray[np.float32],
        window_needs: NDArray[np.float32],
        *,
        start_s: int,
        step_s: int,
        lead: int,
        metrics: MetricHistory | None = None,
    ) -> NeedHistory:
        """The history of counts and of the needs inside single steps, both `(N, T)`.

        `metrics` are of the same accounts and times.
        """
        values, names = (None, ()) if metrics is None else (metrics.values, metrics.names)
        return cls(counts, lead_needs(counts, window_needs, lead), start_s, step_s, lead, values, names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in the order of `features_at`."""
        return (*NEED_FEATURES, *metric_feature_names(self.metric_names))

    def window_at(
        self, column: int, *, width: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Counts and needs `(N, W)` as known at `column`: its last `width` columns, or two weeks."""
        end = column + 1
        first = max(0, end - (width or window_steps(self.step_s)))
        return self.counts[:, first:end], self.needs[:, first:end]

    def features_at(
        self, column: int, *, width: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features and scale of all accounts as they were known at `column`."""
        counts, needs = self.window_at(column, width=width)
        now_s = self.start_s + column * self.step_s
        features, scale = need_features(counts, needs, now_s=now_s, step_s=self.step_s, lead=self.lead)
        if self.metrics is None:
            return features, scale
        window = self.metrics[:, :, column + 1 - counts.shape[1] : column + 1]
        covariates = metric_features(window, counts, scale, step_s=self.step_s, lead=self.lead)
        return np.concatenate([features, covariates], axis=1), scale

    def cap_at(self, column: int) -> NDArray[np.float32]:
        """The most a quantile at `column` may say, addresses, float32 `(N,)`."""
        counts, needs = self.window_at(column)
        cap: NDArray[np.float32] = np.float32(CAP) * np.maximum(counts.max(axis=1), needs.max(axis=1))
        return cap

    def only(self, accounts: NDArray[np.int64]) -> NeedHistory:
        """The history of some of its rows."""
        metrics = None if self.metrics is None else self.metrics[:, accounts]
        return replace(self, counts=self.counts[accounts], needs=self.needs[accounts], metrics=metrics)


def need_quantiles(
    raw: NDArray[np.float32], scale: NDArray[np.float32], cap: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Addresses float32 `(N, Q)` of a model's answers: ascending in level, never negative, at most `cap`."""
    ascending = np.maximum.accumulate(np.maximum(raw, 0), axis=1)
    return np.minimum(ascending * scale[:, None], cap[:, None])
