"""Who leads: a key under a lease on any store, watched by those who wait, and the fence for a leader's writes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import AddrcastError, OutcomeUnknown, Stale, Unavailable
from addrcast.core.domain.keyspace import election_key
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from addrcast.ports.store import Store

TTL_MS = 5000
_KEEP_ALIVES_PER_TTL = 3
_RETRY_S = 0.2


class Leadership:
    """A term of leading.

    A term can be over before its holder notices, so `is_lost` protects nothing: every write of the leader carries
    `fence` among its compares, and is refused once this term has ended.
    """

    def __init__(self, fence: Compare) -> None:
        self.fence = fence
        self._end = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        """Whether the end of the term has been noticed."""
        return self._end.is_set()

    async def lost(self) -> None:
        """Wait until the end of the term is noticed."""
        await self._end.wait()

    def end(self) -> None:
        """Note that the term is over."""
        self._end.set()


@asynccontextmanager
async def leadership(store: Store, name: str, *, candidate: str, ttl_ms: int = TTL_MS) -> AsyncIterator[Leadership]:
    """Wait until `candidate` leads the election `name`, lead inside the block, resign when it is left.

    The block is not interrupted when the term is lost; it watches `lost()`. Raises Unavailable where the store
    cannot be reached before the term begins.
    """
    key = election_key(name)
    loop = asyncio.get_running_loop()
    while True:
        await _vacancy(store, key)
        deadline = loop.time() + ttl_ms / 1000
        lease = await store.grant(ttl_ms=ttl_ms)
        try:
            fence = await _claim(store, key, candidate, lease)
            if fence is None:
                continue
            term = Leadership(fence)
            guard = asyncio.create_task(_guard(store, term, lease, ttl_ms / 1000, deadline))
            try:
                yield term
            finally:
                await _stop(guard)
            return
        finally:
            with suppress(AddrcastError):  # then the lease ends by itself
                await store.revoke(lease)


async def _vacancy(store: Store, key: str) -> None:
    """Wait until nobody holds the key."""
    while True:
        page = await store.read([key])
        if not page.items:
            return
        await _change_of(store, key, page.revision)


async def _claim(store: Store, key: str, candidate: str, lease: int) -> Compare | None:
    """Put the key if nobody did; the fence where it now hangs on our lease, None where another was first."""
    claim = Transaction((Compare(key, 0),), (Put(key, candidate.encode(), lease),))
    while True:
        try:
            (result,) = await store.commit([claim])
        except OutcomeUnknown:  # asking again is safe: our own key is known by its lease
            await asyncio.sleep(_RETRY_S)
            continue
        except Stale:  # the lease ended meanwhile, and the key with it
            return None
        if result.is_success:
            return Compare(key, result.revision)
        (holder,) = result.current
        if holder is not None and holder.lease == lease:
            return Compare(key, holder.mod_revision)
        return None


async def _guard(store: Store, term: Leadership, lease: int, ttl_s: float, deadline: float) -> None:
    """End the term when the lease is over or the key is no longer ours."""
    tasks = [
        asyncio.create_task(_keep_alive(store, lease, ttl_s, deadline)),
        asyncio.create_task(_overthrow(store, term.fence)),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        term.end()
        for task in tasks:
            await _stop(task)


async def _keep_alive(store: Store, lease: int, ttl_s: float, deadline: float) -> None:
    """Keep a lease alive; returns when it is over, or may be as far as can be known from here."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(ttl_s / _KEEP_ALIVES_PER_TTL)
        begin = loop.time()
        try:
            async with asyncio.timeout_at(deadline):
                await store.keep_alive(lease)
        except Stale:
            return
        except (Unavailable, TimeoutError):
            if loop.time() >= deadline:
                return
        else:
            deadline = begin + ttl_s


async def _overthrow(store: Store, fence: Compare) -> None:
    """Wait until something else stands at the key than what the fence names."""
    while True:
        try:
            page = await store.read([fence.key])
            if [item.mod_revision for item in page.items] != [fence.revision]:
                return
            await _change_of(store, fence.key, page.revision)
        except Unavailable:  # the lease decides how long that may last
            await asyncio.sleep(_RETRY_S)


async def _change_of(store: Store, key: str, after_revision: int) -> None:
    """Wait until a key changes, or until that can no longer be told."""
    with suppress(Compacted):
        async with aclosing(store.watch([key], after_revision=after_revision)) as changes:
            async for change in changes:
                # longer names begin with this one
                if any(event.key == key for event in change.events):
                    return


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; what it raised of itself is raised here."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
