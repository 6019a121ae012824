"""What stands in the way of a prefix's removal from its pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.address_set import AddressSet
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import PHYSICALS, RECORDS
from addrcast.core.domain.resource import PoolKind

if TYPE_CHECKING:
    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.store_view import StoreView


def in_use(view: StoreView, pool_id: str, prefix: Prefix) -> int:
    """How many addresses of a pool's prefix are in use; looks at every key. Raises Invalid.

    In a logical pool those that have a record, in a physical one those that are routed to a host, held or cooling.
    """
    pool = view.pool(pool_id).value
    if pool is None:
        raise Invalid("pool", pool_id, "no pool of this name is declared")
    if pool.kind is PoolKind.PHYSICAL:
        return _physical_in_use(view, prefix)
    return sum(
        entry.required.pool == pool_id and prefix.holds(parse_address(rest.partition(".")[2]))
        for rest, entry in view.items(RECORDS)
    )


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
