"""Roles on a real etcd: everybody can do its work, and whatever is not its work is denied."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.integration.guarded import PASSWORD, Guarded, guarded_etcd, guarded_store

from addrcast.adapters.stores.etcd_auth import EtcdAuth
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.assignment.request import CreateRequest, DeleteRequest, Want
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.dataplane.unapplied import Backoff
from addrcast.core.domain.codec import decode, encode
from addrcast.core.domain.errors import Denied, Invalid
from addrcast.core.domain.keyspace import (
    EPOCH,
    account_key,
    acknowledgement_key,
    election_key,
    host_alive_key,
    host_key,
    host_report_key,
    instance_key,
    plan_key,
    pool_key,
    record_key,
    subscription_key,
    tier_key,
)
from addrcast.core.domain.record import Subscription
from addrcast.core.domain.resource import Tier
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction
from addrcast.runtime.agent import AgentService
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.controller import ControllerService
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

    from tests.servers.etcd import Etcd

    from addrcast.adapters.stores.etcd_store import EtcdStore

AGENT = AgentSettings(acknowledge_after_ms=20, confirm_after_ms=20, backoff=Backoff(first_ms=20, last_ms=200))
CONTROLLER = ControllerSettings(
    skew_max_ms=0, sweep_every_ms=20, round_every_ms=50, leave_after_ms=200, retry_ms=20
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with guarded_etcd(tmp_path_factory.mktemp("guarded")) as node:
        yield node


@pytest.fixture
async def guarded(node: Etcd, request: pytest.FixtureRequest) -> AsyncIterator[Guarded]:
    async with guarded_store(node, f"{abs(hash(request.node.name)):x}/") as guarded:
        yield guarded


def put(key: str, *, when: tuple[Compare, ...] = ()) -> Transaction:
    return Transaction(when, (Put(key, b"x"),))


async def subscribe(guarded: Guarded, host: str, account: str) -> None:
    writes = (Put(subscription_key(host, account), encode(Subscription())),)
    await guarded.admin.commit([Transaction((), writes)])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - nothing tells of what is waited for
            await asyncio.sleep(0.01)


class Running:
    """Services that run as tasks of one test, each as its own user."""

    def __init__(self, guarded: Guarded, stack: AsyncExitStack) -> None:
        self.guarded = guarded
        self.clock = SystemClock()
        self.kernel = ModelKernel()
        self.agent: AgentService
        self._stack = stack

    def task(self, running: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(running)

        async def end() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self._stack.push_async_callback(end)

    async def start_agent(self, host: str) -> None:
        store = await self.guarded.as_user(host)
        self.agent = AgentService(host, store=store, kernel=self.kernel, clock=self.clock, settings=AGENT)
        self.task(self.agent.run())

    async def start_controller(self) -> None:
        store, view = await self._view("controller")
        service = ControllerService(store=store, view=view, clock=self.clock, settings=CONTROLLER, shards=2)
        self.task(service.run("c1"))

    async def start_api(self) -> AssignmentService:
        store, view = await self._view("api")
        service = AssignmentService(store, view, self.clock)
        self._stack.push_async_callback(service.stop)
        return service

    async def _view(self, user: str) -> tuple[EtcdStore, LedgerView]:
        store = await self.guarded.as_user(user)
        view = LedgerView(store)
        await view.start()
        self._stack.push_async_callback(view.stop)
        return store, view

    def maps(self, vni: int, logical: str) -> bool:
        return self.kernel.table.physical_of(vni, logical) is not None


@pytest.fixture
async def running(guarded: Guarded) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        yield Running(guarded, stack)


async def test_an_address_lives_its_whole_life_with_every_role_in_its_place(running: Running) -> None:
    guarded = running.guarded
    operator = await guarded.as_user("operator")
    items = (await operator.read([tier_key("basic")])).items
    tier = decode(tier_key("basic"), items[0].value)
    assert isinstance(tier, Tier)
    quick = replace(tier, hold_ms=0, age_limit_ms=0, cooldown_ms=0)
    await operator.commit([Transaction((), (Put(tier_key("basic"), encode(quick)),))])
    running.task(guarded.keeper.follow())
    await running.start_agent("h1")
    await running.start_controller()
    api = await running.start_api()

    async def is_up() -> bool:
        return running.agent.machine.phase.name == "UP"

    await until(is_up)
    deadline_ms = running.clock.now_ms() + 30_000
    created = await api.create(
        CreateRequest(account="a", instance="i1", wants=(Want(),), host="h1", deadline_ms=deadline_ms)
    )
    logical = created.addresses[0].logical

    async def is_mapped() -> bool:
        return running.maps(7, logical)

    await until(is_mapped)
    await api.delete(DeleteRequest(account="a", instance="i1", deadline_ms=deadline_ms))

    async def is_free() -> bool:
        page = await guarded.admin.read([record_key("a", logical), subscription_key("h1", "a")])
        return not page.items

    # the address cools, is acknowledged and free, and then its host leaves the account
    await until(is_free)
    assert not running.maps(7, logical)

    async def is_revoked() -> bool:
        rights = await guarded.auth.rights(guarded.keeper.host_role("h1"))
        return rights is not None and not any(where.key.startswith("network_address.") for where in rights)

    await until(is_revoked)
    agent = await guarded.as_user("h1")
    with pytest.raises(Denied):
        await agent.scan("network_address.a.")


async def test_an_agent_waits_for_its_grant_says_so_and_serves_the_others_meanwhile(
    running: Running,
) -> None:
    guarded = running.guarded
    await subscribe(guarded, "h1", "a")
    await guarded.keeper.keep()
    await running.start_agent("h1")
    api = await running.start_api()

    async def is_up() -> bool:
        return running.agent.machine.phase.name == "UP"

    await until(is_up)
    await subscribe(guarded, "h1", "b")

    async def is_denied() -> bool:
        return running.agent.machine.denied == ("b",)

    await until(is_denied)
    machine = running.agent.machine
    deadline_ms = running.clock.now_ms() + 30_000
    created = {
        account: await api.create(
            CreateRequest(account=account, instance="i1", wants=(Want(),), host="h1", deadline_ms=deadline_ms)
        )
        for account in ("a", "b")
    }

    async def serves_the_first() -> bool:
        return running.maps(7, created["a"].addresses[0].logical)

    await until(serves_the_first)
    assert not running.maps(9, created["b"].addresses[0].logical)
    assert list(machine.denied) == ["b"]
    await guarded.keeper.keep()

    async def serves_both() -> bool:
        return running.maps(9, created["b"].addresses[0].logical)

    await until(serves_both)
    assert list(machine.denied) == []


AGENTS_READS = (
    *(
        "network_address.ab.",
        "network_address.b.",
        "network_address.",
        "account.ab",
        "account.",
        "host.h10",
        "host.",
    ),
    *("host_account.h10.", "host_account.", "instance.", "physical_address.", "pool.", "election.", ""),
)
AGENTS_WRITES = (
    record_key("a", "10.0.0.1"),
    record_key("ab", "10.0.0.1"),
    instance_key("a", "i1"),
    acknowledgement_key("h10", "a"),
    host_key("h10"),
    host_alive_key("h10"),
    host_report_key("h10"),
    subscription_key("h1", "b"),
    subscription_key("h10", "a"),
    EPOCH,
    tier_key("basic"),
    pool_key("net"),
    account_key("a"),
    election_key("controller.0"),
    plan_key("a"),
    "physical_address.172.16.0.1",
)


async def test_an_agent_reads_and_writes_nothing_of_others(guarded: Guarded) -> None:
    await subscribe(guarded, "h1", "a")
    await guarded.keeper.keep()
    agent = await guarded.as_user("h1")
    assert (await agent.scan("network_address.a.")).items == ()
    for prefix in AGENTS_READS:
        with pytest.raises(Denied):
            await agent.scan(prefix)
        with pytest.raises(Denied):
            async with aclosing(agent.watch([prefix], after_revision=0)) as changes:
                await anext(changes)
    for key in AGENTS_WRITES:
        await denied(guarded, agent, key)
    for own in (acknowledgement_key("h1", "a"), host_alive_key("h1")):
        (result,) = await agent.commit([put(own)])
        assert result.is_success


async def denied(guarded: Guarded, store: EtcdStore, key: str) -> None:
    """Nobody but who may writes or deletes a key, by itself or beside something allowed in one transaction."""
    before = (await guarded.admin.read([key])).items
    own = acknowledgement_key("h1", "a")
    for each in (put(key), Transaction((), (Delete(key),)), Transaction((), (Put(own, b"x"), Put(key, b"x")))):
        with pytest.raises(Denied):
            await store.commit([each])
    assert (await guarded.admin.read([key])).items == before


async def test_a_nested_transaction_is_denied_what_a_plain_one_is(guarded: Guarded) -> None:
    """CVE-2026-33343: etcd before 3.5.30 carried out nested transactions without a look at the user's rights."""
    await subscribe(guarded, "h1", "a")
    await guarded.keeper.keep()
    agent = await guarded.as_user("h1")
    foreign, own = record_key("b", "10.0.0.1"), acknowledgement_key("h1", "a")
    with pytest.raises(Denied):
        await agent.commit([put(own), put(foreign)])
    # to compare is to read
    with pytest.raises(Denied):
        await agent.commit([put(own), put(host_alive_key("h1"), when=(Compare(foreign, 0),))])
    assert (await guarded.admin.read([foreign, own, host_alive_key("h1")])).items == ()
    several = await asyncio.gather(agent.commit([put(own)]), agent.commit([put(foreign)]), return_exceptions=True)
    assert isinstance(several[0], list)
    assert several[0][0].is_success
    assert isinstance(several[1], Denied)


async def test_a_lease_of_another_host_cannot_be_ended(guarded: Guarded) -> None:
    other, agent = await guarded.as_user("h10"), await guarded.as_user("h1")
    lease = await other.grant(ttl_ms=60_000)
    await other.commit([Transaction((), (Put(host_alive_key("h10"), b"", lease),))])
    with pytest.raises(Denied):
        await agent.revoke(lease)
    assert (await guarded.admin.read([host_alive_key("h10")])).items
    await other.revoke(lease)


FORBIDDEN = {
    "api": (
        *(host_key("h1"), host_alive_key("h1"), pool_key("net"), tier_key("basic"), account_key("a"), EPOCH),
        *(election_key("controller.0"), plan_key("a"), host_report_key("h1"), "removal.host.h1", "declared"),
    ),
    "controller": (tier_key("basic"), host_alive_key("h1"), "declared", "store_move"),
}


@pytest.mark.parametrize("role", FORBIDDEN)
async def test_a_service_reads_everything_and_writes_only_what_is_its_work(guarded: Guarded, role: str) -> None:
    service = await guarded.as_user(role)
    assert len((await service.scan("")).items) == len((await guarded.admin.scan("")).items)
    for key in FORBIDDEN[role]:
        await denied(guarded, service, key)
    (result,) = await service.commit([put(record_key("a", "10.0.0.200"))])
    assert result.is_success


async def test_no_role_of_ours_may_change_roles_or_see_another_store(guarded: Guarded) -> None:
    for user in ("operator", "controller", "api", "h1"):
        credentials = (f"{guarded.root}{user}", PASSWORD)
        auth = await EtcdAuth.open([guarded.node.endpoint], credentials=credentials, root=guarded.root)
        with pytest.raises(Denied):
            await auth.grant(guarded.keeper.host_role("h1"), *next(iter((await guarded.rights("h10")).items())))
        with pytest.raises(Denied):
            await auth.add_user("mallory", ["root"], password=PASSWORD)
        await auth.close()
    operator = await guarded.as_user("operator", root="elsewhere/")
    with pytest.raises(Denied):
        await operator.scan("")


async def test_a_wrong_password_is_refused(guarded: Guarded) -> None:
    with pytest.raises(Invalid, match="does not know this user"):
        await guarded.as_user("h1", password=f"not {PASSWORD}")


async def test_roles_that_are_right_are_left_alone_and_others_made_right(guarded: Guarded) -> None:
    role = guarded.keeper.host_role("h1")
    assert (await guarded.keeper.set_up(), (await guarded.keeper.keep())[1]) == ([], [])
    await subscribe(guarded, "h1", "a")
    assert len((await guarded.keeper.keep())[1]) == 3
    before = await guarded.rights("h1")
    await guarded.auth.grant(role, *next(iter((await guarded.rights("h10")).items())))
    await guarded.auth.revoke(role, next(iter(before)))
    assert await guarded.rights("h1") != before
    _, changed = await guarded.keeper.keep()
    assert changed
    assert await guarded.rights("h1") == before
    await guarded.admin.commit([Transaction((), (Delete(host_key("h10")),))])
    assert (await guarded.keeper.keep())[1] == [f"{guarded.keeper.host_role('h10')}: removed"]
