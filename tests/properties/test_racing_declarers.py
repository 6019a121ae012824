"""Processes that declare at once: whatever the order of their steps, no rule between resources is broken."""

from __future__ import annotations

import asyncio
from itertools import combinations
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.runtime.site import ledger_of

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.errors import Conflict, Invalid
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.runtime.declare import declare, set_up
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import Page, Result, Transaction
    from addrcast.runtime.declare import Resource


class SlowStore(MemoryStore):
    """The memory store, whose answers take some turns of the event loop: `pauses` for each, round and round."""

    def __init__(self, pauses: list[int]) -> None:
        super().__init__()
        self._pauses = pauses
        self._asked = 0

    async def _pause(self) -> None:
        self._asked += 1
        for _ in range(self._pauses[self._asked % len(self._pauses)]):
            await asyncio.sleep(0)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        await self._pause()
        return await super().scan(prefix, after=after, limit=limit, revision=revision)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        await self._pause()
        return await super().commit(transactions)


def host(*blocks: str) -> Host:
    return Host(state=HostState.LOST, incarnation=0, blocks=blocks)


PREFIXES = ("172.16.0.0/24", "172.16.0.0/25", "172.16.0.128/25", "172.16.1.0/24")
pools = st.sampled_from(PREFIXES).map(lambda prefix: Pool(kind=PoolKind.PHYSICAL, prefixes=(prefix,)))
hosts = st.sampled_from(("192.168.0.0/25", "192.168.0.64/26", "192.168.0.0/24")).map(host)
accounts = st.integers(1, 3).map(lambda vni: Account(tier="basic", vni=vni, pools=("net",)))
names = st.sampled_from(("one", "two", "three"))
resources = st.lists(st.tuples(names, st.one_of(pools, hosts, accounts)), min_size=1, max_size=4)
STANDING: list[tuple[str, Resource]] = [
    ("net", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24",))),
    ("wire", Pool(kind=PoolKind.PHYSICAL, prefixes=("192.168.0.0/24",))),
]


@given(
    st.lists(resources, min_size=2, max_size=4), st.lists(st.integers(0, 5), min_size=3, max_size=11), st.booleans()
)
def test_what_stands_after_a_race_of_declarers_breaks_no_rule(
    declared: list[list[tuple[str, Resource]]], pauses: list[int], is_counted: bool
) -> None:
    async def race() -> tuple[SlowStore, list[BaseException | None]]:
        store = SlowStore(pauses)
        await set_up(store)
        if is_counted:
            await declare(store, STANDING)
        return store, await asyncio.gather(*[declare(store, each) for each in declared], return_exceptions=True)

    store, outcomes = asyncio.run(race())
    assert {type(outcome) for outcome in outcomes} <= {type(None), Invalid, Conflict}
    ledger = asyncio.run(ledger_of(store))
    assert violations(ledger) == []
    physical = [entry.required for entry in ledger.pools().values() if entry.required.kind is PoolKind.PHYSICAL]
    for one, other in combinations([parse_prefix(text) for pool in physical for text in pool.prefixes], 2):
        assert not one.overlaps(other)
    taken = [entry.required.vni for entry in ledger.accounts().values()]
    assert len(set(taken)) == len(taken)


@given(st.integers(2, 6), st.lists(st.integers(0, 5), min_size=3, max_size=11))
def test_declarers_of_different_things_all_succeed(count: int, pauses: list[int]) -> None:
    async def race() -> SlowStore:
        store = SlowStore(pauses)
        await set_up(store)
        await declare(store, STANDING)
        await asyncio.gather(
            *[
                declare(
                    store,
                    [
                        (f"h{n}", host(f"192.168.0.{n * 8}/29")),
                        (f"a{n}", Account(tier="basic", vni=n, pools=("net",))),
                    ],
                )
                for n in range(1, count + 1)
            ]
        )
        return store

    ledger = asyncio.run(ledger_of(asyncio.run(race())))
    assert (len(ledger.hosts()), len(ledger.accounts())) == (count, count)
    assert ledger.declared.required.count >= count
