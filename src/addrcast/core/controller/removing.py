"""Duty: accounts, hosts and pools that are on their way out lose what they have, and go once nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.keyspace import PHYSICALS, RECORDS, parts_of
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.removals import Kind, left_of
from addrcast.core.domain.resource import PoolKind
from addrcast.core.domain.transitions import Draft, end_of_tombstone
from addrcast.core.domain.transitions_host import idle, leave
from addrcast.core.domain.transitions_removal import (
    account_removed,
    evacuate,
    evict,
    forget_subscription,
    host_removed,
    pool_removed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.controller.territory import Territory
    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, Record
    from addrcast.core.domain.resource import Removal
    from addrcast.core.domain.transaction import Compare

FORGET_EVERY = 60


class Removing:
    """What is on its way out, in a ledger as it stands; `_witness` is a key that was seen to hold a pool back.

    Addresses that are idle go back by the duty that takes them back, and what cools ends as always.
    """

    __slots__ = ("_rounds", "_witness")

    def __init__(self) -> None:
        self._rounds = 0
        self._witness: dict[str, str] = {}

    def drafts(self, ledger: Ledger, *, territory: Territory, now_ms: int) -> Iterator[Draft]:
        """The next transactions of all removals: of accounts in their own shards, of the rest in the first one."""
        self._rounds += 1
        is_host_going = any(key.startswith(f"{Kind.HOST.value}.") for key in ledger.removals())
        if is_host_going or self._rounds % FORGET_EVERY == 1:  # it looks at every subscription
            yield from _forgotten(ledger, territory)
        if not ledger.removals():
            return
        yield from _taken(ledger, territory, now_ms)
        for key, mark in sorted(ledger.removals().items()):
            kind, _, name = key.partition(".")
            if kind == Kind.ACCOUNT.value:
                if (fence := territory.fence_of(name)) is not None:
                    yield from _account(ledger, name, mark, fence)
            elif territory.first is not None and mark.revision <= ledger.revision:
                if kind == Kind.HOST.value:
                    yield from _host(ledger, name, mark, territory.first)
                else:
                    yield from self._pool(ledger, name, mark, territory.first)

    def _pool(self, ledger: Ledger, name: str, mark: Entry[Removal], fence: Compare) -> Iterator[Draft]:
        if ledger.pool(name).value is None or ledger.pool(name).revision > ledger.revision:
            return
        if (known := self._witness.get(name)) and _holds_back(ledger, name, mark.required, known):
            return
        kind = PHYSICALS if ledger.pool(name).required.kind is PoolKind.PHYSICAL else RECORDS
        for _, entry in ledger.items(kind):
            if _holds_back(ledger, name, mark.required, entry.key):
                self._witness[name] = entry.key
                return
        self._witness.pop(name, None)
        yield pool_removed(ledger.epoch, ledger.pool(name), mark, fence=fence)


def _holds_back(ledger: Ledger, name: str, mark: Removal, key: str) -> bool:
    """Whether an address that stands lies in what is to go of a pool."""
    entry = ledger.entry(key)
    if not entry:
        return False
    kind, first, second = parts_of(key)
    if kind == RECORDS and entry.required.pool != name:
        return False
    address = parse_address(first if kind == PHYSICALS else second)
    prefixes = mark.prefixes or ledger.pool(name).required.prefixes
    if kind == RECORDS and not mark.prefixes:
        return True  # an address in use may lie in no prefix of its pool, since it was adopted
    return any(parse_prefix(prefix).holds(address) for prefix in prefixes)


def _forgotten(ledger: Ledger, territory: Territory) -> Iterator[Draft]:
    """The subscriptions of hosts that are not declared, once nothing is bound there any more."""
    hosts = ledger.hosts()
    for account in filter(territory.has, list(ledger.mirrored_accounts())):
        for host, subscription in ledger.subscriptions(account).items():
            if host not in hosts and not ledger.in_state(account, AddressState.BOUND, host=host):
                yield forget_subscription(ledger.epoch, subscription)


def _taken(ledger: Ledger, territory: Territory, now_ms: int) -> Iterator[Draft]:
    """What is bound and may not stay so: on a removed host, or of what was removed by force."""
    gone = _Gone(ledger)
    if gone.is_empty:
        return
    for account in ledger.accounts_with_records():
        fence = territory.fence_of(account)
        if fence is None:
            continue
        seen: set[str] = set()
        for record in ledger.in_state(account, AddressState.BOUND):
            instance = ledger.instance(account, record.required.instance)
            if instance.key in seen or not instance or not gone.takes(account, record):
                continue
            seen.add(instance.key)
            records = [ledger.record(account, logical) for logical in instance.required.addresses]
            if not records or not all(r and r.required.state is AddressState.BOUND for r in records):
                continue  # the view lags behind one of them
            take = evacuate if gone.is_evacuated(account, record) else evict
            yield take(ledger.epoch, instance, records, fence=fence, now_ms=now_ms)


class _Gone:
    """Where nothing may stay bound."""

    def __init__(self, ledger: Ledger) -> None:
        marks = {key: entry.required for key, entry in ledger.removals().items()}
        self._accounts = {
            key.partition(".")[2] for key, mark in marks.items() if _is_forced(key, mark, Kind.ACCOUNT)
        }
        self._hosts = {key.partition(".")[2] for key in marks if key.startswith(f"{Kind.HOST.value}.")}
        self._pools: dict[str, list[Prefix]] = {
            key.partition(".")[2]: [parse_prefix(text) for text in mark.prefixes]
            for key, mark in marks.items()
            if _is_forced(key, mark, Kind.POOL)
        }

    @property
    def is_empty(self) -> bool:
        return not (self._accounts or self._hosts or self._pools)

    def is_evacuated(self, account: str, record: Entry[Record]) -> bool:
        """Whether the address stays with its account for a while, for the same instance on another host."""
        return record.required.host in self._hosts and account not in self._accounts

    def takes(self, account: str, record: Entry[Record]) -> bool:
        value = record.required
        if account in self._accounts or value.host in self._hosts:
            return True
        prefixes = self._pools.get(value.pool)
        if prefixes is None:
            return False
        address = parse_address(parts_of(record.key).second)
        return not prefixes or any(prefix.holds(address) for prefix in prefixes)


def _is_forced(key: str, mark: Removal, kind: Kind) -> bool:
    return mark.is_forced and key.startswith(f"{kind.value}.")


def _account(ledger: Ledger, name: str, mark: Entry[Removal], fence: Compare) -> Iterator[Draft]:
    """Once it has no address, its hosts leave; then what is left of its instances goes, and then the account."""
    account = ledger.account(name)
    if account.value is None or max(account.revision, mark.revision) > ledger.revision:
        return
    left = left_of(ledger, Kind.ACCOUNT, name)
    if left.addresses:
        return
    if left.hosts:
        for host in left.hosts:
            subscription = ledger.subscription(host, name)
            if host in ledger.hosts() and subscription.required.stands:
                yield idle(ledger.epoch, subscription)
            elif subscription.required.is_idle and subscription.revision <= ledger.revision:
                yield leave(ledger.epoch, subscription)
        return
    stones = [stone for stone in ledger.tombstones() if parts_of(stone.key).first == name]
    yield from (end_of_tombstone(ledger.epoch, stone) for stone in stones)
    if not stones:
        yield account_removed(ledger.epoch, account, mark, fence=fence)


def _host(ledger: Ledger, name: str, mark: Entry[Removal], fence: Compare) -> Iterator[Draft]:
    is_mirroring = any(name in ledger.subscriptions(account) for account in ledger.mirrored_accounts())
    if not ledger.host(name) and not ledger.holds_of(name) and not is_mirroring:
        yield host_removed(ledger.epoch, name, mark, fence=fence)
