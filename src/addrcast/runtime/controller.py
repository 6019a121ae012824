"""The service of the controller: carries out what its machine asks for while it leads."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from addrcast.core.controller.machine import ControllerMachine
from addrcast.core.controller.messages import (
    Away,
    Commit,
    Committed,
    Event,
    LedgerChanged,
    PlanFailed,
    PlanMade,
    Report,
    RequestPlan,
    Tick,
)
from addrcast.core.domain.errors import AddrcastError, Unavailable
from addrcast.runtime.driver import next_event
from addrcast.runtime.election import leadership

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from addrcast.core.controller.messages import Effect
    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transaction import Compare
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store
    from addrcast.runtime.view import LedgerView

log = logging.getLogger(__name__)

ELECTION = "controller"


class Planner(Protocol):
    """Makes a plan: forecasts, counts and prices into addresses to hold."""

    async def plan(self, request: RequestPlan, ledger: Ledger, now_ms: int) -> PlanMade:
        """Answer a request on the ledger as it stands, before the first await. Raises AddrcastError."""
        ...


class ControllerService:
    """One controller of a cluster; of several, the one that leads acts.

    `view` is started and stopped by its owner. Without a `planner` nothing is reserved, and all other duties go on.
    """

    def __init__(
        self,
        *,
        store: Store,
        view: LedgerView,
        clock: Clock,
        planner: Planner | None = None,
        settings: ControllerSettings | None = None,
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._planner = planner
        self._settings = settings
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def run(self, candidate: str) -> None:
        """Stand for election, and lead whenever elected, until cancelled."""
        while True:
            try:
                async with leadership(self._store, ELECTION, candidate=candidate) as term:
                    log.info("controller %s leads", candidate)
                    await self._lead_until(term.lost(), term.fence)
            except Unavailable as away:
                await self._clock.sleep_until(self._clock.now_ms() + away.retry_after_ms)

    async def _lead_until(self, end: Coroutine[None, None, None], fence: Compare) -> None:
        leading = asyncio.create_task(self.lead(fence))
        ending = asyncio.create_task(end)
        try:
            await asyncio.wait({leading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if leading.done():
                leading.result()
        finally:
            ending.cancel()
            leading.cancel()
            await asyncio.wait({leading, ending})

    async def lead(self, fence: Compare) -> None:
        """Do the controller's duties for one term of leadership, until cancelled."""
        machine = ControllerMachine(fence, self._settings)
        self._events = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            event: Event = Tick()
            while True:
                for effect in machine.step(event, self._view.ledger, self._clock.now_ms()):
                    self._start(effect, group)
                deadline_ms = machine.deadline_ms(self._clock.now_ms())
                event = await next_event(self._events, self._clock, deadline_ms) or Tick()

    def tell(self, event: Event) -> None:
        """Pass on what an operator asks for."""
        self._events.put_nowait(event)

    def _start(self, effect: Effect, group: asyncio.TaskGroup) -> None:
        match effect:
            case Report():
                log.warning("controller: %s", effect.what)
            case Commit():
                group.create_task(self._commit(effect))
            case RequestPlan():
                group.create_task(self._make_plan(effect))

    async def _commit(self, effect: Commit) -> None:
        try:
            results = await self._store.commit([draft.transaction() for draft in effect.drafts])
        except Unavailable:
            self.tell(Away(effect))
            return
        for draft, result in zip(effect.drafts, results, strict=True):
            if result.is_success:
                self._view.ledger.learn(draft.entries_at(result.revision), result.revision)
        self.tell(Committed(effect, tuple(results)))

    async def _make_plan(self, request: RequestPlan) -> None:
        if self._planner is None:
            self.tell(PlanFailed(request, "no forecast is set up"))
            return
        try:
            self.tell(await self._planner.plan(request, self._view.ledger, self._clock.now_ms()))
        except AddrcastError as fault:
            self.tell(PlanFailed(request, str(fault)))

    async def _follow(self) -> None:
        while True:
            await self._view.changed()
            if self._events.empty():  # any event makes the machine look at the ledger
                self.tell(LedgerChanged())
