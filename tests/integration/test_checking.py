"""Looks at a store in use: what two of them see counts, what moves in between does not."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from tests.contracts.stores import KINDS, StoreKind
from tests.integration.moved import CLOCK, fill, peopled

from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import host_alive_key, physical_key, record_key
from addrcast.core.domain.record import HoldState, PhysicalHold
from addrcast.core.domain.transaction import Delete, Put, Transaction
from addrcast.runtime.checking import Look, looks
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from addrcast.core.domain.transaction import Page
    from addrcast.ports.store import Store

LEAK = physical_key("192.0.2.99")


async def write(store: Store, *writes: Put | Delete) -> None:
    await store.commit([Transaction((), writes)])


async def leak(store: Store, key: str = LEAK) -> None:
    hold = PhysicalHold(state=HoldState.HELD, account="acme", logical="10.0.1.1", host="h1", since_ms=1)
    await write(store, Put(key, encode(hold)))


async def live(store: Store) -> int:
    lease = await store.grant(ttl_ms=60_000)
    await write(store, Put(host_alive_key("h1"), b"2", lease))
    return lease


async def two_looks(store: Store, *between: Callable[[], object]) -> tuple[Look, Look]:
    async with aclosing(looks(store, clock=CLOCK, again_after_ms=0)) as seen:
        first = await anext(seen)
        for act in between:
            await act()  # type: ignore[misc]
        return first, await anext(seen)


def rules(look: Look) -> set[str]:
    return {finding.rule for finding in look.violations}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_leak_that_stands_in_two_looks_is_one_on_every_kind_of_store(
    kind: StoreKind, tmp_path: Path
) -> None:
    async with kind.open(tmp_path) as opened:
        await fill(opened.store)
        await leak(opened.store)
        first, second = await two_looks(opened.store)
    assert "no leak" in rules(first)
    assert rules(second) == rules(first)
    assert first.records == 5


async def test_a_leak_that_is_gone_in_the_second_look_and_one_that_came_do_not_count_yet() -> None:
    store = peopled()
    await leak(store)
    other = physical_key("192.0.2.98")
    first, second = await two_looks(store, lambda: write(store, Delete(LEAK)), lambda: leak(store, other))
    assert "no leak" in rules(first)
    assert "no leak" not in rules(second)


async def test_what_does_not_move_between_two_looks_of_a_live_store_is_stuck() -> None:
    store = peopled()
    await live(store)
    first, second = await two_looks(store)
    assert (first.is_live, first.is_sound, second.is_sound) == (True, False, False)
    assert {finding.rule for finding in second.stuck} == {"cooling", "acknowledgement"}
    cooling = record_key("acme", "10.0.0.4")
    (item,) = (await store.read([cooling])).items
    _, second = await two_looks(store, lambda: write(store, Put(cooling, item.value)))
    assert {finding.rule for finding in second.stuck} == {"acknowledgement"}


async def test_nothing_is_stuck_where_nobody_is_at_work() -> None:
    first, second = await two_looks(peopled())
    assert (first.is_live, first.is_sound, second.stuck) == (False, True, {})


class Hurried(MemoryStore):
    """A store that is compacted between any two pages, and has a leaf torn out of its first."""

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        await write(self, Put("zz", b"1"))
        if limit:
            await self.compact((await self.read([])).revision)
        return await super().scan(prefix, after=after, limit=limit, revision=revision)


async def test_a_store_that_forgets_too_fast_for_pages_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addrcast.runtime.checking.PAGE_ITEMS", 4)
    store = Hurried(model=peopled().model)
    await write(store, Put(record_key("acme", "10.0.0.77"), b"broken"))
    told: list[int] = []
    async with aclosing(looks(store, clock=CLOCK, again_after_ms=0, tell=told.append)) as seen:
        look = await anext(seen)
    assert rules(look) == {"readable"}
    assert told[-1] == max(told)
    assert look.records == 5
