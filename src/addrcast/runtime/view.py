"""A ledger kept by a snapshot and a watch, for every role that decides on what the store holds."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.keyspace import ELECTIONS, HOSTS_ALIVE, VALUE_TYPES
from addrcast.core.domain.ledger import Ledger
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import KeyValue
    from addrcast.ports.store import Store

# all kinds of keys, so that the view comes to every revision; a ledger passes over elections
PREFIXES = tuple(sorted({*VALUE_TYPES, HOSTS_ALIVE, ELECTIONS}))
PAGE_ITEMS = 10_000


async def scan_all(store: Store, prefixes: tuple[str, ...], *, revision: int = 0) -> tuple[int, list[KeyValue]]:
    """Everything under some prefixes at one revision (0: the newest), and that revision.

    Raises: Compacted where that state is gone before the last page.
    """
    items: list[KeyValue] = []
    for prefix in prefixes:
        after, has_more = "", True
        while has_more:
            page = await store.scan(prefix, after=after, limit=PAGE_ITEMS, revision=revision)
            items += page.items
            revision, has_more = page.revision, page.has_more
            after = page.items[-1].key if page.items else after
    return revision, items


class LedgerView:
    """Owns a Ledger and the task that keeps it at the store's heels.

    `ledger` is another object after the watch was compacted: ask for it anew after every await. While the store
    is away it stands still; what is decided on it then fails its compares. A failure that is not the store's being
    away ends the task: `wait_revision` and `changed` raise it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ledger: Ledger | None = None
        self._task: asyncio.Task[None] | None = None
        self._moved: asyncio.Event | None = None

    @property
    def ledger(self) -> Ledger:
        """The view as it stands; `start` must have come back."""
        if self._ledger is None:
            raise Unavailable("the view of the store is not read yet", retry_after_ms=1_000)
        return self._ledger

    async def start(self) -> None:
        """Read a snapshot and follow the store from there. Raises Unavailable."""
        await self._read()
        self._task = asyncio.create_task(self._follow(), name="ledger view")

    async def stop(self) -> None:
        """End the following; the ledger stays as it is."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait_revision(self, revision: int) -> Ledger:
        """The ledger, once it has come to `revision`; an end of waiting is the caller's to set."""
        while self.ledger.revision < revision:
            await self.changed()
        return self.ledger

    async def changed(self) -> Ledger:
        """The ledger, once it has moved from where it stands now."""
        if self._moved is None:
            self._moved = asyncio.Event()
        moved = asyncio.ensure_future(self._moved.wait())
        tasks: list[asyncio.Future[Any]] = [moved] if self._task is None else [moved, self._task]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()
        if self._task is not None and self._task.done():
            self._task.result()
        return self.ledger

    async def _read(self) -> None:
        while True:
            with suppress(Compacted):
                revision, items = await scan_all(self._store, PREFIXES)
                found = Ledger.from_items(items, revision)
                if self._ledger is None or moment_of(found) >= moment_of(self._ledger):
                    self._ledger = found
                    self._tell()
                    return
                raise Unavailable("a snapshot is older than what is known", retry_after_ms=1_000)

    async def _follow(self) -> None:
        is_whole = True
        while True:
            try:
                if not is_whole:
                    await self._read()
                    is_whole = True
                async with aclosing(self._store.watch(PREFIXES, after_revision=self.ledger.revision)) as changes:
                    async for change in changes:
                        if self.ledger.is_undone_by(change):
                            raise _Undone
                        self.ledger.apply(change)
                        self._tell()
                raise Unavailable("the watch ended with its store", retry_after_ms=1_000)
            except (Compacted, _Undone):
                is_whole = False
            except Unavailable as away:
                await asyncio.sleep(away.retry_after_ms / 1000)

    def _tell(self) -> None:
        if self._moved is not None:
            self._moved.set()
            self._moved = None


class _Undone(Exception):
    """The view is to be read anew, since the store was restored."""


def moment_of(ledger: Ledger) -> tuple[int, int]:
    """When a view was the store's state: after a restore revisions are those of the backup, in a higher epoch."""
    epoch = ledger.epoch.value
    return (epoch.epoch if epoch is not None else 0, ledger.revision)
