"""The service of the controller: carries out what its machine asks for, on the shards that it leads."""

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
    TerritoryChanged,
    Tick,
)
from addrcast.core.controller.territory import Territory
from addrcast.core.domain.errors import AddrcastError, Unavailable
from addrcast.runtime.driver import next_event
from addrcast.runtime.election import ShardElection
from addrcast.runtime.lease import TTL_MS, first_of, leased

if TYPE_CHECKING:
    from addrcast.core.controller.messages import Effect
    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store
    from addrcast.runtime.lease import Lease
    from addrcast.runtime.view import LedgerView

log = logging.getLogger(__name__)


class Planner(Protocol):
    """Makes a plan: forecasts, counts and prices into addresses to hold."""

    async def plan(self, request: RequestPlan, ledger: Ledger, now_ms: int) -> PlanMade:
        """Answer a request on the ledger as it stands, before the first await. Raises AddrcastError."""
        ...


class ControllerService:
    """One controller of a cluster: it stands for all shards of accounts, and acts for those that it leads.

    `view` is started and stopped by its owner. Without a `planner` nothing is reserved, and all other duties go on.
    `shards` is their number on a store that has none yet, else the store's own counts. A controller that dies is
    noticed after `ttl_ms`.
    """

    def __init__(
        self,
        *,
        store: Store,
        view: LedgerView,
        clock: Clock,
        planner: Planner | None = None,
        settings: ControllerSettings | None = None,
        shards: int | None = None,
        ttl_ms: int = TTL_MS,
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._planner = planner
        self._settings = settings
        self._shards = shards
        self._ttl_ms = ttl_ms
        self._territory = Territory()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    @property
    def territory(self) -> Territory:
        """What is led at present, as far as is known."""
        return self._territory

    async def run(self, candidate: str) -> None:
        """Stand for the shards, and lead those that are won, until cancelled; then resign all. Raises Invalid."""
        while True:
            try:
                async with leased(self._store, ttl_ms=self._ttl_ms) as lease:
                    await self._live(lease, candidate)
            except Unavailable as away:
                await self._clock.sleep_until(self._clock.now_ms() + away.retry_after_ms)

    async def _live(self, lease: Lease, candidate: str) -> None:
        """Stand and lead until the lease is lost."""
        self._events = asyncio.Queue()
        election = ShardElection(
            self._store, lease, candidate=candidate, tell=self._take_territory, shards=self._shards
        )
        try:
            await first_of(election.run(), self.lead(Territory()))
        finally:
            self._territory = Territory()

    def _take_territory(self, territory: Territory) -> None:
        self._territory = territory
        self.tell(TerritoryChanged(territory))

    async def lead(self, territory: Territory) -> None:
        """Do the controller's duties for a territory, and for what it becomes, until cancelled."""
        machine = ControllerMachine(territory, self._settings)
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
                self._view.ledger.learn(draft.entries_at(result.revision), result.revision, under=draft.compares[0])
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
