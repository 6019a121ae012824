"""New processes on a store of version 1, read by structs of version 1 all the while, until it is switched over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.core.controller.site import World
from tests.core.domain.first_structs import Record as FirstRecord
from tests.core.domain.first_structs import read as read_as_first

from addrcast.core.domain.errors import Conflict, Invalid, Unavailable
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import EPOCH, host_alive_key
from addrcast.core.domain.record import SCHEMA_VERSION, AddressState, EpochState, StoreEpoch
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.upgrade import upgrade
from addrcast.simulation.hosts import ModelHost
from addrcast.simulation.store import MemoryStore, ModelStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import Result

STORED = json.loads((Path(__file__).parents[1] / "core" / "domain" / "store_v1.json").read_text())["items"]


class OldWorld(World):
    """The store that version 1 left, and new agents and a new controller on it."""

    def __init__(self) -> None:
        super().__init__()
        cluster = self.cluster
        cluster.store = ModelStore()
        puts = [Put(key, value.encode()) for key, value, _, _ in STORED if not key.startswith("host_applied.")]
        cluster.store.commit([Transaction((), (put,)) for put in puts])
        cluster.now_ms = 2_000_000
        for name in ("h1", "h2"):
            cluster.hosts[name] = ModelHost(name, cluster.store)
            cluster.hosts[name].start(cluster.now_ms)
        self.control = cluster.controller(self.settings)

    def work(self) -> None:
        """Reserve, bind, release, cool, free; agents join and acknowledge."""
        cluster, number = self.cluster, self.cluster.store.revision
        logical = cluster.reserve("acme", "h1")
        assert cluster.create("acme", f"new-{number}", "h2", logical=logical)
        assert cluster.create("acme", f"newer-{number}", "h1")
        assert cluster.delete("acme", f"newer-{number}")
        self.pass_ms(3_000)
        for record in list(cluster.ledger().in_state("acme", AddressState.PRESERVED)):
            cluster.end_hold("acme", record.key.removeprefix("network_address.acme."))
        self.pass_ms(3_000)

    def versions(self, *, since: int = len(STORED)) -> set[int]:
        found = set()
        for item in self.cluster.store.scan("").items:
            if item.value.startswith(b"{") and item.mod_revision > since:
                found.add(json.loads(item.value)["v"])
        return found


def test_old_processes_read_all_that_new_ones_write_until_the_switch() -> None:
    world = OldWorld()
    world.work()
    assert violations(world.cluster.ledger()) == []
    read = [read_as_first(item.key, item.value) for item in world.cluster.store.scan("").items]
    assert sum(isinstance(value, FirstRecord) for value in read) >= 5
    assert world.versions() == {1}


async def test_after_the_switch_new_processes_write_the_new_version_and_old_ones_refuse_the_epoch() -> None:
    world = OldWorld()
    world.work()
    store = MemoryStore(model=world.cluster.store)
    late = world.cluster.create_draft("acme", "late", "h1").transaction()
    with pytest.raises(Invalid, match=r"h1, h2.*upgrade them first"):
        await upgrade(store)
    for host in ("h1", "h2"):
        await store.commit([Transaction((), (Put(host_alive_key(host), b"%d" % SCHEMA_VERSION),))])
    done = await upgrade(store)
    assert (done.before, done.after) == (1, 2)
    assert not (await store.commit([late]))[0].is_success  # decided before, it would have been written in version 1
    (item,) = (await store.read([EPOCH])).items
    with pytest.raises(msgspec.ValidationError, match="<= 1"):
        read_as_first(item.key, item.value)
    before = store.model.revision
    world.work()
    assert world.versions(since=before) == {2}
    assert violations(world.cluster.ledger()) == []


async def test_a_store_is_switched_only_while_it_is_open_and_set_up() -> None:
    store = MemoryStore()
    with pytest.raises(Invalid, match="never set up"):
        await upgrade(store)
    closed = StoreEpoch(v=1, epoch=1, state=EpochState.CLOSED)
    await store.commit([Transaction((), (Put(EPOCH, msgspec.json.encode(closed)),))])
    with pytest.raises(Unavailable, match="closed, not open"):
        await upgrade(store)


class Restless(MemoryStore):
    """A store whose epoch is written again before every commit."""

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        (epoch,) = (await self.read([EPOCH])).items
        await super().commit([Transaction((), (Put(EPOCH, epoch.value),))])
        return await super().commit(transactions)


async def test_an_epoch_that_changes_without_a_pause_is_given_up_on() -> None:
    store = Restless()
    await MemoryStore.commit(store, [Transaction((), (Put(EPOCH, b'{"v":1,"epoch":1,"state":"open"}'),))])
    with pytest.raises(Conflict, match="without a pause"):
        await upgrade(store)
