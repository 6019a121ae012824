"""Which addresses a pool or a host has, and how pools grow, drain and shrink."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec.structs import replace

from addrcast.core.domain.address import Address, Family, Prefix, parse_prefix
from addrcast.core.domain.address_set import AddressSet
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from addrcast.core.domain.record import Host
    from addrcast.core.domain.resource import Pool


@dataclass(frozen=True, slots=True)
class Space:
    """Addresses of one family: all `members`, and of those the `usable` ones, which new use may take.

    Network and broadcast addresses are members like any other: every address is routed by itself. Neither set is
    changed once it is here.
    """

    family: Family
    members: AddressSet
    usable: AddressSet

    def __contains__(self, address: Address) -> bool:
        return address.family is self.family and address.number in self.members

    def number_at(self, offset: int) -> int:
        """The member that `offset` others precede, counted round and round; 0 in an empty space."""
        left = offset % self.members.size if self.members.size else 0
        for first, last in self.members.intervals():
            if left <= last - first:
                return first + left
            left -= last - first + 1
        return 0


def pool_space(pool: Pool) -> Space:
    """The addresses of a pool: its prefixes less the exclusions; draining prefixes are not usable.

    Raises: Invalid where the pool breaks a rule.
    """
    prefixes = _prefixes_of(pool)
    members = AddressSet()
    for prefix in prefixes:
        members.add_range(prefix.first, prefix.last)
    for prefix in _inner("exclusions", pool.exclusions, prefixes):
        members.discard_range(prefix.first, prefix.last)
    usable = members
    if pool.draining:
        usable = members.copy()
        for prefix in _draining_of(pool, prefixes):
            usable.discard_range(prefix.first, prefix.last)
    return Space(prefixes[0].family, members, usable)


def host_spaces(host: Host, physical: Iterable[Space]) -> dict[Family, Space]:
    """The addresses of a host by family: what its blocks share with the physical pools."""
    spaces: dict[Family, Space] = {}
    pools = tuple(physical)
    for block in map(parse_prefix, host.blocks):
        space = spaces.setdefault(block.family, Space(block.family, AddressSet(), AddressSet()))
        for pool in pools:
            if pool.family is block.family:
                _add_common(space.members, pool.members, block)
                _add_common(space.usable, pool.usable, block)
    return spaces


def grow(pool: Pool, prefix: str) -> Pool:
    """The pool with one more prefix. Raises Invalid."""
    grown = replace(pool, prefixes=(*pool.prefixes, prefix))
    _prefixes_of(grown)
    return grown


def drain(pool: Pool, prefix: str) -> Pool:
    """The pool with a prefix that gets no new use; draining twice is draining once. Raises Invalid."""
    _check_listed(pool, prefix)
    return pool if prefix in pool.draining else replace(pool, draining=(*pool.draining, prefix))


def remove(pool: Pool, prefix: str, *, in_use: int) -> Pool:
    """The pool without a drained prefix of which nothing is in use any more. Raises Invalid."""
    _check_listed(pool, prefix)
    if prefix not in pool.draining:
        raise Invalid("prefix", prefix, "it must drain before it can be removed; drain it first")
    if in_use:
        raise Invalid("prefix", prefix, f"{in_use} addresses of it are still in use; wait till they are free")
    if len(pool.prefixes) == 1:
        raise Invalid("prefix", prefix, "it is the last one; remove the pool instead")
    removed = parse_prefix(prefix)
    return replace(
        pool,
        prefixes=tuple(text for text in pool.prefixes if text != prefix),
        draining=tuple(text for text in pool.draining if text != prefix),
        exclusions=tuple(text for text in pool.exclusions if not removed.holds(parse_prefix(text))),
    )


def _prefixes_of(pool: Pool) -> tuple[Prefix, ...]:
    prefixes = disjoint_prefixes("prefixes", pool.prefixes)
    if not prefixes:
        raise Invalid("prefixes", (), "a pool has at least one prefix")
    families = {prefix.family for prefix in prefixes}
    if len(families) > 1:
        raise Invalid("prefixes", ", ".join(pool.prefixes), "a pool is IPv4 or IPv6; make one pool for each")
    return prefixes


def _draining_of(pool: Pool, prefixes: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    draining = disjoint_prefixes("draining", pool.draining)
    for prefix in draining:
        if prefix not in prefixes:
            raise Invalid("draining", str(prefix), f"one of {', '.join(pool.prefixes)} is expected")
    return draining


def _check_listed(pool: Pool, prefix: str) -> None:
    if prefix not in pool.prefixes:
        raise Invalid("prefix", prefix, f"one of {', '.join(pool.prefixes)} is expected")


def disjoint_prefixes(field: str, texts: tuple[str, ...]) -> tuple[Prefix, ...]:
    """Read prefixes of which no two share an address. Raises Invalid."""
    prefixes = tuple(parse_prefix(text) for text in texts)
    ascending = sorted(prefixes)
    for lower, higher in pairwise(ascending):
        if lower.overlaps(higher):
            raise Invalid(field, str(higher), f"it overlaps {lower}; name each address once")
    return prefixes


def _inner(field: str, texts: tuple[str, ...], outer: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    inner = tuple(parse_prefix(text) for text in texts)
    for prefix in inner:
        if not any(whole.holds(prefix) for whole in outer):
            raise Invalid(field, str(prefix), f"it must lie inside one of {', '.join(map(str, outer))}")
    return inner


def _add_common(into: AddressSet, members: AddressSet, block: Prefix) -> None:
    for first, last in members.intervals(block.first):
        if first > block.last:
            break
        into.add_range(first, min(last, block.last))
