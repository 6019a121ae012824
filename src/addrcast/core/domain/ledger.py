"""The one mutable view of the store: what every key holds, with the indexes that decisions need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from addrcast.core.domain import keyspace
from addrcast.core.domain.address import format_address
from addrcast.core.domain.age_queue import AgeQueue
from addrcast.core.domain.codec import decode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.free_addresses import LogicalRanges, PhysicalRanges
from addrcast.core.domain.record import AddressState, Entry, HoldState, HostState, InstanceState
from addrcast.core.domain.record_index import Place, RecordIndex
from addrcast.core.domain.resource import DEFAULT_TIERS, Tier
from addrcast.core.domain.transaction import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from addrcast.core.domain.address import Family, Prefix
    from addrcast.core.domain.ranges import Counts
    from addrcast.core.domain.record import (
        Acknowledgement,
        Host,
        InstanceEntry,
        PhysicalHold,
        PoolAddress,
        Record,
        StoreEpoch,
        Subscription,
    )
    from addrcast.core.domain.resource import Account, Pool
    from addrcast.core.domain.transaction import Change, KeyValue

T = TypeVar("T")

OCCUPIED = (AddressState.BOUND, AddressState.RESERVED, AddressState.PRESERVED)


class Ledger:
    """Everything known of the store at `revision`, and perhaps some of what came after.

    `apply` takes in what a watch delivers, in order; `learn` what was seen ahead of it: own commits, and what a
    failed compare showed. No key ever goes back to an older revision. Iterators and mappings that it returns
    are good until the next `apply` or `learn`.
    """

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self._entries: dict[str, Entry[Any]] = {}
        self._removed: dict[str, int] = {}  # keys whose removal was seen ahead of the watch
        self._records = RecordIndex()
        self._logical = LogicalRanges(self._records)
        self._physical = PhysicalRanges()
        self._cooling_physicals: AgeQueue[PhysicalHold] = AgeQueue()
        self._tombstones: AgeQueue[InstanceEntry] = AgeQueue()
        self._by_kind: dict[str, dict[str, Entry[Any]]] = {
            kind: {} for kind in (keyspace.HOSTS, keyspace.ACCOUNTS, keyspace.POOLS, keyspace.TIERS)
        }
        self._subscriptions: dict[str, dict[str, Entry[Subscription]]] = {}
        self._indexes: dict[str, Callable[[str, Entry[Any] | None, Entry[Any] | None], None]] = {
            keyspace.RECORDS: self._index_record,
            keyspace.PHYSICALS: self._index_physical,
            keyspace.INSTANCES: self._index_instance,
            keyspace.POOL_ADDRESSES: self._index_pool_address,
            keyspace.SUBSCRIPTIONS: self._index_subscription,
            keyspace.HOSTS: self._index_host,
            keyspace.ACCOUNTS: self._index_account,
            keyspace.POOLS: self._index_pool,
            keyspace.TIERS: self._index_tier,
        }

    @classmethod
    def from_items(cls, items: Iterable[KeyValue], revision: int) -> Ledger:
        """The view of a snapshot taken at `revision`. Raises Invalid for a value that cannot be read."""
        ledger = cls()
        for item in items:
            ledger._take_in(Event(item.key, item.value, item.create_revision, item.mod_revision))
        ledger.revision = revision
        return ledger

    def apply(self, change: Change) -> None:
        """Take in the next change of the watch; one that is not newer than `revision` says nothing new."""
        if change.revision <= self.revision:
            return
        for event in change.events:
            self._take_in(event)
        self.revision = change.revision
        if self._removed:
            self._removed = {key: at for key, at in self._removed.items() if at > change.revision}

    def learn(self, events: Iterable[Event]) -> None:
        """Take in events that the watch has yet to deliver; `revision` stays, older ones are left out."""
        for event in events:
            if event.mod_revision > self.revision and self._take_in(event) and event.value is None:
                self._removed[event.key] = event.mod_revision

    def _take_in(self, event: Event) -> bool:
        key = event.key
        before = self._entries.get(key)
        known = before.revision if before is not None else self._removed.get(key, 0)
        if event.mod_revision <= known:
            return False
        word, dot, rest = key.partition(".")
        kind = word + dot
        if kind not in keyspace.VALUE_TYPES and kind != keyspace.HOSTS_ALIVE:
            return False
        after = None
        if event.value is not None:
            value = event.value if kind == keyspace.HOSTS_ALIVE else decode(key, event.value)
            after = self._entries[key] = Entry(key, value, event.mod_revision, event.create_revision)
        elif before is not None:
            del self._entries[key]
        index = self._indexes.get(kind)
        if index is not None and (before is not None or after is not None):
            index(rest, before, after)
        return True

    def _index_record(self, rest: str, before: Entry[Record] | None, after: Entry[Record] | None) -> None:
        account, _, logical = rest.partition(".")
        self._records.update(account, logical, after)
        self._logical.set_record(account, logical, _value(before), _value(after))

    def _index_physical(
        self, rest: str, before: Entry[PhysicalHold] | None, after: Entry[PhysicalHold] | None
    ) -> None:
        if before is not None and before.required.state is HoldState.COOLING:
            self._cooling_physicals.remove(before.key)
        if after is not None and after.required.state is HoldState.COOLING:
            self._cooling_physicals.put(after)
        self._physical.set_hold(rest, before, after)

    def _index_instance(
        self, _rest: str, before: Entry[InstanceEntry] | None, after: Entry[InstanceEntry] | None
    ) -> None:
        if before is not None and before.required.state is InstanceState.TOMBSTONE:
            self._tombstones.remove(before.key)
        if after is not None and after.required.state is InstanceState.TOMBSTONE:
            self._tombstones.put(after)

    def _index_pool_address(
        self, rest: str, _before: Entry[PoolAddress] | None, after: Entry[PoolAddress] | None
    ) -> None:
        pool, _, logical = rest.partition(".")
        self._logical.set_claim(pool, logical, is_claimed=after is not None)

    def _index_subscription(
        self, rest: str, _before: Entry[Subscription] | None, after: Entry[Subscription] | None
    ) -> None:
        host, _, account = rest.partition(".")
        if after is not None:
            self._subscriptions.setdefault(account, {})[host] = after
        else:
            del self._subscriptions[account][host]
            if not self._subscriptions[account]:
                del self._subscriptions[account]

    def _index_host(self, rest: str, _before: Entry[Host] | None, after: Entry[Host] | None) -> None:
        self._list(keyspace.HOSTS, rest, after)
        self._physical.set_host(rest, _value(after))

    def _index_account(self, rest: str, _before: Entry[Account] | None, after: Entry[Account] | None) -> None:
        self._list(keyspace.ACCOUNTS, rest, after)
        self._records.set_tier(rest, after.required.tier if after is not None else "")

    def _index_pool(self, rest: str, _before: Entry[Pool] | None, after: Entry[Pool] | None) -> None:
        self._list(keyspace.POOLS, rest, after)
        self._logical.set_pool(rest, _value(after))
        self._physical.set_pool(rest, _value(after))

    def _index_tier(self, rest: str, _before: Entry[Tier] | None, after: Entry[Tier] | None) -> None:
        self._list(keyspace.TIERS, rest, after)

    def _list(self, kind: str, name: str, after: Entry[Any] | None) -> None:
        if after is not None:
            self._by_kind[kind][name] = after
        else:
            del self._by_kind[kind][name]

    def _get(self, key: str) -> Entry[Any]:
        return self._entries.get(key) or Entry(key)

    @property
    def epoch(self) -> Entry[StoreEpoch]:
        """E."""
        return self._get(keyspace.EPOCH)

    def record(self, account: str, logical: str) -> Entry[Record]:
        """R of (account, logical)."""
        return self._get(keyspace.record_key(account, logical))

    def physical(self, physical: str) -> Entry[PhysicalHold]:
        """P of a physical address."""
        return self._get(keyspace.physical_key(physical))

    def instance(self, account: str, instance: str) -> Entry[InstanceEntry]:
        """I of an account's instance."""
        return self._get(keyspace.instance_key(account, instance))

    def pool_address(self, pool: str, logical: str) -> Entry[PoolAddress]:
        """Q of an address of a shared pool."""
        return self._get(keyspace.pool_address_key(pool, logical))

    def host(self, host: str) -> Entry[Host]:
        """H of a host."""
        return self._get(keyspace.host_key(host))

    def hosts(self) -> Mapping[str, Entry[Host]]:
        """All hosts by id."""
        return self._by_kind[keyspace.HOSTS]

    def is_alive(self, host: str) -> bool:
        """Whether the host's leased key is there."""
        return keyspace.host_alive_key(host) in self._entries

    def account(self, account: str) -> Entry[Account]:
        """An account as it is declared."""
        return self._get(keyspace.account_key(account))

    def accounts(self) -> Mapping[str, Entry[Account]]:
        """All declared accounts by id."""
        return self._by_kind[keyspace.ACCOUNTS]

    def pool(self, pool: str) -> Entry[Pool]:
        """A pool as it is declared."""
        return self._get(keyspace.pool_key(pool))

    def pools(self) -> Mapping[str, Entry[Pool]]:
        """All declared pools by id."""
        return self._by_kind[keyspace.POOLS]

    def tier(self, tier: str) -> Entry[Tier]:
        """A tier as it is declared; the default tiers need not be."""
        return self._get(keyspace.tier_key(tier))

    def tier_of(self, account: str) -> Tier:
        """What the tier of an account grants: as declared, else the default of that name. Raises Invalid."""
        name = self.account(account).required.tier
        tier = self.tier(name).value or DEFAULT_TIERS.get(name)
        if tier is None:
            raise Invalid("tier", name, f"declare it, or use one of {', '.join(DEFAULT_TIERS)}")
        return tier

    def subscriptions(self, account: str) -> Mapping[str, Entry[Subscription]]:
        """S of every host that mirrors an account, by host."""
        return self._subscriptions.get(account, {})

    def acknowledgement(self, host: str, account: str) -> Entry[Acknowledgement]:
        """A of a host for an account."""
        return self._get(keyspace.acknowledgement_key(host, account))

    def records(self, account: str) -> Mapping[str, Entry[Record]]:
        """An account's records by logical address."""
        return self._records.of_account(account)

    def accounts_with_records(self) -> Iterator[str]:
        """Accounts that have records, declared or not."""
        return self._records.accounts()

    def in_state(self, account: str, state: AddressState, *, host: str | None = None) -> AgeQueue[Record]:
        """An account's records in a state, on one host or on all; the one that changed longest ago first."""
        return self._records.in_state(account, state, host=host)

    def places(self, account: str) -> Mapping[Place, int]:
        """How many records an account has by (state, host); host None stands for all hosts."""
        return self._records.places(account)

    def preserved(self, account: str, instance: str) -> Mapping[str, Entry[Record]]:
        """The preserved records whose last owner was `instance`, by logical address."""
        return self._records.preserved(account, instance)

    def cooling_records(self) -> AgeQueue[Record]:
        """Cooling records of all accounts; the one that began longest ago first."""
        return self._records.cooling

    def cooling_physicals(self) -> AgeQueue[PhysicalHold]:
        """Physical addresses that cool after their record moved away; the one that began longest ago first."""
        return self._cooling_physicals

    def tombstones(self) -> AgeQueue[InstanceEntry]:
        """Instances that are gone; the one that went longest ago first."""
        return self._tombstones

    def idle_reservations(self, *, host: str | None = None, pool: str | None = None) -> Iterator[Entry[Record]]:
        """Reserved records of all accounts on a host, or in a shared pool: lowest tier first, then oldest."""
        by_tier = self._records.idle(host=host, pool=pool)
        for tier in sorted(by_tier, key=self._rank, reverse=True):
            yield from by_tier[tier]

    def _rank(self, tier: str) -> tuple[float, str]:
        declared = self.tier(tier).value or DEFAULT_TIERS.get(tier)
        return (declared.rank if declared is not None else float("inf"), tier)

    def usage(self, account: str) -> int:
        """How many addresses count against an account's quota: bound, reserved and preserved ones."""
        return sum(len(self._records.in_state(account, state)) for state in OCCUPIED)

    def free_logicals(
        self, account: str, pool: str, *, prefer: Sequence[Prefix] = (), offset: int = 0
    ) -> Iterator[str]:
        """Free addresses of a logical pool that new use may take, preferred prefixes first.

        Within each, the search begins `offset` addresses from the start and goes round, so that replicas with
        different offsets do not race for the same ones. May be used across changes. Raises Invalid.
        """
        found = self._logical.range_of(pool, account)
        for number in found.picks(prefer=prefer, offset=offset):
            logical = format_address(found.space.family, number)
            if keyspace.record_key(account, logical) not in self._entries:
                yield logical

    def free_logical(
        self, account: str, pool: str, *, prefer: Sequence[Prefix] = (), offset: int = 0
    ) -> str | None:
        """The first of `free_logicals`."""
        return next(self.free_logicals(account, pool, prefer=prefer, offset=offset), None)

    def free_logical_run(
        self, account: str, pool: str, length: int, *, prefer: Sequence[Prefix] = ()
    ) -> list[str] | None:
        """The first `length` neighbours that are all free. Raises Invalid."""
        found = self._logical.range_of(pool, account)
        first = found.run_of(length, prefer=prefer)
        if first is None:
            return None
        return [format_address(found.space.family, number) for number in range(first, first + length)]

    def free_physicals(self, host: str, *, family: Family | None = None, offset: int = 0) -> Iterator[str]:
        """Free addresses of the blocks of a host, of one family or of all; none unless the host is up."""
        entry = self.host(host)
        if entry.value is None or entry.value.state is not HostState.UP:
            return
        for of, found in self._physical.ranges_of(host).items():
            if family is None or of is family:
                for number in found.picks(offset=offset):
                    physical = format_address(of, number)
                    if keyspace.physical_key(physical) not in self._entries:
                        yield physical

    def free_physical(self, host: str, *, family: Family | None = None, offset: int = 0) -> str | None:
        """The first of `free_physicals`."""
        return next(self.free_physicals(host, family=family, offset=offset), None)

    def counts(self, pool: str, account: str = "") -> Counts:
        """The addresses of a logical pool by state: an account's own range, or all of a shared pool's."""
        return self._logical.range_of(pool, account).counts()

    def physical_counts(self, *, host: str | None = None, pool: str | None = None) -> Counts:
        """The addresses of a host or of a physical pool by state; held ones have the state of their record."""
        if host is not None:
            return self._physical.counts_of_host(host, self._state_of)
        return self._physical.counts_of_pool(pool or "", self._state_of)

    def _state_of(self, hold: PhysicalHold) -> AddressState | None:
        record = self.record(hold.account, hold.logical).value
        return record.state if record is not None else None


def _value(entry: Entry[T] | None) -> T | None:
    return entry.value if entry is not None else None
