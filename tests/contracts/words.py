"""Short ways to say what the contract suite does to a store."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import Change, KeyValue, Result
    from addrcast.ports.store import Store


def change(*writes: Put | Delete, when: Sequence[Compare] = ()) -> Transaction:
    return Transaction(tuple(when), writes)


async def put(store: Store, key: str, value: bytes = b"", *, lease: int = 0) -> int:
    """Put a key whatever stands there; the revision."""
    return (await commit(store, change(Put(key, value, lease)))).revision


async def delete(store: Store, key: str) -> int:
    return (await commit(store, change(Delete(key)))).revision


async def commit(store: Store, transaction: Transaction) -> Result:
    (result,) = await store.commit([transaction])
    return result


async def get(store: Store, key: str) -> KeyValue | None:
    page = await store.read([key])
    return page.items[0] if page.items else None


async def keys(store: Store, prefix: str = "", *, revision: int = 0) -> list[str]:
    return [item.key for item in (await store.scan(prefix, revision=revision)).items]


async def watched(store: Store, *prefixes: str, after: int, until: int) -> list[Change]:
    """The changes with events that a watch shows up to the revision `until`, which must be one of them."""
    seen: list[Change] = []
    async with asyncio.timeout(20), aclosing(store.watch(prefixes, after_revision=after)) as changes:
        async for each in changes:
            if each.events:
                seen.append(each)
            if each.revision >= until:
                break
    return seen
