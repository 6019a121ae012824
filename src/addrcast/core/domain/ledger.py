"""The view of the store with the indexes that decisions need: states, hosts, ages, free addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from addrcast.core.domain import keyspace
from addrcast.core.domain.address import format_address
from addrcast.core.domain.age_queue import AgeQueue
from addrcast.core.domain.free_addresses import LogicalRanges, PhysicalRanges
from addrcast.core.domain.record import AddressState, Entry, HoldState, InstanceState
from addrcast.core.domain.record_index import Place, RecordIndex
from addrcast.core.domain.resource import DEFAULT_TIERS
from addrcast.core.domain.store_view import StoreView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from addrcast.core.domain.address import Family, Prefix
    from addrcast.core.domain.ranges import Counts
    from addrcast.core.domain.record import (
        Host,
        InstanceEntry,
        PhysicalHold,
        PoolAddress,
        Record,
        Subscription,
    )
    from addrcast.core.domain.resource import Account, Pool

T = TypeVar("T")

COUNTED = (AddressState.BOUND, AddressState.RESERVED, AddressState.PRESERVED)


class Ledger(StoreView):
    """The logical and the physical ledger: who has which address, and which are free.

    Iterators and queues that it returns are good until the next change is taken in, but for those of free
    addresses.
    """

    def __init__(self) -> None:
        super().__init__()
        self._records = RecordIndex()
        self._logical = LogicalRanges(self._records)
        self._physical = PhysicalRanges()
        self._cooling_physicals: AgeQueue[PhysicalHold] = AgeQueue()
        self._tombstones: AgeQueue[InstanceEntry] = AgeQueue()
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
        }

    def _index(self, kind: str, rest: str, before: Entry[Any] | None, after: Entry[Any] | None) -> None:
        index = self._indexes.get(kind)
        if index is not None:
            index(rest, before, after)

    def _index_record(self, rest: str, before: Entry[Record] | None, after: Entry[Record] | None) -> None:
        account, _, logical = rest.partition(".")
        self._records.update(account, logical, after)
        left = before.value if before is not None else None
        self._logical.set_record(account, logical, left, after.value if after is not None else None)

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
        self._physical.set_host(rest, _value(after))

    def _index_account(self, rest: str, _before: Entry[Account] | None, after: Entry[Account] | None) -> None:
        self._records.set_tier(rest, after.required.tier if after is not None else "")

    def _index_pool(self, rest: str, _before: Entry[Pool] | None, after: Entry[Pool] | None) -> None:
        self._logical.set_pool(rest, _value(after))
        self._physical.set_pool(rest, _value(after))

    def subscriptions(self, account: str) -> Mapping[str, Entry[Subscription]]:
        """S of every host that mirrors an account, by host."""
        return self._subscriptions.get(account, {})

    def mirrored_accounts(self) -> Iterator[str]:
        """Accounts that a host mirrors, declared or not."""
        return iter(self._subscriptions)

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
        return sum(len(self._records.in_state(account, state)) for state in COUNTED)

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
        """Free addresses of the blocks of a host, of one family or of all; none unless the host takes new use."""
        entry = self.host(host)
        if entry.value is None or not entry.value.takes_use:
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

    def free_count(self, host: str, *, family: Family | None = None) -> int:
        """How many addresses of the blocks of a host new use may take, of one family or of all."""
        ranges = self._physical.ranges_of(host)
        return sum(found.free.size for of, found in ranges.items() if family is None or of is family)

    def holds_of(self, host: str) -> Mapping[str, Entry[PhysicalHold]]:
        """The keys P that are kept for a host, declared or not, by physical address."""
        return self._physical.holds_of(host)

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
