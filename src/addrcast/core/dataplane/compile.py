"""Records into table entries: which states of an address are translated."""

from __future__ import annotations

from addrcast.core.domain.record import AddressState, Record

# A reserved address is translated before anyone asks for it: that is the whole point of a shadow. A preserved one
# stays, since its instance may come back. A cooling one goes at once: cooling is the wait for exactly that.
_MAPPED = frozenset({AddressState.RESERVED, AddressState.BOUND, AddressState.PRESERVED})


def mapped_physical(record: Record) -> str | None:
    """The physical address a record's logical one is translated to; None where it must not be translated."""
    return record.physical if record.state in _MAPPED else None
