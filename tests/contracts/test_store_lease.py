"""What every store promises of leases: they end, are kept alive, and take their own keys along, no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contracts.words import change, commit, delete, get, keys, put, watched

from addrcast.core.domain.errors import Invalid, Stale
from addrcast.core.domain.transaction import Event, Put

if TYPE_CHECKING:
    from tests.contracts.stores import Opened, StoreKind


async def test_a_lease_that_is_not_kept_alive_takes_its_keys_along(opened: Opened, kind: StoreKind) -> None:
    store = opened.store
    lease = await store.grant(ttl_ms=2 * kind.lease_ms)
    await put(store, "b", lease=lease)
    begin = await put(store, "a", lease=lease)
    await put(store, "stays")
    item = await get(store, "a")
    assert item is not None
    assert item.lease == lease
    await opened.advance(kind.lease_ms)
    assert await keys(store) == ["a", "b", "stays"]
    await opened.advance(kind.over_after_ms(2 * kind.lease_ms) - kind.lease_ms)
    assert await keys(store) == ["stays"]
    revision = (await store.read([])).revision
    events = [
        event for each in await watched(store, "a", "b", after=begin, until=revision) for event in each.events
    ]
    assert sorted((event.key, event.value) for event in events) == [("a", None), ("b", None)]


async def test_a_lease_kept_alive_goes_on(opened: Opened, kind: StoreKind) -> None:
    store = opened.store
    lease = await store.grant(ttl_ms=3 * kind.lease_ms)
    await put(store, "a", lease=lease)
    for _ in range(2):
        await opened.advance(2 * kind.lease_ms)
        await store.keep_alive(lease)
    assert await keys(store) == ["a"]
    await opened.advance(kind.over_after_ms(3 * kind.lease_ms))
    assert await keys(store) == []


async def test_a_lease_that_is_over_can_neither_be_kept_alive_nor_put_under(
    opened: Opened, kind: StoreKind
) -> None:
    store = opened.store
    ended, revoked = [await store.grant(ttl_ms=kind.lease_ms) for _ in range(2)]
    await store.revoke(revoked)
    await opened.advance(kind.over_after_ms(kind.lease_ms))
    for lease in (ended, revoked, 1 << 40):
        with pytest.raises(Stale):
            await store.keep_alive(lease)
        with pytest.raises(Stale):
            await store.commit([change(Put("other", b"")), change(Put("a", b"", lease))])
        await store.revoke(lease)
    assert await keys(store) == []


async def test_revoking_removes_the_keys_at_once(opened: Opened, kind: StoreKind) -> None:
    store = opened.store
    lease = await store.grant(ttl_ms=10 * kind.lease_ms)
    result = await commit(store, change(Put("a", b"", lease), Put("b", b"", lease)))
    await store.revoke(lease)
    assert await keys(store) == []
    revision = (await store.read([])).revision
    assert revision > result.revision
    (seen,) = await watched(store, "", after=result.revision, until=revision)
    assert seen.events == (Event("a", None, 0, revision), Event("b", None, 0, revision))


async def test_a_key_put_again_leaves_its_former_lease(opened: Opened, kind: StoreKind) -> None:
    store = opened.store
    former, latter = [await store.grant(ttl_ms=10 * kind.lease_ms) for _ in range(2)]
    for key in ("freed", "moved", "kept", "deleted"):
        await put(store, key, lease=former)
    await put(store, "freed")
    await put(store, "moved", lease=latter)
    await put(store, "kept", b"again", lease=former)
    await delete(store, "deleted")
    await put(store, "deleted", b"no more")
    await store.revoke(former)
    assert await keys(store) == ["deleted", "freed", "moved"]
    await store.revoke(latter)
    assert await keys(store) == ["deleted", "freed"]


async def test_leases_are_all_different_and_last_some_time(opened: Opened, kind: StoreKind) -> None:
    leases = [await opened.store.grant(ttl_ms=kind.lease_ms) for _ in range(5)]
    assert len(set(leases)) == 5
    assert 0 not in leases
    with pytest.raises(Invalid):
        await opened.store.grant(ttl_ms=0)
