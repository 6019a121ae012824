"""Reserves from an account's own past increases: mean + k sigma, a quantile, the last one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.policies.rolling import TWO_WEEKS_S, past_windows
from addrcast.simulation.trace import lead_need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.simulation.trace import Trace

SIGMAS = (-1, -0.75, -0.5, -0.35, -0.2, 0, 0.15, 0.3, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10)
QUANTILES = (
    *(0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.775, 0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95),
    *(0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.9925, 0.995, 1),
)
FACTORS = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4, 6, 8)
EXTRAS = (0, 1, 2, 4, 8, 16)
BLOCK_CELLS = 16_000_000


def decide_mean_sigma(trace: Trace) -> Iterator[Decision]:
    """Mean + k standard deviations of the needs of the last two weeks, to the nearest address."""
    windows = past_windows(trace, lead_need(trace), TWO_WEEKS_S)
    mean = np.concatenate([block.mean(axis=2, dtype=np.float64) for block in _blocks(windows)])
    sigma = np.concatenate([block.std(axis=2, dtype=np.float64) for block in _blocks(windows)])
    for k in SIGMAS:
        yield Decision(f"k={k:g}", np.rint(np.maximum(mean + k * sigma, 0)).astype(np.float32))


def decide_quantile(trace: Trace) -> Iterator[Decision]:
    """The least value that at least a share `q` of the needs of the last two weeks does not exceed."""
    windows = past_windows(trace, lead_need(trace), TWO_WEEKS_S)
    ranks = [max(math.ceil(q * windows.shape[2]) - 1, 0) for q in QUANTILES]
    ordered = np.concatenate([np.sort(block, axis=2)[:, :, ranks] for block in _blocks(windows)])
    for column, q in enumerate(QUANTILES):
        yield Decision(f"q={q:g}", np.ascontiguousarray(ordered[:, :, column]))


def decide_last(trace: Trace) -> Iterator[Decision]:
    """A multiple of the last lead window's need, plus a fixed number."""
    last = lead_need(trace)[:, trace.decided]
    for factor in FACTORS:
        for extra in EXTRAS:
            yield Decision(f"factor={factor:g} extra={extra}", np.rint(np.float32(factor) * last) + extra)


def _blocks(windows: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The windows in blocks of accounts, so that memory does not grow with their number."""
    accounts = max(1, BLOCK_CELLS // (windows.shape[1] * windows.shape[2]))
    for first in range(0, windows.shape[0], accounts):
        yield windows[first : first + accounts]


MEAN_SIGMA = Policy("mean_sigma", decide_mean_sigma)
OWN_QUANTILE = Policy("own_quantile", decide_quantile)
LAST_VALUE = Policy("last_value", decide_last)
