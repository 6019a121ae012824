"""A backup: a whole store at one revision, streamed into a file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from addrcast.adapters.backup_file import BackupHeader, BackupTrailer, writing
from addrcast.core.domain.codec import entry_of
from addrcast.core.domain.errors import Conflict, Invalid
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import StoreEpoch
from addrcast.ports.store import Compacted
from addrcast.runtime.store_pages import PAGE_ITEMS, is_passing, pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store

TRIES = 4
RETRY_S = 0.2


async def back_up(
    store: Store,
    path: Path,
    *,
    clock: Clock,
    name: str,
    is_compressed: bool = False,
    page_items: int = PAGE_ITEMS,
    tell: Callable[[int], None] = lambda _: None,
) -> tuple[BackupHeader, BackupTrailer]:
    """Write all keys that outlive their process, at one revision; `tell` is told how many there are so far.

    Where the revision is forgotten meanwhile it begins anew, and at last reads all keys in one go, which takes as
    much memory as they do. Raises Invalid for a store that was not set up, Conflict where even that is overtaken.
    """
    for attempt in range(TRIES):
        at_once = 0 if attempt == TRIES - 1 else page_items
        try:
            with writing(path, is_compressed=is_compressed) as writer:
                header: BackupHeader | None = None
                async for page in pages(store, page_items=at_once):
                    if header is None:
                        header = await _header(store, clock, name, revision=page.revision)
                        writer.begin(header)
                    writer.add(item for item in page.items if not is_passing(item))
                    tell(writer.keys)
                assert header is not None  # noqa: S101 - there is a first page, even of an empty store
                return header, writer.end()
        except (Compacted, _Moved):
            await asyncio.sleep(RETRY_S * attempt)
    raise Conflict(f"{name} changes faster than it can be read; back up while less is going on")


class _Moved(Exception):
    """The epoch is not known any more that stood at the revision which is copied."""


async def _header(store: Store, clock: Clock, name: str, *, revision: int) -> BackupHeader:
    items = (await store.read([EPOCH])).items
    if not items:
        raise Invalid("store", name, "it has no epoch; it was never set up")
    if items[0].mod_revision > revision:
        raise _Moved
    epoch = entry_of(StoreEpoch, EPOCH, items[0]).required
    return BackupHeader(
        schema=epoch.v,
        store=name,
        revision=revision,
        epoch=epoch.epoch,
        state=epoch.state,
        made_ms=clock.now_ms(),
    )
