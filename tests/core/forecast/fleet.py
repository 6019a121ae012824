"""Fleets and a learner for the tests of the need forecaster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from addrcast.core.forecast.need import NeedHistory, NeedSample

HOUR_S = 3_600


def rhythm(*, accounts: int, days: int, seed: int) -> NDArray[np.float32]:
    """Counts `(N, T)` by the hour that jump each day at the account's own hour, and fall back six hours later."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    start = rng.integers(0, 24, (accounts, 1))
    up = (hours - start) % 24 < 6
    size = rng.integers(5, 40, (accounts, 1))
    return (10 + size * up + rng.poisson(1.0, up.shape)).astype(np.float32)


def history_of(counts: NDArray[np.float32], *, lead: int = 1) -> NeedHistory:
    rises = np.maximum(np.diff(counts, axis=1, prepend=counts[:, :1]), 0)
    return NeedHistory.of(counts, rises, start_s=0, step_s=HOUR_S, lead=lead)


@dataclass(frozen=True, slots=True)
class ConstantModel:
    """The quantiles of all labels, whatever the features."""

    levels: tuple[float, ...]
    quantiles: NDArray[np.float32]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.broadcast_to(self.quantiles, (len(features), len(self.levels)))


def fit_constant(sample: NeedSample, levels: Sequence[float], seed: int) -> ConstantModel:
    assert len(sample.features) == len(sample.labels) == len(sample.scales) > 0
    return ConstantModel(tuple(levels), np.quantile(sample.labels, levels).astype(np.float32))
