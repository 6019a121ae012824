"""Whether what stands in a store can be read, and could have been declared as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from addrcast.core.domain import keyspace
from addrcast.core.domain.address import parse_address
from addrcast.core.domain.declaration import check_account, check_tier
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.finding import Finding
from addrcast.core.domain.pool import disjoint_prefixes, pool_space
from addrcast.core.domain.resource import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from addrcast.core.domain.store_view import StoreView

_JUDGES: dict[str, Callable[[str, Any], object]] = {
    keyspace.RECORDS: lambda rest, record: (
        parse_address(rest.partition(".")[2]),
        parse_address(record.physical),
    ),
    keyspace.PHYSICALS: lambda rest, _: parse_address(rest),
    keyspace.POOL_ADDRESSES: lambda rest, _: parse_address(rest.partition(".")[2]),
    keyspace.POOLS: lambda _, pool: pool_space(pool),
    keyspace.HOSTS: lambda _, host: disjoint_prefixes("blocks", host.blocks),
}


def texts(view: StoreView) -> Iterator[Finding]:
    """Addresses are written canonically; pools and blocks can be read."""
    for kind, judge in _JUDGES.items():
        for rest, entry in view.items(kind):
            try:
                judge(rest, entry.required)
            except Invalid as fault:
                yield Finding("texts", (entry.key,), str(fault))


def declarations(view: StoreView) -> Iterator[Finding]:
    """Tiers and accounts keep to the rules under which they may be declared."""
    pools = {pool_id: entry.required for pool_id, entry in view.pools().items()}
    tiers = view.tiers()
    for rest, entry in (*view.items(keyspace.TIERS), *view.items(keyspace.ACCOUNTS)):
        try:
            if isinstance(entry.required, Tier):
                check_tier(rest, entry.required)
            else:
                check_account(rest, entry.required, accounts={}, pools=pools, tiers=tiers)
        except Invalid as fault:
            yield Finding("declarations", (entry.key,), str(fault))
