"""The reorder point: a safety factor times average rate times latency, restocked in lots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.policies.rolling import HOUR_S, TWO_WEEKS_S, columns_of, rolling_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.simulation.trace import Trace

WINDOWS_S = {"1d": 24 * HOUR_S, "14d": TWO_WEEKS_S}
SAFETY = (0, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8, 12, 16, 32)
LOTS = (0, 1, 2, 4, 8, 16)


def decide(trace: Trace) -> Iterator[Decision]:
    """Stock control (s, Q): below the threshold s a lot of Q is ordered until the stock is back at it.

    s is the average rate of creates times the latency, here the lead, times a safety factor, rounded up. Stock
    above s + Q goes back.

    Source: US patent 11,895,086 (Juniper Networks): "average login rate x average response latency".
    """
    for name, window_s in WINDOWS_S.items():
        rate = rolling_mean(trace.creates, columns_of(trace, window_s))
        for safety in SAFETY:
            stock, calls = _stock(trace, np.ceil(safety * trace.lead * rate))
            for row, lot in enumerate(LOTS):
                yield Decision(f"window={name} safety={safety:g} lot={lot}", stock[row], float(calls[row]))


def _stock(trace: Trace, threshold: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """For each lot the stock after each decision, `(lots, N, decisions)`, and the number of orders and returns.

    Played from an empty stock two weeks before the first decision.
    """
    begin = max(0, trace.scored_from - columns_of(trace, TWO_WEEKS_S))
    lot = np.array(LOTS, dtype=np.float64)[:, None]
    order = np.maximum(lot, 1)
    stock = np.zeros((len(LOTS), len(trace.accounts)))
    decided = np.empty((len(LOTS), *trace.counts[:, trace.decided].shape), dtype=np.float32)
    calls = np.zeros(len(LOTS), dtype=np.int64)
    for column in range(begin, trace.decided.stop):
        if column > begin:
            stock = stock + (trace.counts[:, column - 1] - trace.counts[:, column])
        low = threshold[:, column]
        orders = np.maximum(np.ceil((low - stock) / order), 0)
        settled = np.minimum(stock + orders * order, low + lot)
        if column >= trace.scored_from:
            calls += np.count_nonzero(settled != stock, axis=1)
            decided[:, :, column - trace.scored_from] = settled
        stock = settled
    return decided, calls


REORDER_POINT = Policy("reorder_point", decide)
