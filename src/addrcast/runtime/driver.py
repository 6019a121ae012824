"""What every service has in common: the machine's clock, and waiting for an event or a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from addrcast.ports.clock import Clock

T = TypeVar("T")

SLEEP_MAX_S = 60.0


class SystemClock:
    """The clock port on this machine's clock."""

    def now_ms(self) -> int:
        """See the port."""
        return time.time_ns() // 1_000_000

    async def sleep_until(self, when_ms: int) -> None:
        """See the port."""
        while (left_ms := when_ms - self.now_ms()) > 0:  # noqa: ASYNC110 - nothing tells when a clock is set
            await asyncio.sleep(min(left_ms / 1000, SLEEP_MAX_S))


async def next_event(events: asyncio.Queue[T], clock: Clock, deadline_ms: int | None) -> T | None:
    """The next event, or None once the deadline is reached; an event that is there already comes first."""
    if not events.empty():
        return events.get_nowait()
    if deadline_ms is None:
        return await events.get()
    getting = asyncio.ensure_future(events.get())
    sleeping = asyncio.ensure_future(clock.sleep_until(deadline_ms))
    try:
        await asyncio.wait({getting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        sleeping.cancel()
        getting.cancel()
