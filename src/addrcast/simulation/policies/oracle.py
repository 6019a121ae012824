"""The true future, in part or in excess: what no policy can know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.trace import lead_need

if TYPE_CHECKING:
    from addrcast.simulation.trace import Trace

SCALES = (0, 0.25, 0.5, 0.75, 1, 1.5, 2)


def decide(trace: Trace) -> Iterator[Decision]:
    """The need of the coming lead window, scaled and rounded up: from a scale of 1 on nothing is missed."""
    future = lead_need(trace)[:, trace.scored_from + trace.lead :]
    for scale in SCALES:
        yield Decision(f"scale={scale:g}", np.ceil(np.float32(scale) * future))


ORACLE = Policy("oracle", decide, is_reactive=False)
