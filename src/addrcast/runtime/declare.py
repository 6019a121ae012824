"""Puts what operators declare (tiers, pools, hosts, accounts) into a store, checked against what stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from addrcast.core.domain.codec import encode
from addrcast.core.domain.declaration import check_account, check_host, check_pool, check_tier
from addrcast.core.domain.errors import Conflict, Invalid, Unavailable
from addrcast.core.domain.keyspace import EPOCH, tier_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import EpochState, Host, StoreEpoch, Value
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Pool, Tier
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.core.domain.transitions import Draft
from addrcast.runtime.view import PREFIXES, scan_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from addrcast.core.domain.record import Entry
    from addrcast.ports.store import Store

CLOSED_RETRY_MS = 5_000

Resource = Tier | Pool | Host | Account
V = TypeVar("V", bound=Value)


async def set_up(store: Store) -> None:
    """Give a new store its epoch and the default tiers; what is there stays as it is."""
    writes = {EPOCH: encode(StoreEpoch(epoch=1))}
    writes |= {tier_key(name): encode(tier) for name, tier in DEFAULT_TIERS.items()}
    await store.commit([Transaction((Compare(key, 0),), (Put(key, value),)) for key, value in writes.items()])


async def declare(store: Store, resources: Iterable[tuple[str, Resource]]) -> None:
    """Write resources by name, in order, so that a later one may build on an earlier one.

    One that stands as it is declared is left alone. Of a host that is known only the blocks are declared, and
    whether it drains: its state and incarnation are its own.

    Raises: Invalid where one breaks a rule, those before it are then written; Conflict where another process
    declared the same one meanwhile; Unavailable for a known host that is to change while the store is not open.
    """
    revision, items = await scan_all(store, PREFIXES)
    ledger = Ledger.from_items(items, revision)
    if ledger.epoch.value is None:
        raise Invalid("store", EPOCH, "it has no epoch yet; set it up first")
    for name, resource in resources:
        entry, value = _checked(ledger, name, resource)
        if entry.value == value:
            continue
        if isinstance(value, Host) and entry and ledger.epoch.required.state is not EpochState.OPEN:
            # after a restore, a host's key that is newer and says `up` means that the host was heard
            raise Unavailable(f"host {name}: the store is not open yet", retry_after_ms=CLOSED_RETRY_MS)
        draft = Draft((ledger.epoch, entry), ((entry, value),))
        (result,) = await store.commit([draft.transaction()])
        if not result.is_success:
            raise Conflict(f"{entry.key} was changed meanwhile: look at it, then declare it again")
        ledger.learn(draft.entries_at(result.revision), result.revision)


def _checked(ledger: Ledger, name: str, resource: Resource) -> tuple[Entry[Any], Resource]:
    """The entry that a resource goes to, and what is written there. Raises Invalid."""
    pools = _values(ledger.pools())
    match resource:
        case Tier():
            check_tier(name, resource)
            return ledger.tier(name), resource
        case Pool():
            check_pool(name, resource, pools)
            return ledger.pool(name), resource
        case Host():
            check_host(name, resource, hosts=_values(ledger.hosts()), pools=pools)
            host = ledger.host(name)
            known = host.value
            if known is None:
                return host, resource
            return host, replace(known, blocks=resource.blocks, is_draining=resource.is_draining)
        case Account():
            accounts = _values(ledger.accounts())
            check_account(name, resource, accounts=accounts, pools=pools, tiers=ledger.tiers())
            return ledger.account(name), resource


def _values(entries: Mapping[str, Entry[V]]) -> dict[str, V]:
    return {name: entry.required for name, entry in entries.items()}
