"""A cloud of one process: embedded store, controller, assignment service and three agents on one virtual clock."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from addrcast.adapters.demand.fleet_traces import FLEETS
from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.keyspace import host_alive_key
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Delete, Transaction
from addrcast.runtime.agent import AgentService
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.controller import ControllerService
from addrcast.runtime.declare import declare, set_up
from addrcast.runtime.demo.settled import CountedStore
from addrcast.runtime.plan_board import PlanBoard
from addrcast.runtime.view import LedgerView
from addrcast.simulation.clock import VirtualClock
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from addrcast.runtime.planning import NeedPlanner

HOSTS = ("host-1", "host-2", "host-3")
POOL = "fleet"
# 896 addresses for three fleets that peak at 724 together
POOL_PREFIXES = ("10.64.0.0/23", "10.64.2.0/24", "10.64.3.0/25")
SUBSTRATE = "172.31.0.0/20"
BLOCKS = ("172.31.0.0/22", "172.31.4.0/22", "172.31.8.0/22")
STEP_MS = 300_000
CONTROLLER = ControllerSettings(plan_every_ms=STEP_MS, skew_max_ms=1_000)


class Site:
    """The running services; `settle` waits, in real time, until a moment of virtual time has been digested."""

    def __init__(self, store: CountedStore, view: LedgerView, clock: VirtualClock) -> None:
        self.store = store
        self.view = view
        self.clock = clock
        self.kernels = {host: ModelKernel() for host in HOSTS}
        self.assignment = AssignmentService(store, view, clock)

    async def advance(self, now_ms: int) -> None:
        """Move the clock, and wait until every service has done what that calls for."""
        self.clock.advance_to(now_ms)
        await self.settle()

    async def settle(self) -> None:
        """Wait until no request is under way and the view has caught up, three looks in a row."""
        quiet = 0
        while quiet < 3:
            await asyncio.sleep(0.001)
            is_quiet = self.store.is_quiet and self.view.ledger.revision >= self.store.revision
            quiet = quiet + 1 if is_quiet else 0


@asynccontextmanager
async def open_site(directory: Path, planner: NeedPlanner, *, now_ms: int) -> AsyncIterator[Site]:
    """Set a store up in an empty directory, declare what the demo needs, and start all services on it."""
    clock = VirtualClock(now_ms)
    store = CountedStore(await LmdbStore.open(directory))
    await set_up(store)
    await declare(store, _resources())
    planner.board = PlanBoard(store)
    view = LedgerView(store)
    await view.start()
    site = Site(store, view, clock)
    controller = ControllerService(store=store, view=view, clock=clock, planner=planner, settings=CONTROLLER)
    agents = [AgentService(host, store=store, kernel=site.kernels[host], clock=clock) for host in HOSTS]
    tasks = [asyncio.create_task(agent.run()) for agent in agents]
    try:
        await _until_up(site)
        tasks.append(asyncio.create_task(controller.run("demo")))
        yield site
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await site.assignment.stop()
        await view.stop()
        await store.commit([Transaction((), tuple(Delete(host_alive_key(host)) for host in HOSTS))])  # all are off
        await store.close()


async def _until_up(site: Site) -> None:
    while any(entry.required.state is not HostState.UP for entry in site.view.ledger.hosts().values()):
        await site.advance(site.clock.now_ms() + 1_000)


def _resources() -> list[tuple[str, Pool | Host | Account]]:
    accounts = [
        (fleet.account, Account(tier=fleet.tier, vni=101 + place, pools=(POOL,)))
        for place, fleet in enumerate(FLEETS)
    ]
    blocks = zip(HOSTS, BLOCKS, strict=True)
    return [
        (POOL, Pool(kind=PoolKind.LOGICAL, prefixes=POOL_PREFIXES, is_shared=True)),
        ("substrate", Pool(kind=PoolKind.PHYSICAL, prefixes=(SUBSTRATE,))),
        *((host, Host(state=HostState.REJOINING, incarnation=0, blocks=(block,))) for host, block in blocks),
        *accounts,
    ]
