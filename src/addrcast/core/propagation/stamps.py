"""Stamps of writers whose clocks differ: what lies in the future is capped, and flagged."""

from __future__ import annotations


class FutureStamps:
    """Remembers stamps that were ahead of this clock by more than clocks may differ.

    Such a stamp counts as written when it was first seen, so that a writer whose clock was a year ahead does not
    hold an address for a year. Only offending keys take memory, until `forget`.
    """

    __slots__ = ("_seen", "_skew_max_ms")

    def __init__(self, *, skew_max_ms: int) -> None:
        self._skew_max_ms = skew_max_ms
        self._seen: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, key: str) -> bool:
        return key in self._seen

    def capped_ms(self, key: str, revision: int, since_ms: int, now_ms: int) -> int:
        """The stamp of a key's present revision, not later than when it was first seen here."""
        seen = self._seen.get(key)
        if seen is not None and seen[0] == revision:
            return seen[1]
        if since_ms <= now_ms + self._skew_max_ms:
            self._seen.pop(key, None)
            return since_ms
        self._seen[key] = (revision, now_ms)
        return now_ms

    def forget(self, key: str) -> None:
        """The key is gone."""
        self._seen.pop(key, None)
