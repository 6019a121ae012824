"""What can be decided for a request, and what a decision looks at."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from addrcast.core.assignment.answer import Answer
from addrcast.core.assignment.candidates import Candidates
from addrcast.core.assignment.request import Request
from addrcast.core.assignment.scarcity import Wait
from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.record import AddressState, Entry, EpochState, InstanceEntry, InstanceState, Record
from addrcast.core.domain.transitions import Draft
from addrcast.core.domain.transitions_create import Step

CLOSED_RETRY_MS = 1_000


class Situation(msgspec.Struct, frozen=True, gc=False):
    """What a decision looks at.

    `has_looked` tells that the ledger was brought up to the store after the request arrived. `mine` and `others`
    are the cooling keys that this request and others wait for.
    """

    candidates: Candidates
    now_ms: int
    has_looked: bool = True
    mine: Collection[str] = ()
    others: Collection[str] = ()


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """A transaction that carries a request out if its compares hold; its keys are taken until it is settled.

    `number` is the attempt of the instance that it leaves behind, `addresses` what a delete releases.
    """

    request: Request
    number: int
    draft: Draft
    steps: tuple[Step, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The keys it writes."""
        return [entry.key for entry, _ in self.draft.writes]


class Look(msgspec.Struct, frozen=True):
    """The view is not known to be as new as the request: ask again once it has been brought up to the store."""


class Held(msgspec.Struct, frozen=True):
    """An attempt in flight writes a key that this request needs: ask again once it is settled."""


Decision = Attempt | Answer | Look | Held | Wait


def check_epoch(situation: Situation, *states: EpochState) -> None:
    """Raise Unavailable unless the store takes this kind of request now."""
    epoch = situation.candidates.ledger.epoch.value
    if epoch is None:
        raise Unavailable("the store is not set up", retry_after_ms=CLOSED_RETRY_MS)
    if epoch.state not in states:
        move = situation.candidates.ledger.move.value
        where = f" and moves to {move.target}" if move is not None and move.target else ""
        raise Unavailable(f"the store is {epoch.state.value}{where}", retry_after_ms=CLOSED_RETRY_MS)


def records_of(situation: Situation, request: Request, entry: InstanceEntry | None) -> list[Entry[Record]] | None:
    """The records of a bound instance, none of any other; None where the view has them of another moment."""
    if entry is None or entry.state is InstanceState.TOMBSTONE:
        return []
    ledger = situation.candidates.ledger
    records = [ledger.record(request.account, logical) for logical in entry.addresses]
    is_whole = all(
        record.value is not None
        and record.value.state is AddressState.BOUND
        # one that was learnt ahead of the watch may be somebody else's by now
        and (record.value.instance, record.value.attempt) == (request.instance, entry.attempt)
        for record in records
    )
    return records if is_whole else None
