"""The assignment service on the memory store and on LMDB: many callers, two replicas, faults of the store."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.core.assignment.world import NOW, World, create, delete, outcomes, small_world

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.assignment.answer import Created
from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import AddrcastError, Exhausted, OutcomeUnknown, Unavailable
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import acknowledgement_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import Acknowledgement
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.view import LedgerView
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from addrcast.core.domain.transaction import Page, Result
    from addrcast.ports.store import Store


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now_ms = NOW
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep_until(self, when_ms: int) -> None:
        while self._now_ms < when_ms:
            await self._moved.wait()

    def move_to(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._moved.set()
        self._moved = asyncio.Event()


class FaultyStore(MemoryStore):
    """A store that goes wrong in ways that are drawn up beforehand, one for each commit."""

    def __init__(self, world: World) -> None:
        super().__init__(model=world.store)
        self.faults: list[str] = []
        self.is_mute = False

    async def read(self, keys: Sequence[str]) -> Page:
        if self.is_mute:
            raise Unavailable("the store is away", retry_after_ms=1)
        return await super().read(keys)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise Unavailable("the store is away", retry_after_ms=1)
        if fault == "lost before":
            raise OutcomeUnknown("no reply", retry_after_ms=1)
        results = await super().commit(transactions)
        if fault == "lost after":
            raise OutcomeUnknown("no reply", retry_after_ms=1)
        if fault == "broken":
            raise ZeroDivisionError("a bug of the store")
        return results


@asynccontextmanager
async def serving(
    store: Store, *, replicas: int = 1, clock: HandClock | None = None
) -> AsyncIterator[list[AssignmentService]]:
    async with AsyncExitStack() as opened:
        services = []
        for number in range(replicas):
            view = LedgerView(store)
            await view.start()
            opened.push_async_callback(view.stop)
            service = AssignmentService(store, view, clock or HandClock(), replica=f"api-{number}")
            opened.push_async_callback(service.stop)
            services.append(service)
        yield services


async def found(store: Store) -> Ledger:
    page = await store.scan("")
    return Ledger.from_items(page.items, page.revision)


@pytest.fixture
def world() -> World:
    return small_world()


async def test_hundreds_of_callers_on_two_replicas_get_all_there_is_and_no_address_twice(
    world: World, tmp_path: Path
) -> None:
    world.host("h1", "192.0.2.0/26")
    world.host("h2", "192.0.2.64/26")
    world.pool("p", "10.0.0.0/24")
    store = await LmdbStore.open(tmp_path)
    items = world.store.scan("").items
    await store.commit([Transaction((), (Put(item.key, item.value),)) for item in items])
    async with serving(store, replicas=2) as services:
        asked = [create("acme", f"i-{number}") for number in range(150)]
        halves = [services[number].answer_all(asked[number::2]) for number in range(2)]
        answers = [answer for half in await asyncio.gather(*halves) for answer in half]
        got = [answer for answer in answers if isinstance(answer, Created)]
        assert len(got) == 128
        assert sum(isinstance(answer, Exhausted) for answer in answers) == 22
        assert len({answer.addresses[0].physical for answer in got}) == 128
        released = await services[0].answer_all(delete("acme", answer.instance) for answer in got)
        assert not [answer for answer in released if isinstance(answer, AddrcastError)]
    ledger = await found(store)
    assert violations(ledger) == []
    assert {entry.required.state.value for entry in ledger.records("acme").values()} == {"preserved"}
    await store.close()


async def test_what_one_caller_was_told_the_next_one_may_rely_on(world: World) -> None:
    async with serving(MemoryStore(model=world.store)) as (service,):
        await service.create(create("acme", "i-1"))
        assert (await service.create(create("acme", "i-1"))).is_repeat
        assert (await service.delete(delete("acme", "i-1"))).is_change
        assert outcomes(await service.create(create("acme", "i-1", attempt=1))) == ["preserved"]
    world.check()


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
async def test_a_lost_reply_is_read_back_and_the_caller_never_hears_of_it(world: World, fault: str) -> None:
    store = FaultyStore(world)
    store.faults = [fault]
    async with serving(store) as (service,):
        answer = await service.create(create("acme", "i-1", request="r-1"))
        assert not answer.is_repeat
    assert len(world.states("acme")) == 1
    world.check()


async def test_a_lost_reply_that_cannot_be_read_back_is_told_as_unknown(world: World) -> None:
    store = FaultyStore(world)
    async with serving(store) as (service,):
        store.faults, store.is_mute = ["lost after"], True
        with pytest.raises(OutcomeUnknown):
            await service.create(create("acme", "i-1", request="r-1"))
        store.is_mute = False
        assert not (await service.create(create("acme", "i-1", request="r-1"))).is_repeat
    world.check()


async def test_a_store_that_is_away_is_told_as_it_is(world: World) -> None:
    store = FaultyStore(world)
    async with serving(store) as (service,):
        store.faults = ["refused"]
        with pytest.raises(Unavailable):
            await service.create(create("acme", "i-1"))
        store.is_mute = True
        with pytest.raises(Unavailable):
            await service.create(create("nobody", "i-1"))
        store.is_mute = False
        assert outcomes(await service.create(create("acme", "i-1"))) == ["dynamic"]


async def test_a_look_goes_on_until_the_view_has_come_to_the_store(world: World) -> None:
    store = MemoryStore(model=world.store)
    async with serving(store) as (service,):
        await service.create(create("acme", "i-0"))
        await turns(20)
        world.account("newcomer")  # behind the store's back, so its watchers sleep on
        asked = asyncio.ensure_future(service.create(create("newcomer", "i-1")))
        await turns(20)
        assert not asked.done()
        await service.create(create("acme", "i-1"))
        assert outcomes(await asked) == ["dynamic"]


async def test_a_look_that_takes_too_long_ends_with_the_deadline(world: World) -> None:
    clock = HandClock()
    async with serving(MemoryStore(model=world.store), clock=clock) as (service,):
        await service.create(create("acme", "i-0"))
        await turns(20)
        world.account("newcomer")
        hasty = asyncio.ensure_future(service.create(create("newcomer", "i-1", deadline_ms=NOW + 10)))
        patient = asyncio.ensure_future(service.create(create("newcomer", "i-2")))
        await turns(20)
        clock.move_to(NOW + 10)
        with pytest.raises(Unavailable):
            await hasty
        await service.create(create("acme", "i-1"))
        assert outcomes(await patient) == ["dynamic"]


async def test_a_bug_leaves_no_caller_waiting(world: World) -> None:
    store = FaultyStore(world)
    async with serving(store) as (service,):
        store.faults = ["broken"]
        with pytest.raises(ZeroDivisionError):
            await service.answer_all([create("acme", "i-1"), create("acme", "i-2")])


async def test_a_create_waits_for_an_address_until_it_comes_free(world: World) -> None:
    world.reserve("beta", "h2")
    async with serving(MemoryStore(model=world.store)) as (service,):
        await service.create(create("other", "i-1", "h2"))
        waiting = asyncio.ensure_future(service.create(create("acme", "i-1", "h2")))
        await taken_back(world)
        await turns(20)
        assert not waiting.done()
        world.free_cooled()
        await service.create(create("other", "i-2", "h1"))  # the store wakes its watchers at the next commit
        assert outcomes(await waiting) == ["dynamic"]
    world.check()


async def test_a_create_that_waits_in_vain_is_told_when_its_deadline_comes(world: World) -> None:
    world.reserve("beta", "h2")
    clock = HandClock()
    async with serving(MemoryStore(model=world.store), clock=clock) as (service,):
        await service.create(create("other", "i-1", "h2"))
        waiting = asyncio.ensure_future(service.create(create("acme", "i-1", "h2", deadline_ms=NOW + 500)))
        await taken_back(world)
        await turns(20)
        clock.move_to(NOW + 500)
        with pytest.raises(Unavailable):
            await waiting


async def test_a_shadow_is_ready_at_once_and_a_dynamic_address_when_its_hosts_have_it(world: World) -> None:
    world.reserve("acme", "h1")
    clock = HandClock()
    store = MemoryStore(model=world.store)
    async with serving(store, clock=clock) as (service,):
        first = await service.create(create("acme", "i-0", "h1"))
        await acknowledge(store, "h1", first.revision)
        shadow = first.addresses[0]
        assert shadow.placed_revision < first.revision
        assert (await service.wait_ready(first, deadline_ms=NOW + 100)).is_ready
        second = await service.create(create("acme", "i-1", "h1"))
        readiness = service.readiness(second)
        assert [str(wait) for wait in readiness.waits] == [f"waiting for host h1 at revision {second.revision}"]
        waiting = asyncio.ensure_future(service.wait_ready(second, deadline_ms=NOW + 100))
        await asyncio.sleep(0)
        await acknowledge(store, "h1", second.revision)
        assert (await waiting).is_ready


async def test_waiting_for_ready_ends_with_its_deadline(world: World) -> None:
    clock = HandClock()
    async with serving(MemoryStore(model=world.store), clock=clock) as (service,):
        answer = await service.create(create("acme", "i-1", "h1"))
        waiting = asyncio.ensure_future(service.wait_ready(answer, deadline_ms=NOW + 100))
        await asyncio.sleep(0)
        clock.move_to(NOW + 100)
        assert not (await waiting).is_ready


async def test_a_caller_that_gives_up_leaves_the_others_alone(world: World) -> None:
    async with serving(MemoryStore(model=world.store)) as (service,):
        one = asyncio.ensure_future(service.create(create("acme", "i-1")))
        two = asyncio.ensure_future(service.create(create("acme", "i-2")))
        await asyncio.sleep(0)
        one.cancel()
        assert outcomes(await two) == ["dynamic"]


async def test_a_service_that_stops_tells_those_who_wait(world: World) -> None:
    world.reserve("beta", "h2")
    async with serving(MemoryStore(model=world.store)) as (service,):
        await service.create(create("other", "i-1", "h2"))
        waiting = asyncio.ensure_future(service.create(create("acme", "i-1", "h2")))
        await taken_back(world)
        await turns(20)
        await service.stop()
        with pytest.raises(Unavailable):
            await waiting


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def taken_back(world: World) -> None:
    """Return once the idle address of `beta` cools; a model's world has no event to wait for."""
    for _ in range(1_000):
        if "cooling" in world.states("beta").values():
            return
        await asyncio.sleep(0)
    raise AssertionError("nothing was taken back")


async def acknowledge(store: Store, host: str, revision: int) -> None:
    value = encode(Acknowledgement(epoch=1, revision=revision, incarnation=1))
    await store.commit([Transaction((), (Put(acknowledgement_key(host, "acme"), value),))])
