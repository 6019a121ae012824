"""The reorder point, and when it serves instead of the forecast: one that is missing, late or absurd."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Fault(IntEnum):
    """Why an account's forecast is not used."""

    NONE = 0
    MISSING = 1
    LATE = 2
    ABSURD = 3


@dataclass(frozen=True, slots=True, eq=False)
class ServedNeed:
    """The need that the planner works with, float32 `(N, Q)`, and per account the Fault, uint8 `(N,)`."""

    need: NDArray[np.float32]
    fault: NDArray[np.uint8]


def reorder_need(
    creates: NDArray[np.float32], levels: NDArray[np.float64], *, lead_steps: float
) -> NDArray[np.float32]:
    """Quantiles of the need by the reorder point: average rate x latency, and a safety factor for each level.

    `creates` is `(N, T)`, the creates of the last T steps, NaN where unknown; `lead_steps` is the latency (refresh
    interval and propagation) in steps. The answer is `(N, Q)`; an account of which nothing is known needs 0. The
    spread is at least that of Poisson arrivals, so a quiet sample does not promise quiet.

    Source: Silver, Pyke, Thomas, Inventory and Production Management (2017), section 6.7: s = D L + k sigma_L,
    with k the normal quantile of the service level. Raises Invalid.
    """
    if not lead_steps > 0:
        raise Invalid("lead_steps", lead_steps, "a latency is above 0 steps")
    known = ~np.isnan(creates)
    times = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, creates, 0).astype(np.float64)
    rate = filled.sum(axis=1) / times
    variance = (np.square(filled - rate[:, None]) * known).sum(axis=1) / times
    spread = np.sqrt(np.maximum(variance, rate) * lead_steps)
    factors = np.array([NormalDist().inv_cdf(level) for level in levels.tolist()])
    need = rate[:, None] * lead_steps + spread[:, None] * factors
    return np.asarray(np.maximum(need, 0), dtype=np.float32)


def served_need(
    forecast: NDArray[np.float32],
    reorder: NDArray[np.float32],
    *,
    age_ms: NDArray[np.int64],
    age_max_ms: int,
    ceiling: NDArray[np.float32],
) -> ServedNeed:
    """The forecast `(N, Q)` where it can be trusted, elsewhere the reorder point `(N, Q)`.

    Missing is a forecast with a quantile that is not finite (NaN stands for none); late one older than
    `age_max_ms`; absurd one with a quantile below 0 or above the account's `ceiling` `(N,)`.
    """
    lowest, highest = forecast.min(axis=1), forecast.max(axis=1)
    fault = np.select(
        [~np.isfinite(forecast).all(axis=1), age_ms > age_max_ms, (lowest < 0) | (highest > ceiling)],
        [Fault.MISSING, Fault.LATE, Fault.ABSURD],
        Fault.NONE,
    ).astype(np.uint8)
    return ServedNeed(np.where(fault[:, None] == Fault.NONE, forecast, reorder), fault)
