"""A store looked into by a command: opened, read as one ledger, closed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.ledger import Ledger
from addrcast.ports.store import Compacted
from addrcast.runtime.view import PREFIXES, scan_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from addrcast.core.domain.transaction import KeyValue
    from addrcast.ports.store import Store

T = TypeVar("T")


def with_store(directory: str, look: Callable[[Store], Awaitable[T]]) -> T:
    """What `look` finds in the embedded store of a directory. Raises Invalid where there is none."""
    if not (Path(directory) / "data.mdb").exists():
        raise Invalid("--store", directory, "it holds no store; the demo leaves one in out/demo/store")

    async def run() -> T:
        store = await LmdbStore.open(directory)
        try:
            return await look(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def everything(store: Store) -> tuple[int, list[KeyValue]]:
    """The newest revision and all that stands at it; begun anew where it is compacted before its end is read."""
    while True:
        with suppress(Compacted):
            return await scan_all(store, PREFIXES)


async def ledger_of(store: Store) -> Ledger:
    """Everything in a store as one ledger. Raises Invalid for a value that cannot be read."""
    revision, items = await everything(store)
    return Ledger.from_items(items, revision)
