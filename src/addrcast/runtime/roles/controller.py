"""The role `controller`: what has to be done for the shards that this process leads, and plans."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import AddrcastError, Invalid
from addrcast.runtime.controller import ControllerService
from addrcast.runtime.plan_board import PlanBoard
from addrcast.runtime.role_planner import GAP_MAX_MS, RolePlanner, gap_ms
from addrcast.runtime.role_status import ControllerStatus
from addrcast.runtime.roles.names import own_name
from addrcast.runtime.settings import controller_settings

if TYPE_CHECKING:
    from addrcast.core.domain.demand import CountHistory
    from addrcast.runtime.local_call import Call
    from addrcast.runtime.roles.part import Site
    from addrcast.runtime.settings import ControllerSection, LimitsSection, PlanningSection

log = logging.getLogger(__name__)

OFF = "off"


class ControllerPart:
    """A controller: one that leads acts, one that does not keeps its view and its demand warm."""

    def __init__(
        self, site: Site, controller: ControllerSection, planning: PlanningSection, limits: LimitsSection
    ) -> None:
        self._site = site
        self._planning = planning
        self._plan_every_ms = controller.plan_every_ms
        self._lease_ms = controller.lease_ms
        self._name = controller.name or own_name()
        self._settings = controller_settings(controller, limits)
        self._shards = controller.shards or None
        self._planner: RolePlanner | None = None
        self._service: ControllerService | None = None
        self._leading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """See Part. Raises Invalid for a history file that cannot be read."""
        past = await asyncio.to_thread(self._past) if self._planning.is_on else None
        if self._planning.is_on:
            board = PlanBoard(self._site.store)
            self._planner = RolePlanner(board, self._planning, plan_every_ms=self._plan_every_ms, past=past)
        self._service = ControllerService(
            store=self._site.store,
            view=self._site.whole_view,
            clock=self._site.clock,
            planner=self._planner,
            settings=self._settings,
            shards=self._shards,
            ttl_ms=self._lease_ms,
        )
        async with asyncio.TaskGroup() as group:
            if self._planner is not None:
                group.create_task(self._look(self._planner))
                if past is not None:
                    group.create_task(self._fit(self._planner))
            self._leading = group.create_task(self._service.run(self._name))

    async def drain(self) -> None:
        """Resign, so that the next one leads at once."""
        if self._leading is not None:
            self._leading.cancel()
            await asyncio.wait([self._leading])

    async def status(self) -> ControllerStatus:
        """See Part."""
        territory = self._service.territory if self._service is not None else None
        return ControllerStatus(
            name=self._name,
            leads=() if territory is None else tuple(sorted(territory.fences)),
            shards=0 if territory is None else territory.shards,
            plans=OFF if self._planner is None else self._planner.basis,
        )

    async def answer(self, call: Call) -> None:  # noqa: ARG002
        """It takes no calls."""
        return

    def _past(self) -> CountHistory | None:
        """The history of the file that is set, None where it is too old to serve. Raises Invalid."""
        if not self._planning.history_file:
            return None
        from addrcast.adapters.demand import parse_columns, read_history  # noqa: PLC0415 - it takes long to load
        from addrcast.core.domain.demand import fill_gaps  # noqa: PLC0415

        columns = self._planning.history_columns
        file = self._planning.history_file
        history = read_history(file, columns=parse_columns(columns) if columns else None)
        if history.counts is None:
            raise Invalid("planning.history_file", file, "it has no counts or events of instances")
        ended_ms = gap_ms(history.counts, self._site.clock.now_ms())
        if not 0 <= ended_ms <= GAP_MAX_MS:
            hours = ended_ms / 3_600_000
            log.warning("the history %s ended %.1f h ago, not within a day: the reorder point serves", file, hours)
            return None
        return fill_gaps(history.counts)

    async def _look(self, planner: RolePlanner) -> None:
        while True:
            now_ms = self._site.clock.now_ms()
            planner.look(self._site.whole_view.ledger, now_ms)
            await self._site.clock.sleep_until(now_ms + planner.look_every_ms)

    async def _fit(self, planner: RolePlanner) -> None:
        """Fit a forecast beside the duties; until it is there, and where it fails, the reorder point serves."""
        from addrcast.adapters.forecasters.gbm import GbmFitter  # noqa: PLC0415 - it takes long to load

        try:
            forecaster = await asyncio.to_thread(planner.fitted, GbmFitter())
        except AddrcastError as fault:
            log.warning("no forecast: %s; the reorder point serves", fault)
            return
        file = self._planning.history_file
        planner.serve(forecaster, f"a forecast fitted on {file}")
        log.info("plans rest on a forecast fitted on %s", file)
