"""What an agent asked of the store and has to ask again, after a pause that grows while the store is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addrcast.core.agent.messages import Request
    from addrcast.core.dataplane.unapplied import Backoff


class Requests:
    """Requests that wait for another try."""

    __slots__ = ("_backoff", "_failures", "_later")

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failures = 0
        self._later: list[tuple[int, Request]] = []

    def answered(self) -> None:
        """The store is there."""
        self._failures = 0

    def failed(self, now_ms: int) -> int:
        """The store did not answer; when to ask it again."""
        self._failures += 1
        return now_ms + self._backoff.pause_ms(self._failures)

    def later(self, request: Request, due_ms: int) -> None:
        """Ask at that time."""
        self._later.append((due_ms, request))

    def take(self, now_ms: int) -> list[Request]:
        """What is due, in the order it was put off."""
        due = [request for due_ms, request in self._later if due_ms <= now_ms]
        self._later = [(due_ms, request) for due_ms, request in self._later if due_ms > now_ms]
        return due

    def clear(self) -> None:
        """Nothing that was asked matters any more."""
        self._later.clear()

    def deadline_ms(self) -> int | None:
        """When the next one is due."""
        return min((due_ms for due_ms, _ in self._later), default=None)
