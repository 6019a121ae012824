"""The transitions of accounts, hosts and pools that go: the mark, what is taken from them, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from addrcast.core.domain.keyspace import (
    HOSTS,
    acknowledgement_key,
    attachments_key,
    host_alive_key,
    host_key,
    host_report_key,
    parts_of,
    plan_key,
)
from addrcast.core.domain.pool import remove as remove_prefix
from addrcast.core.domain.record import AddressState, Entry, Host, Record
from addrcast.core.domain.resource import Declared, Pool
from addrcast.core.domain.transitions import Draft, release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.record import InstanceEntry, StoreEpoch, Subscription, Value
    from addrcast.core.domain.resource import Account, Removal
    from addrcast.core.domain.transaction import Compare


def counted_up(declared: Entry[Declared]) -> tuple[Entry[Declared], Declared]:
    """The write of `declared` by which whoever declares something at once loses."""
    return declared, Declared(count=declared.value.count + 1 if declared.value is not None else 1)


def remove_account(
    epoch: Entry[StoreEpoch],
    declared: Entry[Declared],
    account: Entry[Account],
    mark: tuple[Entry[Removal], Removal],
) -> Draft:
    """An account gets no new use from here on: whatever takes a free address for it compares the account's key."""
    draining = msgspec.structs.replace(account.required, is_draining=True)
    return Draft((epoch, declared, account, mark[0]), (mark, (account, draining), counted_up(declared)))


def remove_pool(
    epoch: Entry[StoreEpoch], declared: Entry[Declared], pool: Entry[Pool], mark: tuple[Entry[Removal], Removal]
) -> Draft:
    """The prefixes of a pool that go, or all of them, get no new use from here on."""
    value = pool.required
    going = mark[1].prefixes or value.prefixes
    draining = (*value.draining, *(prefix for prefix in going if prefix not in value.draining))
    drained = msgspec.structs.replace(value, draining=draining)
    return Draft((epoch, declared, pool, mark[0]), (mark, (pool, drained), counted_up(declared)))


def remove_host(
    epoch: Entry[StoreEpoch], declared: Entry[Declared], host: Entry[Host], mark: tuple[Entry[Removal], Removal]
) -> Draft:
    """A host that is off is gone at once: nothing is placed there nor waited for, and it cannot come back.

    Whatever places an address on a host, and whatever an agent says of itself, compares H.
    """
    alive: Entry[Host] = Entry(host_alive_key(host.key[len(HOSTS) :]))
    return Draft((epoch, declared, host, alive, mark[0]), (mark, (host, None), counted_up(declared)))


def evict(
    epoch: Entry[StoreEpoch],
    instance: Entry[InstanceEntry],
    records: Sequence[Entry[Record]],
    *,
    fence: Compare,
    now_ms: int,
) -> Draft:
    """Take the addresses of a bound instance: they cool, so that nobody has them while a host delivers to it."""
    released = release(epoch, instance, records, attempt=0, now_ms=now_ms)
    writes: list[tuple[Entry[Any], Value | None]] = []
    for entry, value in released.writes:
        if isinstance(value, Record):
            writes.append((entry, msgspec.structs.replace(value, state=AddressState.COOLING)))
        else:
            writes.append((entry, value))
    return Draft(released.compares, tuple(writes), fence)


def evacuate(
    epoch: Entry[StoreEpoch],
    instance: Entry[InstanceEntry],
    records: Sequence[Entry[Record]],
    *,
    fence: Compare,
    now_ms: int,
) -> Draft:
    """Release an instance whose host is gone: its addresses are preserved, for its successor on another host."""
    released = release(epoch, instance, records, attempt=0, now_ms=now_ms)
    return Draft(released.compares, released.writes, fence)


def forget_subscription(epoch: Entry[StoreEpoch], subscription: Entry[Subscription]) -> Draft:
    """Nobody waits for a host that is not declared: its subscription goes, and what it said of the account."""
    _, host, account = parts_of(subscription.key)
    gone: Entry[Host] = Entry(host_key(host))
    said = (acknowledgement_key(host, account), attachments_key(host, account))
    writes: list[tuple[Entry[Any], None]] = [(subscription, None), *[(Entry(key), None) for key in said]]
    return Draft((epoch, gone, subscription), tuple(writes))


def account_removed(
    epoch: Entry[StoreEpoch], account: Entry[Account], removal: Entry[Removal], *, fence: Compare
) -> Draft:
    """Nothing of an account is left: its name and its VNI are free, and its latest plan goes along."""
    _, name, _ = parts_of(account.key)
    writes: tuple[tuple[Entry[Any], None], ...] = ((removal, None), (account, None), (Entry(plan_key(name)), None))
    return Draft((epoch, removal, account), writes, fence)


def host_removed(epoch: Entry[StoreEpoch], host: str, removal: Entry[Removal], *, fence: Compare) -> Draft:
    """Nothing of a host is left: its name and its blocks are free."""
    gone: Entry[Host] = Entry(host_key(host))
    return Draft((epoch, removal, gone), ((removal, None), (Entry(host_report_key(host)), None)), fence)


def pool_removed(epoch: Entry[StoreEpoch], pool: Entry[Pool], removal: Entry[Removal], *, fence: Compare) -> Draft:
    """Nothing of a pool, or of the prefixes that were to go, is in use any more."""
    left: Pool | None = None
    for prefix in removal.required.prefixes:
        left = remove_prefix(left or pool.required, prefix, in_use=0)
    return Draft((epoch, removal, pool), ((removal, None), (pool, left)), fence)
