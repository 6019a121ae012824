"""Three agents, a controller and a view on one store, as services: from reserve to the end of cooling."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from addrcast.core.agent.settings import AgentSettings
from addrcast.core.controller.messages import CoolingOverridden
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.controller.standing import SHARDS, shard_key
from addrcast.core.controller.territory import Territory
from addrcast.core.dataplane.table import TableEntry, TableKey
from addrcast.core.dataplane.unapplied import Backoff
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import record_key, subscription_key, tier_key
from addrcast.core.domain.record import HostState
from addrcast.core.domain.resource import Tier
from addrcast.core.domain.transaction import Delete, Transaction
from addrcast.core.propagation.audience import account_audience
from addrcast.core.propagation.ready import readiness
from addrcast.runtime.agent import AgentService
from addrcast.runtime.controller import ControllerService
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView
from addrcast.simulation.cluster import ModelCluster
from addrcast.simulation.kernel import ModelKernel
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from addrcast.core.domain.ledger import Ledger

HOSTS = ("h1", "h2", "h3")
BRISK = Tier(
    rank=2, weight=1, service_level=0.8, hold_ms=3_600_000, age_limit_ms=3_600_000, cooldown_ms=20, headroom=0
)
AGENT = AgentSettings(acknowledge_after_ms=5, confirm_after_ms=20, backoff=Backoff(first_ms=5, last_ms=50))
CONTROLLER = ControllerSettings(skew_max_ms=0, sweep_every_ms=5, round_every_ms=20, retry_ms=5)


class Site:
    """A model cluster whose store is served to real services."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.cluster = ModelCluster()
        self.cluster.put(tier_key("basic"), BRISK)
        self.cluster.add_account("a", vni=7)
        self.store = MemoryStore(self.clock.now_ms, model=self.cluster.store)
        self.view = LedgerView(self.store)
        self.kernels = {host: ModelKernel() for host in HOSTS}
        self.agents: dict[str, asyncio.Task[None]] = {}
        for host in HOSTS:
            self.cluster.add_host(host)
            self.cluster.set_silent(host)
            self.cluster.subscribe(host, "a")

    def start(self, host: str) -> None:
        service = AgentService(
            host, store=self.store, kernel=self.kernels[host], clock=self.clock, settings=AGENT, lease_ms=300
        )
        self.agents[host] = asyncio.create_task(service.run())

    async def stop(self, host: str) -> None:
        self.agents[host].cancel()
        with suppress(asyncio.CancelledError):
            await self.agents[host]

    async def until(self, holds: Callable[[Ledger], bool]) -> Ledger:
        """The ledger, once something holds in it; an empty commit wakes who watches what the model was told."""
        async with asyncio.timeout(20):
            while not holds(self.view.ledger):
                self.cluster.now_ms = self.clock.now_ms()
                await self.store.commit([])
                await asyncio.sleep(0.005)
        return self.view.ledger

    def is_ready(self, logical: str) -> Callable[[Ledger], bool]:
        def holds(ledger: Ledger) -> bool:
            record = ledger.record("a", logical)
            return bool(record) and readiness(record, account_audience(ledger, "a")).is_ready

        return holds

    def maps(self, host: str, logical: str) -> str | None:
        return self.kernels[host].table.physical_of(7, logical)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Site, ControllerService]]:
    site = Site()
    await site.view.start()
    controller = ControllerService(store=site.store, view=site.view, clock=site.clock, settings=CONTROLLER)
    leading = asyncio.create_task(controller.lead(Territory.whole(site.cluster.fence)))
    for host in HOSTS:
        site.start(host)
    await site.until(lambda ledger: all(ledger.is_alive(host) for host in HOSTS))
    await site.until(lambda ledger: all(h.required.incarnation for h in ledger.hosts().values()))
    await site.until(lambda ledger: all(h.required.state is HostState.UP for h in ledger.hosts().values()))
    try:
        yield site, controller
    finally:
        for host in HOSTS:
            await site.stop(host)
        leading.cancel()
        with suppress(asyncio.CancelledError):
            await leading
        await site.view.stop()
        assert violations(site.cluster.ledger()) == []


async def test_a_shadow_is_on_every_host_before_it_is_bound() -> None:
    async with running() as (site, _):
        logical = site.cluster.reserve("a", "h1")
        ledger = await site.until(site.is_ready(logical))
        physical = ledger.record("a", logical).required.physical
        assert [site.maps(host, logical) for host in HOSTS] == [physical] * 3
        assert site.cluster.create("a", "i1", "h1", logical=logical)
        assert site.is_ready(logical)(site.cluster.ledger())


async def test_a_rebound_address_moves_on_all_hosts_and_the_old_physical_comes_free() -> None:
    async with running() as (site, _):
        logical = site.cluster.reserve("a", "h1")
        ledger = await site.until(site.is_ready(logical))
        old = ledger.record("a", logical).required.physical
        assert site.cluster.create("a", "i1", "h2", logical=logical)
        ledger = await site.until(lambda ledger: bool(ledger.instance("a", "i1")))
        ledger = await site.until(site.is_ready(logical))
        new = ledger.record("a", logical).required.physical
        assert old != new
        assert [site.maps(host, logical) for host in HOSTS] == [new] * 3
        await site.until(lambda ledger: not ledger.physical(old))


async def test_an_address_given_up_comes_free_once_all_hosts_dropped_it() -> None:
    async with running() as (site, _):
        logical = site.cluster.reserve("a", "h1")
        assert site.cluster.create("a", "i1", "h1", logical=logical)
        await site.until(lambda ledger: bool(ledger.instance("a", "i1")) and site.is_ready(logical)(ledger))
        assert site.cluster.delete("a", "i1")
        assert site.cluster.end_hold("a", logical)
        await site.until(lambda ledger: not ledger.record("a", logical))
        assert [site.maps(host, logical) for host in HOSTS] == [None] * 3


async def test_a_restarted_agent_finds_its_entries_and_catches_up() -> None:
    async with running() as (site, _):
        kept, dropped = site.cluster.reserve("a", "h1"), site.cluster.reserve("a", "h1")
        await site.until(site.is_ready(dropped))
        await site.stop("h3")
        assert site.cluster.cool("a", dropped)
        assert site.maps("h3", dropped) is not None
        site.start("h3")
        await site.until(lambda ledger: ledger.host("h3").required.incarnation == 2)
        await site.until(lambda ledger: bool(ledger.record("a", kept)) and not ledger.record("a", dropped))
        assert [site.maps("h3", logical) is None for logical in (kept, dropped)] == [False, True]


async def test_a_kernel_that_was_away_and_a_link_that_was_down_are_made_good() -> None:
    async with running() as (site, _):
        kernel = site.kernels["h2"]
        kernel.table.is_away = True
        logical = site.cluster.reserve("a", "h1")
        await site.until(lambda ledger: bool(ledger.record("a", logical)))
        kernel.table.is_away = False
        await site.until(site.is_ready(logical))
        kernel.flush_links()
        assert site.maps("h2", logical) is None
        await site.until(lambda _: site.maps("h2", logical) is not None)


async def test_an_agent_serves_on_while_the_watch_was_compacted() -> None:
    async with running() as (site, _):
        logical = site.cluster.reserve("a", "h1")
        await site.until(site.is_ready(logical))
        site.cluster.store.compact(site.cluster.store.revision)
        other = site.cluster.reserve("a", "h2")
        site.cluster.store.compact(site.cluster.store.revision)
        await site.until(site.is_ready(other))
        assert site.kernels["h3"].table.entries() == [
            TableEntry(7, each, site.view.ledger.record("a", each).required.physical) for each in (logical, other)
        ]


async def test_an_operator_ends_the_wait_for_a_host_that_cannot_drop_an_entry() -> None:
    async with running() as (site, controller):
        logical = site.cluster.reserve("a", "h1")
        await site.until(site.is_ready(logical))
        site.kernels["h2"].table.refused.add(TableKey(7, logical))
        physical = site.view.ledger.record("a", logical).required.physical
        assert site.cluster.cool("a", logical)
        controller.tell(CoolingOverridden(frozenset({record_key("a", logical)})))
        await site.until(lambda ledger: not ledger.physical(physical))
        assert site.maps("h2", logical) == physical


async def test_a_controller_takes_over_when_the_leading_one_goes() -> None:
    site = Site()
    await site.view.start()
    await site.store.commit([Transaction((), (Delete(SHARDS),))])
    site.start("h1")
    standing = [
        asyncio.create_task(
            ControllerService(store=site.store, view=site.view, clock=site.clock, settings=CONTROLLER).run(name)
        )
        for name in ("c1", "c2")
    ]
    for host in ("h2", "h3"):
        site.cluster.store.commit([Transaction((), (Delete(subscription_key(host, "a")),))])
    await site.until(lambda ledger: ledger.host("h1").required.incarnation == 1)
    await site.until(lambda ledger: ledger.host("h1").required.state is HostState.UP)
    for candidate in standing:
        await site.until(lambda _: bool(site.cluster.store.read([shard_key(0)]).items))
        logical = site.cluster.reserve("a", "h1")
        await site.until(site.is_ready(logical))
        assert site.cluster.cool("a", logical)
        await site.until(lambda ledger, logical=logical: not ledger.record("a", logical))  # type: ignore[misc]
        candidate.cancel()
        with suppress(asyncio.CancelledError):
            await candidate
    await site.stop("h1")
    await site.view.stop()


async def test_the_view_raises_what_ended_it() -> None:
    site = Site()
    await site.view.start()
    site.cluster.put(record_key("a", "10.0.0.1"), BRISK)
    await site.store.commit([])
    with pytest.raises(Exception, match=r"10\.0\.0\.1"):
        await site.view.wait_revision(site.cluster.store.revision)
