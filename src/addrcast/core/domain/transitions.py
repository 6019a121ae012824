"""The transitions of addresses that are ready, released or cooling: what each compares and writes.

Every compare-and-swap transaction of the scheme is one function here or in its two neighbours
(`transitions_create`, `transitions_host`); `docs/design/transactions.md` is the table. All take entries as they
were read and return a Draft. Each compares the store's epoch, and no stamp is below the one it replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.keyspace import (
    HOSTS,
    PHYSICALS,
    POOLS,
    RECORDS,
    acknowledgement_key,
    parts_of,
    physical_key,
    pool_address_key,
)
from addrcast.core.domain.record import (
    SCHEMA_VERSION,
    AddressState,
    Entry,
    EpochState,
    HoldState,
    Host,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    PoolAddress,
    Record,
    StoreEpoch,
    Subscription,
    Value,
)
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.resource import Account, Pool


FROZEN = "the store is frozen while it moves to another one"
FROZEN_RETRY_MS = 5_000


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A transaction before its values are encoded.

    `compares` are the entries that must stand as they were read. `writes` pair the entry that was read with the
    value that replaces it, None for a removal.
    """

    compares: tuple[Entry[Any], ...]
    writes: tuple[tuple[Entry[Any], Value | None], ...]
    fence: Compare | None = None

    def transaction(self) -> Transaction:
        """What goes to the store, in the version of the schema that the store's epoch says.

        Raises: Unavailable while the store is frozen, since nothing is written then; Invalid where that version has
        no word for something that is to be written.
        """
        epoch = self.compares[0].value
        version = SCHEMA_VERSION
        if type(epoch) is StoreEpoch:  # every transition compares it first
            version = epoch.v
            if epoch.state is EpochState.FROZEN:
                raise Unavailable(FROZEN, retry_after_ms=FROZEN_RETRY_MS)
        compares = [Compare(entry.key, entry.revision) for entry in self.compares]
        if self.fence is not None:
            compares.append(self.fence)
        writes = [
            Delete(entry.key) if value is None else Put(entry.key, encode(value, version))
            for entry, value in self.writes
        ]
        return Transaction(tuple(compares), tuple(writes))

    def entries_at(self, revision: int) -> list[Entry[Any]]:
        """What stands at the written keys once the store carried it out at `revision`."""
        return [
            Entry(entry.key) if value is None else Entry(entry.key, value, revision, entry.created or revision)
            for entry, value in self.writes
        ]


class FreeAddress(msgspec.Struct, frozen=True, gc=False):
    """A free pair as it was read: no record, no hold, and for a pool that accounts share no owner either.

    `account` is whose it becomes: it must not be on its way out.
    """

    record: Entry[Record]
    hold: Entry[PhysicalHold]
    pool: Entry[Pool]
    host: Entry[Host]
    account: Entry[Account]
    owner: Entry[PoolAddress] | None = None


def stamp(now_ms: int, before: int) -> int:
    """The writer's time, never below the stamp it replaces."""
    return max(now_ms, before)


def expect(record: Entry[Record], *states: AddressState) -> Record:
    """The record's value. Raises Invalid where its state is none of those that the transition starts from."""
    value = record.required
    if value.state not in states:
        known = " or ".join(state.value for state in states)
        raise Invalid(record.key, value.state.value, f"this transition starts from {known}")
    return value


def take(free: FreeAddress, value: Record) -> Draft:
    """A free pair gets `value` as its record: R, P and [Q] appear; account, pool and host stand as read."""
    account = parts_of(free.record.key).first
    hold = PhysicalHold(
        state=HoldState.HELD,
        account=account,
        logical=free.record.key[len(RECORDS) + len(account) + 1 :],
        host=value.host,
        since_ms=value.since_ms,
    )
    declared = (free.pool, free.host, free.account)
    if free.owner is None:
        return Draft((free.record, free.hold, *declared), ((free.record, value), (free.hold, hold)))
    return Draft(
        (free.record, free.hold, free.owner, *declared),
        ((free.record, value), (free.hold, hold), (free.owner, PoolAddress(account=account))),
    )


def free_record(free: FreeAddress, state: AddressState, *, now_ms: int, request: str = "") -> Record:
    """The first record of a free pair: placed by this very write."""
    return Record(
        state=state,
        physical=free.hold.key[len(PHYSICALS) :],
        host=free.host.key[len(HOSTS) :],
        pool=free.pool.key[len(POOLS) :],
        since_ms=now_ms,
        is_shared=free.owner is not None,
        request=request,
    )


def mirroring(subscription: Entry[Subscription]) -> tuple[tuple[Entry[Any], Value | None], ...]:
    """The writes that make a host's subscription stand.

    The tables of a host that was leaving may be empty: what it has acknowledged must not vouch for them.
    """
    if subscription.value is None or not subscription.value.is_leaving:
        return ((subscription, Subscription()),)
    _, host, account = parts_of(subscription.key)
    return ((subscription, Subscription()), (Entry(acknowledgement_key(host, account)), None))


def reserve(
    epoch: Entry[StoreEpoch],
    free: FreeAddress,
    subscription: Entry[Subscription],
    *,
    fence: Compare,
    now_ms: int,
    request: str = "",
) -> Draft:
    """Hold a free pair ready for an account, on a host whose subscription stands."""
    if subscription.value is None or not subscription.value.stands:
        raise Invalid(subscription.key, "not standing", "subscribe the host before something is placed there")
    draft = take(free, free_record(free, AddressState.RESERVED, now_ms=now_ms, request=request))
    return Draft((epoch, *draft.compares, subscription), draft.writes, fence)


def release(
    epoch: Entry[StoreEpoch],
    instance: Entry[InstanceEntry],
    records: Sequence[Entry[Record]],
    *,
    attempt: int,
    now_ms: int,
    request: str = "",
) -> Draft:
    """Delete a bound instance: its addresses are preserved for the account, a tombstone outlives it.

    `attempt` is the delete's; the tombstone bears the higher of it and the bound one.
    """
    bound = instance.required
    writes: list[tuple[Entry[Any], Value | None]] = []
    for record in records:
        value = expect(record, AddressState.BOUND)
        preserved = Record(
            state=AddressState.PRESERVED,
            physical=value.physical,
            host=value.host,
            pool=value.pool,
            since_ms=stamp(now_ms, value.since_ms),
            instance=value.instance,
            attempt=value.attempt,
            placed_revision=value.placed_revision or record.revision,
            was_bound=True,
            is_shared=value.is_shared,
            request=request,
        )
        writes.append((record, preserved))
    stone = _tombstone(instance, attempt=max(attempt, bound.attempt), now_ms=now_ms, request=request)
    return Draft((epoch, instance, *records), (*writes, (instance, stone)))


def delete_before_create(
    epoch: Entry[StoreEpoch], instance: Entry[InstanceEntry], *, attempt: int, now_ms: int, request: str = ""
) -> Draft:
    """Delete an instance that is not bound: the tombstone refuses the create that this delete overtook."""
    stone = _tombstone(instance, attempt=attempt, now_ms=now_ms, request=request)
    return Draft((epoch, instance), ((instance, stone),))


def age_out(epoch: Entry[StoreEpoch], record: Entry[Record], *, fence: Compare, now_ms: int) -> Draft:
    """Give up a reservation that lay idle too long or that no plan wants."""
    expect(record, AddressState.RESERVED)
    return _cool(epoch, record, fence=fence, now_ms=now_ms)


def end_of_hold(epoch: Entry[StoreEpoch], record: Entry[Record], *, fence: Compare, now_ms: int) -> Draft:
    """Give up an address that was preserved for as long as its tier guarantees, or longer if a plan wanted it."""
    expect(record, AddressState.PRESERVED)
    return _cool(epoch, record, fence=fence, now_ms=now_ms)


def preempt(epoch: Entry[StoreEpoch], record: Entry[Record], *, now_ms: int, request: str = "") -> Draft:
    """Take back an idle address for a request that finds nothing free; no fence, since requests beat plans."""
    expect(record, AddressState.RESERVED, AddressState.PRESERVED)
    return _cool(epoch, record, fence=None, now_ms=now_ms, request=request)


def end_of_cooling(epoch: Entry[StoreEpoch], record: Entry[Record]) -> Draft:
    """Free an address that no counted host maps any more: R, its held P and [Q] go; R is the lock of all three."""
    value = expect(record, AddressState.COOLING)
    gone: list[tuple[Entry[Any], None]] = [(record, None), (Entry(physical_key(value.physical)), None)]
    if value.is_shared:
        logical = parts_of(record.key).second
        gone.append((Entry(pool_address_key(value.pool, logical)), None))
    return Draft((epoch, record), tuple(gone))


def end_of_old_physical(epoch: Entry[StoreEpoch], hold: Entry[PhysicalHold]) -> Draft:
    """Free the physical address that a record left behind when it moved."""
    if hold.required.state is not HoldState.COOLING:
        raise Invalid(hold.key, hold.required.state.value, "only a cooling one has no record as its lock")
    return Draft((epoch, hold), ((hold, None),))


def end_of_tombstone(epoch: Entry[StoreEpoch], instance: Entry[InstanceEntry]) -> Draft:
    """Forget a deleted instance once no late message of it can arrive."""
    if instance.required.state is not InstanceState.TOMBSTONE:
        raise Invalid(instance.key, instance.required.state.value, "only a tombstone comes to an end")
    return Draft((epoch, instance), ((instance, None),))


def _cool(
    epoch: Entry[StoreEpoch], record: Entry[Record], *, fence: Compare | None, now_ms: int, request: str = ""
) -> Draft:
    value = record.required
    cooling = msgspec.structs.replace(
        value,
        state=AddressState.COOLING,
        since_ms=stamp(now_ms, value.since_ms),
        placed_revision=value.placed_revision or record.revision,
        request=request,
    )
    return Draft((epoch, record), ((record, cooling),), fence)


def _tombstone(instance: Entry[InstanceEntry], *, attempt: int, now_ms: int, request: str) -> InstanceEntry:
    before = instance.value
    return InstanceEntry(
        state=InstanceState.TOMBSTONE,
        attempt=attempt,
        since_ms=now_ms if before is None else stamp(now_ms, before.since_ms),
        request=request,
    )
