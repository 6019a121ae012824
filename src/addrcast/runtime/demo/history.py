"""The demo's history: the days that all three fleets cover, and a planner fitted on all but the last two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addrcast.adapters.demand.fleet_traces import read_fleets
from addrcast.core.domain.demand import CountHistory
from addrcast.core.forecast.need import NeedHistory
from addrcast.core.forecast.pooled import fit_need
from addrcast.runtime.planning import NeedPlanner

if TYPE_CHECKING:
    from addrcast.ports.forecaster import NeedFitter


def common_counts() -> CountHistory:
    """Instance counts from the time on at which all fleets are known."""
    counts = read_fleets()
    first = int(np.isnan(counts.counts).any(axis=0).sum())
    start_s = counts.start_s + first * counts.step_s
    return CountHistory(counts.accounts, start_s, counts.step_s, np.ascontiguousarray(counts.counts[:, first:]))


def fitted_planner(counts: CountHistory, first: int, *, fit: NeedFitter, seed: int) -> NeedPlanner:
    """A planner that has learnt from the columns before `first`, and knows no more than that."""
    increases = np.maximum(np.diff(counts.counts, axis=1, prepend=counts.counts[:, :1]), 0)
    history = NeedHistory.of(counts.counts, increases, start_s=counts.start_s, step_s=counts.step_s, lead=1)
    forecaster = fit_need(history, first, fit, seed=seed)
    return NeedPlanner(counts.accounts, history, forecaster, column=first)
