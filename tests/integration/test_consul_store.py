"""Consul as a store where things go wrong: killed, without an answer, denied, too much asked of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from tests.contracts.words import change, commit, delete, get, keys, put, watched
from tests.servers.consul import SESSION_MS_MIN, Consul, consul_server, shared_consul

from addrcast.adapters.stores import consul_removals
from addrcast.adapters.stores.consul_store import ConsulStore
from addrcast.core.domain.errors import Invalid, OutcomeUnknown, Unavailable
from addrcast.core.domain.transaction import Compare, Delete, Event, Put
from addrcast.ports.store import Compacted
from addrcast.runtime.view import PREFIXES, scan_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def opened(
    address: str = "", *, root: str = "", token: str = "", deadline_ms: int = 5_000
) -> AsyncIterator[ConsulStore]:
    store = await ConsulStore.open(
        address or shared_consul().address,
        root=root or uuid4().hex,
        token=token,
        deadline_ms=deadline_ms,
        session_ms_min=SESSION_MS_MIN,
    )
    try:
        yield store
    finally:
        await store.close()


async def test_a_killed_server_loses_nothing_and_a_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    told: dict[str, int] = {}
    maybe: set[str] = set()
    written = asyncio.Semaphore(0)

    async def write(store: ConsulStore, writer: int, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            key = f"k.{writer}.{number}"
            maybe.add(key)
            try:
                told[key] = await put(store, key)
                written.release()
            except Unavailable:
                await asyncio.sleep(0.02)
            if number % 3 == 0 and f"k.{writer}.{number - 1}" in told:
                gone = f"k.{writer}.{number - 1}"
                with suppress(Unavailable):
                    del told[gone]
                    await delete(store, gone)

    seen: dict[str, int] = {}
    with consul_server(tmp_path, is_kept=True) as consul:
        async with opened(consul.address) as store, asyncio.TaskGroup() as tasks:
            stop, moved = asyncio.Event(), asyncio.Event()
            writers = [tasks.create_task(write(store, writer, stop)) for writer in range(4)]
            following = tasks.create_task(follow(store, seen, moved))
            for is_killed in (True, True, False):
                for _ in range(30):
                    await written.acquire()
                if is_killed:
                    await asyncio.to_thread(restart, consul)
            stop.set()
            await asyncio.wait(writers)
            state = {item.key: item.mod_revision for item in (await store.scan("k.")).items}
            assert told.items() <= state.items()
            assert set(state) <= maybe
            async with asyncio.timeout(20):
                while seen != state:
                    moved.clear()
                    await moved.wait()
            following.cancel()


def restart(consul: Consul) -> None:
    consul.server.kill()
    consul.server.start()
    consul.server.wait_until(consul.is_healthy)


async def follow(store: ConsulStore, seen: dict[str, int], moved: asyncio.Event) -> None:
    """Keep `seen` as the watch says, begun anew where it broke, never read anew."""
    after = 0
    while True:
        with suppress(Unavailable):
            async with aclosing(store.watch(["k."], after_revision=after)) as changes:
                async for each in changes:
                    assert each.revision > after
                    after = each.revision
                    for event in each.events:
                        if event.value is None:
                            seen.pop(event.key, None)
                        else:
                            assert seen.get(event.key, 0) < event.mod_revision
                            seen[event.key] = event.mod_revision
                    moved.set()
        await asyncio.sleep(0.05)


class ReplyLoser:
    """Passes requests on to a server; once `is_losing`, its next reply is swallowed and the connection cut."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_losing = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield "{}:{}".format(*server.sockets[0].getsockname())
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection(*self._target)
        pairs = ((reader, onward_writer, False), (onward_reader, writer, True))
        for source, target, is_reply in pairs:
            self._tasks.add(asyncio.create_task(self._copy(source, target, is_reply=is_reply)))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_reply: bool) -> None:
        try:
            while chunk := await source.read(1 << 16):
                if is_reply and self.is_losing:
                    self.is_losing = False
                    return
                target.write(chunk)
                await target.drain()
        finally:
            target.transport.abort()


async def test_a_lost_reply_is_an_unknown_outcome_and_is_never_sent_again() -> None:
    loser = ReplyLoser(shared_consul().address)
    root = uuid4().hex
    async with loser.listening() as address, opened(root=root) as direct:
        store = await ConsulStore.open(address, root=root, ends_leases=False)
        first = await put(store, "a", b"1")
        loser.is_losing = True
        with pytest.raises(OutcomeUnknown):
            await commit(store, change(Put("a", b"2"), when=[Compare("a", first)]))
        item = await get(direct, "a")
        assert item is not None
        assert item.value == b"2"
        assert item.mod_revision == (await direct.read([])).revision
        assert item.mod_revision > first
        loser.is_losing = True
        with pytest.raises(Unavailable) as caught:
            await get(store, "a")
        assert not isinstance(caught.value, OutcomeUnknown)
        await store.close()


async def test_a_server_that_does_not_answer_is_given_up_and_one_that_is_not_there_had_no_effect(
    tmp_path: Path,
) -> None:
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    writers: list[asyncio.StreamWriter] = []
    async with opened(deadline_ms=300) as store:
        store._http._client.base_url = "http://{}:{}".format(*silent.sockets[0].getsockname())
        with pytest.raises(OutcomeUnknown, match="did not answer"):
            await put(store, "a")
        with pytest.raises(Unavailable, match="did not answer"):
            await get(store, "a")
        silent.close()
        for writer in writers:
            writer.transport.abort()
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            await put(store, "a")
        assert not isinstance(caught.value, OutcomeUnknown)


async def test_without_a_leader_nothing_has_happened(tmp_path: Path) -> None:
    with consul_server(tmp_path, is_kept=True) as consul:
        async with opened(consul.address) as store:
            consul.server.kill()
            file = tmp_path / "consul.json"
            lonely = json.loads(file.read_text()) | {"bootstrap": False, "bootstrap_expect": 3}
            lonely |= {"data_dir": f"{tmp_path}/other", "performance": {"rpc_hold_timeout": "100ms"}}
            file.write_text(json.dumps(lonely))
            consul.server.start()
            async with asyncio.timeout(20):
                while True:
                    with pytest.raises(Unavailable) as caught:
                        await put(store, "a")
                    if "No cluster leader" in str(caught.value):
                        break
                    await asyncio.sleep(0.05)
            assert not isinstance(caught.value, OutcomeUnknown)


async def test_a_transaction_of_more_operations_than_consul_takes_is_refused_whole() -> None:
    async with opened() as store:
        most = change(*(Put(f"k.{number:02}", b"") for number in range(63)))
        assert (await commit(store, most)).is_success
        with pytest.raises(Invalid, match="64 operations"):
            await store.commit([change(Put("other", b"")), change(*most.writes, Put("k.more", b""))])
        with pytest.raises(Invalid, match="64 operations"):
            await commit(store, change(*(Delete(f"k.{number:02}") for number in range(22))))
        with pytest.raises(Invalid, match="524288 bytes"):
            await commit(store, change(Put("a", b"x" * 300_000), Put("b", b"x" * 300_000)))
        assert len(await keys(store)) == 63


async def test_groups_larger_than_a_transaction_succeed_one_by_one() -> None:
    async with opened() as store:
        await put(store, "k.7", b"taken")
        claims = [change(Put(f"k.{number}", b"mine"), when=[Compare(f"k.{number}", 0)]) for number in range(200)]
        results = await store.commit(claims)
        assert [number for number, result in enumerate(results) if not result.is_success] == [7]
        assert {item.value for item in (await store.scan("k.")).items} == {b"taken", b"mine"}
        assert len({result.revision for result in results}) <= 8


async def test_many_keys_and_prefixes_are_read_as_of_one_revision_while_they_are_written() -> None:
    async with opened() as store, asyncio.TaskGroup() as tasks:
        names = [f"k{number:02}." for number in range(70)]
        stop = asyncio.Event()

        async def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                ends = Put(names[0], b"%d" % number), Put(names[-1], b"%d" % number)
                await commit(store, change(*ends))
                await asyncio.sleep(0.01)

        tasks.create_task(write())
        for _ in range(10):
            page = await store.read(names)
            assert len({item.value for item in page.items}) <= 1
            assert all(item.mod_revision <= page.revision for item in page.items)
        state: dict[str, bytes | None] = {}
        async with aclosing(store.watch(names, after_revision=0)) as changes:
            for _ in range(10):
                state |= {event.key: event.value for event in (await anext(changes)).events}
                assert state[names[0]] == state[names[-1]]
        stop.set()


async def test_prefixes_asked_for_one_by_one_come_to_an_end_at_one_revision_while_all_are_written() -> None:
    async with opened() as store, asyncio.TaskGroup() as tasks:
        stop = asyncio.Event()

        async def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                await commit(store, change(*(Put(f"{prefix}x", b"%d" % number) for prefix in PREFIXES)))

        tasks.create_task(write())
        async with asyncio.timeout(20):
            while True:
                with suppress(Compacted):
                    revision, items = await scan_all(store, PREFIXES)
                    break
        assert [(item.key, item.mod_revision) for item in items] == [
            (f"{prefix}x", revision) for prefix in PREFIXES
        ]
        assert len({item.value for item in items}) == 1
        stop.set()


async def test_old_removals_are_forgotten_and_a_watch_from_before_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consul_removals, "REMOVALS_MAX", 40)
    async with opened() as store:
        begin = await put(store, "stays")
        names = [f"k.{number}" for number in range(600)]
        await store.commit([change(Put(name, b"")) for name in names])
        before = (await store.read([])).revision
        results = await store.commit([change(Delete(name)) for name in names])
        last = results[-1].revision

        async def watch_for_ever() -> None:
            while True:
                seen = await watched(store, "k.", after=before, until=last)
                assert [event.value for each in seen for event in each.events] == [None] * 600

        with pytest.raises(Compacted) as caught:
            await asyncio.wait_for(watch_for_ever(), 20)
        oldest = caught.value.oldest
        assert before < oldest < last
        with pytest.raises(Compacted):
            await watched(store, "", after=begin, until=last)
        kept = [event for each in await watched(store, "", after=oldest, until=last) for event in each.events]
        assert 20 <= len(kept) <= 40
        assert {event.value for event in kept} == {None}


async def test_a_lease_ends_in_another_process_too_and_its_keys_go_with_a_revision() -> None:
    root = uuid4().hex
    async with opened(root=root) as one, opened(root=root) as other:
        lease = await one.grant(ttl_ms=4 * SESSION_MS_MIN)
        names = [f"k.{number:02}" for number in range(40)]
        await one.commit([change(Put(name, b"", lease)) for name in names])
        after = (await other.read([])).revision
        await one.close()
        seen: list[Event] = []
        async with asyncio.timeout(20), aclosing(other.watch(["k."], after_revision=after)) as changes:
            async for each in changes:
                seen += each.events
                if len(seen) == len(names):
                    break
        assert sorted(event.key for event in seen) == names
        assert {event.value for event in seen} == {None}
        assert (await other.read([])).revision == max(event.mod_revision for event in seen)


async def test_a_lease_granted_by_one_store_is_kept_and_revoked_by_another() -> None:
    root = uuid4().hex
    async with opened(root=root) as one, opened(root=root) as other:
        lease = await one.grant(ttl_ms=60_000)
        await put(other, "a", lease=lease)
        await other.keep_alive(lease)
        item = await get(one, "a")
        assert item is not None
        assert item.lease == lease
        await other.revoke(lease)
        assert await keys(one) == []


async def test_a_lease_shorter_than_consul_can_is_made_longer_and_one_too_long_is_refused() -> None:
    async with opened() as store:
        assert await store.grant(ttl_ms=1)
        with pytest.raises(Invalid, match="86400000"):
            await store.grant(ttl_ms=86_400_001)


async def test_a_value_put_again_as_it_stands_gets_a_new_revision() -> None:
    async with opened() as store:
        revisions = [await put(store, "a", b"same") for _ in range(5)]
        assert revisions == sorted(set(revisions))
        item = await get(store, "a")
        assert item is not None
        assert (item.create_revision, item.mod_revision) == (revisions[0], revisions[-1])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"Config":{"Version":"1.7.9"}}', "runs Consul 1.7.9; 1.8 or newer"),
        (b"hello", "a Consul agent is expected"),
    ],
)
async def test_a_server_that_is_too_old_or_something_else_is_refused(body: bytes, said: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    with pytest.raises(Invalid, match=said):
        await ConsulStore.open("{}:{}".format(*server.sockets[0].getsockname()))
    server.close()


async def test_an_address_that_is_none_and_one_where_nobody_listens_are_told_apart() -> None:
    with pytest.raises(Invalid, match="host:port"):
        await ConsulStore.open("http://[::1")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await ConsulStore.open("127.0.0.1:9")


async def test_two_roots_on_one_consul_do_not_see_each_other() -> None:
    root = uuid4().hex
    async with opened(root=root) as one, opened(root=f"{root}2") as other, opened(root=f"{root}/below") as below:
        await put(one, "a", b"1")
        await put(other, "a", b"2")
        await put(below, "a", b"3")
        for store, value in ((one, b"1"), (other, b"2"), (below, b"3")):
            assert [item.value for item in (await store.scan("")).items] == [value]


async def test_what_another_one_put_by_hand_is_no_key_of_the_store() -> None:
    root = uuid4().hex
    async with opened(root=root) as store:
        await put(store, "a")
        await store._http.put(f"/v1/kv/{root}/key/by-hand", b"x")
        assert await keys(store) == ["a"]
