"""The clock port: what time it is, and waiting for a time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Milliseconds since the epoch, UTC; `core` gets times as arguments and never sees this."""

    def now_ms(self) -> int:
        """The present time; it may jump, forth and back."""
        ...

    async def sleep_until(self, when_ms: int) -> None:
        """Return once the present time is `when_ms` or later."""
        ...
