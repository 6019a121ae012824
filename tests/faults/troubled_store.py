"""A store that writes down which of its calls failed: services mend most of it out of their callers' sight."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.faults.history import Lines, Trouble, now_ns

from addrcast.core.domain.errors import AddrcastError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from addrcast.core.domain.transaction import Change, Page, Result, Transaction
    from addrcast.ports.store import Store


class TroubledStore:
    """The store port over another store, changing nothing."""

    def __init__(self, store: Store, lines: Lines[Trouble]) -> None:
        self._store = store
        self._lines = lines

    async def read(self, keys: Sequence[str]) -> Page:
        with self._told("read"):
            return await self._store.read(keys)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        with self._told("scan"):
            return await self._store.scan(prefix, after=after, limit=limit, revision=revision)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        with self._told("commit"):
            return await self._store.commit(transactions)

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        with self._told("watch"):
            async for change in self._store.watch(prefixes, after_revision=after_revision):
                yield change

    async def compact(self, revision: int) -> None:
        with self._told("compact"):
            await self._store.compact(revision)

    async def grant(self, *, ttl_ms: int) -> int:
        with self._told("grant"):
            return await self._store.grant(ttl_ms=ttl_ms)

    async def keep_alive(self, lease: int) -> None:
        with self._told("keep_alive"):
            await self._store.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        with self._told("revoke"):
            await self._store.revoke(lease)

    async def close(self) -> None:
        await self._store.close()

    @contextmanager
    def _told(self, call: str) -> Iterator[None]:
        try:
            yield
        except AddrcastError as error:
            line = Trouble(at_ns=now_ns(), call=call, error=type(error).__name__, said=str(error))
            self._lines.write(line)
            raise
