"""The embedded store beside the model: the same operations give the same results, states, pasts and events."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.contracts.stores import HandClock

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.transaction import Change, Compare, Delete, Put, Transaction
from addrcast.simulation.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

KEYS = st.sampled_from(["a", "a.1", "a.2", "a.1.x", "b.1", "b.ü"])
PREFIXES = st.sampled_from(["", "a", "a.", "a.1", "b.", "c"])
LEASES = st.integers(1, 3)
WRITES = st.lists(
    st.one_of(
        st.builds(Put, KEYS, st.binary(max_size=4), st.one_of(st.just(0), st.just(0), LEASES)),
        st.builds(Delete, KEYS),
    ),
    max_size=4,
    unique_by=lambda write: write.key,
)
STORE_DIRECTORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


class Twins(RuleBasedStateMachine):
    """Leases are drawn blindly, by when they were granted: both stores refuse those that are over or never were."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.leases: list[int] = []
        self.model = ModelStore()
        self.directory = tempfile.TemporaryDirectory(dir=STORE_DIRECTORY)
        self.runner = asyncio.Runner()
        self.store = self.run(self.open())

    async def open(self) -> LmdbStore:
        return await LmdbStore.open(self.directory.name, now_ms=self.clock, map_bytes=1 << 16)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def both(self, model: Callable[[], object], store: Coroutine[Any, Any, object]) -> None:
        """Results are equal, or the errors are."""
        self.model.expire(now_ms=self.clock.ms)
        assert outcome(lambda: self.run(store)) == outcome(model)

    def revision(self, back: int) -> int:
        return max(0, self.model.revision - back)

    @rule(data=st.data(), count=st.integers(1, 3))
    def commit(self, data: st.DataObject, count: int) -> None:
        transactions = []
        for _ in range(count):
            compared = data.draw(st.lists(KEYS, max_size=2))
            compares = tuple(Compare(key, data.draw(self.near_revision(key))) for key in compared)
            writes = [self.under_granted(write) for write in data.draw(WRITES)]
            transactions.append(Transaction(compares, tuple(writes)))
        self.both(lambda: self.model.commit(transactions), self.store.commit(transactions))

    def lease(self, number: int) -> int:
        return self.leases[number - 1] if number <= len(self.leases) else number

    def under_granted(self, write: Put | Delete) -> Put | Delete:
        if isinstance(write, Delete) or write.lease == 0:
            return write
        return Put(write.key, write.value, self.lease(write.lease))

    def near_revision(self, key: str) -> st.SearchStrategy[int]:
        page = self.model.read([key])
        present = page.items[0].mod_revision if page.items else 0
        return st.sampled_from([present, present, present, 0, self.model.revision])

    @rule(prefix=PREFIXES, after=st.one_of(st.just(""), KEYS), limit=st.integers(0, 3), back=st.integers(-1, 8))
    def scan(self, prefix: str, after: str, limit: int, back: int) -> None:
        revision = self.revision(back)
        self.both(
            lambda: self.model.scan(prefix, after=after, limit=limit, revision=revision),
            self.store.scan(prefix, after=after, limit=limit, revision=revision),
        )

    @rule(prefixes=st.lists(PREFIXES, min_size=1, max_size=2), back=st.integers(0, 12))
    def watch(self, prefixes: list[str], back: int) -> None:
        after = self.revision(back)
        self.both(
            lambda: self.model.changes(prefixes, after_revision=after, up_to=self.model.revision),
            self.changes(prefixes, after),
        )

    async def changes(self, prefixes: list[str], after: int) -> list[Change]:
        # what the clock ends must have ended before: the mark at the end makes sure that all was shown
        await self.store.revoke(1 << 40)
        expected = self.model.changes([""], after_revision=after, up_to=self.model.revision)
        seen: list[Change] = []
        if not expected:
            return seen
        async with aclosing(self.store.watch(["", *prefixes], after_revision=after)) as changes:
            async for each in changes:
                events = tuple(event for event in each.events if event.key.startswith(tuple(prefixes)))
                seen += [Change(each.revision, events)] if events else []
                if each.revision == self.model.revision:
                    return seen
        raise AssertionError("the watch ended")

    @rule(back=st.integers(-1, 8))
    def compact(self, back: int) -> None:
        revision = self.revision(back)
        self.both(lambda: self.model.compact(revision), self.store.compact(revision))

    @rule(ttl_ms=st.integers(0, 3))
    def grant(self, ttl_ms: int) -> None:
        granted = outcome(lambda: self.run(self.store.grant(ttl_ms=ttl_ms)))
        # the store has ended what is due, and draws a number by which the model is to know the lease, too
        self.model.expire(now_ms=self.clock.ms)
        lease = granted if isinstance(granted, int) else 0
        assert outcome(lambda: self.model.grant(ttl_ms=ttl_ms, now_ms=self.clock.ms, lease=lease)) == granted
        self.leases += [lease] if lease else []

    @rule(number=LEASES)
    def keep_alive(self, number: int) -> None:
        lease = self.lease(number)
        self.both(lambda: self.model.keep_alive(lease, now_ms=self.clock.ms), self.store.keep_alive(lease))

    @rule(number=LEASES)
    def revoke(self, number: int) -> None:
        lease = self.lease(number)
        self.both(lambda: self.model.revoke(lease), self.store.revoke(lease))

    @rule(by_ms=st.integers(1, 3))
    def let_time_pass(self, by_ms: int) -> None:
        self.clock.ms += by_ms
        self.both(lambda: None, self.store.revoke(1 << 40))

    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self.run(self.open())

    @invariant()
    def the_states_are_equal(self) -> None:
        assert self.run(self.store.scan("")) == self.model.scan("")

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.directory.cleanup()


def outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except AddrcastError as error:
        return type(error), str(error)


TestTwins = Twins.TestCase
