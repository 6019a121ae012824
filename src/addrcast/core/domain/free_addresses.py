"""The ranges of all pools and hosts, each built when first asked for and kept up to date from then on."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from addrcast.core.domain.address import Family, parse_address
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.pool import Space, host_spaces, pool_space
from addrcast.core.domain.ranges import Counts, Range, counts_of
from addrcast.core.domain.record import AddressState, HoldState
from addrcast.core.domain.resource import PoolKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from addrcast.core.domain.record import Entry, Host, PhysicalHold, Record
    from addrcast.core.domain.record_index import RecordIndex
    from addrcast.core.domain.resource import Pool

    StateOf = Callable[[PhysicalHold], AddressState | None]


class LogicalRanges:
    """One range for each (pool, account), and a single one for a pool that accounts share.

    In a shared pool an address is free while it has no key Q, else while it has no record.
    """

    def __init__(self, records: RecordIndex) -> None:
        self._records = records
        self._pools: dict[str, Pool] = {}
        self._spaces: dict[str, Space] = {}
        self._claims: dict[str, set[str]] = defaultdict(set)
        self._ranges: dict[str, dict[str, Range]] = {}

    def set_pool(self, pool_id: str, pool: Pool | None) -> None:
        """Take in a pool as it is declared now; its ranges are built anew when they are asked for."""
        self._ranges.pop(pool_id, None)
        self._spaces.pop(pool_id, None)
        if pool is None:
            self._pools.pop(pool_id, None)
        else:
            self._pools[pool_id] = pool

    def set_claim(self, pool_id: str, logical: str, *, is_claimed: bool) -> None:
        """Take in that an address of a shared pool has a key Q, or none."""
        claims = self._claims[pool_id]
        if is_claimed == (logical in claims):
            return
        (claims.add if is_claimed else claims.remove)(logical)
        shared = self._ranges.get(pool_id, {}).get("")
        if shared is not None:
            (shared.occupy if is_claimed else shared.vacate)(logical)

    def set_record(self, account: str, logical: str, before: Record | None, after: Record | None) -> None:
        """Take in that a record came, changed or went."""
        if before is not None and (after is None or after.pool != before.pool):
            left = self._loaded(before.pool, account)
            if left is not None:
                left.set_state(logical, None)
                if not self._pools[before.pool].is_shared:
                    left.vacate(logical)
        if after is not None:
            entered = self._loaded(after.pool, account)
            if entered is not None:
                entered.set_state(logical, after.state)
                is_new = before is None or after.pool != before.pool
                if is_new and not self._pools[after.pool].is_shared:
                    entered.occupy(logical)

    def space(self, pool_id: str) -> Space:
        """The addresses of a logical pool. Raises Invalid."""
        space = self._spaces.get(pool_id)
        if space is None:
            pool = self._pools.get(pool_id)
            if pool is None:
                raise Invalid("pool", pool_id, "no pool of this name is declared")
            if pool.kind is not PoolKind.LOGICAL:
                raise Invalid("pool", pool_id, "a logical pool is expected; this one is physical")
            space = self._spaces[pool_id] = pool_space(pool)
        return space

    def range_of(self, pool_id: str, account: str) -> Range:
        """The range of an account in a pool; the common one where the pool is shared. Raises Invalid."""
        found = self._loaded(pool_id, account)
        if found is None:
            space = self.space(pool_id)
            is_shared = self._pools[pool_id].is_shared
            found = Range(space)
            for logical in self._claims.get(pool_id, ()) if is_shared else ():
                found.occupy(logical)
            for owner in list(self._records.accounts()) if is_shared else [account]:
                for logical, entry in self._records.of_account(owner).items():
                    if entry.required.pool == pool_id:
                        found.set_state(logical, entry.required.state)
                        if not is_shared:
                            found.occupy(logical)
            self._ranges.setdefault(pool_id, {})["" if is_shared else account] = found
        return found

    def _loaded(self, pool_id: str, account: str) -> Range | None:
        ranges = self._ranges.get(pool_id)
        if ranges is None:
            return None
        return ranges.get("" if self._pools[pool_id].is_shared else account)


class PhysicalRanges:
    """The ranges of every host, one for each family of its blocks, by the keys P."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}
        self._spaces: dict[str, Space] | None = None
        self._hosts: dict[str, Host] = {}
        self._holds: dict[str, dict[str, Entry[PhysicalHold]]] = defaultdict(dict)
        self._ranges: dict[str, dict[Family, Range]] = {}

    def set_pool(self, pool_id: str, pool: Pool | None) -> None:
        """Take in a pool as it is declared now."""
        if pool is not None and pool.kind is PoolKind.PHYSICAL:
            self._pools[pool_id] = pool
        elif self._pools.pop(pool_id, None) is None:
            return
        self._spaces = None
        self._ranges.clear()

    def set_host(self, host_id: str, host: Host | None) -> None:
        """Take in a host as it is declared now."""
        before = self._hosts.get(host_id)
        if host is None:
            self._hosts.pop(host_id, None)
        else:
            self._hosts[host_id] = host
        if host is None or before is None or before.blocks != host.blocks:
            self._ranges.pop(host_id, None)

    def set_hold(
        self, physical: str, before: Entry[PhysicalHold] | None, after: Entry[PhysicalHold] | None
    ) -> None:
        """Take in that a key P came, changed or went."""
        left = before.required.host if before is not None else None
        entered = after.required.host if after is not None else None
        if left is not None and left != entered:
            del self._holds[left][physical]
            for range_ in self._ranges.get(left, {}).values():
                range_.vacate(physical)
        if entered is not None and after is not None:
            self._holds[entered][physical] = after
            if left != entered:
                for range_ in self._ranges.get(entered, {}).values():
                    range_.occupy(physical)

    def spaces(self) -> Mapping[str, Space]:
        """The addresses of every physical pool."""
        if self._spaces is None:
            self._spaces = {pool_id: pool_space(pool) for pool_id, pool in self._pools.items()}
        return self._spaces

    def ranges_of(self, host_id: str) -> Mapping[Family, Range]:
        """The ranges of a host by family; none where it is not declared."""
        ranges = self._ranges.get(host_id)
        if ranges is None:
            host = self._hosts.get(host_id)
            if host is None:
                return {}
            spaces = host_spaces(host, self.spaces().values())
            ranges = {family: Range(space) for family, space in spaces.items()}
            for physical in self._holds.get(host_id, ()):
                for range_ in ranges.values():
                    range_.occupy(physical)
            self._ranges[host_id] = ranges
        return ranges

    def holds_of(self, host_id: str) -> Mapping[str, Entry[PhysicalHold]]:
        """The keys P of a host, in its blocks or not."""
        return self._holds.get(host_id, {})

    def counts_of_host(self, host_id: str, state_of: StateOf) -> Counts:
        """The addresses of a host's blocks by state; a held one is in the state of its record."""
        ranges = self.ranges_of(host_id).values()
        spaces = [range_.space for range_ in ranges]
        return counts_of(
            _tally(spaces, self._holds.get(host_id, {}), state_of),
            total=sum(space.members.size for space in spaces),
            free=sum(range_.free_count for range_ in ranges),
            usable=sum(range_.free.size for range_ in ranges),
        )

    def counts_of_pool(self, pool_id: str, state_of: StateOf) -> Counts:
        """The addresses of a physical pool by state, whether routed to a host or not. Raises Invalid."""
        space = self.spaces().get(pool_id)
        if space is None:
            raise Invalid("pool", pool_id, "no physical pool of this name is declared")
        found = Range(space)
        holds = {physical: entry for of_host in self._holds.values() for physical, entry in of_host.items()}
        for physical in holds:
            found.occupy(physical)
        return counts_of(
            _tally([space], holds, state_of),
            total=space.members.size,
            free=found.free_count,
            usable=found.free.size,
        )


def _tally(
    spaces: Sequence[Space], holds: Mapping[str, Entry[PhysicalHold]], state_of: StateOf
) -> dict[AddressState, int]:
    tally = dict.fromkeys(AddressState, 0)
    for physical, entry in holds.items():
        address = parse_address(physical)
        if any(address in space for space in spaces):
            hold = entry.required
            state = AddressState.COOLING if hold.state is HoldState.COOLING else state_of(hold)
            if state is not None:
                tally[state] += 1
    return tally
