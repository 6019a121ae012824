"""Which host a physical address is routed to."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from addrcast.core.domain.address import Prefix, parse_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from addrcast.core.domain.address import Address
    from addrcast.core.domain.record import Host


class Block(NamedTuple):
    """A prefix that is routed to a host."""

    prefix: Prefix
    host: str


class BlockIndex:
    """The blocks of all hosts in ascending order; an owner is found by one binary search."""

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self._blocks = sorted(
            Block(parse_prefix(text), host_id) for host_id, host in hosts.items() for text in host.blocks
        )

    def owner(self, address: Address) -> str | None:
        """The host that an address is routed to."""
        at = bisect_right(self._blocks, (address.family, address.number, 129), key=lambda block: block.prefix) - 1
        if at >= 0 and self._blocks[at].prefix.holds(address):
            return self._blocks[at].host
        return None

    def overlaps(self) -> Iterator[tuple[Block, Block]]:
        """Neighbours that share addresses; none where every address has one host."""
        for lower, higher in pairwise(self._blocks):
            if lower.prefix.overlaps(higher.prefix):
                yield lower, higher
