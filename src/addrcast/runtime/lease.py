"""A lease that is kept alive while a block runs, and the end of which is noticed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from addrcast.core.domain.errors import AddrcastError, Stale, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from addrcast.ports.store import Store

TTL_MS = 5000
_KEEP_ALIVES_PER_TTL = 3


class Lease:
    """A lease of the store. It can be over before its holder notices, and the other way round."""

    def __init__(self, number: int, keeping: asyncio.Task[None]) -> None:
        self.number = number
        self._keeping = keeping

    @property
    def is_lost(self) -> bool:
        """Whether the end of the lease has been noticed."""
        return self._keeping.done()

    async def lost(self) -> None:
        """Wait until the lease is over, or may be as far as can be known from here."""
        await asyncio.wait([self._keeping])


@asynccontextmanager
async def leased(store: Store, *, ttl_ms: int = TTL_MS) -> AsyncIterator[Lease]:
    """Keep a new lease alive inside the block, end it when it is left.

    A server may let it live longer than `ttl_ms` (etcd begins its time anew when another member leads); the holder
    counts from the last time that it was kept alive for sure. The block is not interrupted when the lease is over.
    Raises Unavailable where the store does not grant one.
    """
    deadline = asyncio.get_running_loop().time() + ttl_ms / 1000
    number = await store.grant(ttl_ms=ttl_ms)
    keeping = asyncio.create_task(_keep_alive(store, number, ttl_ms / 1000, deadline), name=f"lease {number}")
    try:
        yield Lease(number, keeping)
    finally:
        try:
            await stopped(keeping)
        finally:
            with suppress(AddrcastError):  # then the lease ends by itself
                await store.revoke(number)


async def _keep_alive(store: Store, lease: int, ttl_s: float, deadline: float) -> None:
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


async def stopped(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until all have ended; what one raised of itself is raised here."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def first_of(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all until the first is over, then stop the others; what one raised is raised here."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await stopped(*tasks)
