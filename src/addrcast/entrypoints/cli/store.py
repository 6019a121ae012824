"""A store looked into by a command: opened, read as one ledger, closed."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.ledger import Ledger
from addrcast.ports.store import Compacted
from addrcast.runtime.open_store import open_store
from addrcast.runtime.settings import StoreSettings
from addrcast.runtime.settings_sources import load
from addrcast.runtime.store_address import StoreKind, parse_store_address
from addrcast.runtime.view import PREFIXES, scan_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from addrcast.core.domain.transaction import KeyValue
    from addrcast.ports.store import Store

T = TypeVar("T")


def with_store(address: str, look: Callable[[Store], Awaitable[T]]) -> T:
    """What `look` finds in the store at an address; user, token and files for TLS are as the settings say.

    Raises Invalid where there is no store, and Unavailable.
    """
    where = parse_store_address(address)
    if where.kind is StoreKind.EMBEDDED and not (Path(where.folder) / "data.mdb").exists():
        raise Invalid("--store", address, "it holds no store; the demo leaves one in out/demo/store")
    options = load(StoreSettings, environ=os.environ, flags={"store.address": address}).settings.store

    async def run() -> T:
        store = await open_store(where, options)
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
