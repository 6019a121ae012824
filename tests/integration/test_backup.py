"""Backups of every kind of store, and their way back into any other."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from tests.contracts.stores import KINDS, StoreKind
from tests.integration.moved import CLOCK, Callers, fill, ledger_of, missing, peopled, serving

from addrcast.adapters.backup_file import verified
from addrcast.core.domain.errors import Conflict, Invalid, Unavailable
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import (
    EPOCH,
    MOVE,
    account_key,
    acknowledgement_key,
    election_key,
    host_alive_key,
)
from addrcast.core.domain.record import EpochState
from addrcast.core.domain.transaction import Delete, Put, Transaction
from addrcast.runtime.backup import back_up
from addrcast.runtime.restore import restore
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from addrcast.core.domain.transaction import Page, Result


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_backup_under_fire_comes_back_whole_into_an_empty_store(kind: StoreKind, tmp_path: Path) -> None:
    async with kind.open(tmp_path / "a") as opened:
        await fill(opened.store)
        async with serving(opened.store) as service:
            before = Callers(service)
            await before.run(0, count=40)
            writing = asyncio.gather(*[Callers(service).run(caller, count=20) for caller in range(1, 5)])
            header, trailer = await back_up(
                opened.store, tmp_path / "b", clock=CLOCK, name=kind.name, is_compressed=True, page_items=150
            )
            await writing
    assert (header.epoch, header.schema) == (1, 2)
    backup = verified(tmp_path / "b")
    assert backup.trailer == trailer
    async with kind.open(tmp_path / "c") as opened:
        restored = await restore(backup, opened.store, clock=CLOCK, name="c")
        ledger = await ledger_of(opened.store)
    assert (restored.epoch, ledger.epoch.required.state) == (2, EpochState.CLOSED)
    assert violations(ledger) == []
    assert missing(before.told, ledger) == []
    assert {entry.required.placed_revision for entry in ledger.records("acme").values()} == {0}


async def test_what_belongs_to_processes_and_revisions_stays_behind(tmp_path: Path) -> None:
    store, other = peopled(), MemoryStore()
    lease = await store.grant(ttl_ms=60_000)
    puts = [
        Put(host_alive_key("h1"), b"", lease),
        Put(election_key("controller"), b"x"),
        Put("leased", b"x", lease),
    ]
    puts.append(Put(acknowledgement_key("h1", "acme"), b'{"v":2,"epoch":1,"revision":1,"incarnation":1}'))
    await store.commit([Transaction((), tuple(puts))])
    await back_up(store, tmp_path / "b", clock=CLOCK, name="a")
    await restore(verified(tmp_path / "b"), other, clock=CLOCK, name="b")
    left = {item.key for item in (await store.scan("")).items} - {item.key for item in (await other.scan("")).items}
    assert left == {put.key for put in puts}


class Interrupted(MemoryStore):
    """A store that goes away for good after some commits."""

    def __init__(self, commits: int) -> None:
        super().__init__()
        self.left = commits

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        if self.left == 0:
            raise Unavailable("the store is away", retry_after_ms=0)
        self.left -= 1
        return await super().commit(transactions)


@pytest.mark.parametrize("commits", [1, 2, 3])
async def test_an_interrupted_restore_leaves_a_frozen_store_and_is_gone_on_with(
    tmp_path: Path, commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addrcast.runtime.filling.BATCH", 4)
    await back_up(peopled(), tmp_path / "b", clock=CLOCK, name="a")
    backup, store = verified(tmp_path / "b"), Interrupted(commits)
    with pytest.raises(Unavailable):
        await restore(backup, store, clock=CLOCK, name="b")
    assert (await ledger_of(store)).epoch.required.state is EpochState.FROZEN
    store.left = -1
    assert (await restore(backup, store, clock=CLOCK, name="b", above_epoch=7)).epoch == 2
    ledger = await ledger_of(store)
    assert ledger.epoch.required.state is EpochState.CLOSED
    assert not ledger.move
    assert violations(ledger) == []


async def test_a_store_that_holds_anything_else_is_not_restored_into(tmp_path: Path) -> None:
    await back_up(peopled(), tmp_path / "b", clock=CLOCK, name="a")
    backup = verified(tmp_path / "b")
    with pytest.raises(Invalid, match="it is not empty"):
        await restore(backup, peopled(), clock=CLOCK, name="b")
    without_epoch = peopled()
    await without_epoch.commit([Transaction((), (Delete(EPOCH),))])
    with pytest.raises(Invalid, match=r"account\.acme is there"):
        await restore(backup, without_epoch, clock=CLOCK, name="b")
    again = MemoryStore()
    await restore(backup, again, clock=CLOCK, name="b")
    with pytest.raises(Invalid, match="it is not empty"):
        await restore(backup, again, clock=CLOCK, name="b")


async def test_another_value_in_a_half_restored_store_is_not_written_over(tmp_path: Path) -> None:
    await back_up(peopled(), tmp_path / "b", clock=CLOCK, name="a")
    store = Interrupted(1)
    with pytest.raises(Unavailable):
        await restore(verified(tmp_path / "b"), store, clock=CLOCK, name="b")
    store.left = -1
    await store.commit([Transaction((), (Put(account_key("acme"), b"{}"),))])
    with pytest.raises(Invalid, match=r"account\.acme stands there with another value"):
        await restore(verified(tmp_path / "b"), store, clock=CLOCK, name="b")


async def test_hosts_may_have_seen_a_higher_epoch_than_the_backup(tmp_path: Path) -> None:
    await back_up(peopled(), tmp_path / "b", clock=CLOCK, name="a")
    assert (await restore(verified(tmp_path / "b"), MemoryStore(), clock=CLOCK, name="b", above_epoch=7)).epoch == 8


async def test_a_value_that_cannot_be_read_is_restored_as_it_is_for_check_to_find(tmp_path: Path) -> None:
    store, other = peopled(), MemoryStore()
    await store.commit([Transaction((), (Put("network_address.acme.10.0.0.99", b"broken"),))])
    await back_up(store, tmp_path / "b", clock=CLOCK, name="a")
    await restore(verified(tmp_path / "b"), other, clock=CLOCK, name="b")
    (item,) = (await other.read(["network_address.acme.10.0.0.99"])).items
    assert item.value == b"broken"


async def test_a_store_without_an_epoch_and_a_value_that_is_no_text_are_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="never set up"):
        await back_up(MemoryStore(), tmp_path / "b", clock=CLOCK, name="a")
    store = peopled()
    await store.commit([Transaction((), (Put("odd", b"\xff"),))])
    with pytest.raises(Invalid, match="no text"):
        await back_up(store, tmp_path / "b", clock=CLOCK, name="a")
    assert os.listdir(tmp_path) == []


class Hurried(MemoryStore):
    """A store that is written to and compacted between any two pages."""

    is_epoch_moving = False

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        await self.commit([Transaction((), (Put("zz", b"1"),))])
        if limit:
            await self.compact((await self.read([])).revision)
        page = await super().scan(prefix, after=after, limit=limit, revision=revision)
        if self.is_epoch_moving:
            (epoch,) = (await self.read([EPOCH])).items
            await self.commit([Transaction((), (Put(EPOCH, epoch.value),))])
        return page


async def test_a_store_that_forgets_too_fast_for_pages_is_read_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addrcast.runtime.backup.RETRY_S", 0)
    store = Hurried(model=peopled().model)
    _, trailer = await back_up(store, tmp_path / "b", clock=CLOCK, name="a", page_items=3)
    assert trailer.keys == len((await MemoryStore.scan(store, "")).items)
    store.is_epoch_moving = True
    with pytest.raises(Conflict, match="changes faster"):
        await back_up(store, tmp_path / "c", clock=CLOCK, name="a", page_items=3)


async def test_the_mark_of_a_restore_says_where_it_comes_from(tmp_path: Path) -> None:
    await back_up(peopled(), tmp_path / "b", clock=CLOCK, name="nightly")
    store = Interrupted(1)
    with pytest.raises(Unavailable):
        await restore(verified(tmp_path / "b"), store, clock=CLOCK, name="b")
    assert (await ledger_of(store)).move.required.source == "a backup of nightly"
    assert (await store.read([MOVE])).items
