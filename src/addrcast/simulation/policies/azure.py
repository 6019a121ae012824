"""Azure CNS's pools: v1 walks between two watermarks, v2 jumps to a target.

Source: Azure/azure-container-networking, cns/ipampool/monitor.go and cns/ipampool/v2/monitor.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import Decision, Policy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from addrcast.simulation.trace import Trace

BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
REQUEST_PERCENTS = (25, 50, 100, 200, 400, 800, 1600)
BUFFERS = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12)


def watermarks(batch: int, *, request_percent: float = 50, release_percent: float = 150) -> tuple[int, int]:
    """The free addresses below which v1 asks for a batch, and from which on it gives one back."""
    return int(batch * request_percent / 100 + 0.5), int(batch * release_percent / 100 + 0.5)


def settled_v1(
    requested: ArrayLike, assigned: ArrayLike, *, batch: int, low: int, high: int, requested_max: float = np.inf
) -> NDArray[np.float64]:
    """Where v1's walk from `requested` addresses ends, one tick after the other, each of its own size.

    The first step up or down reaches a multiple of the batch, every further one is a batch, so the walk ends at
    the first multiple inside the watermarks. `high - low` is at least a batch.
    """
    before = np.asarray(requested, dtype=np.float64)
    used = np.asarray(assigned, dtype=np.float64)
    grown = np.minimum(batch * np.ceil((used + low) / batch), requested_max)
    shrunk = batch * (np.ceil((used + high) / batch) - 1)
    asks = (before - used < low) & (before < requested_max)
    return np.where(asks, grown, np.where(before - used >= high, shrunk, before))


def target_v2(demand: ArrayLike, *, batch: int, buffer: float, target_max: float = np.inf) -> NDArray[np.float64]:
    """The addresses v2 asks for: whole batches for the demand and a buffer given as a fraction of one."""
    batches: NDArray[np.float64] = np.ceil(buffer + np.asarray(demand, dtype=np.float64) / batch)
    return np.minimum(batch * batches, target_max)


def decide_v1(trace: Trace) -> Iterator[Decision]:
    """Batch size and request watermark, the release watermark one batch above; a call is one step of the walk."""
    for batch in BATCHES:
        for percent in REQUEST_PERCENTS:
            low, high = watermarks(batch, request_percent=percent, release_percent=percent + 100)
            requested, steps = _walk(trace, batch=batch, low=low, high=max(high, low + batch))
            idle = requested - trace.counts[:, trace.decided]
            yield Decision(f"batch={batch} request={percent}%", idle.astype(np.float32), steps)


def _walk(trace: Trace, *, batch: int, low: int, high: int) -> tuple[NDArray[np.float64], float]:
    """Requested addresses at each decision, from nothing at the trace's start, and the steps in the scored part."""
    requested = np.zeros(len(trace.accounts))
    decided = np.empty(trace.counts[:, trace.decided].shape)
    steps = 0.0
    for column in range(trace.decided.stop):
        before = requested
        requested = settled_v1(before, trace.counts[:, column], batch=batch, low=low, high=high)
        if column >= trace.scored_from:
            decided[:, column - trace.scored_from] = requested
            steps += float(np.ceil(np.abs(requested - before) / batch).sum())
    return decided, steps


def decide_v2(trace: Trace) -> Iterator[Decision]:
    """Batch size and buffer fraction; a call is one change of the target."""
    counts = trace.counts[:, trace.decided]
    for batch in BATCHES:
        for buffer in BUFFERS:
            target = target_v2(counts, batch=batch, buffer=buffer)
            calls = float(np.count_nonzero(np.diff(target, axis=1)))
            yield Decision(f"batch={batch} buffer={buffer:g}", (target - counts).astype(np.float32), calls)


AZURE_V1 = Policy("azure_v1", decide_v1)
AZURE_V2 = Policy("azure_v2", decide_v2)
