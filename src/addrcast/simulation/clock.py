"""A clock that moves only when it is told to."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count


class VirtualClock:
    """The clock port in virtual time; sleepers wake in the order of their times."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_ms(self) -> int:
        """See the port."""
        return self._now_ms

    async def sleep_until(self, when_ms: int) -> None:
        """See the port."""
        if when_ms <= self._now_ms:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (when_ms, next(self._order), future))
        await future

    def advance_to(self, now_ms: int) -> None:
        """Move to a time, never back, and wake who slept until then."""
        self._now_ms = max(self._now_ms, now_ms)
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            future = heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)
