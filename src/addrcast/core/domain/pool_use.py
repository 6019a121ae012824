"""What stands in the way of a prefix's removal from its pool."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from addrcast.core.domain.address import Prefix, parse_address, parse_prefix
from addrcast.core.domain.address_set import AddressSet
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import PHYSICALS, RECORDS
from addrcast.core.domain.resource import PoolKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from addrcast.core.domain.record import Record
    from addrcast.core.domain.store_view import StoreView

SHOWN_MAX = 5


def in_use(view: StoreView, pool_id: str, prefix: Prefix) -> int:
    """How many addresses of a pool's prefix are in use; looks at every key. Raises Invalid.

    In a logical pool those that have a record, in a physical one those that are routed to a host, held or cooling.
    """
    pool = view.pool(pool_id).value
    if pool is None:
        raise Invalid("pool", pool_id, "no pool of this name is declared")
    if pool.kind is PoolKind.PHYSICAL:
        return _physical_in_use(view, prefix)
    return sum(1 for _ in records_in(view, pool_id, (prefix,)))


def records_in(view: StoreView, pool_id: str, prefixes: Iterable[Prefix]) -> Iterator[tuple[str, Record]]:
    """The records of a logical pool in some of its prefixes, each with its account; looks at every key."""
    wanted = tuple(prefixes)
    for rest, entry in view.items(RECORDS):
        account, _, logical = rest.partition(".")
        if entry.required.pool == pool_id:
            address = parse_address(logical)
            if any(prefix.holds(address) for prefix in wanted):
                yield account, entry.required


def use_of(view: StoreView, pool_id: str, prefixes: Iterable[Prefix]) -> str:
    """What is in use of some prefixes, and of whom: empty where nothing is. Raises Invalid."""
    wanted = tuple(prefixes)
    total = sum(in_use(view, pool_id, prefix) for prefix in wanted)
    if not total:
        return ""
    if view.pool(pool_id).required.kind is PoolKind.PHYSICAL:
        hosts = Counter(
            name
            for name, entry in view.hosts().items()
            for block in map(parse_prefix, entry.required.blocks)
            if any(block.overlaps(prefix) for prefix in wanted)
        )
        return f"{total:,} addresses are in use" + (f", in blocks of {listed(hosts)}" if hosts else "")
    found = list(records_in(view, pool_id, wanted))
    states = Counter(record.state.value for _, record in found)
    return (
        f"{total:,} addresses are in use ({listed(states)}), of {listed(Counter(account for account, _ in found))}"
    )


def listed(counts: Counter[str]) -> str:
    """The largest counts with their names, and how many names more there are."""
    shown = [f"{name} {count:,}" for name, count in counts.most_common(SHOWN_MAX)]
    if len(counts) > SHOWN_MAX:
        shown.append(f"{len(counts) - SHOWN_MAX:,} more")
    return ", ".join(shown)


def _physical_in_use(view: StoreView, prefix: Prefix) -> int:
    used = AddressSet()
    for host in view.hosts().values():
        for block in map(parse_prefix, host.required.blocks):
            if prefix.overlaps(block):
                used.add_range(max(prefix.first, block.first), min(prefix.last, block.last))
    for physical, _ in view.items(PHYSICALS):
        address = parse_address(physical)
        if prefix.holds(address):
            used.add(address.number)
    return used.size
