"""The ledger: who has which address, which are free, and what a create may take."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from addrcast.core.domain.address import Family, parse_prefix
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import instance_key, parts_of, physical_key
from addrcast.core.domain.pool import drain, grow
from addrcast.core.domain.ranges import Counts
from addrcast.core.domain.record import (
    AddressState,
    Host,
    HostState,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    PoolAddress,
)
from addrcast.core.domain.record import HoldState as Hold
from addrcast.core.domain.resource import Account, Pool, PoolKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.core.domain.conftest import Keys

    from addrcast.core.domain.record import Entry, Record

RESERVED, BOUND, PRESERVED, COOLING = AddressState


def logicals(entries: Iterable[Entry[Record]]) -> list[str]:
    return [parts_of(entry.key).second for entry in entries]


def test_an_unused_ipv6_subnet_has_its_first_address_free_at_once(keys: Keys) -> None:
    ledger = keys.ledger()
    assert ledger.free_logical("a", "vpc6") == "fd00::"
    assert ledger.counts("vpc6", "a").free == 2**64


def test_free_addresses_pass_over_exclusions_and_what_has_a_record(keys: Keys) -> None:
    keys.record("a", "10.0.0.1", COOLING, physical="100.64.0.0")
    keys.record("b", "10.0.0.2", BOUND, physical="100.64.0.1", instance="i-1")
    ledger = keys.ledger()
    assert list(islice(ledger.free_logicals("a", "vpc"), 2)) == ["10.0.0.2", "10.0.0.3"]
    assert list(islice(ledger.free_logicals("b", "vpc"), 2)) == ["10.0.0.1", "10.0.0.3"]


def test_two_accounts_have_each_their_own_range_of_a_pool_and_one_range_of_a_shared_pool(keys: Keys) -> None:
    keys.record("a", "172.16.0.0", RESERVED, physical="100.64.0.0", pool="net", is_shared=True)
    keys.record("b", "10.0.0.1", RESERVED, physical="100.64.0.1")
    ledger = keys.ledger()
    assert ledger.free_logical("b", "net") == "172.16.0.1"
    assert (
        ledger.counts("net", "a")
        == ledger.counts("net", "b")
        == ledger.counts("net")
        == Counts(4, 3, 1, 0, 0, 0, 3)
    )
    assert ledger.counts("vpc", "a") == Counts(15, 15, 0, 0, 0, 0, 15)
    assert ledger.counts("vpc", "b") == Counts(15, 14, 1, 0, 0, 0, 14)
    assert ledger.counts("vpc", "b").is_balanced


def test_replicas_with_other_offsets_find_other_addresses_and_still_all_of_them(keys: Keys) -> None:
    ledger = keys.ledger()
    assert ledger.free_logical("a", "net", offset=2) == "172.16.0.2"
    assert list(ledger.free_logicals("a", "net", offset=7)) == [
        "172.16.0.3",
        "172.16.0.0",
        "172.16.0.1",
        "172.16.0.2",
    ]
    assert ledger.free_physical("h2", offset=3) == "100.64.0.19"


def test_preferred_prefixes_come_first_and_no_address_twice(keys: Keys) -> None:
    ledger = keys.ledger()
    prefer = [parse_prefix("10.0.0.12/30"), parse_prefix("fd00::/64"), parse_prefix("10.0.0.8/31")]
    found = list(ledger.free_logicals("a", "vpc", prefer=prefer, offset=1))
    assert found[:6] == ["10.0.0.13", "10.0.0.14", "10.0.0.15", "10.0.0.12", "10.0.0.9", "10.0.0.8"]
    assert sorted(found) == sorted(ledger.free_logicals("a", "vpc"))


def test_neighbours_are_found_in_a_preferred_prefix_or_else_anywhere(keys: Keys) -> None:
    keys.record("a", "10.0.0.3", BOUND, physical="100.64.0.0", instance="i-1")
    ledger = keys.ledger()
    assert ledger.free_logical_run("a", "vpc", 3) == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
    prefer = [parse_prefix("fd00::/64"), parse_prefix("10.0.0.8/29")]
    assert ledger.free_logical_run("a", "vpc", 2, prefer=prefer) == ["10.0.0.8", "10.0.0.9"]
    assert ledger.free_logical_run("a", "vpc", 9, prefer=prefer) == [f"10.0.0.{number}" for number in range(4, 13)]
    assert ledger.free_logical_run("a", "vpc", 13) is None


def test_an_iterator_of_free_addresses_may_be_used_across_changes(keys: Keys) -> None:
    ledger = keys.ledger()
    found = ledger.free_logicals("a", "vpc")
    assert next(found) == "10.0.0.1"
    keys.record("a", "10.0.0.2", RESERVED, physical="100.64.0.0")
    ledger.apply(keys.changes[-1])
    assert next(found) == "10.0.0.3"


def test_an_exhausted_pool_has_no_free_address_until_one_comes_back(keys: Keys) -> None:
    for number in range(4):
        physical = f"100.64.0.{number}"
        keys.record("a", f"172.16.0.{number}", COOLING, physical=physical, pool="net", is_shared=True)
    ledger = keys.ledger()
    assert ledger.free_logical("b", "net") is None
    ledger.apply(keys.remove("network_address.a.172.16.0.2"))
    assert ledger.counts("net") == Counts(4, 0, 0, 0, 0, 3, 0)
    assert not ledger.counts("net").is_balanced
    ledger.apply(keys.remove("pool_address.net.172.16.0.2"))
    assert ledger.free_logical("b", "net") == "172.16.0.2"


def test_a_claim_that_is_written_again_and_one_that_was_never_there_change_nothing(keys: Keys) -> None:
    ledger = keys.ledger()
    keys.record("a", "172.16.0.0", RESERVED, physical="100.64.0.0", pool="net", is_shared=True)
    ledger.apply(keys.changes[-1])
    ledger.apply(keys.put("pool_address.net.172.16.0.0", PoolAddress(account="b")))
    assert ledger.counts("net") == Counts(4, 3, 1, 0, 0, 0, 3)
    assert ledger.pool_address("net", "172.16.0.0").required.account == "b"


def test_draining_prefixes_get_no_new_use_and_stay_counted(keys: Keys) -> None:
    ledger = keys.ledger()
    assert ledger.free_logical("a", "vpc") == "10.0.0.1"
    keys.record("a", "10.0.0.5", BOUND, physical="100.64.0.0", instance="i-1")
    ledger.apply(keys.changes[-1])
    ledger.apply(keys.put("pool.vpc", drain(grow(ledger.pool("vpc").required, "10.9.0.0/30"), "10.0.0.0/28")))
    assert ledger.free_logical("a", "vpc") == "10.9.0.0"
    assert ledger.counts("vpc", "a") == Counts(19, 18, 0, 1, 0, 0, 4)
    ledger.apply(keys.remove("network_address.a.10.0.0.5"))
    assert ledger.counts("vpc", "a") == Counts(19, 19, 0, 0, 0, 0, 4)


def test_addresses_outside_their_pool_are_neither_free_nor_counted(keys: Keys) -> None:
    ledger = keys.ledger()
    before = ledger.counts("vpc", "a")
    keys.record("a", "192.0.2.1", BOUND, physical="100.64.0.0", instance="i-1")
    ledger.apply(keys.changes[-1])
    assert ledger.counts("vpc", "a") == before == keys.ledger().counts("vpc", "a")
    ledger.apply(keys.remove("network_address.a.192.0.2.1"))
    assert ledger.counts("vpc", "a") == before


@pytest.mark.parametrize("pool", ["none", "wire"])
def test_only_declared_logical_pools_have_logical_addresses(keys: Keys, pool: str) -> None:
    with pytest.raises(Invalid, match="pool"):
        keys.ledger().counts(pool, "a")


def test_a_pool_that_is_declared_no_more_has_no_addresses(keys: Keys) -> None:
    ledger = keys.ledger()
    assert ledger.counts("vpc", "a").total == 15
    ledger.apply(keys.remove("pool.vpc"))
    with pytest.raises(Invalid, match="no pool of this name"):
        ledger.free_logical("a", "vpc")


def test_a_host_offers_the_free_addresses_of_its_blocks_while_it_takes_use(keys: Keys) -> None:
    ledger = keys.ledger()
    assert ledger.free_physical("h2") == "100.64.0.16"
    keys.record("a", "10.0.0.1", BOUND, physical="100.64.0.16", host="h2", instance="i-1")
    ledger.apply(keys.changes[-1])
    assert ledger.free_physical("h2") == "100.64.0.17"
    assert ledger.free_count("h2") == 15
    up = ledger.host("h2").required
    for other in (
        replace(up, state=HostState.LOST),
        replace(up, state=HostState.REJOINING),
        replace(up, is_draining=True),
    ):
        ledger.apply(keys.put("host.h2", other))
        assert ledger.free_physical("h2") is None
    ledger.apply(keys.put("host.h2", up))
    assert ledger.free_physical("h2") == "100.64.0.17"
    ledger.apply(keys.remove("host.h2"))
    assert ledger.free_physical("h2") is None
    assert ledger.free_count("h2") == 0


def test_a_host_of_both_families_offers_the_one_that_is_asked_for(keys: Keys) -> None:
    ledger = keys.ledger()
    ledger.apply(keys.put("pool.wire6", Pool(kind=PoolKind.PHYSICAL, prefixes=("fd01::/64",))))
    ledger.apply(
        keys.put("host.h1", Host(state=HostState.UP, incarnation=1, blocks=("100.64.0.0/31", "fd01::/127")))
    )
    assert list(ledger.free_physicals("h1")) == ["100.64.0.0", "100.64.0.1", "fd01::", "fd01::1"]
    assert ledger.free_physical("h1", family=Family.IPV6) == "fd01::"


def test_blocks_that_are_taken_away_are_offered_no_more(keys: Keys) -> None:
    ledger = keys.ledger()
    assert ledger.free_physical("h1") == "100.64.0.0"
    ledger.apply(keys.put("host.h1", replace(ledger.host("h1").required, blocks=("100.64.0.8/29",))))
    assert ledger.free_physical("h1") == "100.64.0.8"
    ledger.apply(keys.remove("pool.wire"))
    assert ledger.free_physical("h1") is None


def test_the_physical_ledger_counts_held_addresses_by_the_state_of_their_record(keys: Keys) -> None:
    ledger = keys.ledger()
    assert ledger.physical_counts(host="h1") == Counts(16, 16, 0, 0, 0, 0, 16)
    for number, state in enumerate(AddressState):
        keys.record("a", f"10.0.0.{number + 1}", state, physical=f"100.64.0.{number}", instance=f"i-{number}")
        ledger.apply(keys.changes[-1])
    cooling = PhysicalHold(state=Hold.COOLING, account="a", logical="10.0.0.1", host="h1", since_ms=1)
    ledger.apply(keys.put("physical_address.100.64.0.9", cooling))
    assert ledger.physical_counts(host="h1") == Counts(16, 11, 1, 1, 1, 2, 11)
    assert ledger.physical_counts(pool="wire") == Counts(256, 251, 1, 1, 1, 2, 251)
    assert keys.ledger().physical_counts(host="h1") == ledger.physical_counts(host="h1")
    ledger.apply(keys.remove("network_address.a.10.0.0.1"))
    assert not ledger.physical_counts(host="h1").is_balanced
    ledger.apply(keys.remove("physical_address.100.64.0.0"))
    assert ledger.physical_counts(host="h1") == Counts(16, 12, 0, 1, 1, 2, 12)
    assert ledger.physical_counts(host="nobody") == Counts(0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(Invalid, match="no physical pool"):
        ledger.physical_counts(pool="vpc")


def test_a_physical_address_that_changes_hosts_is_counted_on_the_new_one(keys: Keys) -> None:
    keys.record("a", "10.0.0.1", RESERVED, physical="100.64.0.0")
    ledger = keys.ledger()
    assert (ledger.free_count("h1"), ledger.free_count("h2")) == (15, 16)
    hold = replace(ledger.physical("100.64.0.0").required, host="h2")
    ledger.apply(keys.put("physical_address.100.64.0.0", hold))
    assert ledger.free_physical("h1") == "100.64.0.1"
    assert (ledger.free_count("h1"), ledger.free_count("h2")) == (16, 16)


def test_records_are_found_by_state_and_host_the_one_that_changed_longest_ago_first(keys: Keys) -> None:
    keys.record("a", "10.0.0.5", RESERVED, physical="100.64.0.0")
    keys.record("a", "10.0.0.3", RESERVED, physical="100.64.0.16", host="h2")
    keys.record("a", "10.0.0.4", RESERVED, physical="100.64.0.1")
    keys.record("a", "10.0.0.1", COOLING, physical="100.64.0.2")
    keys.record("b", "10.0.0.1", COOLING, physical="100.64.0.3")
    ledger = keys.ledger()
    assert logicals(ledger.in_state("a", RESERVED)) == ["10.0.0.5", "10.0.0.3", "10.0.0.4"]
    assert logicals(ledger.in_state("a", RESERVED, host="h1")) == ["10.0.0.5", "10.0.0.4"]
    assert logicals(ledger.in_state("a", BOUND)) == logicals(ledger.in_state("nobody", BOUND)) == []
    assert [parts_of(entry.key).first for entry in ledger.cooling_records()] == ["a", "b"]
    assert ledger.places("a") == {
        (RESERVED, None): 3,
        (RESERVED, "h1"): 2,
        (RESERVED, "h2"): 1,
        (COOLING, None): 1,
        (COOLING, "h1"): 1,
    }
    assert ledger.places("nobody") == {}
    assert set(ledger.records("a")) == {"10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5"}
    assert list(ledger.accounts_with_records()) == ["a", "b"]
    ledger.apply(keys.remove("network_address.b.10.0.0.1"))
    assert list(ledger.accounts_with_records()) == ["a"]
    assert ledger.records("b") == {}


def test_a_preserved_address_is_found_by_its_former_instance_until_it_is_given_away(keys: Keys) -> None:
    for logical, physical in (("10.0.0.1", "100.64.0.0"), ("fd00::1", "100.64.0.1")):
        keys.record("a", logical, PRESERVED, physical=physical, instance="i-1")
    ledger = keys.ledger()
    assert set(ledger.preserved("a", "i-1")) == {"10.0.0.1", "fd00::1"}
    assert ledger.preserved("a", "i-2") == ledger.preserved("b", "i-1") == {}
    for logical, physical in (("10.0.0.1", "100.64.0.0"), ("fd00::1", "100.64.0.1")):
        keys.record("a", logical, BOUND, physical=physical, instance="i-2")
        ledger.apply(keys.changes[-1])
    assert ledger.preserved("a", "i-1") == {}


def test_idle_reservations_are_taken_from_the_lowest_tier_first_and_premium_last(keys: Keys) -> None:
    keys.put("account.c", Account(tier="standard", vni=3, pools=("net",)))
    for number, account in enumerate("acb"):
        keys.record(
            account, f"172.16.0.{number}", RESERVED, physical=f"100.64.0.{number}", pool="net", is_shared=True
        )
    keys.record("b", "10.0.0.1", RESERVED, physical="100.64.0.3")
    keys.record("nobody", "10.0.0.1", RESERVED, physical="100.64.0.4")
    ledger = keys.ledger()
    assert [entry.key for entry in ledger.idle_reservations(pool="net")] == [
        "network_address.b.172.16.0.2",
        "network_address.c.172.16.0.1",
        "network_address.a.172.16.0.0",
    ]
    on_host = [parts_of(entry.key).first for entry in ledger.idle_reservations(host="h1")]
    assert on_host == ["nobody", "b", "b", "c", "a"]
    assert list(ledger.idle_reservations(host="h2")) == list(ledger.idle_reservations(pool="vpc")) == []


def test_an_account_that_changes_its_tier_changes_its_place_among_idle_reservations(keys: Keys) -> None:
    for number, account in enumerate("ab"):
        keys.record(
            account, f"172.16.0.{number}", RESERVED, physical=f"100.64.0.{number}", pool="net", is_shared=True
        )
    ledger = keys.ledger()
    ledger.apply(keys.put("account.b", replace(ledger.account("b").required, tier="premium")))
    ledger.apply(keys.put("account.a", replace(ledger.account("a").required, tier="basic")))
    assert [parts_of(entry.key).first for entry in ledger.idle_reservations(pool="net")] == ["a", "b"]
    ledger.apply(keys.remove("account.b"))
    assert [parts_of(entry.key).first for entry in ledger.idle_reservations(pool="net")] == ["b", "a"]
    ledger.apply(keys.remove("network_address.b.172.16.0.1"))
    assert [parts_of(entry.key).first for entry in ledger.idle_reservations(pool="net")] == ["a"]


def test_bound_reserved_and_preserved_addresses_count_against_the_quota(keys: Keys) -> None:
    for number, state in enumerate(AddressState, start=1):
        keys.record("a", f"10.0.0.{number}", state, physical=f"100.64.0.{number}", instance=f"i-{number}")
    assert keys.ledger().usage("a") == 3
    assert keys.ledger().usage("b") == 0


def test_what_cools_by_itself_and_what_is_gone_come_oldest_first(keys: Keys) -> None:
    hold = PhysicalHold(state=Hold.COOLING, account="a", logical="10.0.0.1", host="h1", since_ms=1)
    stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=0, since_ms=1)
    for number in (2, 1):
        keys.put(physical_key(f"100.64.0.{number}"), hold)
        keys.put(instance_key("a", f"i-{number}"), stone)
    ledger = keys.ledger()
    assert [entry.key[-1] for entry in ledger.cooling_physicals()] == ["2", "1"]
    assert [entry.key[-1] for entry in ledger.tombstones()] == ["2", "1"]
    ledger.apply(keys.remove(physical_key("100.64.0.2")))
    ledger.apply(keys.put(physical_key("100.64.0.1"), replace(hold, state=Hold.HELD)))
    ledger.apply(keys.remove(instance_key("a", "i-2")))
    assert len(ledger.cooling_physicals()) == 0
    assert [entry.key[-1] for entry in ledger.tombstones()] == ["1"]


def test_subscriptions_are_found_by_account(keys: Keys) -> None:
    ledger = keys.ledger()
    assert set(ledger.subscriptions("a")) == {"h1", "h2"}
    ledger.apply(keys.remove("host_account.h1.a"))
    assert set(ledger.subscriptions("a")) == {"h2"}
    ledger.apply(keys.remove("host_account.h2.a"))
    assert ledger.subscriptions("a") == {}
    ledger.apply(keys.put("tier.own", keys.ledger().tiers()["basic"]))
    assert ledger.tier("own")


def test_a_record_that_changes_pools_leaves_one_range_for_the_other(keys: Keys) -> None:
    keys.put("pool.vpc2", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/28",)))
    key = keys.record("a", "10.0.0.1", RESERVED, physical="100.64.0.0")
    ledger = keys.ledger()
    assert (ledger.counts("vpc", "a").free, ledger.counts("vpc2", "a").free) == (14, 16)
    ledger.apply(keys.put(key, replace(ledger.record("a", "10.0.0.1").required, pool="vpc2")))
    assert (ledger.counts("vpc", "a").free, ledger.counts("vpc2", "a").free) == (15, 15)
    assert ledger.counts("vpc2", "a").reserved == 1
    assert ledger.free_logical("a", "vpc") == "10.0.0.2", "the address has a record, wherever it is counted"


def test_a_physical_address_that_another_host_keeps_is_not_offered_by_the_host_it_is_routed_to(keys: Keys) -> None:
    keys.put(
        physical_key("100.64.0.0"),
        PhysicalHold(state=Hold.HELD, account="a", logical="10.0.0.1", host="h2", since_ms=1),
    )
    assert keys.ledger().free_physical("h1") == "100.64.0.1"


def test_every_change_of_what_is_declared_has_a_version_of_its_own(keys: Keys) -> None:
    ledger = keys.ledger()
    versions = [ledger.declared_version]
    for change in (keys.put("pool.vpc", ledger.pool("vpc").required), keys.remove("host.h2")):
        ledger.apply(change)
        versions.append(ledger.declared_version)
    assert len(set(versions)) == 3
