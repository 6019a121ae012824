"""Seasonal naive: what came at this hour yesterday, or last week, comes again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.policies.rolling import HOUR_S, columns_of
from addrcast.simulation.trace import lead_need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.simulation.trace import Trace

SEASON_HOURS = {"day": 24, "week": 168}
FACTORS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)
EXTRAS = (0, 1, 2, 4, 8, 16)


def decide(trace: Trace) -> Iterator[Decision]:
    """A multiple of the season's forecast, plus a fixed number.

    Four forecasts: `need`, the need of the same lead window one season ago, and `level`, the highest count of
    that window less the count now; each a day and a week ago.
    """
    need = lead_need(trace)
    ahead = np.lib.stride_tricks.sliding_window_view(trace.counts, trace.lead, axis=1).max(axis=2)
    level = np.concatenate([np.zeros_like(trace.counts[:, : trace.lead - 1]), ahead], axis=1)
    for season, hours in SEASON_HOURS.items():
        now = trace.counts[:, trace.decided]
        for kind, past in (
            ("need", _a_season_ago(trace, need, hours)),
            ("level", np.maximum(_a_season_ago(trace, level, hours) - now, 0)),
        ):
            for factor in FACTORS:
                for extra in EXTRAS:
                    setting = f"{kind} of last {season} factor={factor:g} extra={extra}"
                    yield Decision(setting, np.rint(np.float32(factor) * past) + extra)


def _a_season_ago(trace: Trace, ending: NDArray[np.float32], hours: int) -> NDArray[np.float32]:
    """The values of the lead windows that ended whole seasons before each decision's own, 0 before the trace.

    A lead longer than the season goes back as many seasons as it takes for the window to be over.
    """
    season = columns_of(trace, hours * HOUR_S)
    season *= math.ceil(trace.lead / season)
    column = np.arange(trace.decided.start, trace.decided.stop) + trace.lead - season
    return np.where(column >= 0, ending[:, np.maximum(column, 0)], np.float32(0))


SEASONAL_NAIVE = Policy("seasonal_naive", decide)
