"""What callers are told: the addresses of an instance and how each was had, or what was released."""

from __future__ import annotations

import msgspec

from addrcast.core.domain.record import Entry, Outcome, Record

CAUSES = {
    Outcome.PRESERVED: "the instance had it before, and it was preserved for the account",
    Outcome.SHADOW: "it was held ready for the account on this host; nothing had to change anywhere",
    Outcome.REBOUND: "it was held ready for the account on another host and moved here",
    Outcome.DYNAMIC: "nothing was held ready for the account, so a free address was taken",
}


class Placed(msgspec.Struct, frozen=True, gc=False):
    """One address of an instance; hosts need what stands at `placed_revision` to deliver to it."""

    logical: str
    physical: str
    host: str
    outcome: Outcome
    placed_revision: int

    @property
    def cause(self) -> str:
        """The outcome in words."""
        return CAUSES[self.outcome]


class Created(msgspec.Struct, frozen=True, gc=False):
    """The addresses of an instance, bound at `revision`; `is_repeat` where they were bound before this request."""

    account: str
    instance: str
    attempt: int
    addresses: tuple[Placed, ...]
    revision: int
    is_repeat: bool = False


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """An instance is gone, as of `revision`; `is_change` tells whether this request released anything."""

    account: str
    instance: str
    attempt: int
    addresses: tuple[str, ...]
    revision: int
    is_change: bool


Answer = Created | Deleted


def placed(logical: str, record: Entry[Record], outcome: Outcome) -> Placed:
    """What a bound record tells of an address."""
    value = record.required
    return Placed(logical, value.physical, value.host, outcome, value.placed_revision or record.revision)
