"""Consul beside the model: the same transactions give the same results and states, and watches come to the same."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import Random
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from tests.servers.consul import SESSION_MS_MIN, shared_consul

from addrcast.adapters.stores.consul_store import ConsulStore
from addrcast.core.domain.errors import Stale
from addrcast.core.domain.transaction import Compare, Delete, KeyValue, Put, Transaction
from addrcast.ports.store import Compacted
from addrcast.simulation.store import ModelStore

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import Result

KEYS = ("a", "a.1", "a.2", "a.1=", "a.1=x", "b.1", "b.ü")
PREFIXES = ("", "a", "a.", "a.1", "b.", "c")
STEPS = 120


class Twins:
    """The model and Consul; `at` translates the model's revisions and leases to Consul's."""

    def __init__(self, store: ConsulStore, seed: int) -> None:
        self.store = store
        self.model = ModelStore()
        self.dice = Random(seed)
        self.at: dict[int, int] = {0: 0}
        self.lease_of: dict[int, int] = {0: 0}
        self.counts = dict.fromkeys(("won", "lost", "stale", "watched", "compacted"), 0)

    async def step(self) -> None:
        act = self.dice.choices(
            [self.commit, self.watch, self.page, self.grant, self.revoke, self.compact], [10, 3, 2, 1, 1, 1]
        )[0]
        await act()
        await self.check_state()

    async def commit(self) -> None:
        transactions = [self.transaction() for _ in range(self.dice.randint(1, 4))]
        try:
            expected = self.model_results(transactions)
        except Stale:
            self.counts["stale"] += 1
            with pytest.raises(Stale):
                await self.store.commit([self.translated(each) for each in transactions])
            return
        results = await self.store.commit([self.translated(each) for each in transactions])
        for (ours, revision_before), theirs in zip(expected, results, strict=True):
            assert theirs.is_success == ours.is_success
            self.counts["won" if ours.is_success else "lost"] += 1
            if ours.is_success and ours.revision > revision_before:
                self.at[ours.revision] = theirs.revision
        for (ours, _), theirs in zip(expected, results, strict=True):
            assert theirs.current == tuple(item and self.item(item) for item in ours.current)

    def model_results(self, transactions: list[Transaction]) -> list[tuple[Result, int]]:
        for lease in {write.lease for each in transactions for write in each.writes if isinstance(write, Put)}:
            if lease:
                self.model.keep_alive(lease, now_ms=0)
        found = []
        for each in transactions:
            before = self.model.revision
            (result,) = self.model.commit([each])
            found.append((result, before))
        return found

    def transaction(self) -> Transaction:
        compared = self.dice.sample(KEYS, self.dice.randint(0, 2))
        written = self.dice.sample(KEYS, self.dice.randint(0, 3))
        return Transaction(
            tuple(Compare(key, self.near_revision(key)) for key in compared),
            tuple(
                Delete(key)
                if self.dice.random() < 0.4
                else Put(key, bytes(self.dice.choices(b"xy", k=1)), self.dice.choice([0, 0, 0, *self.lease_of]))
                for key in written
            ),
        )

    def near_revision(self, key: str) -> int:
        page = self.model.read([key])
        present = page.items[0].mod_revision if page.items else 0
        stale = self.past()
        return self.dice.choice([present, present, present, 0, 0 if self.at[stale] == self.at[present] else stale])

    def past(self) -> int:
        """A revision of the model's, the last of those that share one on Consul."""
        drawn = self.at[self.dice.randint(0, self.model.revision)]
        return max(ours for ours, theirs in self.at.items() if theirs == drawn)

    def translated(self, transaction: Transaction) -> Transaction:
        compares = tuple(Compare(each.key, self.at[each.revision]) for each in transaction.compares)
        writes = tuple(
            Put(each.key, each.value, self.lease_of[each.lease]) if isinstance(each, Put) else each
            for each in transaction.writes
        )
        return Transaction(compares, writes)

    def item(self, item: KeyValue) -> KeyValue:
        created, modified = self.at[item.create_revision], self.at[item.mod_revision]
        return KeyValue(item.key, item.value, created, modified, self.lease_of[item.lease])

    async def watch(self) -> None:
        after, newest = self.past(), (await self.store.read([])).revision
        prefixes = self.dice.sample(PREFIXES, 2)
        if after < self.model.compacted:
            self.counts["compacted"] += 1
            with pytest.raises(Compacted):
                await anext(self.store.watch(prefixes, after_revision=self.at[after]))
            return
        expected = self.model.changes(prefixes, after_revision=after, up_to=self.model.revision)
        last: dict[str, tuple[bytes | None, int]] = {}
        for change in expected:
            last |= {event.key: (event.value, self.at[event.mod_revision]) for event in change.events}
        if not last:
            return
        async with (
            asyncio.timeout(20),
            aclosing(self.store.watch(prefixes, after_revision=self.at[after])) as changes,
        ):
            seen = await anext(changes)
        assert seen.revision == newest
        assert {event.key: (event.value, event.mod_revision) for event in seen.events} == last
        assert len(seen.events) == len(last)
        self.counts["watched"] += 1

    async def page(self) -> None:
        prefix, limit = self.dice.choice(PREFIXES), self.dice.randint(0, 3)
        after = self.dice.choice(["", *KEYS])
        ours = self.model.scan(prefix, after=after, limit=limit)
        theirs = await self.store.scan(prefix, after=after, limit=limit)
        assert theirs.items == tuple(self.item(item) for item in ours.items)
        assert theirs.has_more == ours.has_more

    async def grant(self) -> None:
        self.lease_of[self.model.grant(ttl_ms=60_000, now_ms=0)] = await self.store.grant(ttl_ms=60_000)

    async def revoke(self) -> None:
        lease = self.dice.choice([*self.lease_of])
        if lease:
            before = self.model.revision
            self.model.revoke(lease)
            await self.store.revoke(self.lease_of[lease])
            if self.model.revision > before:
                self.at[self.model.revision] = (await self.store.read([])).revision

    async def compact(self) -> None:
        revision = self.past()
        self.model.compact(revision)
        await self.store.compact(self.at[revision])

    async def check_state(self) -> None:
        ours, theirs = self.model.scan(""), await self.store.scan("")
        assert theirs.items == tuple(self.item(item) for item in ours.items)
        if ours.revision:
            assert theirs.revision == self.at[ours.revision]


@pytest.mark.parametrize("seed", range(3))
async def test_consul_does_what_the_model_does(seed: int) -> None:
    store = await ConsulStore.open(
        shared_consul().address, root=uuid4().hex, session_ms_min=SESSION_MS_MIN, ends_leases=False
    )
    try:
        twins = Twins(store, seed)
        for _ in range(STEPS):
            await twins.step()
        assert min(twins.counts[what] for what in ("won", "lost", "watched")) > 0, twins.counts
    finally:
        await store.close()
