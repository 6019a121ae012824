"""Conformal calibration: what has to be added to a forecast so that its quantiles are true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BUCKET_EDGES = (1, 3, 6, 12, 24, 48, 96, 168)


def horizon_buckets(horizon: int) -> list[slice]:
    """Ranges of horizon steps that share their errors: fine at first, coarse later; together they are all steps."""
    edges = [edge for edge in _BUCKET_EDGES if edge < horizon]
    return [slice(a, b) for a, b in zip([0, *edges], [*edges, horizon], strict=True)]


def error_quantiles(errors: NDArray[np.float32], levels: Sequence[float]) -> NDArray[np.float32]:
    """One-sided offsets float32 `(N, Q)` from `errors` `(N, E)` (actual less forecast) seen before.

    The k-th smallest of E errors with k = ceil((E + 1) * level), at most E: whatever the distribution, the next
    error is at most that with probability `level` or more, if errors are exchangeable. With no errors it is 0.

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005); Lei et al.,
    Distribution-Free Predictive Inference for Regression, JASA 113 (2018).
    """
    accounts, seen = errors.shape
    if not seen:
        return np.zeros((accounts, len(levels)), np.float32)
    ranks = np.ceil((seen + 1) * np.asarray(levels)).astype(np.int64)
    return np.sort(errors, axis=1)[:, np.clip(ranks, 1, seen) - 1]


def conformal_offsets(errors: NDArray[np.float32], levels: Sequence[float]) -> NDArray[np.float32]:
    """Offsets by horizon, float32 `(N, H, Q)`, from `errors` `(N, O, H)` of forecasts made at O origins."""
    accounts, origins, horizon = errors.shape
    offsets = np.empty((accounts, horizon, len(levels)), np.float32)
    for bucket in horizon_buckets(horizon):
        shared = errors[:, :, bucket].reshape(accounts, -1) if origins else errors[:, :0, 0]
        offsets[:, bucket] = error_quantiles(shared, levels)[:, None]
    return offsets


def level_positions(coverage: NDArray[np.float32], levels: Sequence[float]) -> NDArray[np.float32]:
    """Where along the quantiles at `levels` each level really lies, float32 `(Q,)`, from 0 to Q - 1.

    `coverage` `(Q,)` is the share that each quantile covered when it was checked. A level that covered too little
    moves up to where its coverage was reached; one that covered more stays, as whole addresses do cover more.

    Source: Kuleshov, Fenner and Ermon, Accurate Uncertainties for Deep Learning Using Calibrated Regression, ICML
    2018, for quantile regression.
    """
    place = np.arange(len(levels))
    reached = np.interp(levels, np.maximum.accumulate(coverage), place)
    return np.maximum(reached, place).astype(np.float32)


def at_positions(quantiles: NDArray[np.float32], positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """The quantiles `(..., Q)` at `positions` `(P,)` along their last axis, linear between neighbours, float32."""
    below = positions.astype(np.int64)
    above = np.minimum(below + 1, quantiles.shape[-1] - 1)
    share = (positions - below).astype(np.float32)
    low, high = quantiles[..., below], quantiles[..., above]
    mixed: NDArray[np.float32] = np.minimum(low + share * (high - low), high)  # rounding must not break the order
    return mixed


def adapted_levels(
    in_use: NDArray[np.float32],
    *,
    covered: NDArray[np.bool_],
    levels: Sequence[float],
    rate: float = 0.01,
) -> NDArray[np.float32]:
    """The levels `(N, Q)` to ask for next so that the coverage in the long run is `levels` `(Q,)`.

    `in_use` `(N, Q)` are those asked for last, `covered` `(N, Q)` whether what came was at most the quantile.
    A level rises by `rate * level` after a miss and falls by `rate * (1 - level)` after a cover.

    Source: Gibbs and Candès, Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021.
    """
    target = np.asarray(levels, np.float32)
    return np.clip(in_use + np.float32(rate) * (target - covered), 0, 1).astype(np.float32)
