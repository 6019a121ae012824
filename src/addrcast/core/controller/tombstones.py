"""Duty: forget deleted instances once no late message of theirs can arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.keyspace import parts_of
from addrcast.core.domain.transitions import Draft, end_of_tombstone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.controller.territory import Territory
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.propagation.stamps import FutureStamps


def ended_tombstones(
    ledger: Ledger, stamps: FutureStamps, *, territory: Territory, tombstone_ms: int, now_ms: int
) -> Iterator[Draft]:
    """The tombstones of a territory whose time is over, oldest first.

    They come in the order in which they were written, so the first one that lives ends the search, unless its
    stamp was ahead of this clock.
    """
    for entry in ledger.tombstones():
        if not territory.has(parts_of(entry.key).first):
            continue
        since_ms = stamps.capped_ms(entry.key, entry.revision, entry.required.since_ms, now_ms)
        if since_ms + tombstone_ms <= now_ms:
            yield end_of_tombstone(ledger.epoch, entry)
        elif entry.key not in stamps:
            return
