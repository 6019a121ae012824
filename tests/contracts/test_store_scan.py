"""What every store promises of ranges: order, pages, the past, compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contracts.words import change, commit, delete, get, keys, put

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.transaction import Delete, KeyValue, Put
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from tests.contracts.stores import StoreKind

    from addrcast.core.domain.transaction import Page
    from addrcast.ports.store import Store


async def test_a_prefix_that_ends_in_a_dot_keeps_to_its_account(store: Store) -> None:
    for key in ("record.a.1", "record.a.2", "record.ab.1", "record.a", "recorda.1", "s"):
        await put(store, key)
    assert await keys(store, "record.a.") == ["record.a.1", "record.a.2"]
    assert await keys(store, "nothing.") == []


async def test_pages_begin_after_a_key_and_say_whether_more_follow(store: Store) -> None:
    for number in range(5):
        await put(store, f"k.{number}")
    first = await store.scan("k.", limit=2)
    assert [item.key for item in first.items] == ["k.0", "k.1"]
    assert first.has_more
    rest = await store.scan("k.", after="k.1", limit=3)
    assert [item.key for item in rest.items] == ["k.2", "k.3", "k.4"]
    assert not rest.has_more
    between = await store.scan("k.", after="k.1~")
    assert [item.key for item in between.items] == ["k.2", "k.3", "k.4"]
    assert (await store.scan("k.", after="l")).items == ()
    assert len((await store.scan("k.", after="a")).items) == 5


async def test_a_large_range_comes_whole(store: Store) -> None:
    names = [f"k.{number:05}" for number in range(5000)]
    for begin in range(0, len(names), 500):
        await store.commit([change(Put(name, b"")) for name in names[begin : begin + 500]])
    assert await keys(store, "k.") == names
    assert len((await store.scan("k.", limit=4999)).items) == 4999


async def test_pages_show_one_state_while_it_is_being_written(store: Store) -> None:
    for number in range(9):
        await put(store, f"k.{number}", b"old")
    state = (await store.scan("k.")).items
    page = await store.scan("k.", limit=3)
    seen = [*page.items]
    disturbances = (
        change(Put("k.4", b"new"), Delete("k.5"), Put("k.55", b"new")),
        change(Put("k.5", b"again"), Delete("k.4"), Put("k.9", b"new")),
        change(Put("k.4", b"again"), Delete("k.0"), Put("l", b"")),
    )
    for disturbance in disturbances:
        await commit(store, disturbance)
        page = await next_page(store, page)
        seen += page.items
    assert tuple(seen) == state
    assert not page.has_more


async def next_page(store: Store, page: Page) -> Page:
    return await store.scan("k.", after=page.items[-1].key, limit=2 if page.has_more else 1, revision=page.revision)


async def test_every_past_state_can_be_read_until_it_is_compacted(store: Store, kind: StoreKind) -> None:
    states = []
    for step in (
        Put("a", b"1"),
        Put("b", b"1"),
        Put("a", b"2"),
        Delete("b"),
        Put("c", b"1"),
        Put("b", b"3"),
        Delete("a"),
    ):
        revision = (await commit(store, change(step))).revision
        states.append((revision, (await store.scan("")).items))
    if kind.reads_the_past:
        for revision, items in states:
            assert (await store.scan("", revision=revision)).items == items
    kept_revision, kept_items = states[3]
    await store.compact(kept_revision)
    if kind.reads_the_past:
        for revision, items in states[3:]:
            assert (await store.scan("", revision=revision)).items == items
    else:
        kept_revision, kept_items = states[-1]
    with pytest.raises(Compacted) as caught:
        await store.scan("", revision=states[2][0])
    assert caught.value.oldest == kept_revision
    assert kept_items == (await store.scan("", revision=caught.value.oldest)).items


async def test_compaction_keeps_the_newest_state_and_its_revisions(store: Store) -> None:
    first = await put(store, "a", b"1")
    second = await put(store, "a", b"2")
    await put(store, "gone")
    last = await delete(store, "gone")
    await store.compact(last)
    await store.compact(first)  # forgotten already
    assert (await store.scan("")).items == (KeyValue("a", b"2", first, second),)
    assert (await store.scan("", revision=last)).items == (KeyValue("a", b"2", first, second),)
    third = await put(store, "a", b"3")
    assert third > last
    assert (await get(store, "a")) == KeyValue("a", b"3", first, third)


async def test_a_revision_that_is_not_reached_cannot_be_read_or_compacted(store: Store) -> None:
    revision = await put(store, "a")
    with pytest.raises(Invalid):
        await store.scan("", revision=revision + 1)
    with pytest.raises(Invalid):
        await store.compact(revision + 1)
