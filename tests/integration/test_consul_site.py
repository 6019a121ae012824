"""A whole site on Consul: declared, assigned, propagated to hosts and cooled, while the server is killed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from tests.servers.consul import SESSION_MS_MIN, Consul, consul_server

from addrcast.adapters.stores.consul_store import ConsulStore
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.assignment.request import CreateRequest, DeleteRequest
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.dataplane.table import TableEntry
from addrcast.core.dataplane.unapplied import Backoff
from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.record import AddressState, Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind, Tier
from addrcast.runtime.agent import AgentService
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.controller import ControllerService
from addrcast.runtime.declare import Resource, declare, set_up, standing
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from addrcast.core.assignment.answer import Created
    from addrcast.core.domain.ledger import Ledger

HOSTS = {"h1": "172.16.0.0/24", "h2": "172.16.1.0/24"}
AGENT = AgentSettings(acknowledge_after_ms=5, confirm_after_ms=20, backoff=Backoff(first_ms=5, last_ms=50))
CONTROLLER = ControllerSettings(skew_max_ms=0, sweep_every_ms=20, round_every_ms=200, retry_ms=20)
RESOURCES: list[tuple[str, Resource]] = [
    ("brisk", Tier(rank=2, weight=1, service_level=0.8, hold_ms=1, age_limit_ms=1, cooldown_ms=20, headroom=0)),
    ("net", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/16",), is_shared=True)),
    ("substrate", Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/16",))),
    *[(host, Host(state=HostState.REJOINING, incarnation=0, blocks=(block,))) for host, block in HOSTS.items()],
    ("acme", Account(tier="brisk", vni=7, pools=("net",))),
]


class Site:
    """Two agents, a controller and an assignment service, each with a store of its own on one Consul."""

    def __init__(self, consul: Consul) -> None:
        self.consul = consul
        self.clock = SystemClock()
        self.kernels = {host: ModelKernel() for host in HOSTS}
        self.stores: list[ConsulStore] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.view: LedgerView
        self.service: AssignmentService

    async def opened(self) -> ConsulStore:
        store = await ConsulStore.open(self.consul.address, session_ms_min=SESSION_MS_MIN)
        self.stores.append(store)
        return store

    async def start(self) -> None:
        store = await self.opened()
        await set_up(store)
        await declare(store, RESOURCES)
        self.view = LedgerView(store)
        await self.view.start()
        self.service = AssignmentService(store, self.view, self.clock)
        for host, kernel in self.kernels.items():
            agent = AgentService(
                host, store=await self.opened(), kernel=kernel, clock=self.clock, settings=AGENT, lease_ms=600
            )
            self.tasks[host] = asyncio.create_task(agent.run())
        await self.start_controller("c1")

    async def start_controller(self, name: str) -> ControllerService:
        store = await self.opened()
        view = LedgerView(store)
        await view.start()
        controller = ControllerService(
            store=store, view=view, clock=self.clock, settings=CONTROLLER, shards=2, ttl_ms=600
        )
        self.tasks[name] = asyncio.create_task(self.control(controller, view, name))
        return controller

    async def control(self, controller: ControllerService, view: LedgerView, name: str) -> None:
        try:
            await controller.run(name)
        finally:
            await view.stop()

    async def stop(self) -> None:
        await self.service.stop()
        await self.view.stop()
        for name in tuple(self.tasks):
            await self.end(name)
        for store in self.stores:
            await store.close()

    async def end(self, name: str) -> None:
        task = self.tasks.pop(name)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def until(self, holds: Callable[[Ledger], bool]) -> Ledger:
        """The ledger, once something holds in it."""
        async with asyncio.timeout(60):
            while not holds(self.view.ledger):
                await self.view.changed()
        return self.view.ledger

    async def create(self, instance: str, host: str) -> Created:
        """Create, asking again for as long as the store is away: requests are idempotent."""
        while True:
            deadline_ms = self.clock.now_ms() + 10_000
            try:
                return await self.service.create(
                    CreateRequest(account="acme", instance=instance, host=host, deadline_ms=deadline_ms)
                )
            except Unavailable:
                await asyncio.sleep(0.05)

    async def delete(self, instance: str) -> None:
        while True:
            deadline_ms = self.clock.now_ms() + 10_000
            try:
                await self.service.delete(DeleteRequest(account="acme", instance=instance, deadline_ms=deadline_ms))
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return

    def is_mirrored(self, ledger: Ledger) -> bool:
        """Whether every host's kernel has exactly the records that are not cooling."""
        records = ledger.records("acme")
        wanted = sorted(
            TableEntry(7, logical, entry.required.physical)
            for logical, entry in records.items()
            if entry.required.state is not AddressState.COOLING
        )
        return all(sorted(kernel.table.entries()) == wanted for kernel in self.kernels.values())


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Site]:
    with consul_server(directory, is_kept=True) as consul:
        site = Site(consul)
        await site.start()
        try:
            await site.until(lambda ledger: all(h.required.state is HostState.UP for h in ledger.hosts().values()))
            yield site
        finally:
            await site.stop()


async def test_instances_come_and_go_on_all_hosts_though_the_server_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        names = [f"i-{number}" for number in range(48)]
        hosts = [sorted(HOSTS)[number % 2] for number in range(48)]
        early = [site.create(name, host) for name, host in zip(names[:24], hosts[:24], strict=True)]
        answers = dict(zip(names[:24], await asyncio.gather(*early), strict=True))
        late = [
            asyncio.ensure_future(site.create(name, host))
            for name, host in zip(names[24:], hosts[24:], strict=True)
        ]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(site.consul.server.kill)
        await asyncio.sleep(0.2)
        site.consul.server.start()
        answers |= dict(zip(names[24:], await asyncio.gather(*late), strict=True))
        addresses = [answer.addresses[0].logical for answer in answers.values()]
        assert len(set(addresses)) == 48
        await asyncio.gather(*(site.delete(name) for name in names[::2]))
        gone = {answers[name].addresses[0].logical for name in names[::2]}
        ledger = await site.until(
            lambda ledger: gone.isdisjoint(ledger.records("acme")) and site.is_mirrored(ledger)
        )
        assert set(ledger.records("acme")) == set(addresses) - gone
        store = await site.opened()
        assert violations(await standing(store)) == []


async def test_a_host_that_dies_is_seen_to_be_gone_and_a_controller_that_dies_is_followed(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        assert site.view.ledger.is_alive("h2")
        # as if their processes were killed: nobody keeps their leases alive, nobody revokes them
        _, _, second_host, controller = site.stores
        await second_host.close()
        await site.until(lambda ledger: not ledger.is_alive("h2"))
        assert site.view.ledger.is_alive("h1")
        follower = await site.start_controller("c2")
        await controller.close()
        answer = await site.create("i", "h1")
        logical = answer.addresses[0].logical
        await site.delete("i")
        await site.until(lambda ledger: ledger.records("acme")[logical].required.state is AddressState.COOLING)
        assert set(follower.territory.fences) == {0, 1}
