"""A ledger at the store's heels, whatever the store forgets."""

from __future__ import annotations

import asyncio
from copy import deepcopy

import pytest

from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.keyspace import EPOCH, account_key
from addrcast.core.domain.record import Entry, StoreEpoch
from addrcast.core.domain.resource import Account
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.driver import SystemClock, next_event
from addrcast.runtime.view import LedgerView
from addrcast.simulation.cluster import ModelCluster
from addrcast.simulation.store import MemoryStore


async def test_a_view_follows_the_store() -> None:
    cluster = ModelCluster()
    store = MemoryStore(model=cluster.store)
    view = LedgerView(store)
    await view.start()
    first = view.ledger
    cluster.add_account("a", vni=7)
    assert await view.wait_revision(cluster.store.revision) is first
    assert first.account("a").required.vni == 7
    await view.stop()


async def test_a_view_whose_changes_were_forgotten_is_read_anew_and_never_goes_back() -> None:
    cluster = ModelCluster()
    store = MemoryStore(model=cluster.store)
    view = LedgerView(store)
    await view.start()
    first = view.ledger
    for vni in range(5):
        cluster.add_account(f"a{vni}", vni=vni)
    cluster.store.compact(cluster.store.revision)
    ledger = await view.wait_revision(cluster.store.revision)
    assert ledger is not first
    assert sorted(ledger.accounts()) == [f"a{vni}" for vni in range(5)]
    await view.stop()


async def test_a_view_that_was_never_read_or_whose_store_is_closed_says_so() -> None:
    store = MemoryStore()
    view = LedgerView(store)
    with pytest.raises(Unavailable, match="not read yet"):
        _ = view.ledger
    await view.stop()
    await store.close()
    with pytest.raises(Unavailable):
        await view.start()


async def test_a_view_outlives_a_store_that_goes() -> None:
    store = MemoryStore(model=ModelCluster().store)
    view = LedgerView(store)
    await view.start()
    revision = view.ledger.revision
    await store.close()
    await asyncio.sleep(0.01)
    assert view.ledger.revision == revision
    await view.stop()


async def test_a_view_goes_back_with_a_restored_store_and_with_no_other() -> None:
    cluster = ModelCluster()
    store = MemoryStore(model=cluster.store)
    view = LedgerView(store)
    backup, older = deepcopy(cluster.store), deepcopy(cluster.store)
    for vni in range(5):
        cluster.add_account(f"a{vni}", vni=vni)
    await view.start()
    await view.stop()
    store.model = older
    with pytest.raises(Unavailable, match="older than what is known"):
        await view.start()
    backup.commit([Transaction((), (Put(EPOCH, encode(StoreEpoch(epoch=2))),))])
    store.model = backup
    await view.start()
    assert (view.ledger.epoch.required.epoch, len(view.ledger.accounts())) == (2, 0)
    await view.stop()


async def test_a_view_that_lags_behind_the_backup_reads_the_restored_store_anew() -> None:
    cluster = ModelCluster()
    cluster.add_host("h1")
    store = MemoryStore(model=cluster.store)
    view = LedgerView(store)
    await view.start()
    backup = deepcopy(cluster.store)
    learnt = Entry(account_key("lost"), Account(tier="basic", vni=9, pools=("logical",)), 99, 99)
    view.ledger.learn([learnt], 99)  # an own write of the time that is undone
    backup.commit([Transaction((), (Put(EPOCH, encode(StoreEpoch(epoch=2))),))])
    store.model = backup
    await store.revoke(1)  # lets the watch look
    await store.commit([Transaction((), (Put(account_key("new"), encode(learnt.required)),))])
    await asyncio.wait_for(view.wait_revision(backup.revision), 5)
    assert set(view.ledger.accounts()) == {"new"}
    await view.stop()


async def test_an_event_that_is_there_comes_before_a_deadline_that_is_over() -> None:
    events: asyncio.Queue[str] = asyncio.Queue()
    clock = SystemClock()
    assert await next_event(events, clock, clock.now_ms()) is None
    events.put_nowait("first")
    assert await next_event(events, clock, 0) == "first"
    for deadline_ms in (clock.now_ms() + 60_000, None):
        asyncio.get_running_loop().call_soon(events.put_nowait, "second")
        assert await next_event(events, clock, deadline_ms) == "second"
