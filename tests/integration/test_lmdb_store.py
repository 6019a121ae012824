"""What the embedded store promises beyond the contract: its files, its growth, its housekeeping, its refusals."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import lmdb
import pytest
from tests.contracts.stores import HandClock
from tests.contracts.words import change, get, keys, put, watched

from addrcast.adapters.stores.lmdb_environment import Environment
from addrcast.adapters.stores.lmdb_layout import FORMAT
from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.adapters.stores.lmdb_write import Writing
from addrcast.core.domain.errors import Invalid, OutcomeUnknown, Unavailable
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def opened(directory: Path, **settings: Any) -> AsyncIterator[LmdbStore]:
    store = await LmdbStore.open(directory, **settings)
    try:
        yield store
    finally:
        await store.close()


async def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    async with opened(tmp_path / "deep" / "store") as store:
        await put(store, "a")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep" / "store").iterdir()}
    assert modes == {"data.mdb": 0o600, "lock.mdb": 0o600, "bell": 0o600}
    assert stat.S_IMODE((tmp_path / "deep" / "store").stat().st_mode) == 0o700


async def test_a_store_of_a_newer_format_is_refused_politely(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await put(store, "a")
    with lmdb.open(str(tmp_path), max_dbs=1) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"format", str(FORMAT + 1).encode(), db=meta)
    with pytest.raises(Invalid, match=f"format {FORMAT + 1} is not {FORMAT}.*run the version that wrote it"):
        await LmdbStore.open(tmp_path)


async def test_an_environment_of_somebody_else_is_not_written_to(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), max_dbs=1) as env:
        env.open_db(b"theirs")
    with pytest.raises(Invalid, match=r"not addrcast's: it holds .'theirs'"):
        await LmdbStore.open(tmp_path)
    with lmdb.open(str(tmp_path), max_dbs=1) as env, env.begin() as txn:
        assert env.dbs(txn) == [b"theirs"]


async def test_a_process_opens_a_store_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(Invalid, match="already open"):
            await LmdbStore.open(tmp_path)
        await put(store, "a")
    async with opened(tmp_path) as store:
        assert await keys(store) == ["a"]


async def test_a_file_where_the_directory_should_be_is_the_callers_fault(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(Invalid):
        await LmdbStore.open(tmp_path / "store")


def test_a_forked_child_may_not_use_the_store(tmp_path: Path) -> None:
    env = Environment(tmp_path)
    child = os.fork()
    if child == 0:
        try:
            with env.reading():
                os._exit(1)
        except RuntimeError:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    env.close()


async def test_the_map_grows_while_it_is_read_and_watched(tmp_path: Path) -> None:
    value = os.urandom(50_000)
    async with opened(tmp_path, map_bytes=1 << 18) as store:
        watch = asyncio.create_task(watched(store, "k.", after=0, until=100))
        for number in range(100):
            await put(store, f"k.{number:02}", value)
            assert await get(store, f"k.{number:02}") is not None
        assert len(await watch) == 100
    assert (tmp_path / "data.mdb").stat().st_size > 5_000_000


async def test_leases_end_while_nobody_calls(tmp_path: Path) -> None:
    clock = HandClock()
    store = await LmdbStore.open(tmp_path, now_ms=clock, sweep_ms=5)
    lease = await store.grant(ttl_ms=1000)
    revision = await put(store, "a", lease=lease)
    clock.ms += 1001
    async with asyncio.timeout(20), aclosing(store.watch(["a"], after_revision=revision)) as changes:
        (event,) = (await anext(changes)).events
    assert event.value is None
    await store.close()


async def test_who_opens_a_store_finds_no_lease_that_ran_out_while_nothing_ran(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, now_ms=clock, sweep_ms=3_600_000) as store:
        await put(store, "stays")
        for key, ttl_ms in (("host_alive.h1", 1000), ("host_alive.h2", 2000)):
            revision = await put(store, key, lease=await store.grant(ttl_ms=ttl_ms))
    clock.ms += 1000
    async with opened(tmp_path, now_ms=clock, sweep_ms=3_600_000) as store:
        assert await keys(store) == ["host_alive.h2", "stays"]
        ((gone,),) = [each.events for each in await watched(store, "", after=revision, until=revision + 1)]
        assert (gone.key, gone.value) == ("host_alive.h1", None)


async def test_leases_outlive_the_process_that_was_given_them(tmp_path: Path) -> None:
    clock = HandClock()
    store = await LmdbStore.open(tmp_path, now_ms=clock)
    lease = await store.grant(ttl_ms=1000)
    await put(store, "a", lease=lease)
    await store.close()
    clock.ms += 999
    store = await LmdbStore.open(tmp_path, now_ms=clock)
    await store.keep_alive(lease)
    clock.ms += 1000
    assert await store.grant(ttl_ms=1) != lease
    assert await keys(store) == []
    await store.close()


async def test_the_log_is_trimmed_to_what_it_should_keep_and_leaves_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path, keep_revisions=100, sweep_ms=5) as store:
        for _ in range(10):
            await store.commit([change(Put("k", b"%d" % number)) for number in range(100)])
        with pytest.raises(Compacted) as caught:
            await anext(store.watch(["k"], after_revision=899))
        assert caught.value.oldest == 900
        assert len(await watched(store, "k", after=900, until=1000)) == 100
        await store.compact(990)
        async with asyncio.timeout(20):
            while log_length(store) > 10:  # noqa: ASYNC110 - the sweep tells nobody
                await asyncio.sleep(0.005)
        assert log_length(store) == 10


def log_length(store: LmdbStore) -> int:
    with store._env.reading() as txn:
        return txn.stat(store._env.tables.log)["entries"]


async def test_a_bug_in_one_piece_of_work_reaches_its_callers_and_nothing_is_written(tmp_path: Path) -> None:
    def bug(writing: Writing) -> None:
        writing.commit([change(Put("half", b""))])
        raise ZeroDivisionError

    async with opened(tmp_path) as store:
        with pytest.raises(ZeroDivisionError):
            await store._writer.submit(bug)
        assert await keys(store) == []
        await put(store, "a")


async def test_work_that_was_begun_is_carried_out_before_the_store_closes(tmp_path: Path) -> None:
    store = await LmdbStore.open(tmp_path)
    calls = [asyncio.ensure_future(put(store, f"k.{number}")) for number in range(600)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    assert sorted(await asyncio.gather(*calls)) == list(range(1, 601))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await put(store, "late")
    await closing


async def test_a_write_that_the_disk_refuses_is_reported_and_the_store_goes_on(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(tmp_path) as store:
        await put(store, "a", b"kept")
        size = (tmp_path / "data.mdb").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(OutcomeUnknown, match="again in"):
                await put(store, "big", os.urandom(500_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert await keys(store) == ["a"]
        create = Transaction((Compare("big", 0),), (Put("big", b"x"),))
        assert (await store.commit([create]))[0].is_success
    async with opened(tmp_path) as store:
        assert await keys(store) == ["a", "big"]


async def test_without_inotify_a_watch_polls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addrcast.adapters.stores.lmdb_signal._watch_file", lambda path: -1)
    async with opened(tmp_path) as store:
        watch = asyncio.create_task(watched(store, "a", after=0, until=1))
        await asyncio.sleep(0.02)
        await put(store, "a")
        assert len(await watch) == 1


async def test_a_store_that_went_back_to_a_copy_gives_no_lease_twice(tmp_path: Path) -> None:
    leases = []
    for name in ("before", "after"):
        store = await LmdbStore.open(tmp_path / name)
        leases += [await store.grant(ttl_ms=60_000) for _ in range(5)]
        await store.close()
    assert len(set(leases)) == 10
