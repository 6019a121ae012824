"""Virtual time: what happens when, in one order, and a digest of all of it."""

from __future__ import annotations

import hashlib
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LINES_KEPT = 4_000


class Timeline:
    """Owns the virtual clock and the queue of what is to happen; at equal times the first that was put goes first.

    `note` adds a line to the digest, so that two runs with one digest went the same way step by step; the last
    lines are kept for whoever looks into a run that broke.
    """

    def __init__(self) -> None:
        self.now_ms = 0
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The digest of all lines so far."""
        return self._digest.hexdigest()

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Let something happen in `delay_ms`, at least 0."""
        self._count += 1
        heappush(self._queue, (self.now_ms + max(0, delay_ms), self._count, act))

    def run_until(self, end_ms: int) -> None:
        """Let happen all that is due by then."""
        while self._queue and self._queue[0][0] <= end_ms:
            self.now_ms, _, act = heappop(self._queue)
            act()
        self.now_ms = end_ms

    def note(self, who: str, what: str) -> None:
        """Remember that something happened now."""
        line = f"{self.now_ms} {who}: {what}"
        self.lines.append(line)
        self._digest.update(line.encode())
