"""The transitions that give addresses to an instance; they compose, since a create may take several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from addrcast.core.domain.keyspace import HOSTS, PHYSICALS, RECORDS
from addrcast.core.domain.record import (
    AddressState,
    Entry,
    HoldState,
    Host,
    InstanceEntry,
    InstanceState,
    Outcome,
    PhysicalHold,
    Record,
    StoreEpoch,
    Subscription,
    Value,
)
from addrcast.core.domain.transitions import Draft, FreeAddress, expect, free_record, mirroring, stamp, take

if TYPE_CHECKING:
    from collections.abc import Sequence


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Who takes an address: an instance of an account, in one of its attempts, by a request, at a time."""

    account: str
    instance: str
    attempt: int
    now_ms: int
    request: str = ""


class Move(msgspec.Struct, frozen=True, gc=False):
    """Where a record moves, as read: the physical address it leaves, the free one it takes, and that one's host."""

    old: Entry[PhysicalHold]
    new: Entry[PhysicalHold]
    host: Entry[Host]


class Step(msgspec.Struct, frozen=True, gc=False):
    """One address's share of a create: what it compares and writes, and the outcome it brings."""

    logical: str
    outcome: Outcome
    value: Record
    compares: tuple[Entry[Any], ...]
    writes: tuple[tuple[Entry[Any], Value | None], ...]

    @property
    def is_placing(self) -> bool:
        """Whether the address is placed anew, so that every host has to be told."""
        return self.value.placed_revision == 0


def bind(record: Entry[Record], claim: Claim, outcome: Outcome) -> Step:
    """A reserved or preserved address goes to an instance where it is; nothing changes on any host."""
    value = expect(record, AddressState.RESERVED, AddressState.PRESERVED)
    bound = _bound(value, claim, placed_revision=value.placed_revision or record.revision)
    return Step(_logical(record, claim), outcome, bound, (record,), ((record, bound),))


def repeat(record: Entry[Record], claim: Claim, outcome: Outcome) -> Step:
    """A bound address of the same instance takes a higher attempt, so that deletes of older ones miss it."""
    value = expect(record, AddressState.BOUND)
    bound = _bound(value, claim, placed_revision=value.placed_revision or record.revision)
    return Step(_logical(record, claim), outcome, bound, (record,), ((record, bound),))


def rebind(record: Entry[Record], move: Move, claim: Claim, outcome: Outcome) -> Step:
    """An address held ready on another host goes to an instance and moves; the physical it leaves must cool.

    R is the lock of the physical it leaves, so that one is not compared. A bound record of the same instance moves
    too, when a higher attempt is placed on another host.
    """
    expect(record, AddressState.RESERVED, AddressState.PRESERVED, AddressState.BOUND)
    return _moved(record, move, claim, outcome)


def dynamic(free: FreeAddress, claim: Claim) -> Step:
    """A free pair goes to an instance at once: the fallback where nothing was held ready."""
    first = free_record(free, AddressState.BOUND, now_ms=claim.now_ms, request=claim.request)
    bound = _bound(first, claim, placed_revision=0)
    draft = take(free, bound)
    return Step(_logical(free.record, claim), Outcome.DYNAMIC, bound, draft.compares, draft.writes)


def early_return(record: Entry[Record], claim: Claim, outcome: Outcome, move: Move | None = None) -> Step:
    """A cooling address goes back to its own account, on its host or by a move to another.

    Hosts took the entry out when the record began to cool, so it counts as placed anew even where it stays.
    """
    value = expect(record, AddressState.COOLING)
    if move is not None:
        return _moved(record, move, claim, outcome)
    bound = _bound(value, claim, placed_revision=0)
    return Step(_logical(record, claim), outcome, bound, (record,), ((record, bound),))


def create(
    epoch: Entry[StoreEpoch],
    instance: Entry[InstanceEntry],
    claim: Claim,
    steps: Sequence[Step],
    *,
    subscription: Entry[Subscription] | None = None,
) -> Draft:
    """One transaction for all addresses of an instance: several R and P, one I.

    `subscription` is that of the host the instance goes to, None where the caller has just written it. Unless it
    stands it is written with the binding; where something is placed on the host it is compared, so that no bound
    record is ever without one. What is bound where it lay needs no compare: a host with its record does not leave.
    """
    before = instance.value
    bound = InstanceEntry(
        state=InstanceState.BOUND,
        attempt=claim.attempt,
        since_ms=claim.now_ms if before is None else stamp(claim.now_ms, before.since_ms),
        addresses=tuple([step.logical for step in steps]),
        outcomes=tuple([step.outcome for step in steps]),
        request=claim.request,
    )
    compares: tuple[Entry[Any], ...] = (epoch, instance)
    writes: tuple[tuple[Entry[Any], Value | None], ...] = ((instance, bound),)
    for step in steps:
        compares += step.compares
        writes += step.writes
    if len(steps) > 1:  # addresses of one pool or host compare it once
        compares = tuple({entry.key: entry for entry in compares}.values())
    if subscription is not None:
        if subscription.value is None or not subscription.value.stands:
            compares += (subscription,)
            writes += mirroring(subscription)
        elif any(step.is_placing for step in steps):
            compares += (subscription,)
    return Draft(compares, writes)


def _moved(record: Entry[Record], move: Move, claim: Claim, outcome: Outcome) -> Step:
    logical = _logical(record, claim)
    bound = msgspec.structs.replace(
        _bound(record.required, claim, placed_revision=0),
        physical=move.new.key[len(PHYSICALS) :],
        host=move.host.key[len(HOSTS) :],
    )
    held = PhysicalHold(
        state=HoldState.HELD, account=claim.account, logical=logical, host=bound.host, since_ms=claim.now_ms
    )
    left = PhysicalHold(
        state=HoldState.COOLING,
        account=claim.account,
        logical=logical,
        host=record.required.host,
        # a view that saw the record ahead of the watch may not have seen its hold yet
        since_ms=stamp(claim.now_ms, move.old.value.since_ms if move.old.value is not None else 0),
    )
    compares = (record, move.new, move.host)
    return Step(logical, outcome, bound, compares, ((record, bound), (move.new, held), (move.old, left)))


def _bound(value: Record, claim: Claim, *, placed_revision: int) -> Record:
    return Record(
        state=AddressState.BOUND,
        physical=value.physical,
        host=value.host,
        pool=value.pool,
        since_ms=stamp(claim.now_ms, value.since_ms),
        instance=claim.instance,
        attempt=claim.attempt,
        placed_revision=placed_revision,
        was_bound=True,
        is_shared=value.is_shared,
        request=claim.request,
    )


def _logical(record: Entry[Record], claim: Claim) -> str:
    return record.key[len(RECORDS) + len(claim.account) + 1 :]
