"""What every store promises callers that race: one of them wins, and no write is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.contracts.words import change, commit, get, put, watched

from addrcast.core.domain.transaction import Compare, Put

if TYPE_CHECKING:
    from tests.contracts.stores import StoreKind

    from addrcast.core.domain.transaction import Result
    from addrcast.ports.store import Store


async def test_no_increment_is_lost(store: Store) -> None:
    async def increment(count: int) -> int:
        losses = 0
        for _ in range(count):
            while True:
                item = await get(store, "counter")
                number, revision = (int(item.value), item.mod_revision) if item else (0, 0)
                plus_one = change(Put("counter", b"%d" % (number + 1)), when=[Compare("counter", revision)])
                if (await commit(store, plus_one)).is_success:
                    break
                losses += 1
        return losses

    async with asyncio.TaskGroup() as callers:
        tasks = [callers.create_task(increment(10)) for _ in range(16)]
    item = await get(store, "counter")
    assert item is not None
    assert item.value == b"160"
    assert sum(task.result() for task in tasks) > 0, "without a lost race nothing was tried"


async def test_of_many_claims_of_one_key_exactly_one_wins(store: Store) -> None:
    async def claim(claimant: int) -> list[Result]:
        claims = [
            change(
                Put(f"key.{key}", b"%d" % claimant),
                Put(f"won.{claimant}.{key}", b""),
                when=[Compare(f"key.{key}", 0)],
            )
            for key in range(20)
        ]
        return [await commit(store, each) for each in claims]

    outcomes = await asyncio.gather(*(claim(claimant) for claimant in range(12)))
    for key in range(20):
        assert sum(results[key].is_success for results in outcomes) == 1
    owners = {item.key.removeprefix("key."): item.value.decode() for item in (await store.scan("key.")).items}
    won = [item.key.split(".") for item in (await store.scan("won.")).items]
    assert {key: claimant for _, claimant, key in won} == owners
    assert len(won) == 20


async def test_a_result_is_true_as_soon_as_it_is_given(store: Store) -> None:
    async def write(writer: int) -> None:
        for number in range(20):
            key = f"k.{writer}.{number}"
            revision = await put(store, key, b"x")
            item = await get(store, key)
            assert item is not None
            assert item.mod_revision == revision

    async with asyncio.TaskGroup() as writers:
        for writer in range(20):
            writers.create_task(write(writer))


async def test_a_cancelled_caller_harms_no_other(store: Store, kind: StoreKind) -> None:
    calls = [asyncio.ensure_future(put(store, f"k.{number}")) for number in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    revisions = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(revisions) >= 10
    last = await put(store, "k.last")
    seen = await watched(store, "k.", after=0, until=last)
    assert set(revisions) <= {event.mod_revision for each in seen for event in each.events}
    if kind.shows_each_state:
        assert set(revisions) <= {each.revision for each in seen}
