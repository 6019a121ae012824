"""The planner of a controller's process: demand as the ledger shows it, and a forecast where there is a history."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.resource import DAY_MS, MINUTE_MS
from addrcast.core.forecast.need import NEED_LEVELS, NeedHistory
from addrcast.core.reservation.plan_input import PlanSettings
from addrcast.runtime.live_demand import LiveDemand, bound_by_host
from addrcast.runtime.planning import NeedPlanner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from addrcast.core.controller.messages import PlanMade, RequestPlan
    from addrcast.core.domain.demand import CountHistory
    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.forecaster import NeedFitter
    from addrcast.runtime.plan_board import PlanBoard
    from addrcast.runtime.planning import Forecaster
    from addrcast.runtime.settings import PlanningSection

log = logging.getLogger(__name__)

GAP_MAX_MS = DAY_MS
"""A history that ends longer ago says too little of today."""

REORDER_POINT = "the reorder point, from what the ledger shows"


class NoForecast:
    """Knows no need, so that the reorder point serves."""

    levels = NEED_LEVELS

    def quantiles(self, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
        """See Forecaster."""
        return np.full((len(history.counts), len(columns), len(self.levels)), np.nan, np.float32)


@dataclass(frozen=True, slots=True)
class FirstRows:
    """A forecaster of the first `rows` accounts of a history that has more by now."""

    forecaster: Forecaster
    rows: int

    @property
    def levels(self) -> tuple[float, ...]:
        """See Forecaster."""
        return self.forecaster.levels

    def quantiles(self, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
        """See Forecaster; NaN for the rows that it does not know."""
        answer = np.full((len(history.counts), len(columns), len(self.levels)), np.nan, np.float32)
        answer[: self.rows] = self.forecaster.quantiles(history.only(np.arange(self.rows)), columns)
        return answer


class RolePlanner:
    """See Planner. Looks at the ledger whenever it is told to, and plans from all that it has seen.

    `lead_ms` is how long it takes until a plan's reservations are on all hosts. `basis` tells in words what plans
    rest on.
    """

    def __init__(
        self, board: PlanBoard | None, section: PlanningSection, *, plan_every_ms: int, past: CountHistory | None
    ) -> None:
        self._step_s = section.step_s if past is None else past.step_s
        self._lead = -(-(plan_every_ms + section.propagation_ms) // (self._step_s * 1_000))
        self._past = past
        self._demand = LiveDemand(step_s=self._step_s, lead=self._lead, past=past)
        nothing = np.zeros((0, 1), np.float32)
        self._planner = NeedPlanner(
            (),
            NeedHistory.of(nothing, nothing, start_s=0, step_s=self._step_s, lead=self._lead),
            NoForecast(),
            column=0,
            board=board,
            settings=PlanSettings(ttl_ms=max(10 * MINUTE_MS, 2 * plan_every_ms)),
        )
        self.basis = REORDER_POINT

    @property
    def look_every_ms(self) -> int:
        """How often to look at the ledger."""
        return max(1_000, self._step_s * 1_000 // 10)

    def look(self, ledger: Ledger, now_ms: int) -> None:
        """Take in how many addresses are bound."""
        self._demand.look(ledger, now_ms)

    def fitted(self, fit: NeedFitter) -> Forecaster:
        """A forecaster of the past, which takes processor time. Raises Invalid where there is no past."""
        from addrcast.core.forecast.pooled import fit_need  # noqa: PLC0415

        if self._past is None or not self._past.steps:
            raise Invalid("planning.history_file", "", "there is nothing to fit a forecast on")
        counts = self._past.counts
        increases = np.maximum(np.diff(counts, axis=1, prepend=counts[:, :1]), 0)
        history = NeedHistory.of(
            counts, increases, start_s=self._past.start_s, step_s=self._step_s, lead=self._lead
        )
        return FirstRows(fit_need(history, self._past.steps, fit, seed=0), len(counts))

    def serve(self, forecaster: Forecaster, basis: str) -> None:
        """Plan by this forecaster from now on."""
        self._planner.forecaster = forecaster
        self.basis = basis

    async def plan(self, request: RequestPlan, ledger: Ledger, now_ms: int) -> PlanMade:
        """See Planner."""
        self._demand.look(ledger, now_ms)
        planner, demand = self._planner, self._demand
        planner.accounts, planner.history, planner.column = demand.accounts, demand.history(), demand.column
        planner.recent_creates = bound_by_host(ledger)
        return await planner.plan(request, ledger, now_ms)


def gap_ms(past: CountHistory, now_ms: int) -> int:
    """How long ago a history ended."""
    return now_ms - (past.start_s + (past.steps - 1) * past.step_s) * 1_000
