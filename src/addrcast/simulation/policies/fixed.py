"""Reserves that look at nothing but the count: static, and proportional to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import Decision, Policy

if TYPE_CHECKING:
    from addrcast.simulation.trace import Trace

RESERVES = (*range(17), 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024)
SHARES = (
    0,
    0.01,
    0.02,
    0.03,
    0.05,
    0.07,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.35,
    0.4,
    0.5,
    0.6,
    0.7,
    0.85,
    1,
    1.25,
    1.5,
    2,
    3,
)


def decide_static(trace: Trace) -> Iterator[Decision]:
    """The same reserve for every account at all times (`WARM_IP_TARGET` without its latencies)."""
    shape = trace.counts[:, trace.decided].shape
    for reserve in RESERVES:
        yield Decision(f"w={reserve}", np.full(shape, reserve, dtype=np.float32))


def decide_proportional(trace: Trace) -> Iterator[Decision]:
    """A share of the count, to the nearest address."""
    counts = trace.counts[:, trace.decided]
    for share in SHARES:
        yield Decision(f"share={share:g}", np.rint(np.float32(share) * counts))


STATIC = Policy("static", decide_static)
PROPORTIONAL = Policy("proportional", decide_proportional)
