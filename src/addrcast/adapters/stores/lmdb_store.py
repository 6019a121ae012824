"""The embedded store: the store port on LMDB, for the processes of one machine, without a server."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import lmdb

from addrcast.adapters.stores.lmdb_environment import MAP_BYTES, Environment
from addrcast.adapters.stores.lmdb_lease import first_deadline
from addrcast.adapters.stores.lmdb_read import read_changes, read_keys, read_range
from addrcast.adapters.stores.lmdb_signal import ChangeSignal
from addrcast.adapters.stores.lmdb_write import Writing
from addrcast.adapters.stores.lmdb_writer import GroupWriter, Settings
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.transaction import Change, KeyValue, Page
from addrcast.ports.store import PROGRESS_REVISIONS, check_key, check_range, check_transactions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from addrcast.core.domain.transaction import Result, Transaction

T = TypeVar("T")

KEEP_REVISIONS = 250_000
SWEEP_MS = 500
_SCAN_CHUNK = 2000


def wall_clock_ms() -> int:
    """Leases outlive the process that wrote them, so their deadlines are by the wall clock."""
    return time.time_ns() // 1_000_000


class LmdbStore:
    """See Store. Made by `open`, used in the event loop it was opened in; never carried over a fork.

    Reads run in the event loop: they take no lock of LMDB's and copy from mapped memory, 2,000 keys at a time.
    """

    def __init__(self, env: Environment, settings: Settings) -> None:
        self._env = env
        self._signal = ChangeSignal(env.directory)
        self._writer = GroupWriter(env, settings, on_commit=self._signal.ring)
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        directory: str | Path,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        keep_revisions: int = KEEP_REVISIONS,
        sweep_ms: int = SWEEP_MS,
        map_bytes: int = MAP_BYTES,
    ) -> LmdbStore:
        """Open the store in a directory, and create it there.

        The log keeps at least `keep_revisions`; leases that are due are looked for every `sweep_ms`, and those that
        ran out while no process had the store open are over before this returns; the map begins with `map_bytes`
        and grows by itself. Raises Invalid for another format, or a store that this process has open already.
        """
        env = await asyncio.to_thread(Environment, Path(directory), map_bytes=map_bytes)
        store = cls(env, Settings(now_ms, keep_revisions, sweep_ms / 1000))
        await store._end_overdue(now_ms())
        return store

    async def read(self, keys: Sequence[str]) -> Page:
        """See Store."""
        for key in keys:
            check_key(key)
        return await self._read(partial(read_keys, tables=self._env.tables, keys=keys))

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See Store."""
        check_range(prefix, after)
        items: list[KeyValue] = []
        while True:
            count = min(_SCAN_CHUNK, limit - len(items)) if limit else _SCAN_CHUNK
            view = partial(
                read_range, tables=self._env.tables, prefix=prefix, after=after, limit=count, revision=revision
            )
            page = await self._read(view)
            items += page.items
            if not page.has_more or len(items) == limit:
                return Page(page.revision, tuple(items), page.has_more)
            after, revision = items[-1].key, page.revision
            await asyncio.sleep(0)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """See Store."""
        leases = check_transactions(transactions)
        act = partial(Writing.commit, transactions=transactions, leases=leases)
        return await self._submit(act, size=len(transactions))

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """See Store."""
        self._check_open()
        told = passed = after_revision
        with self._signal.listening():
            while not self._is_closed:
                event = self._signal.next()
                view = partial(
                    read_changes,
                    tables=self._env.tables,
                    prefixes=tuple(prefixes),
                    after_revision=passed,
                    limit=PROGRESS_REVISIONS,
                )
                changes, passed, newest = await self._read(view)
                if not changes and passed >= told + PROGRESS_REVISIONS:
                    changes = [Change(passed, ())]
                for change in changes:
                    told = change.revision
                    yield change
                await (event.wait() if passed >= newest else asyncio.sleep(0))

    async def compact(self, revision: int) -> None:
        """See Store."""
        await self._submit(partial(Writing.compact, revision=revision))

    async def grant(self, *, ttl_ms: int) -> int:
        """See Store."""
        if ttl_ms <= 0:
            raise Invalid("ttl_ms", ttl_ms, "a lease lasts at least 1 ms")
        return await self._submit(partial(Writing.grant, ttl_ms=ttl_ms))

    async def keep_alive(self, lease: int) -> None:
        """See Store."""
        await self._submit(partial(Writing.keep_alive, lease=lease))

    async def revoke(self, lease: int) -> None:
        """See Store."""
        await self._submit(partial(Writing.revoke, lease=lease))

    async def close(self) -> None:
        """See Store; work that was begun is carried out first."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.stop()
        self._signal.close()
        self._env.close()

    async def _end_overdue(self, now_ms: int) -> None:
        """End what ran out before this process came: whoever looks at once must not take it for alive."""
        with suppress(Unavailable):  # a store that cannot be written is opened all the same; the sweep tries again
            first = await self._read(partial(first_deadline, tables=self._env.tables))
            if first is not None and first[0] <= now_ms:
                await self._writer.submit(Writing.expire)

    def _submit(self, act: Callable[[Writing], T], *, size: int = 1) -> asyncio.Future[T]:
        self._check_open()
        return self._writer.submit(act, size=size)

    async def _read(self, view: Callable[[lmdb.Transaction[bytes]], T]) -> T:
        while True:
            self._check_open()
            try:
                with self._env.reading() as txn:
                    return view(txn)
            except lmdb.MapResizedError:
                # only the writing thread may follow the growth
                await self._writer.submit(Writing.expire)
            except lmdb.Error as error:
                raise Unavailable(f"LMDB: {error}", retry_after_ms=1000) from None

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable(f"the store {self._env.directory} is closed", retry_after_ms=1000)
