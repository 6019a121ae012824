"""The transitions of a store as a whole: frozen, thawed, filled, switched to a schema, reported on by its hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.record import (
    AddressState,
    EpochState,
    StoreMove,
)
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction
from addrcast.core.domain.transitions import FROZEN_RETRY_MS, Draft, expect, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.record import (
        Attachments,
        Entry,
        Host,
        HostReport,
        InstanceEntry,
        Record,
        StoreEpoch,
        Value,
    )


def freeze(epoch: Entry[StoreEpoch], move: Entry[StoreMove], *, target: str, now_ms: int) -> Draft:
    """Nothing is written from here on but under leases; `target` is where the store moves to."""
    value = epoch.required
    was_closed = value.state is EpochState.CLOSED
    moving = StoreMove(since_ms=now_ms, target=target, was_closed=was_closed)
    return Draft((epoch, move), ((epoch, replace(value, state=EpochState.FROZEN)), (move, moving)))


def thaw(epoch: Entry[StoreEpoch], move: Entry[StoreMove]) -> Transaction:
    """A frozen store goes on as it was."""
    before = EpochState.CLOSED if move.required.was_closed else EpochState.OPEN
    return _in_frozen(epoch, move, Put(epoch.key, encode(replace(epoch.required, state=before))), Delete(move.key))


def moved(epoch: Entry[StoreEpoch], move: Entry[StoreMove]) -> Transaction:
    """The other store has everything and is about to open: this one stays frozen."""
    done = replace(move.required, is_done=True)
    return _in_frozen(epoch, move, Put(move.key, encode(done, epoch.required.v)))


def filling(epoch: StoreEpoch, move: StoreMove, *, keys: tuple[str, str]) -> Transaction:
    """An empty store begins to be filled: frozen, with a mark that tells by what."""
    frozen = replace(epoch, state=EpochState.FROZEN)
    puts = tuple(Put(key, encode(value, epoch.v)) for key, value in zip(keys, (frozen, move), strict=True))
    return Transaction(tuple(Compare(key, 0) for key in keys), puts)


def filled(epoch: Entry[StoreEpoch], move: Entry[StoreMove]) -> Transaction:
    """The store has all there was: it is closed until its hosts were heard."""
    closed = replace(epoch.required, state=EpochState.CLOSED)
    return _in_frozen(epoch, move, Put(epoch.key, encode(closed)), Delete(move.key))


def _in_frozen(epoch: Entry[StoreEpoch], move: Entry[StoreMove], *writes: Put | Delete) -> Transaction:
    """What a frozen store takes all the same."""
    if epoch.required.state is not EpochState.FROZEN:
        raise Invalid(epoch.key, epoch.required.state.value, "only a frozen store moves")
    return Transaction(tuple(Compare(entry.key, entry.revision) for entry in (epoch, move)), writes)


def switch_schema(epoch: Entry[StoreEpoch], *, version: int) -> Draft:
    """Everybody writes this version from here on; who cannot read it can no longer read the epoch either.

    Raises: Invalid for a version that is older than the present one; Unavailable unless the store is open, since a
    closed one knows by the revision of its epoch whom it has heard.
    """
    value = epoch.required
    if version < value.v:
        raise Invalid(epoch.key, version, f"the store is written in version {value.v}; there is no way back")
    if value.state is not EpochState.OPEN:
        raise Unavailable(f"the store is {value.state.value}, not open", retry_after_ms=FROZEN_RETRY_MS)
    return Draft((epoch,), ((epoch, replace(value, v=version)),))


def report_attachments(
    epoch: Entry[StoreEpoch], host: Entry[Host], attachments: Entry[Attachments], value: Attachments
) -> Draft:
    """A host says what it has of an account, in its own incarnation."""
    return Draft((epoch, host), ((attachments, value),))


def report_host(epoch: Entry[StoreEpoch], host: Entry[Host], report: Entry[HostReport], value: HostReport) -> Draft:
    """A host has said all that it knows of what is attached; an operator may have accepted it meanwhile."""
    return Draft((epoch, host, report), ((report, value),))


def accept_host(epoch: Entry[StoreEpoch], report: Entry[HostReport], value: HostReport) -> Draft:
    """An operator lets the store open though the host does not know its attachments, or they cannot be kept."""
    return Draft((epoch, report), ((report, replace(value, is_accepted=True)),))


def disown(
    epoch: Entry[StoreEpoch],
    instance: Entry[InstanceEntry],
    records: Sequence[Entry[Record]],
    *,
    fence: Compare,
    now_ms: int,
) -> Draft:
    """No host has the instance as the restored store calls it bound: its addresses cool, and it is forgotten.

    A tombstone would say that it was deleted, and keep out a host that tells of it later, or elsewhere.
    """
    writes: list[tuple[Entry[Any], Value | None]] = [(instance, None)]
    for record in records:
        value = expect(record, AddressState.BOUND)
        cooling = replace(
            value,
            state=AddressState.COOLING,
            since_ms=stamp(now_ms, value.since_ms),
            placed_revision=value.placed_revision or record.revision,
            request="",
        )
        writes.append((record, cooling))
    return Draft((epoch, instance, *records), tuple(writes), fence)
