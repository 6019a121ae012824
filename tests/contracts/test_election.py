"""The election of controllers on every store: each shard is led by one, fenced; ends are noticed and followed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.contracts.stores import HandClock
from tests.contracts.words import change, commit, delete, get, keys, put

from addrcast.core.controller.candidacy import CandidacySettings
from addrcast.core.controller.standing import SHARDS, Standing, candidate_key, shard_key
from addrcast.core.controller.territory import Territory
from addrcast.core.domain.errors import Conflict, Invalid, OutcomeUnknown
from addrcast.core.domain.keyspace import ELECTIONS
from addrcast.core.domain.transaction import Delete, Put
from addrcast.runtime.election import ShardElection, renumber
from addrcast.runtime.lease import leased
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tests.contracts.stores import Opened, StoreKind

    from addrcast.core.domain.transaction import Result, Transaction
    from addrcast.ports.store import Store

BRISK = CandidacySettings(take_after_ms=50, give_after_ms=20)


class Candidate:
    """A candidate that runs; `until` waits for what it is told."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.territory = Territory()
        self.told: list[Territory] = []
        self.lease = 0
        self.running: asyncio.Task[None]
        self._moved = asyncio.Event()

    def tell(self, territory: Territory) -> None:
        self.territory = territory
        self.told.append(territory)
        self._moved.set()

    async def run(self, shards: int | None, ttl_ms: int) -> None:
        async with leased(self.store, ttl_ms=ttl_ms) as lease:
            self.lease = lease.number
            await ShardElection(
                self.store, lease, candidate=self.name, tell=self.tell, shards=shards, settings=BRISK
            ).run()

    async def until(self, holds: Callable[[Territory], bool]) -> Territory:
        async with asyncio.timeout(30):
            while not holds(self.territory):
                assert not self.running.done(), "the lease was lost: is this machine that slow?"
                self._moved.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), 1)
        return self.territory

    async def leads(self, *shards: int) -> Territory:
        return await self.until(lambda territory: set(territory.fences) == set(shards))

    async def leads_number(self, number: int) -> Territory:
        return await self.until(lambda territory: len(territory.fences) == number)

    async def resign(self) -> None:
        self.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.running


@asynccontextmanager
async def standing(
    store: Store, *names: str, shards: int | None = 4, ttl_ms: int = 60_000
) -> AsyncIterator[list[Candidate]]:
    """Candidates that stand, one after the other, until they are cancelled."""
    candidates = [Candidate(store, name) for name in names]
    try:
        for candidate in candidates:
            candidate.running = asyncio.create_task(candidate.run(shards, ttl_ms))
        yield candidates
    finally:
        for candidate in candidates:
            candidate.running.cancel()
        await asyncio.wait([candidate.running for candidate in candidates])


async def elections(store: Store) -> list[str]:
    return [key for key in await keys(store) if key.startswith(ELECTIONS)]


async def test_who_stands_alone_leads_every_shard(store: Store) -> None:
    async with standing(store, "a") as (a,):
        territory = await a.leads(0, 1, 2, 3)
        assert territory.shards == 4
        for shard, fence in territory.fences.items():
            item = await get(store, shard_key(shard))
            assert item is not None
            assert (item.key, item.mod_revision) == (fence.key, fence.revision)
            assert item.value == f"a {a.lease}".encode()
            assert item.lease == a.lease


async def test_candidates_come_to_equal_shares_and_then_nothing_moves(store: Store) -> None:
    async with standing(store, "a") as (a,):
        await a.leads_number(4)
        async with standing(store, "b") as (b,):
            await b.leads_number(2)
            await a.leads_number(2)
            assert a.territory.fences.keys() | b.territory.fences.keys() == {0, 1, 2, 3}
            told = len(a.told), len(b.told)
            await asyncio.sleep(0.2)
            assert (len(a.told), len(b.told)) == told


async def test_a_shard_is_given_up_only_after_its_leader_was_told(store: Store) -> None:
    async with standing(store, "a", shards=2) as (a,):
        await a.leads(0, 1)
        async with standing(store, "b") as (b,):
            (won,) = (await b.leads_number(1)).fences
            assert won not in a.territory.fences
            assert [len(territory.fences) for territory in a.told] == [2, 1]


async def test_the_fence_refuses_the_writes_of_a_deposed_leader(store: Store) -> None:
    async with standing(store, "a", shards=1) as (a,):
        old = (await a.leads(0)).fences[0]
        assert (await commit(store, change(Put("plan", b"1"), when=[old]))).is_success
        async with standing(store, "b") as (b,):
            await asyncio.sleep(0.02)
            await a.resign()
            new = (await b.leads(0)).fences[0]
            assert not (await commit(store, change(Put("plan", b"2"), when=[old]))).is_success
            assert (await commit(store, change(Put("plan", b"3"), when=[new]))).is_success
    assert (await store.read(["plan"])).items[0].value == b"3"


@pytest.mark.parametrize("how", ["deleted", "overwritten"])
async def test_a_shard_that_was_taken_away_is_noticed(store: Store, how: str) -> None:
    async with standing(store, "a", shards=2) as (a,):
        old = (await a.leads(0, 1)).fences
        if how == "deleted":
            await delete(store, shard_key(1))
            await a.until(lambda territory: territory.fences.get(1) not in {None, old[1]})
        else:
            await put(store, shard_key(1), b"intruder")
            await a.leads(0)
        assert a.territory.fences[0] == old[0]


async def test_the_end_of_the_lease_ends_a_candidacy(opened: Opened, kind: StoreKind) -> None:
    async with asyncio.timeout(30), standing(opened.store, "a", ttl_ms=3 * kind.lease_ms) as (a,):
        await a.leads_number(4)
        await opened.store.revoke(a.lease)
        await a.running


async def test_the_shards_of_one_that_died_are_led_once_its_lease_is_over(opened: Opened, kind: StoreKind) -> None:
    store = opened.store
    lease = await store.grant(ttl_ms=2 * kind.lease_ms)
    async with standing(store, "b", ttl_ms=60 * kind.lease_ms) as (b,):
        await b.leads_number(4)
        await put(store, candidate_key(lease), b"dead", lease=lease)
        await b.resign()
    for shard in range(4):
        await put(store, shard_key(shard), b"dead", lease=lease)
    async with standing(store, "c", ttl_ms=60 * kind.lease_ms) as (c,):
        await asyncio.sleep(0.02)
        assert not c.territory.fences
        await opened.advance(3 * kind.lease_ms)
        await c.leads_number(4)


async def test_a_leader_stays_as_long_as_it_keeps_its_lease_alive(opened: Opened, kind: StoreKind) -> None:
    ttl_ms = 2 * kind.lease_ms
    async with standing(opened.store, "a", ttl_ms=ttl_ms) as (a,):
        await a.leads_number(4)
        for _ in range(2):
            await asyncio.sleep(ttl_ms / 1000 / 2)
            await opened.advance(ttl_ms * 3 // 4)
        assert len(a.told) == 1
        assert not a.running.done()


async def test_who_resigns_leaves_nothing_but_the_number_and_is_followed_at_once(store: Store) -> None:
    before = asyncio.all_tasks()
    async with standing(store, "a") as (a,):
        await a.leads_number(4)
        async with standing(store, "b") as (b,):
            await a.leads_number(2)
            await b.leads_number(2)
            await a.resign()
            await b.leads_number(4)
            await b.resign()
    assert await elections(store) == [SHARDS]
    assert asyncio.all_tasks() == before


async def test_closing_the_store_ends_a_candidacy_once_the_lease_may_be_over(opened: Opened) -> None:
    async with asyncio.timeout(30), standing(opened.store, "a", ttl_ms=2_000) as (a,):
        await a.leads_number(4)
        await opened.store.close()
        await a.running


async def test_whoever_is_first_sets_the_number_and_the_others_go_by_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(store, "a", shards=3) as (a,):
        await a.leads_number(3)
        async with standing(store, "b", shards=5) as (b,):
            assert (await b.leads_number(1)).shards == 3
            assert "goes by the 3 shards that the store has, not by 5" in caplog.text


async def test_another_number_deposes_all_leaders_in_the_moment_in_which_it_comes(store: Store) -> None:
    async with standing(store, "a", shards=4) as (a,):
        old = (await a.leads_number(4)).fences
        assert await renumber(store, 3) == 4
        for fence in old.values():
            assert not (await commit(store, change(Put("plan", b"1"), when=[fence]))).is_success
        territory = await a.until(lambda territory: territory.shards == 3 and len(territory.fences) == 3)
        assert all(old[shard] != fence for shard, fence in territory.fences.items())
        assert await renumber(store, 3) == 3
        assert a.territory == territory
    with pytest.raises(Invalid, match="1 to 32"):
        await renumber(store, 33)


async def test_a_claim_under_a_number_that_is_no_more_is_refused(store: Store) -> None:
    assert await renumber(store, 4) == 0
    late = Standing.from_items((await store.scan(SHARDS)).items)
    assert await renumber(store, 2) == 4
    lease = await store.grant(ttl_ms=60_000)
    assert not (await commit(store, late.claim(0, "late", lease=lease))).is_success
    assert await elections(store) == [SHARDS]


async def test_a_controller_of_a_version_without_shards_is_waited_for(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await put(store, SHARDS, b"old-controller")
    async with standing(store, "a") as (a,):
        async with asyncio.timeout(20):
            while "waits: a controller without shards leads" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
                await asyncio.sleep(0.05)
        with pytest.raises(Conflict, match="without shards"):
            await renumber(store, 2)
        await commit(store, change(Delete(SHARDS)))
        await a.leads_number(4)


async def test_a_number_of_shards_that_cannot_be_is_refused(store: Store) -> None:
    async with standing(store, "a", shards=0) as (a,):
        with pytest.raises(Invalid, match="shards"):
            await a.running


class LossyStore(MemoryStore):
    """A memory store that carries out the first claims and loses the reply, or first lets the lease end."""

    def __init__(self, clock: HandClock, *, ends_lease: bool) -> None:
        super().__init__(clock)
        self.claims = 0
        self._clock = clock
        self._ends_lease = ends_lease

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        is_claim = any(write.key == shard_key(0) for each in transactions for write in each.writes)
        self.claims += is_claim
        if not is_claim or self.claims > 1:
            return await super().commit(transactions)
        if self._ends_lease:
            self._clock.ms += 100_000
            return await super().commit(transactions)
        await super().commit(transactions)
        raise OutcomeUnknown("the reply was lost", retry_after_ms=1)


async def test_a_claim_whose_reply_was_lost_shows_in_the_watch() -> None:
    store = LossyStore(HandClock(), ends_lease=False)
    async with standing(store, "a") as (a,):
        await a.leads_number(4)
        assert store.claims == 1


async def test_a_candidate_whose_lease_ended_before_its_claim_stands_no_more() -> None:
    store = LossyStore(HandClock(), ends_lease=True)
    async with asyncio.timeout(30), standing(store, "a") as (a,):
        await a.running
        assert not a.territory.fences
