"""The scheme with one of its rules left out, each by what stands around the core, never inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from addrcast.core.assignment.request import CreateRequest, DeleteRequest, Request
from addrcast.core.domain.codec import decode
from addrcast.core.domain.keyspace import (
    ACKNOWLEDGEMENTS,
    INSTANCES,
    PHYSICALS,
    RECORDS,
    SUBSCRIPTIONS,
    acknowledgement_key,
    parts_of,
)
from addrcast.core.domain.record import (
    AddressState,
    HoldState,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    Record,
    Value,
)
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from addrcast.simulation.world.follower import Follower


@dataclass(frozen=True, slots=True)
class Variant:
    """What a world does otherwise than the scheme.

    `rewrite` changes the transactions on their way to the store. `blind` answers without a linearizable look.
    `deaf_to` are keys that controllers do not see. `snapshots_early`, `attempts`, `epoch`, `tombstone_is_short`
    and `lost_left_out` say what the drivers leave out. `leases` puts subscriptions under their host's lease.
    `emphasis` are faults that every run has, so that the search need not be long.
    """

    name: str
    rewrite: Callable[[Transaction], Transaction] | None = None
    shares_acknowledgements: bool = False
    leases: bool = False
    blind: bool = False
    deaf_to: tuple[str, ...] = ()
    snapshots_early: bool = False
    attempts: bool = True
    epoch: bool = True
    reports: bool = True
    tombstone_is_short: bool = False
    lost_left_out: bool = False
    emphasis: tuple[str, ...] = ()


def _value(transaction: Transaction, kind: str) -> Value | None:
    """The value that a transaction puts under the first key of a kind."""
    for write in transaction.writes:
        if isinstance(write, Put) and write.key.startswith(kind):
            return decode(write.key, write.value)
    return None


def _without(transaction: Transaction, *kinds: str, keep_absent: bool = False) -> Transaction:
    """The transaction without its compares of some kinds, or without those that want a revision there."""

    def stays(compare: Compare) -> bool:
        return not compare.key.startswith(kinds) or (keep_absent and compare.revision == 0)

    return Transaction(tuple(filter(stays, transaction.compares)), transaction.writes)


def _state(transaction: Transaction) -> AddressState | None:
    record = _value(transaction, RECORDS)
    return record.state if isinstance(record, Record) else None


def _no_compare_on_p(transaction: Transaction) -> Transaction:
    return _without(transaction, PHYSICALS)


def _no_compare_on_i(transaction: Transaction) -> Transaction:
    return _without(transaction, INSTANCES)


def _no_compare_on_r_in_bind(transaction: Transaction) -> Transaction:
    is_bind = _state(transaction) is AddressState.BOUND
    return _without(transaction, RECORDS, keep_absent=True) if is_bind else transaction


def _no_compare_at_age_out(transaction: Transaction) -> Transaction:
    return _without(transaction, RECORDS) if _state(transaction) is AddressState.COOLING else transaction


def _no_compare_at_end_of_cooling(transaction: Transaction) -> Transaction:
    ends = any(isinstance(write, Delete) and write.key.startswith(RECORDS) for write in transaction.writes)
    return _without(transaction, RECORDS) if ends else transaction


def _old_physical_is_free(transaction: Transaction) -> Transaction:
    def written(write: Put | Delete) -> Put | Delete:
        if isinstance(write, Put) and write.key.startswith(PHYSICALS):
            hold = decode(write.key, write.value)
            if isinstance(hold, PhysicalHold) and hold.state is HoldState.COOLING:
                return Delete(write.key)
        return write

    return Transaction(transaction.compares, tuple(map(written, transaction.writes)))


def _no_tombstone(transaction: Transaction) -> Transaction:
    def written(write: Put | Delete) -> Put | Delete:
        if isinstance(write, Put) and write.key.startswith(INSTANCES):
            entry = decode(write.key, write.value)
            if isinstance(entry, InstanceEntry) and entry.state is InstanceState.TOMBSTONE:
                return Delete(write.key)
        return write

    return Transaction(transaction.compares, tuple(map(written, transaction.writes)))


def acknowledged_for_all(transaction: Transaction, subscriptions: Collection[tuple[str, str]]) -> Transaction:
    """One acknowledgement speaks for all accounts that its host mirrors, by the (host, account) there are."""
    writes: list[Put | Delete] = []
    for write in transaction.writes:
        if isinstance(write, Put) and write.key.startswith(ACKNOWLEDGEMENTS):
            host = parts_of(write.key).first
            accounts = sorted(account for mirror, account in subscriptions if mirror == host)
            writes += [Put(acknowledgement_key(host, account), write.value) for account in accounts]
        else:
            writes.append(write)
    return Transaction(transaction.compares, tuple(writes))


def leased(transaction: Transaction, lease_of: Callable[[str], int]) -> Transaction:
    """Subscriptions are put under the lease of their host."""

    def written(write: Put | Delete) -> Put | Delete:
        if isinstance(write, Put) and write.key.startswith(SUBSCRIPTIONS):
            return replace(write, lease=lease_of(parts_of(write.key).first))
        return write

    return Transaction(transaction.compares, tuple(map(written, transaction.writes)))


def without_attempts(request: Request, follower: Follower) -> Request:
    """A request as if it bore no attempt: every create is a new one, every delete means what is bound now."""
    if isinstance(request, DeleteRequest):
        return replace(request, attempt=None)
    ledger = follower.ledger
    before = None if ledger is None else ledger.instance(request.account, request.instance).value
    assert isinstance(request, CreateRequest)  # noqa: S101
    return replace(request, attempt=0 if before is None else before.attempt + 1)


COMPLETE = Variant("complete")

VARIANTS = (
    Variant("compare on P", _no_compare_on_p, emphasis=("deaf",)),
    Variant("cooling of the old P at rebind", _old_physical_is_free),
    Variant("compare on I", _no_compare_on_i, emphasis=("repeated", "deaf")),
    Variant("compare on R in bind", _no_compare_on_r_in_bind, emphasis=("deaf",)),
    Variant("R=m at age-out", _no_compare_at_age_out, emphasis=("deaf",)),
    Variant("R=m at end of cooling", _no_compare_at_end_of_cooling, emphasis=("late", "lost", "stalled", "scarce")),
    Variant("unleased S", leases=True, emphasis=("paused",)),
    Variant("linearizable check before Exhausted and take-back", blind=True, emphasis=("deaf", "scarce")),
    Variant("acknowledgements (time only)", deaf_to=(SUBSCRIPTIONS,), emphasis=("paused", "slow")),
    Variant("acknowledgement per account", shares_acknowledgements=True, emphasis=("slow", "scarce")),
    Variant("count first, then snapshot", snapshots_early=True, emphasis=("away", "stalled")),
    Variant("tombstone", _no_tombstone, emphasis=("late", "repeated")),
    Variant("long enough tombstone", tombstone_is_short=True, emphasis=("late", "repeated")),
    Variant("attempts", attempts=False, emphasis=("late", "repeated")),
    Variant("epoch at restore", epoch=False, emphasis=("restored",)),
    Variant("reports of what is attached", reports=False, emphasis=("restored",)),
    Variant("waiting for lost hosts with nft", lost_left_out=True, emphasis=("nft", "away")),
)
"""The rules of the scheme; the search must catch each that is left out."""
