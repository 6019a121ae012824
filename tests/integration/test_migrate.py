"""Migrations from each kind of store to another, with writers at work, interrupted, given up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.contracts.stores import KINDS, StoreKind
from tests.core.assignment.world import create, delete
from tests.integration.moved import CLOCK, Callers, fill, ledger_of, missing, peopled, serving

from addrcast.core.domain.errors import Conflict, Invalid, Unavailable
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import EPOCH, account_key
from addrcast.core.domain.record import EpochState
from addrcast.core.domain.transaction import Delete, Put, Transaction
from addrcast.runtime.migrate import Side, abort, migrate
from addrcast.runtime.store_pages import taken_over
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from addrcast.core.domain.transaction import Result

NAMED = {kind.name: kind for kind in KINDS}
PAIRS = [
    (NAMED[one], NAMED[other])
    for one, other in (("memory", "lmdb"), ("lmdb", "etcd"), ("etcd", "consul"), ("consul", "lmdb"))
    if one in NAMED and other in NAMED
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].name}-{pair[1].name}")
async def test_every_acknowledged_binding_is_in_the_target(
    pair: tuple[StoreKind, StoreKind], tmp_path: Path
) -> None:
    async with pair[0].open(tmp_path / "a") as old, pair[1].open(tmp_path / "b") as new:
        await fill(old.store)
        async with serving(old.store) as service:
            callers = Callers(service)
            writing = [asyncio.create_task(callers.run(caller)) for caller in range(4)]
            await callers.wait_told(20)
            done = await migrate(Side(old.store, "old"), Side(new.store, "new"), clock=CLOCK, page_items=100)
            await asyncio.gather(*writing)
        source, target = await ledger_of(old.store), await ledger_of(new.store)
    assert len(callers.refusals) == 4
    assert all("frozen" in str(refusal) and "moves to new" in str(refusal) for refusal in callers.refusals)
    assert missing(callers.told, target) == []
    assert violations(target) == []
    assert (done.epoch, target.epoch.required.epoch, target.epoch.required.state) == (2, 2, EpochState.CLOSED)
    assert not target.move
    assert source.epoch.required.state is EpochState.FROZEN
    assert (source.move.required.target, source.move.required.is_done) == ("new", True)


async def test_deletes_are_refused_too_while_a_store_is_frozen() -> None:
    old = peopled()
    async with serving(old) as service:
        await service.create(create("acme", "i-1"))
        await migrate(Side(old, "old"), Side(MemoryStore(), "new"), clock=CLOCK)
        with pytest.raises(Unavailable, match="moves to new"):
            await service.delete(delete("acme", "i-1"))


class Interrupted(MemoryStore):
    """A store that goes away for good after some commits."""

    left = -1

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        if self.left == 0:
            raise Unavailable("the store is away", retry_after_ms=0)
        self.left -= 1
        return await super().commit(transactions)


@pytest.mark.parametrize("source_commits", [0, 1, 99])
@pytest.mark.parametrize("target_commits", [0, 1, 2, 5, 8])
async def test_a_migration_interrupted_anywhere_is_gone_on_with(
    source_commits: int, target_commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addrcast.runtime.filling.BATCH", 4)
    old, new = Interrupted(model=peopled().model), Interrupted()
    before = {item.key: taken_over(item) for item in (await old.scan("network_address.")).items}
    old.left, new.left = source_commits, target_commits
    with suppress(Unavailable):
        await migrate(Side(old, "old"), Side(new, "new"), clock=CLOCK)
        assert (source_commits, target_commits) == (99, 8)
    both = [(await ledger_of(store)).epoch.value for store in (old, new) if (await store.read([EPOCH])).items]
    assert sum(epoch is not None and epoch.state is not EpochState.FROZEN for epoch in both) <= 1
    old.left = new.left = -1
    with suppress(Invalid):  # it was done already
        await migrate(Side(old, "old"), Side(new, "new"), clock=CLOCK)
    assert {item.key: item.value for item in (await new.scan("network_address.")).items} == before
    assert (await ledger_of(new)).epoch.required.state is EpochState.CLOSED
    with pytest.raises(Invalid, match="moved there already"):
        await migrate(Side(old, "old"), Side(new, "new"), clock=CLOCK)


@pytest.mark.parametrize("state", [EpochState.OPEN, EpochState.CLOSED])
async def test_a_migration_that_is_given_up_leaves_the_source_as_it_was(state: EpochState) -> None:
    old, new = peopled(), Interrupted()
    (epoch,) = (await old.read([EPOCH])).items
    value = epoch.value.replace(b"open", state.value.encode())
    await old.commit([Transaction((), (Put(EPOCH, value),))])
    new.left = 1
    with pytest.raises(Unavailable):
        await migrate(Side(old, "old"), Side(new, "new"), clock=CLOCK)
    with pytest.raises(Invalid, match="moves to new; abort that first"):
        await migrate(Side(old, "old"), Side(MemoryStore(), "elsewhere"), clock=CLOCK)
    assert await abort(Side(old, "old")) is state
    ledger = await ledger_of(old)
    assert (ledger.epoch.required.state, ledger.epoch.required.epoch) == (state, 1)
    assert not ledger.move
    with pytest.raises(Invalid, match="not frozen"):
        await abort(Side(old, "old"))


async def test_what_has_moved_is_thawed_by_force_only() -> None:
    old, new = peopled(), MemoryStore()
    await migrate(Side(old, "old"), Side(new, "new"), clock=CLOCK)
    with pytest.raises(Invalid, match="two stores would give the same addresses"):
        await abort(Side(old, "old"))
    assert await abort(Side(old, "old"), is_forced=True) is EpochState.OPEN


async def test_a_half_filled_store_is_no_source() -> None:
    old, new = peopled(), Interrupted()
    new.left = 1
    with pytest.raises(Unavailable):
        await migrate(Side(old, "old"), Side(new, "new"), clock=CLOCK)
    with pytest.raises(Invalid, match="it is being filled from old"):
        await migrate(Side(new, "new"), Side(MemoryStore(), "third"), clock=CLOCK)
    with pytest.raises(Invalid, match="not frozen by a migration"):
        await abort(Side(new, "new"))


async def test_a_store_that_was_never_set_up_does_not_move() -> None:
    with pytest.raises(Invalid, match="never set up"):
        await migrate(Side(MemoryStore(), "old"), Side(MemoryStore(), "new"), clock=CLOCK)


class Forgetful(MemoryStore):
    """A store that loses a key of what was written to it."""

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        results = await super().commit(transactions)
        await super().commit([Transaction((), (Delete(account_key("acme")),))])
        return results


async def test_a_target_that_has_not_got_all_is_not_opened() -> None:
    old, new = peopled(), Forgetful()
    with pytest.raises(Conflict, match=r"old has \d+ keys with checksum .* new has"):
        await migrate(Side(old, "old"), Side(new, "new"), clock=CLOCK)
    assert (await ledger_of(new)).epoch.required.state is EpochState.FROZEN
