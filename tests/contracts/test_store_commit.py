"""What every store promises of transactions: compares, atomicity, order, revisions, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contracts.words import change, commit, delete, get, keys, put

from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.transaction import Compare, Delete, KeyValue, Put
from addrcast.ports.store import KEY_BYTES_MAX

if TYPE_CHECKING:
    from tests.contracts.stores import Opened, StoreKind

    from addrcast.ports.store import Store


async def test_a_compare_with_an_absent_key_holds_while_it_is_absent(store: Store) -> None:
    create = change(Put("a", b"1"), when=[Compare("a", 0)])
    assert (await commit(store, create)).is_success
    assert not (await commit(store, create)).is_success
    await delete(store, "a")
    assert (await commit(store, create)).is_success


async def test_a_compare_holds_at_the_revision_read_and_fails_when_stale(store: Store) -> None:
    first = await put(store, "a", b"1")
    second = await commit(store, change(Put("a", b"2"), when=[Compare("a", first)]))
    assert second.is_success
    assert second.revision > first
    stale = await commit(store, change(Put("a", b"3"), when=[Compare("a", first)]))
    assert not stale.is_success
    assert (await get(store, "a")) == KeyValue("a", b"2", first, second.revision)


async def test_a_failure_tells_what_stands_at_each_compared_key_in_order(store: Store) -> None:
    here = await put(store, "here", b"x")
    await put(store, "other", b"y")
    compares = [Compare("gone", 0), Compare("here", here + 100), Compare("here", here)]
    result = await commit(store, change(Put("new", b""), when=compares))
    assert not result.is_success
    item = KeyValue("here", b"x", here, here)
    assert result.current == (None, item, item)
    assert result.revision == (await store.read([])).revision


async def test_all_writes_happen_or_none(store: Store) -> None:
    revision = await put(store, "b", b"old")
    writes = Put("a", b"1"), Delete("b"), Put("c", b"1")
    assert not (await commit(store, change(*writes, when=[Compare("b", revision), Compare("c", 7)]))).is_success
    assert await keys(store) == ["b"]
    result = await commit(store, change(*writes, when=[Compare("b", revision), Compare("c", 0)]))
    assert result.is_success
    page = await store.scan("")
    assert [(item.key, item.mod_revision) for item in page.items] == [
        ("a", result.revision),
        ("c", result.revision),
    ]


async def test_transactions_of_a_call_are_judged_in_order_and_alone(store: Store, kind: StoreKind) -> None:
    take = change(Put("a", b"first"), when=[Compare("a", 0)])
    late = change(Put("a", b"second"), when=[Compare("a", 0)])
    free = change(Put("b", b"third"))
    remove = change(Delete("a"))
    again = change(Put("a", b"fourth"), when=[Compare("a", 0)])
    results = await store.commit([take, late, free, remove, again])
    assert [result.is_success for result in results] == [True, False, True, True, True]
    assert results[1].current == (KeyValue("a", b"first", results[0].revision, results[0].revision),)
    assert (await get(store, "a")) == KeyValue("a", b"fourth", results[4].revision, results[4].revision)
    won = [result.revision for result in results if result.is_success]
    assert won == sorted(won)
    if kind.has_own_revisions:
        assert len(set(won)) == len(won)


async def test_the_create_revision_stays_until_a_key_is_deleted_and_created_again(store: Store) -> None:
    first = await put(store, "a", b"1")
    second = await put(store, "a", b"2")
    assert (await get(store, "a")) == KeyValue("a", b"2", first, second)
    await delete(store, "a")
    assert await get(store, "a") is None
    third = await put(store, "a", b"3")
    assert third > second
    assert (await get(store, "a")) == KeyValue("a", b"3", third, third)


async def test_what_changes_nothing_succeeds_without_a_revision_of_its_own(store: Store, kind: StoreKind) -> None:
    revision = await put(store, "a")
    only_compare = await commit(store, change(when=[Compare("a", revision)]))
    no_key = await commit(store, change(Delete("absent")))
    assert only_compare.is_success
    assert no_key.is_success
    assert (await store.read([])).revision == revision
    following = await put(store, "b")
    assert following == revision + 1 if kind.has_dense_revisions else following > revision
    assert await store.commit([]) == []


@pytest.mark.parametrize("writes", [(Put("a", b"1"), Put("a", b"2")), (Put("a", b"1"), Delete("a"))])
async def test_a_key_written_twice_is_refused_with_the_whole_call(
    store: Store, writes: tuple[Put | Delete, ...]
) -> None:
    with pytest.raises(Invalid, match="only once"):
        await store.commit([change(Put("b", b"")), change(*writes)])
    assert await keys(store) == []


async def test_keys_and_values_have_limits(store: Store, kind: StoreKind) -> None:
    longest = "k" * (KEY_BYTES_MAX - 2) + "é"
    await put(store, longest, b"v" * kind.value_bytes_max)
    item = await get(store, longest)
    assert item is not None
    assert len(item.value) == kind.value_bytes_max
    for key in ("", longest + "k", "\ud800"):
        with pytest.raises(Invalid):
            await put(store, key)
        with pytest.raises(Invalid):
            await commit(store, change(Put("a", b""), when=[Compare(key, 0)]))
        with pytest.raises(Invalid):
            await store.read([key])
    with pytest.raises(Invalid):
        await put(store, "a", b"v" * (kind.value_bytes_max + 1))
    assert await keys(store) == [longest]


async def test_keys_are_any_text_and_values_any_bytes(store: Store) -> None:
    texts = ["a.b", "ä.日本", "🜁", "with space", "line\nbreak", "\x01", "Z"]
    value = bytes(range(256))
    for text in texts:
        await put(store, text, value)
    page = await store.scan("")
    assert [item.key for item in page.items] == sorted(texts, key=str.encode)
    assert {item.value for item in page.items} == {value}


async def test_read_answers_of_one_revision_in_key_order(store: Store) -> None:
    for key in ("c", "a", "b"):
        revision = await put(store, key)
    page = await store.read(["c", "absent", "a", "c"])
    assert page.revision == revision
    assert [item.key for item in page.items] == ["a", "c"]


async def test_a_closed_store_says_so(opened: Opened) -> None:
    store = opened.store
    await store.close()
    await store.close()
    with pytest.raises(Unavailable):
        await store.read(["a"])
    with pytest.raises(Unavailable):
        await put(store, "a")
    with pytest.raises(Unavailable):
        await anext(store.watch(["a"], after_revision=0))
