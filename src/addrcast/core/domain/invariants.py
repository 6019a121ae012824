"""What must hold between the keys of a store at every revision, whatever crashed where."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from addrcast.core.domain import keyspace
from addrcast.core.domain.address import parse_address
from addrcast.core.domain.blocks import BlockIndex
from addrcast.core.domain.finding import Finding
from addrcast.core.domain.identity import unescape_instance
from addrcast.core.domain.legible import declarations, texts
from addrcast.core.domain.pool import pool_space
from addrcast.core.domain.record import AddressState, HoldState, InstanceState
from addrcast.core.domain.resource import PoolKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.pool import Space
    from addrcast.core.domain.record import Entry, InstanceEntry, PhysicalHold, Record


def violations(ledger: Ledger) -> list[Finding]:
    """Everything that breaks an invariant; empty for a sound store. Reads the ledger a few times over.

    Where an address, pool or block cannot be read, that is all that is told: nothing else could be relied on.
    """
    unreadable = list(texts(ledger))
    return unreadable or [finding for check in _CHECKS for finding in check(ledger)]


def notes(ledger: Ledger) -> list[Finding]:
    """What is allowed but worth a look: quotas overshot, addresses outside pools, blocks and usable prefixes."""
    return [*_quotas(ledger), *_outside(ledger)]


def _names(ledger: Ledger) -> Iterator[Finding]:
    """Records name an account, a pool and a host that are declared; an address is in its account's pools once."""
    for rest, entry in ledger.items(keyspace.RECORDS):
        account, record = rest.partition(".")[0], entry.required
        for key, is_declared in (
            (keyspace.account_key(account), account in ledger.accounts()),
            (keyspace.pool_key(record.pool), record.pool in ledger.pools()),
            (
                keyspace.host_key(record.host),
                record.host in ledger.hosts() or bool(ledger.removal("host", record.host)),
            ),
        ):
            if not is_declared:
                yield Finding("names", (entry.key, key), f"{key} is not declared")


def _physicals(ledger: Ledger) -> Iterator[Finding]:
    """Every record, in whatever state, holds its physical address, and no two the same one."""
    owners: dict[str, str] = {}
    for rest, entry in ledger.items(keyspace.RECORDS):
        account, _, logical = rest.partition(".")
        record = entry.required
        hold = ledger.physical(record.physical)
        other = owners.setdefault(record.physical, entry.key)
        if other != entry.key:
            yield Finding("one owner", (other, entry.key, hold.key), "both records have this physical address")
        if hold.value is None:
            yield Finding("held", (entry.key, hold.key), "the physical address of a record is not held")
        elif hold.value.state is not HoldState.HELD:
            yield Finding("held", (entry.key, hold.key), "the physical address of a record is cooling by itself")
        elif (hold.value.account, hold.value.logical) != (account, logical):
            owner = keyspace.record_key(hold.value.account, hold.value.logical)
            yield Finding("held", (entry.key, hold.key), f"the physical address of a record is held for {owner}")
        elif hold.value.host != record.host:
            what = f"the record is on host {record.host}, its physical address on {hold.value.host}"
            yield Finding("held", (entry.key, hold.key), what)


def _holds(ledger: Ledger) -> Iterator[Finding]:
    """Every held physical address has the record it is held for: nothing leaks."""
    for physical, entry in ledger.items(keyspace.PHYSICALS):
        hold: PhysicalHold = entry.required
        record = ledger.record(hold.account, hold.logical)
        if hold.state is HoldState.HELD and (record.value is None or record.value.physical != physical):
            what = "gone" if record.value is None else f"at {record.value.physical}"
            yield Finding("no leak", (entry.key, record.key), f"the record this address is held for is {what}")


def _bindings(ledger: Ledger) -> Iterator[Finding]:
    """A bound record and its instance name each other, in the same attempt."""
    for rest, entry in ledger.items(keyspace.RECORDS):
        account, _, logical = rest.partition(".")
        record: Record = entry.required
        if record.state is not AddressState.BOUND:
            continue
        instance = ledger.instance(account, record.instance)
        if not _is_bound_to(instance, logical):
            yield Finding("binding", (entry.key, instance.key), "the instance of a bound record does not have it")
        elif instance.required.attempt != record.attempt:
            what = f"the record is of attempt {record.attempt}, its instance of {instance.required.attempt}"
            yield Finding("binding", (entry.key, instance.key), what)


def _is_bound_to(instance: Entry[InstanceEntry], logical: str) -> bool:
    value = instance.value
    return value is not None and value.state is InstanceState.BOUND and logical in value.addresses


def _instances(ledger: Ledger) -> Iterator[Finding]:
    """A bound instance has addresses, each once, and their records are bound to it."""
    for rest, entry in ledger.items(keyspace.INSTANCES):
        account, _, escaped = rest.partition(".")
        value: InstanceEntry = entry.required
        if value.state is not InstanceState.BOUND:
            continue
        if not value.addresses or len(set(value.addresses)) < len(value.addresses):
            yield Finding("binding", (entry.key,), f"{len(value.addresses)} addresses, or one of them twice")
        instance = unescape_instance(escaped)
        for logical in value.addresses:
            record = ledger.record(account, logical)
            if record.value is None or record.value.state is not AddressState.BOUND:
                yield Finding("binding", (entry.key, record.key), "an address of the instance is not bound")
            elif record.value.instance != instance:
                what = f"an address of the instance is bound to {record.value.instance}"
                yield Finding("binding", (entry.key, record.key), what)


def _shared(ledger: Ledger) -> Iterator[Finding]:
    """In a shared pool, and only there, a record has its key Q, and Q its record: one account an address."""
    for rest, entry in ledger.items(keyspace.RECORDS):
        account, _, logical = rest.partition(".")
        record: Record = entry.required
        pool = ledger.pool(record.pool)
        if pool.value is not None and pool.value.is_shared != record.is_shared:
            yield Finding("shared", (entry.key, pool.key), "record and pool differ in whether the pool is shared")
        claim = ledger.pool_address(record.pool, logical)
        if record.is_shared and (claim.value is None or claim.value.account != account):
            yield Finding("shared", (entry.key, claim.key), "the record's address is not its account's in the pool")
    for rest, claim in ledger.items(keyspace.POOL_ADDRESSES):
        pool_id, _, logical = rest.partition(".")
        owner = ledger.record(claim.required.account, logical)
        if owner.value is None or owner.value.pool != pool_id or not owner.value.is_shared:
            yield Finding("shared", (claim.key, owner.key), "the address is an account's that has no such record")


def _hosts(ledger: Ledger) -> Iterator[Finding]:
    """A physical address is routed to one host, and that is the host of its key and of its record."""
    hosts = {host_id: entry.required for host_id, entry in ledger.hosts().items()}
    index = BlockIndex(hosts)
    for lower, higher in index.overlaps():
        keys = keyspace.host_key(lower.host), keyspace.host_key(higher.host)
        yield Finding("blocks", keys, f"their blocks {lower.prefix} and {higher.prefix} overlap")
    for physical, entry in ledger.items(keyspace.PHYSICALS):
        owner = index.owner(parse_address(physical))
        if owner is not None and owner != entry.required.host:
            keys = entry.key, keyspace.host_key(owner)
            yield Finding("blocks", keys, f"it is kept for host {entry.required.host} but routed to {owner}")


def _networks(ledger: Ledger) -> Iterator[Finding]:
    """No two accounts have one VNI."""
    owners: dict[int, str] = {}
    for entry in ledger.accounts().values():
        other = owners.setdefault(entry.required.vni, entry.key)
        if other != entry.key:
            yield Finding("networks", (other, entry.key), f"both accounts have VNI {entry.required.vni}")


def _subscriptions(ledger: Ledger) -> Iterator[Finding]:
    """The host of a bound record mirrors its account; only a host that mirrors one acknowledges it."""
    for account in ledger.accounts_with_records():
        subscribed = ledger.subscriptions(account)
        for state, host in ledger.places(account):
            if state is not AddressState.BOUND or host is None:
                continue
            subscription = subscribed.get(host)
            if subscription is None or subscription.required.is_leaving:
                first = next(iter(ledger.in_state(account, state, host=host)))
                keys = first.key, keyspace.subscription_key(host, account)
                yield Finding("subscription", keys, "bound records are on a host that does not mirror the account")
    for rest, entry in ledger.items(keyspace.ACKNOWLEDGEMENTS):
        host, _, account = rest.partition(".")
        if not ledger.subscription(host, account):
            keys = entry.key, keyspace.subscription_key(host, account)
            yield Finding("subscription", keys, "an acknowledgement outlived its subscription")


def _revisions(ledger: Ledger) -> Iterator[Finding]:
    """Nothing speaks of a revision, epoch or incarnation that is yet to come."""
    epoch = ledger.epoch
    if epoch.value is None:
        yield Finding("revisions", (epoch.key,), "the store has no epoch")
    for rest, entry in ledger.items(keyspace.RECORDS):
        if entry.required.placed_revision > ledger.revision:
            what = f"account and address {rest} were placed at {entry.required.placed_revision}"
            yield Finding("revisions", (entry.key,), f"{what}, the store is at {ledger.revision}")
    for rest, entry in ledger.items(keyspace.ACKNOWLEDGEMENTS):
        host = ledger.host(rest.partition(".")[0])
        value = entry.required
        if value.revision > ledger.revision:
            what = f"revision {value.revision} is acknowledged, the store is at {ledger.revision}"
            yield Finding("revisions", (entry.key,), what)
        if epoch.value is not None and value.epoch > epoch.value.epoch:
            what = f"epoch {value.epoch} is acknowledged, the store is in {epoch.value.epoch}"
            yield Finding("revisions", (entry.key, epoch.key), what)
        if host.value is not None and value.incarnation > host.value.incarnation:
            what = f"incarnation {value.incarnation} acknowledges, the host is in {host.value.incarnation}"
            yield Finding("revisions", (entry.key, host.key), what)


def _sums(ledger: Ledger) -> Iterator[Finding]:
    """Free and not free make up each pool and each host, and counts that are kept agree with a recount."""
    spaces = _logical_spaces(ledger)
    tallies: dict[tuple[str, str], Counter[AddressState]] = {}
    for rest, entry in ledger.items(keyspace.RECORDS):
        account, _, logical = rest.partition(".")
        record: Record = entry.required
        space = spaces.get(record.pool)
        if space is not None and parse_address(logical) in space:
            owner = "" if ledger.pool(record.pool).required.is_shared else account
            tallies.setdefault((record.pool, owner), Counter())[record.state] += 1
    for (pool, account), tally in tallies.items():
        counts = ledger.counts(pool, account)
        kept = counts.reserved, counts.bound, counts.preserved, counts.cooling
        counted = tuple(tally[state] for state in AddressState)
        if not counts.is_balanced or kept != counted:
            what = f"{counted} are reserved, bound, preserved, cooling; the ledger has {counts}"
            yield Finding("sums", (keyspace.pool_key(pool), keyspace.account_key(account)), what)
    for host, entry in ledger.hosts().items():
        physical = ledger.physical_counts(host=host)
        if not physical.is_balanced:
            yield Finding("sums", (entry.key,), f"the physical ledger has {physical}")


def _quotas(ledger: Ledger) -> Iterator[Finding]:
    for account, entry in ledger.accounts().items():
        quota, usage = entry.required.quota, ledger.usage(account)
        if quota is not None and usage > quota:
            yield Finding("quota", (entry.key,), f"{usage} addresses are in use, the quota is {quota}")


def _outside(ledger: Ledger) -> Iterator[Finding]:
    spaces = _logical_spaces(ledger)
    hosts = {host_id: entry.required for host_id, entry in ledger.hosts().items()}
    index = BlockIndex(hosts)
    for rest, entry in ledger.items(keyspace.RECORDS):
        space, address = spaces.get(entry.required.pool), parse_address(rest.partition(".")[2])
        keys = entry.key, keyspace.pool_key(entry.required.pool)
        if space is None or address not in space:
            yield Finding("outside", keys, "the address is not in the pool that its record names")
        elif address.number not in space.usable:
            yield Finding("draining", keys, "the address is in a prefix that drains")
    for physical, entry in ledger.items(keyspace.PHYSICALS):
        if index.owner(parse_address(physical)) is None:
            yield Finding("outside", (entry.key,), "the address is routed to no host")


def _logical_spaces(ledger: Ledger) -> dict[str, Space]:
    pools = {pool_id: entry.required for pool_id, entry in ledger.pools().items()}
    return {pool_id: pool_space(pool) for pool_id, pool in pools.items() if pool.kind is PoolKind.LOGICAL}


_CHECKS = (
    declarations,
    _names,
    _physicals,
    _holds,
    _bindings,
    _instances,
    _shared,
    _hosts,
    _networks,
    _subscriptions,
    _revisions,
    _sums,
)
