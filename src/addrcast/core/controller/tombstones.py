"""Duty: forget deleted instances once no late message of theirs can arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.transitions import Draft, end_of_tombstone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.propagation.stamps import FutureStamps


def ended_tombstones(ledger: Ledger, stamps: FutureStamps, *, tombstone_ms: int, now_ms: int) -> Iterator[Draft]:
    """The tombstones whose time is over, oldest first.

    They come in the order in which they were written, so the first one that lives ends the search, unless its
    stamp was ahead of this clock.
    """
    for entry in ledger.tombstones():
        since_ms = stamps.capped_ms(entry.key, entry.revision, entry.required.since_ms, now_ms)
        if since_ms + tombstone_ms <= now_ms:
            yield end_of_tombstone(ledger.epoch, entry)
        elif entry.key not in stamps:
            return
