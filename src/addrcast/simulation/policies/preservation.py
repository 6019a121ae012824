"""Preservation alone: released addresses are held for a while, nothing is reserved ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.policies.rolling import HOUR_S, columns_of, rolling_maximum

if TYPE_CHECKING:
    from addrcast.simulation.trace import Trace

HOLD_HOURS = (
    *(0, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 23, 24, 25, 26, 30, 36, 42, 48, 60, 72, 96),
    *(120, 144, 168, 192, 240, 288, 336, 408, 504, 600, 700),
)


def decide(trace: Trace) -> Iterator[Decision]:
    """Holds the maximum of the count over the hold time, less the count now.

    Whoever gives an address back to its account's own stock keeps it for the hold time, and takes the latest
    released first, holds exactly this much.
    """
    counts = trace.counts[:, trace.decided]
    for width in sorted({1 + columns_of(trace, hours * HOUR_S) if hours else 1 for hours in HOLD_HOURS}):
        hold_s = (width - 1) * trace.step_s
        yield Decision(
            f"hold={hold_s / HOUR_S:g}h", rolling_maximum(trace.counts, width)[:, trace.decided] - counts
        )


PRESERVATION = Policy("preservation", decide)
