"""Invariants: a sound store has no finding, and each way to break one is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from addrcast.core.domain import keyspace
from addrcast.core.domain.invariants import notes, violations
from addrcast.core.domain.pool import drain
from addrcast.core.domain.record import (
    Acknowledgement,
    AddressState,
    HoldState,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    PoolAddress,
    StoreEpoch,
    Subscription,
)
from addrcast.core.domain.resource import Pool, PoolKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.core.domain.conftest import Keys

R1 = keyspace.record_key("a", "10.0.0.1")
P1 = keyspace.physical_key("100.64.0.1")
I1 = keyspace.instance_key("a", "i-1")
R2 = keyspace.record_key("b", "172.16.0.1")
Q2 = keyspace.pool_address_key("net", "172.16.0.1")


@pytest.fixture
def sound(keys: Keys) -> Keys:
    """Every state once, an address of a shared pool, a physical address and an instance that are going."""
    keys.record("a", "10.0.0.1", AddressState.BOUND, physical="100.64.0.1", instance="i-1")
    keys.record("b", "172.16.0.1", AddressState.RESERVED, physical="100.64.0.2", pool="net", is_shared=True)
    keys.record("a", "10.0.0.2", AddressState.PRESERVED, physical="100.64.0.17", host="h2", instance="i-2")
    keys.record("a", "10.0.0.3", AddressState.COOLING, physical="100.64.0.3", instance="i-3")
    hold = PhysicalHold(state=HoldState.COOLING, account="a", logical="10.0.0.1", host="h2", since_ms=1)
    keys.put(keyspace.physical_key("100.64.0.18"), hold)
    stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=0, since_ms=1)
    keys.put(keyspace.instance_key("a", "i-2"), stone)
    return keys


def test_a_sound_store_has_neither_violations_nor_notes(sound: Keys) -> None:
    assert violations(sound.ledger()) == []
    assert notes(sound.ledger()) == []


def forget(key: str) -> Callable[[Keys], object]:
    return lambda keys: keys.remove(key)


def change_record(account: str, logical: str, **fields: object) -> Callable[[Keys], object]:
    def change(keys: Keys) -> object:
        entry = keys.ledger().record(account, logical)
        return keys.put(entry.key, replace(entry.required, **fields))

    return change


def change_hold(physical: str, **fields: object) -> Callable[[Keys], object]:
    def change(keys: Keys) -> object:
        entry = keys.ledger().physical(physical)
        return keys.put(entry.key, replace(entry.required, **fields))

    return change


def change_instance(**fields: object) -> Callable[[Keys], object]:
    def change(keys: Keys) -> object:
        entry = keys.ledger().instance("a", "i-1")
        return keys.put(entry.key, replace(entry.required, **fields))

    return change


def change_host(host: str, **fields: object) -> Callable[[Keys], object]:
    def change(keys: Keys) -> object:
        return keys.put(keyspace.host_key(host), replace(keys.ledger().host(host).required, **fields))

    return change


def a_second_owner_of_a_physical(keys: Keys) -> None:
    keys.record("a", "10.0.0.9", AddressState.RESERVED, physical="100.64.0.1")


def an_address_bound_to_an_instance_that_has_another(keys: Keys) -> None:
    keys.record("a", "10.0.0.9", AddressState.BOUND, physical="100.64.0.9", instance="i-1")


def an_instance_with_the_address_of_another(keys: Keys) -> None:
    bound = InstanceEntry(state=InstanceState.BOUND, attempt=0, since_ms=1, addresses=("10.0.0.1",))
    keys.put(keyspace.instance_key("a", "i-9"), bound)


def a_leaving_host_with_a_bound_record(keys: Keys) -> None:
    keys.put(keyspace.subscription_key("h1", "a"), Subscription(is_leaving=True))


def an_account_of_a_tier_that_is_not_declared(keys: Keys) -> None:
    keys.put("account.b", replace(keys.ledger().account("b").required, tier="gold"))


def a_tier_without_weight(keys: Keys) -> None:
    keys.put("tier.basic", replace(keys.ledger().tiers()["basic"], weight=0))


def a_record_whose_address_is_not_canonical(keys: Keys) -> None:
    keys.record("a", "FD00::1", AddressState.RESERVED, physical="100.64.0.9", pool="vpc6")


def an_address_of_a_shared_pool_that_is_none(keys: Keys) -> None:
    keys.put(keyspace.pool_address_key("net", "172.16.0"), PoolAddress(account="a"))


def a_hold_of_no_address(keys: Keys) -> None:
    keys.put(keyspace.physical_key("100.64.0"), keys.ledger().physical("100.64.0.1").required)


def a_pool_of_both_families(keys: Keys) -> None:
    keys.put("pool.vpc", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/28", "fd00::/64")))


def one_network_for_two_accounts(keys: Keys) -> None:
    keys.put("account.b", replace(keys.ledger().account("b").required, vni=1))


def a_pool_that_became_shared(keys: Keys) -> None:
    keys.put("pool.vpc", replace(keys.ledger().pool("vpc").required, is_shared=True))


def acknowledged(**fields: int) -> Callable[[Keys], object]:
    value = replace(Acknowledgement(epoch=1, revision=1, incarnation=1), **fields)
    return lambda keys: keys.put(keyspace.acknowledgement_key("h1", "a"), value)


@pytest.mark.parametrize(
    ("breakage", "rule", "key"),
    [
        (forget("account.a"), "names", "account.a"),
        (forget("pool.vpc"), "declarations", "account.a"),
        (an_account_of_a_tier_that_is_not_declared, "declarations", "account.b"),
        (a_tier_without_weight, "declarations", "tier.basic"),
        (change_host("h2", blocks=("100.64.0.16/28", "100.64.0.17/32")), "texts", "host.h2"),
        (change_host("h2", blocks=("100.64.0.17/28",)), "texts", "host.h2"),
        (change_record("a", "10.0.0.1", physical="100.64.0.01"), "texts", R1),
        (a_record_whose_address_is_not_canonical, "texts", keyspace.record_key("a", "FD00::1")),
        (an_address_of_a_shared_pool_that_is_none, "texts", keyspace.pool_address_key("net", "172.16.0")),
        (a_hold_of_no_address, "texts", keyspace.physical_key("100.64.0")),
        (a_pool_of_both_families, "texts", "pool.vpc"),
        (forget("pool.vpc"), "names", "pool.vpc"),
        (forget("host.h2"), "names", "host.h2"),
        (a_second_owner_of_a_physical, "one owner", R1),
        (forget(P1), "held", R1),
        (change_hold("100.64.0.1", state=HoldState.COOLING), "held", R1),
        (change_hold("100.64.0.1", logical="10.0.0.9"), "held", R1),
        (change_hold("100.64.0.1", account="b"), "held", R1),
        (change_hold("100.64.0.1", host="h2"), "held", R1),
        (forget(keyspace.record_key("a", "10.0.0.3")), "no leak", keyspace.physical_key("100.64.0.3")),
        (change_record("a", "10.0.0.3", physical="100.64.0.9"), "no leak", keyspace.physical_key("100.64.0.3")),
        (forget(I1), "binding", R1),
        (change_instance(state=InstanceState.TOMBSTONE), "binding", R1),
        (change_instance(addresses=("10.0.0.9",)), "binding", R1),
        (change_instance(addresses=()), "binding", I1),
        (change_instance(addresses=("10.0.0.1", "10.0.0.1")), "binding", I1),
        (change_instance(attempt=3), "binding", R1),
        (change_record("a", "10.0.0.1", state=AddressState.PRESERVED), "binding", I1),
        (change_record("a", "10.0.0.1", instance="i-7"), "binding", I1),
        (an_address_bound_to_an_instance_that_has_another, "binding", I1),
        (an_instance_with_the_address_of_another, "binding", keyspace.instance_key("a", "i-9")),
        (forget(Q2), "shared", R2),
        (lambda keys: keys.put(Q2, PoolAddress(account="a")), "shared", Q2),
        (forget(R2), "shared", Q2),
        (change_record("b", "172.16.0.1", is_shared=False), "shared", R2),
        (change_record("b", "172.16.0.1", pool="vpc"), "shared", Q2),
        (a_pool_that_became_shared, "shared", R1),
        (change_host("h2", blocks=("100.64.0.0/27",)), "blocks", "host.h2"),
        (change_hold("100.64.0.18", host="h1"), "blocks", keyspace.physical_key("100.64.0.18")),
        (one_network_for_two_accounts, "networks", "account.b"),
        (forget(keyspace.subscription_key("h1", "a")), "subscription", R1),
        (a_leaving_host_with_a_bound_record, "subscription", R1),
        (
            forget(keyspace.subscription_key("h2", "b")),
            "subscription",
            keyspace.acknowledgement_key("h2", "b"),
        ),
        (forget(keyspace.EPOCH), "revisions", keyspace.EPOCH),
        (change_record("a", "10.0.0.1", placed_revision=99), "revisions", R1),
        (acknowledged(revision=99), "revisions", keyspace.acknowledgement_key("h1", "a")),
        (acknowledged(epoch=2), "revisions", keyspace.acknowledgement_key("h1", "a")),
        (acknowledged(incarnation=2), "revisions", keyspace.acknowledgement_key("h1", "a")),
        (forget(Q2), "sums", "pool.net"),
        (forget(keyspace.record_key("a", "10.0.0.3")), "sums", "host.h1"),
    ],
)
def test_a_store_that_breaks_a_rule_is_told_with_its_keys(
    sound: Keys, breakage: Callable[[Keys], object], rule: str, key: str
) -> None:
    breakage(sound)
    found = [finding for finding in violations(sound.ledger()) if finding.rule == rule]
    assert any(key in finding.keys for finding in found), found
    assert all(finding.what for finding in found)


def test_a_physical_address_that_cools_after_its_record_is_gone_is_no_leak(sound: Keys) -> None:
    hold = PhysicalHold(state=HoldState.COOLING, account="a", logical="10.0.0.14", host="h1", since_ms=1)
    sound.put(keyspace.physical_key("100.64.0.5"), hold)
    assert violations(sound.ledger()) == []


def test_an_account_past_its_quota_is_a_note(sound: Keys) -> None:
    account = sound.ledger().account("a").required
    sound.put("account.a", replace(account, quota=2))
    assert notes(sound.ledger()) == []
    sound.put("account.a", replace(account, quota=1))
    assert [(note.rule, note.keys) for note in notes(sound.ledger())] == [("quota", ("account.a",))]
    assert violations(sound.ledger()) == []


def test_addresses_outside_pools_and_blocks_and_in_draining_prefixes_are_notes(sound: Keys) -> None:
    sound.record("a", "192.0.2.1", AddressState.RESERVED, physical="198.51.100.1")
    sound.put("pool.net", drain(sound.ledger().pool("net").required, "172.16.0.0/30"))
    assert [(note.rule, note.keys[0]) for note in notes(sound.ledger())] == [
        ("draining", R2),
        ("outside", keyspace.record_key("a", "192.0.2.1")),
        ("outside", keyspace.physical_key("198.51.100.1")),
    ]
    assert violations(sound.ledger()) == []


def test_a_record_that_names_a_physical_pool_is_outside(sound: Keys) -> None:
    sound.put("pool.vpc", Pool(kind=PoolKind.PHYSICAL, prefixes=("10.0.0.0/28",)))
    assert {note.keys[0] for note in notes(sound.ledger())} >= {R1}


def test_a_store_of_a_later_epoch_has_older_acknowledgements(sound: Keys) -> None:
    sound.put(keyspace.EPOCH, StoreEpoch(epoch=2))
    assert violations(sound.ledger()) == []
