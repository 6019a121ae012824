"""The etcd store while servers die, connections break and space runs out: nothing is lost, no error is false."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contracts.words import change, commit, delete, get, keys, put, watched
from tests.servers.etcd import QUICK, Etcd, etcd_cluster, etcd_node
from tests.servers.relay import relay_to

from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain.errors import OutcomeUnknown, Unavailable
from addrcast.core.domain.transaction import Compare, Put
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from addrcast.core.domain.transaction import Change
    from addrcast.ports.store import Store

MEMORY_FILES = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
TIMEOUT_S = 60
# where a slow machine must not look like a fault
PATIENT_MS = 10_000


@pytest.fixture
def node() -> Iterator[Etcd]:
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_node(Path(files)) as node:
        yield node


@pytest.fixture
async def store(node: Etcd) -> AsyncIterator[EtcdStore]:
    store = await EtcdStore.open([node.endpoint], deadline_ms=PATIENT_MS)
    try:
        yield store
    finally:
        await store.close()


async def write_until(store: Store, name: str, end: asyncio.Event) -> list[str]:
    """Put keys one after the other, each under a name of its own; those that were acknowledged."""
    done = []
    number = 0
    while not end.is_set():
        key = f"k.{name}.{number}"
        number += 1
        try:
            result = await commit(store, change(Put(key, b""), when=[Compare(key, 0)]))
        except OutcomeUnknown:
            continue
        except Unavailable as away:
            await asyncio.sleep(away.retry_after_ms / 1000)
            continue
        assert result.is_success
        done.append(key)
    return done


async def collect(store: Store, seen: list[Change], *prefixes: str) -> None:
    async with aclosing(store.watch(prefixes, after_revision=0)) as changes:
        async for each in changes:
            seen.append(each)
            if any(event.key.endswith(".end") for event in each.events):
                return


async def grown(seen: list[Change], *, by: int) -> None:
    begin = len(seen)
    while len(seen) < begin + by:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def written_through(store: Store, during: AsyncIterator[None]) -> None:
    """Writers and watches run while `during` does what it does; nothing may be lost, nor seen twice."""
    seen: list[Change] = []
    parts: list[Change] = []
    end = asyncio.Event()
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
        writers = [group.create_task(write_until(store, name, end)) for name in ("a", "b", "c", "d")]
        group.create_task(collect(store, seen, "k."))
        group.create_task(collect(store, parts, "k.a.", "k.c.", "k.end"))
        async for _ in during:
            await grown(seen, by=20)
        end.set()
        acknowledged = {key for writer in writers for key in await writer}
        while True:
            try:
                await put(store, "k.end.end")
                break
            except Unavailable:
                await asyncio.sleep(0.1)
    shown = [event.key for each in seen for event in each.events]
    assert len(shown) == len(set(shown))
    assert acknowledged <= set(shown) == set(await keys(store, "k."))
    last = seen[-1].revision
    assert seen == await watched(store, "k.", after=0, until=last)
    assert [each for each in parts if each.events] == await watched(
        store, "k.a.", "k.c.", "k.end", after=0, until=last
    )


async def test_a_node_killed_and_started_again_costs_no_write_and_no_event(node: Etcd, store: EtcdStore) -> None:
    async def kill_twice() -> AsyncIterator[None]:
        yield
        for _ in range(2):
            node.server.kill()
            await asyncio.sleep(0.3)
            node.server.start()
            yield

    await written_through(store, kill_twice())


async def test_a_cluster_goes_on_without_its_leader() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_cluster(Path(files)) as members:
        store = await EtcdStore.open([member.endpoint for member in members])

        async def kill_leader() -> AsyncIterator[None]:
            yield
            for _ in range(2):
                leader = next(member for member in members if member.leads())
                leader.server.kill()
                yield
                leader.server.start()
                await asyncio.to_thread(leader.server.wait_until, leader.is_healthy)
                yield

        await written_through(store, kill_leader())
        await store.close()


async def test_a_reply_that_is_lost_is_an_unknown_outcome_and_can_be_read_back(node: Etcd) -> None:
    async with relay_to(node.endpoint) as relay:
        store = await EtcdStore.open([relay.endpoint], deadline_ms=PATIENT_MS)
        await put(store, "a", b"before")
        relay.loses_next_answer = True
        with pytest.raises(OutcomeUnknown):
            await put(store, "a", b"lost")
        assert relay.lost == 1
        item = await get(store, "a")
        assert item is not None
        assert item.value == b"lost"
        await store.close()


async def test_what_could_not_be_sent_has_not_happened_and_reads_say_so_too(node: Etcd) -> None:
    async with relay_to(node.endpoint) as relay:
        store = await EtcdStore.open([relay.endpoint], deadline_ms=PATIENT_MS)
        await put(store, "a", b"before")
        relay.cut()
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable) as refused:
            await put(store, "a", b"after")
        assert not isinstance(refused.value, OutcomeUnknown)
        assert relay.endpoint in str(refused.value)
        assert refused.value.retry_after_ms > 0
        with pytest.raises(Unavailable):
            await get(store, "a")
        with pytest.raises(Unavailable):
            await store.grant(ttl_ms=1000)
        relay.is_open = True
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                try:
                    item = await get(store, "a")
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        assert item is not None
        assert item.value == b"before"
        await store.close()


async def test_reads_and_writes_go_on_at_another_member_when_one_cannot_be_reached() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_cluster(Path(files)) as members:
        async with relay_to(members[0].endpoint) as relay:
            store = await EtcdStore.open([relay.endpoint, members[1].endpoint])
            await put(store, "a", b"before")
            changes = store.watch(["a"], after_revision=0)
            assert (await anext(changes)).events[0].value == b"before"
            relay.cut()
            async with asyncio.timeout(TIMEOUT_S):
                item = await get(store, "a")
                assert item is not None
                await put(store, "a", b"after")
                assert (await anext(changes)).events[0].value == b"after"
            await changes.aclose()
            await store.close()


async def test_a_watch_cut_off_while_its_place_is_compacted_ends_in_compacted(node: Etcd, store: EtcdStore) -> None:
    async with relay_to(node.endpoint) as relay:
        cut_off = await EtcdStore.open([relay.endpoint])
        await put(store, "a", b"1")
        changes = cut_off.watch(["a"], after_revision=0)
        await anext(changes)
        relay.cut()
        for number in range(3):
            last = await put(store, "a", b"%d" % number)
        await store.compact(last)
        relay.is_open = True
        async with asyncio.timeout(TIMEOUT_S):
            with pytest.raises(Compacted) as caught:
                await anext(changes)
        assert caught.value.oldest == last
        await cut_off.close()


async def test_a_watch_that_stays_cut_off_says_so_after_a_while(
    node: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addrcast.adapters.stores.etcd_watch.PATIENCE_S", 0.3)
    async with relay_to(node.endpoint) as relay:
        store = await EtcdStore.open([relay.endpoint], deadline_ms=PATIENT_MS)
        begin = await put(store, "a")
        changes = store.watch(["a"], after_revision=begin - 1)
        await anext(changes)
        relay.cut()
        async with asyncio.timeout(TIMEOUT_S):
            with pytest.raises(Unavailable):
                await anext(changes)
        await store.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_watcher_that_sleeps_costs_no_memory_and_gets_everything(node: Etcd, store: EtcdStore) -> None:
    slow = await EtcdStore.open([node.endpoint], deadline_ms=PATIENT_MS)
    begin = await put(store, "k")
    changes = slow.watch(["k"], after_revision=begin - 1)
    await anext(changes)
    value, count = bytes(500_000), 200
    await put(store, "k", value)
    before = resident_bytes()
    for _ in range(count):
        last = await put(store, "k", value)
    assert resident_bytes() - before < len(value) * count // 2
    seen = [begin]
    async with asyncio.timeout(TIMEOUT_S):
        while seen[-1] < last:
            seen.append((await anext(changes)).revision)
    assert seen == list(range(begin, last + 1))
    await changes.aclose()
    await slow.close()


async def test_a_full_store_can_be_read_and_emptied_and_says_that_its_quota_is_reached() -> None:
    flags = (*QUICK, f"--quota-backend-bytes={4 << 20}")
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_node(Path(files), flags=flags) as node:
        store = await EtcdStore.open([node.endpoint], deadline_ms=PATIENT_MS)
        full: Unavailable | None = None
        answered, tried, doubts = set(), 0, 0
        while full is None:
            try:
                await put(store, f"k.{tried}", bytes(200_000))
                answered.add(f"k.{tried}")
            except OutcomeUnknown:  # the one with which the quota is reached may be told so
                doubts += 1
            except Unavailable as away:
                full = away
            tried += 1
        assert "quota" in str(full)
        present = await keys(store, "k.")
        assert answered <= set(present)
        assert doubts <= 1
        written = len(present)
        # together in one group: the deletes are not spoiled by the puts
        calls = [delete(store, "k.0"), put(store, "a"), delete(store, "k.1"), put(store, "b"), get(store, "k.2")]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(each, Unavailable) for each in outcomes] == [False, True, False, True, False]
        assert len(await keys(store, "k.")) == written - 2
        assert await keys(store, "a") == []
        await store.close()
