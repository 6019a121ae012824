"""Leader election on every store: one leads, its writes are fenced, its end is noticed and followed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from tests.contracts.stores import HandClock
from tests.contracts.words import change, commit, delete, get, keys, put

from addrcast.core.domain.errors import OutcomeUnknown
from addrcast.core.domain.keyspace import election_key
from addrcast.core.domain.transaction import Compare, Put
from addrcast.runtime.election import leadership
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.contracts.stores import Opened, StoreKind

    from addrcast.core.domain.transaction import Result, Transaction
    from addrcast.ports.store import Store
    from addrcast.runtime.election import Leadership

KEY = election_key("controller")


async def test_one_candidate_leads_at_a_time_and_all_get_their_turn(store: Store) -> None:
    leading: list[str] = []
    served: list[str] = []

    async def candidate(name: str) -> None:
        async with leadership(store, "controller", candidate=name):
            leading.append(name)
            assert leading == [name]
            holder = await get(store, KEY)
            assert holder is not None
            assert holder.value == name.encode()
            await asyncio.sleep(0.01)
            served.append(name)
            leading.remove(name)

    async with asyncio.timeout(30), asyncio.TaskGroup() as candidates:
        for number in range(5):
            candidates.create_task(candidate(f"c{number}"))
    assert sorted(served) == ["c0", "c1", "c2", "c3", "c4"]
    assert await keys(store) == []


async def test_a_longer_name_is_another_election(store: Store) -> None:
    async with (
        asyncio.timeout(30),
        leadership(store, "shard-1", candidate="a") as first,
        leadership(store, "shard-10", candidate="b") as second,
    ):
        assert not first.is_lost
        assert not second.is_lost


async def test_the_fence_refuses_the_writes_of_a_deposed_leader(store: Store) -> None:
    async with leadership(store, "controller", candidate="old") as old:
        assert (await commit(store, change(Put("plan", b"1"), when=[old.fence]))).is_success
        await delete(store, KEY)
        async with leadership(store, "controller", candidate="new") as new:
            assert not (await commit(store, change(Put("plan", b"2"), when=[old.fence]))).is_success
            assert (await commit(store, change(Put("plan", b"3"), when=[new.fence]))).is_success
    assert (await store.read(["plan"])).items[0].value == b"3"


@pytest.mark.parametrize("how", ["deleted", "overwritten", "lease ended"])
async def test_a_lost_term_is_noticed(opened: Opened, kind: StoreKind, how: str) -> None:
    store = opened.store
    async with (
        asyncio.timeout(30),
        leadership(store, "controller", candidate="a", ttl_ms=60 * kind.lease_ms) as term,
    ):
        assert not term.is_lost
        if how == "deleted":
            await delete(store, KEY)
        elif how == "overwritten":
            await put(store, KEY, b"intruder")
        else:
            await opened.advance(61 * kind.lease_ms)
        await term.lost()
        assert term.is_lost


async def test_a_waiting_candidate_follows_when_the_leaders_lease_ends(opened: Opened, kind: StoreKind) -> None:
    async with AsyncExitStack() as block, asyncio.timeout(30):
        first = await block.enter_async_context(
            leadership(opened.store, "controller", candidate="a", ttl_ms=60 * kind.lease_ms)
        )
        waiting = asyncio.create_task(lead_once(opened.store, "b"))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await opened.advance(61 * kind.lease_ms)
        second = await waiting
        await first.lost()
        assert second.fence.revision > first.fence.revision


async def lead_once(store: Store, candidate: str) -> Leadership:
    async with leadership(store, "controller", candidate=candidate) as term:
        return term


async def test_a_leader_stays_as_long_as_it_keeps_its_lease_alive(opened: Opened, kind: StoreKind) -> None:
    ttl_ms = 2 * kind.lease_ms
    async with leadership(opened.store, "controller", candidate="a", ttl_ms=ttl_ms) as term:
        for _ in range(3):
            await asyncio.sleep(ttl_ms / 1000 / 2)
            await opened.advance(ttl_ms * 3 // 4)
        assert not term.is_lost
        assert await keys(opened.store) == [KEY]


async def test_cancelling_a_candidate_or_a_leader_leaves_nothing_behind(store: Store) -> None:
    begun = asyncio.Event()

    async def lead() -> None:
        async with leadership(store, "controller", candidate="leader"):
            begun.set()
            await asyncio.Event().wait()

    before = asyncio.all_tasks()
    leader = asyncio.create_task(lead())
    await begun.wait()
    waiting = asyncio.create_task(lead_once(store, "waiting"))
    await asyncio.sleep(0.02)
    for task in (waiting, leader):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await keys(store) == []
    assert asyncio.all_tasks() == before


async def test_an_error_in_the_block_is_passed_on_and_the_term_is_given_up(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        async with leadership(store, "controller", candidate="a"):
            raise ZeroDivisionError
    assert await keys(store) == []


async def test_closing_the_store_is_noticed_as_a_lost_term(opened: Opened, kind: StoreKind) -> None:
    async with asyncio.timeout(30), leadership(opened.store, "controller", candidate="a", ttl_ms=300) as term:
        await opened.store.close()
        await term.lost()
        assert term.is_lost


class LossyStore(MemoryStore):
    """A memory store that carries out the first claim and loses the reply, or first lets the lease end."""

    def __init__(self, clock: HandClock, *, ends_lease: bool) -> None:
        super().__init__(clock)
        self.claims = 0
        self._clock = clock
        self._ends_lease = ends_lease

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        self.claims += 1
        if self.claims > 1:
            return await super().commit(transactions)
        if self._ends_lease:
            self._clock.ms += 10_000
            return await super().commit(transactions)
        await super().commit(transactions)
        raise OutcomeUnknown("the reply was lost", retry_after_ms=1)


async def test_a_claim_whose_reply_was_lost_is_known_by_its_lease() -> None:
    store = LossyStore(HandClock(), ends_lease=False)
    async with leadership(store, "controller", candidate="a") as term:
        holder = await get(store, KEY)
        assert holder is not None
        assert term.fence == Compare(KEY, holder.mod_revision)
        assert (holder.mod_revision, store.claims) == (1, 2)


async def test_a_candidate_whose_lease_ended_before_its_claim_tries_again() -> None:
    store = LossyStore(HandClock(), ends_lease=True)
    async with leadership(store, "controller", candidate="a") as term:
        assert not term.is_lost
        assert store.claims == 2
