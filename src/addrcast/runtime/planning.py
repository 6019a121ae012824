"""Makes plans for the controller: forecast of the need, ledger as it stands, reorder point as the fallback."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from addrcast.core.controller.messages import PlanMade
from addrcast.core.domain.resource import HOUR_MS
from addrcast.core.reservation.plan import plan_for
from addrcast.core.reservation.plan_input import PlanSettings
from addrcast.core.reservation.policy import reorder_need, served_need
from addrcast.core.reservation.supply import Round, plan_input_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from addrcast.core.controller.messages import RequestPlan
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.forecast.need import NeedHistory
    from addrcast.core.reservation.plan import Plan
    from addrcast.runtime.plan_board import PlanBoard

log = logging.getLogger(__name__)

REORDER_STEPS = 288
"""The reorder point looks back over at most this many steps."""

ABSURD_FACTOR = 2
ABSURD_FROM = 16
"""A quantile is absurd past this many addresses on top of ABSURD_FACTOR times what the past accounts for."""


class Forecaster(Protocol):
    """A fitted forecaster of the need, such as `core.forecast.pooled.NeedForecaster`."""

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of its quantiles, ascending."""
        ...

    def quantiles(self, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
        """Needs in addresses, float32 `(N, C, Q)`, as they were known at each of `columns`."""
        ...


@dataclass(slots=True)
class NeedPlanner:
    """Plans from a fitted forecaster and a history that grows.

    `accounts` are the rows of `history`; `column` is the last of its columns that is known, set by whoever feeds
    it; `recent_creates` counts creates by account and host, for placement. Where the forecaster fails, is older
    than `forecast_age_max_ms` or absurd, the reorder point of the history serves, and the plan says so. An account
    that is declared but has no row has nothing to reorder by and gets no reservation.
    """

    accounts: tuple[str, ...]
    history: NeedHistory
    forecaster: Forecaster
    column: int
    recent_creates: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    board: PlanBoard | None = None
    forecast_age_max_ms: int = HOUR_MS
    settings: PlanSettings = field(default_factory=PlanSettings)
    previous: Plan | None = None

    async def plan(self, request: RequestPlan, ledger: Ledger, now_ms: int) -> PlanMade:
        """Answer the controller. Raises Invalid."""
        names = tuple(sorted(ledger.accounts()))
        levels = np.asarray(self.forecaster.levels)
        forecast, reorder, ceiling = self._needs(names, levels)
        known_ms = (self.history.start_s + self.column * self.history.step_s) * 1_000
        served = served_need(
            forecast,
            reorder,
            age_ms=np.full(len(names), now_ms - known_ms, dtype=np.int64),
            age_max_ms=self.forecast_age_max_ms,
            ceiling=ceiling,
        )
        lead_ms = self.history.lead * self.history.step_s * 1_000
        round_ = Round(now_ms=now_ms, lead_ms=lead_ms, previous=self.previous, settings=self.settings)
        plan = plan_for(plan_input_of(ledger, names, levels, served, round_))
        self.previous = plan
        if self.board is not None:
            await self.board.post(plan)
        return PlanMade(request, plan, self.recent_creates)

    def _needs(
        self, names: tuple[str, ...], levels: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Forecast and reorder point, both `(N, Q)`, and the ceiling of a sane forecast, for the named accounts."""
        history, first = self.history, max(0, self.column + 1 - REORDER_STEPS)
        rows = {account: row for row, account in enumerate(self.accounts)}
        known = [place for place, name in enumerate(names) if name in rows]
        row = [rows[names[place]] for place in known]
        forecast = np.full((len(names), len(levels)), np.nan, dtype=np.float32)
        creates = np.full((len(names), self.column + 1 - first), np.nan, dtype=np.float32)
        ceiling = np.zeros(len(names), dtype=np.float32)
        forecast[known] = self._forecast(len(levels))[row]
        creates[known] = history.needs[row, first : self.column + 1]
        # beyond an account's own past a forecaster may go by the fleet's
        largest = np.maximum(history.cap_at(self.column), history.window_at(self.column)[1].max(initial=0))
        ceiling[known] = ABSURD_FACTOR * largest[row] + ABSURD_FROM
        # needs are those of whole lead windows, so the latency is one of them
        return forecast, reorder_need(creates, levels, lead_steps=1), ceiling

    def _forecast(self, levels: int) -> NDArray[np.float32]:
        """The forecaster's quantiles of every row `(N, Q)`, NaN where it fails."""
        # whatever a learner may raise, plans go on
        try:
            return self.forecaster.quantiles(self.history, [self.column])[:, 0]
        except Exception:
            log.exception("the forecaster failed, the reorder point serves")
            return np.full((len(self.accounts), levels), np.nan, dtype=np.float32)
