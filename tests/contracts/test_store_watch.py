"""What every store promises of a watch: whole revisions, in order, none twice, no gap, and an end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import pytest
from tests.contracts.words import change, commit, delete, put, watched

from addrcast.core.domain.transaction import Change, Delete, Event, Put
from addrcast.ports.store import PROGRESS_REVISIONS, Compacted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contracts.stores import Opened, StoreKind

    from addrcast.ports.store import Store


async def test_a_watch_shows_the_past_with_deletes_and_create_revisions(store: Store, kind: StoreKind) -> None:
    first = await put(store, "a", b"1")
    second = await put(store, "a", b"2")
    third = await delete(store, "a")
    fourth = await put(store, "a", b"3")
    last = Change(fourth, (Event("a", b"3", fourth, fourth),))
    seen = await watched(store, "a", after=0, until=fourth)
    assert seen[-1] == last
    if kind.shows_each_state:
        assert seen[:-1] == [
            Change(first, (Event("a", b"1", first, first),)),
            Change(second, (Event("a", b"2", first, second),)),
            Change(third, (Event("a", None, 0, third),)),
        ]
    assert await watched(store, "a", after=third, until=fourth) == [last]


async def test_a_watch_shows_what_happens_after_it_began(store: Store) -> None:
    begin = await put(store, "a", b"before")
    async with asyncio.timeout(20), aclosing(store.watch(["a"], after_revision=begin)) as changes:
        for number in range(3):
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            revision = await put(store, "a", b"%d" % number)
            assert await waiting == Change(revision, (Event("a", b"%d" % number, begin, revision),))


async def test_a_revision_comes_whole_and_only_with_watched_keys(store: Store, kind: StoreKind) -> None:
    writes = Put("a.1", b""), Put("b.1", b""), Put("a.2", b""), Put("c.1", b"")
    revision = (await commit(store, change(*writes))).revision
    (seen,) = await watched(store, "a.", "c.", after=0, until=revision)
    assert [event.key for event in seen.events] == ["a.1", "a.2", "c.1"]
    (everything,) = await watched(store, "", after=0, until=revision)
    assert len(everything.events) == 4


async def test_what_a_watch_has_shown_is_always_a_state_that_was(store: Store) -> None:
    async def write() -> int:
        for number in range(60):
            turn = b"%d" % number
            revision = (await commit(store, change(Put("a", turn), Put(f"b.{number % 3}", turn)))).revision
            if number % 4 == 3:
                together = change(Delete(f"b.{number % 3}"), Put("a", turn + b"!"))
                revision = (await commit(store, together)).revision
        return revision

    state: dict[str, bytes] = {}
    async with asyncio.timeout(30), aclosing(store.watch(["a", "b."], after_revision=0)) as changes:
        writing = asyncio.create_task(write())
        async for each in changes:
            for event in each.events:
                if event.value is None:
                    state.pop(event.key, None)  # it may have come and gone between two looks
                else:
                    state[event.key] = event.value
            newest = state["a"]
            number = int(newest.rstrip(b"!"))
            assert state.get(f"b.{number % 3}") == (None if newest.endswith(b"!") else newest)
            if newest == b"59!":  # the last one
                break
        await writing


async def test_a_key_under_two_watched_prefixes_is_shown_once(store: Store) -> None:
    revision = await put(store, "a.b.c")
    (seen,) = await watched(store, "a.", "a.b.", after=0, until=revision)
    assert len(seen.events) == 1


async def test_a_failed_transaction_shows_nothing(store: Store) -> None:
    results = await store.commit([change(Put("a", b"1")), change(Delete("absent")), change(Put("b", b"1"))])
    seen = await watched(store, "", after=0, until=results[2].revision)
    assert [event.key for each in seen for event in each.events] == ["a", "b"]


async def test_concurrent_writers_leave_no_gap_and_no_duplicate(store: Store, kind: StoreKind) -> None:
    async def write(writer: int) -> None:
        for number in range(40):
            await put(store, f"k.{writer}", b"%d" % number)

    revisions: list[int] = []
    numbers: dict[str, list[int]] = {f"k.{writer}": [] for writer in range(8)}
    async with asyncio.timeout(20), asyncio.TaskGroup() as writers:
        for writer in range(8):
            writers.create_task(write(writer))
        async with aclosing(store.watch(["k."], after_revision=0)) as changes:
            async for each in changes:
                revisions.append(each.revision)
                for event in each.events:
                    assert event.value is not None
                    numbers[event.key].append(int(event.value))
                if all(seen[-1:] == [39] for seen in numbers.values()):
                    break
    assert revisions == sorted(set(revisions))
    for seen in numbers.values():
        assert seen == (list(range(40)) if kind.shows_each_state else sorted(set(seen)))


async def test_a_watch_resumes_after_the_last_change_it_showed(store: Store, kind: StoreKind) -> None:
    for number in range(30):
        last = await put(store, f"k.{number % 3}", b"%d" % number)
    seen: list[Change] = []
    while not seen or seen[-1].revision < last:
        after = seen[-1].revision if seen else 0
        async with aclosing(store.watch(["k."], after_revision=after)) as changes:
            for _ in range(7):
                seen.append(await anext(changes))
                if seen[-1].revision == last:
                    break
    revisions = [each.revision for each in seen]
    assert revisions == sorted(set(revisions))
    if kind.shows_each_state:
        assert [event.value for each in seen for event in each.events] == [b"%d" % number for number in range(30)]


async def test_a_watch_from_a_compacted_revision_is_refused(store: Store) -> None:
    first = await put(store, "a", b"1")
    second = await put(store, "a", b"2")
    third = await put(store, "a", b"3")
    await store.compact(second)
    for after in (0, first):
        with pytest.raises(Compacted) as caught:
            await anext(store.watch(["a"], after_revision=after))
        assert caught.value.oldest == second
    assert [each.revision for each in await watched(store, "a", after=second, until=third)] == [third]


async def test_a_watch_from_a_revision_that_the_store_has_not_come_to_is_refused(store: Store) -> None:
    last = await put(store, "a")
    with pytest.raises(Compacted) as caught:
        await anext(store.watch(["a"], after_revision=last + 1))
    assert caught.value.oldest <= last


async def test_a_watch_overtaken_by_compaction_ends_in_compacted_never_in_a_gap(
    store: Store, kind: StoreKind
) -> None:
    async def write(count: int) -> int:
        results = await store.commit([change(Put("k", b"%d" % number)) for number in range(count)])
        return results[-1].revision

    async def rest(changes: AsyncIterator[Change], until: int) -> None:
        async for each in changes:
            seen.append(each.revision)
            if each.revision == until:
                break

    first = await put(store, "k")
    seen: list[int] = []
    async with aclosing(store.watch(["k"], after_revision=first - 1)) as changes:
        seen.append((await anext(changes)).revision)
        last = await write(2 * PROGRESS_REVISIONS)
        await store.compact(last)
        with suppress(Compacted) if kind.reads_ahead else pytest.raises(Compacted):
            await rest(changes, last)
            assert seen[-1] == last
    assert seen == list(range(first, first + len(seen))) if kind.has_dense_revisions else seen == [first]


async def test_a_quiet_watch_tells_its_progress(store: Store) -> None:
    async with asyncio.timeout(20), aclosing(store.watch(["quiet."], after_revision=0)) as changes:
        for _ in range(3):
            await store.commit([change(Put("loud", b"")) for _ in range(PROGRESS_REVISIONS // 2)])
        told = await anext(changes)
        assert told.events == ()
        assert told.revision >= PROGRESS_REVISIONS
        assert told.revision <= (await store.read([])).revision


async def test_closing_the_store_ends_its_watches(opened: Opened) -> None:
    async def drain() -> int:
        count = 0
        async for _ in opened.store.watch(["a"], after_revision=0):
            count += 1
            begun.release()
        return count

    begun = asyncio.Semaphore(0)
    await put(opened.store, "a")
    watches = [asyncio.ensure_future(drain()) for _ in range(3)]
    async with asyncio.timeout(20):
        for _ in watches:
            await begun.acquire()
        await opened.store.close()
        assert [await each for each in watches] == [1, 1, 1]
