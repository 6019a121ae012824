"""A store that counts what is under way, so that virtual time moves on only when real work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.runtime.view import PREFIXES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from addrcast.core.domain.transaction import Change, Page, Result, Transaction
    from addrcast.ports.store import Store


class CountedStore:
    """The store port over another store. `revision` is the newest that a view of the ledger will come to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way = 0
        self.revision = 0

    @property
    def is_quiet(self) -> bool:
        """Whether no request is under way."""
        return self._under_way == 0

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """See the port."""
        self._under_way += 1
        try:
            results = await self._store.commit(transactions)
        finally:
            self._under_way -= 1
        for transaction, result in zip(transactions, results, strict=True):
            if result.is_success and any(write.key.startswith(PREFIXES) for write in transaction.writes):
                self.revision = max(self.revision, result.revision)
        return results

    async def read(self, keys: Sequence[str]) -> Page:
        """See the port."""
        self._under_way += 1
        try:
            return await self._store.read(keys)
        finally:
            self._under_way -= 1

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See the port."""
        self._under_way += 1
        try:
            return await self._store.scan(prefix, after=after, limit=limit, revision=revision)
        finally:
            self._under_way -= 1

    def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """See the port."""
        return self._store.watch(prefixes, after_revision=after_revision)

    async def compact(self, revision: int) -> None:
        """See the port."""
        await self._store.compact(revision)

    async def grant(self, *, ttl_ms: int) -> int:
        """See the port."""
        return await self._store.grant(ttl_ms=ttl_ms)

    async def keep_alive(self, lease: int) -> None:
        """See the port."""
        await self._store.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        """See the port."""
        await self._store.revoke(lease)

    async def close(self) -> None:
        """See the port."""
        await self._store.close()
