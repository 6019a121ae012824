"""The demo's history: the days that all three fleets cover, and a planner fitted on all but the last two."""

from __future__ import annotations

import numpy as np

from addrcast.adapters.demand.fleet_traces import read_fleets
from addrcast.adapters.forecasters.gbm import GbmFitter
from addrcast.core.domain.demand import CountHistory
from addrcast.core.forecast.need import NeedHistory
from addrcast.core.forecast.pooled import fit_need
from addrcast.runtime.planning import NeedPlanner

PLAYED_STEPS = 576
"""Two days of 5 minutes."""


def common_counts() -> CountHistory:
    """Instance counts from the time on at which all fleets are known."""
    counts = read_fleets().counts
    first = int(np.isnan(counts.counts).any(axis=0).sum())
    start_s = counts.start_s + first * counts.step_s
    return CountHistory(counts.accounts, start_s, counts.step_s, np.ascontiguousarray(counts.counts[:, first:]))


def fitted_planner(counts: CountHistory, *, seed: int) -> NeedPlanner:
    """A planner that has learnt from what came before the played steps, and knows no more than that."""
    increases = np.maximum(np.diff(counts.counts, axis=1, prepend=counts.counts[:, :1]), 0)
    history = NeedHistory.of(counts.counts, increases, start_s=counts.start_s, step_s=counts.step_s, lead=1)
    first = counts.steps - 1 - PLAYED_STEPS
    forecaster = fit_need(history, first, GbmFitter(), seed=seed)
    return NeedPlanner(counts.accounts, history, forecaster, column=first)
