"""Whether every host delivers to an address where its record says."""

from __future__ import annotations

from dataclasses import dataclass

from addrcast.core.domain.record import AddressState, Entry, Record
from addrcast.core.propagation.audience import Audience, Wait


@dataclass(frozen=True, slots=True)
class Readiness:
    """The hosts that an address still waits for, and those that are left out since they are lost or removed."""

    waits: tuple[Wait, ...]
    left_out: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        """Nobody is waited for."""
        return not self.waits


def placed_revision(record: Entry[Record]) -> int:
    """The revision of the last change of the record's physical address or host."""
    return record.required.placed_revision or record.revision


def readiness(record: Entry[Record], audience: Audience) -> Readiness:
    """Compare what the account's hosts acknowledged with the revision that placed the address.

    The bind itself does not matter: a shadow is ready at once, since its placement is older than its instance. A
    cooling address is ready nowhere.
    """
    value = record.required
    if value.state is AddressState.COOLING:
        return Readiness((Wait(value.host, record.revision),), audience.left_out)
    return readiness_at(value.host, placed_revision(record), audience)


def readiness_at(host: str, placed: int, audience: Audience) -> Readiness:
    """Compare with the revision that placed addresses on `host`, which is waited for even before it subscribes."""
    waits = audience.behind(placed)
    if not audience.has(host):
        waits = (*waits, Wait(host, placed))
    return Readiness(waits, audience.left_out)
