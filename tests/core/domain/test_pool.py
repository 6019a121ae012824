"""Pools: their addresses, and how they grow, drain and shrink."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from addrcast.core.domain.address import Address, Family, parse_address
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.pool import Space, drain, grow, host_spaces, pool_space, remove
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import Pool, PoolKind

PAIR = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/30", "10.1.0.0/30"))


def addresses(space: Space, *, usable: bool = False) -> list[str]:
    return [str(Address(space.family, number)) for number in (space.usable if usable else space.members)]


def test_network_and_broadcast_addresses_are_members_like_any_other() -> None:
    pool = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/30",))
    assert addresses(pool_space(pool)) == ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_exclusions_are_no_members_and_draining_prefixes_are_members_that_are_not_usable() -> None:
    space = pool_space(replace(PAIR, exclusions=("10.0.0.0/31", "10.1.0.3/32"), draining=("10.1.0.0/30",)))
    assert addresses(space) == ["10.0.0.2", "10.0.0.3", "10.1.0.0", "10.1.0.1", "10.1.0.2"]
    assert addresses(space, usable=True) == ["10.0.0.2", "10.0.0.3"]
    assert parse_address("10.1.0.0") in space
    assert parse_address("10.1.0.3") not in space
    assert Address(Family.IPV6, parse_address("10.1.0.0").number) not in space


def test_an_ipv6_pool_has_as_many_addresses_as_its_prefix() -> None:
    assert pool_space(Pool(kind=PoolKind.LOGICAL, prefixes=("2001:db8::/64",))).members.size == 2**64


@pytest.mark.parametrize(
    ("pool", "rule"),
    [
        (replace(PAIR, prefixes=()), "at least one prefix"),
        (replace(PAIR, prefixes=("10.0.0.0/8", "2001:db8::/64")), "one pool for each"),
        (replace(PAIR, prefixes=("10.0.0.0/8", "10.1.0.0/16")), "overlaps 10.0.0.0/8"),
        (replace(PAIR, prefixes=("10.0.0.0/30", "10.0.0.0/30")), "overlaps"),
        (replace(PAIR, prefixes=("10.0.0.1/30",)), "10.0.0.0/30"),
        (replace(PAIR, exclusions=("10.2.0.0/30",)), "inside one of 10.0.0.0/30, 10.1.0.0/30"),
        (replace(PAIR, exclusions=("10.0.0.0/8",)), "inside one of"),
        (replace(PAIR, draining=("10.2.0.0/30",)), "one of 10.0.0.0/30, 10.1.0.0/30"),
        (replace(PAIR, draining=("10.0.0.0/31",)), "one of 10.0.0.0/30, 10.1.0.0/30"),
    ],
)
def test_a_pool_that_breaks_a_rule_is_refused(pool: Pool, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        pool_space(pool)


def test_members_are_counted_off_across_gaps_round_and_round() -> None:
    space = pool_space(PAIR)
    assert [str(Address(space.family, space.number_at(offset))) for offset in (0, 3, 4, 7, 8, 8 * 10**9)] == [
        "10.0.0.0",
        "10.0.0.3",
        "10.1.0.0",
        "10.1.0.3",
        "10.0.0.0",
        "10.0.0.0",
    ]


def test_an_empty_space_counts_off_nothing() -> None:
    space = pool_space(Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/32",), exclusions=("10.0.0.0/32",)))
    assert space.members.size == 0
    assert space.number_at(5) == 0


def test_a_pool_grows_by_a_prefix_apart_from_the_others() -> None:
    assert grow(PAIR, "10.2.0.0/30").prefixes == ("10.0.0.0/30", "10.1.0.0/30", "10.2.0.0/30")
    with pytest.raises(Invalid, match="overlaps"):
        grow(PAIR, "10.1.0.2/31")


def test_draining_twice_is_draining_once() -> None:
    draining = drain(PAIR, "10.1.0.0/30")
    assert draining.draining == ("10.1.0.0/30",)
    assert drain(draining, "10.1.0.0/30") == draining
    with pytest.raises(Invalid, match="is expected"):
        drain(PAIR, "10.1.0.0/31")


def test_a_drained_prefix_is_removed_with_its_exclusions_once_nothing_of_it_is_in_use() -> None:
    draining = drain(replace(PAIR, exclusions=("10.0.0.0/32", "10.1.0.0/32")), "10.1.0.0/30")
    with pytest.raises(Invalid, match="2 addresses of it are still in use"):
        remove(draining, "10.1.0.0/30", in_use=2)
    smaller = remove(draining, "10.1.0.0/30", in_use=0)
    assert (smaller.prefixes, smaller.draining, smaller.exclusions) == (("10.0.0.0/30",), (), ("10.0.0.0/32",))


def test_a_prefix_that_does_not_drain_and_the_last_one_are_not_removed() -> None:
    with pytest.raises(Invalid, match="drain it first"):
        remove(PAIR, "10.1.0.0/30", in_use=0)
    single = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/30",), draining=("10.0.0.0/30",))
    with pytest.raises(Invalid, match="remove the pool instead"):
        remove(single, "10.0.0.0/30", in_use=0)
    with pytest.raises(Invalid, match="is expected"):
        remove(PAIR, "10.7.0.0/30", in_use=0)


def test_a_host_has_what_its_blocks_share_with_the_physical_pools() -> None:
    pools = [
        Pool(kind=PoolKind.PHYSICAL, prefixes=("100.64.0.0/24", "100.64.2.0/24"), exclusions=("100.64.0.1/32",)),
        Pool(kind=PoolKind.PHYSICAL, prefixes=("fd00::/64",), draining=("fd00::/64",)),
    ]
    host = Host(state=HostState.UP, incarnation=1, blocks=("100.64.0.0/30", "100.64.1.0/30", "fd00::/126"))
    spaces = host_spaces(host, [pool_space(pool) for pool in pools])
    assert addresses(spaces[Family.IPV4], usable=True) == ["100.64.0.0", "100.64.0.2", "100.64.0.3"]
    assert addresses(spaces[Family.IPV6]) == ["fd00::", "fd00::1", "fd00::2", "fd00::3"]
    assert addresses(spaces[Family.IPV6], usable=True) == []
