"""Our own policy: hold the quantile of the need that the pooled model forecasts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.need import NeedHistory
from addrcast.core.forecast.pooled import fit_need
from addrcast.simulation.policies.policy import Decision, Policy

if TYPE_CHECKING:
    from addrcast.ports.forecaster import NeedFitter
    from addrcast.simulation.trace import Trace

_ROWS_AT_ONCE = 50_000


def addrcast_policy(fit: NeedFitter, *, seed: int = 0) -> Policy:
    """The policy `addrcast`: one setting for each level, from holding nothing to the rarest need known.

    It is fitted on the columns before the scored ones; a decision then sees what came up to its own column.
    """

    def decide(trace: Trace) -> Iterator[Decision]:
        history = NeedHistory.of(
            trace.counts,
            trace.need,
            start_s=trace.start_s,
            step_s=trace.step_s,
            lead=trace.lead,
            metrics=trace.metrics,
        )
        forecaster = fit_need(history, trace.scored_from, fit, seed=seed)
        columns = range(trace.scored_from, trace.counts.shape[1] - trace.lead)
        size = max(1, _ROWS_AT_ONCE // len(trace.accounts))
        blocks = [columns[k : k + size] for k in range(0, len(columns), size)]
        idle = np.concatenate([np.rint(forecaster.quantiles(history, block)) for block in blocks], axis=1)
        yield Decision("level=0", np.zeros(idle.shape[:2], np.float32))
        for place, level in enumerate(forecaster.levels):
            yield Decision(f"level={level:g}", np.ascontiguousarray(idle[..., place]))

    return Policy("addrcast", decide, is_reactive=False)
