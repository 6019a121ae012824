"""What may be declared where something stands and is in use: what shrinks, moves or is on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from addrcast.core.domain import keyspace
from addrcast.core.domain.declarations import Declarations
from addrcast.core.domain.errors import Invalid, Stale
from addrcast.core.domain.record import AddressState, Entry, HoldState, Host, HostState, PhysicalHold
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Pool, PoolKind, Preferences, Removal

if TYPE_CHECKING:
    from tests.core.domain.conftest import Keys

    from addrcast.core.domain.declarations import Resource

VPC = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/28",))
H1 = Host(state=HostState.UP, incarnation=1, blocks=("100.64.0.0/28",))


def accepted(keys: Keys, name: str, resource: Resource) -> Resource:
    return Declarations(keys.ledger()).accept(name, resource)[1]


def refusal(keys: Keys, name: str, resource: Resource) -> str:
    with pytest.raises(Invalid) as fault:
        accepted(keys, name, resource)
    return str(fault.value)


def declare(keys: Keys, name: str, resource: Resource) -> None:
    entry, value = Declarations(keys.ledger()).accept(name, resource)
    keys.put(entry.key, value)


def remove(keys: Keys, kind: str, name: str, *prefixes: str) -> None:
    keys.put(keyspace.removal_key(kind, name), Removal(since_ms=1, prefixes=prefixes))


def test_a_pool_neither_changes_its_kind_nor_whether_it_is_shared(keys: Keys) -> None:
    assert "make another pool" in refusal(keys, "vpc", replace(VPC, kind=PoolKind.PHYSICAL))
    assert "make another pool" in refusal(keys, "vpc", replace(VPC, is_shared=True))


def test_a_pool_grows_splits_and_joins_its_prefixes_under_live_bindings(keys: Keys) -> None:
    keys.record("a", "10.0.0.9", AddressState.BOUND, physical="100.64.0.1", instance="i")
    for prefixes in (("10.0.0.0/27",), ("10.0.0.0/28", "10.0.0.16/28"), ("10.0.0.0/27", "10.1.0.0/24")):
        declare(keys, "vpc", replace(VPC, prefixes=prefixes))
    assert keys.ledger().pool("vpc").required.prefixes == ("10.0.0.0/27", "10.1.0.0/24")


def test_a_prefix_goes_only_once_it_drains_and_nothing_of_it_is_in_use(keys: Keys) -> None:
    keys.record("a", "10.0.0.9", AddressState.BOUND, physical="100.64.0.1", instance="i")
    wider = replace(VPC, prefixes=("10.0.0.0/28", "10.0.1.0/24"))
    narrow = replace(VPC, prefixes=("10.0.1.0/24",))
    declare(keys, "vpc", wider)
    assert "it must drain before it can go" in refusal(keys, "vpc", narrow)
    assert "it must drain before it can go" in refusal(keys, "vpc", replace(VPC, prefixes=("fd01::/64",)))
    declare(keys, "vpc", replace(wider, draining=("10.0.0.0/28",)))
    said = "'10.0.0.0/28' is not valid: it cannot go yet: 1 addresses are in use (bound 1), of a 1"
    assert said in refusal(keys, "vpc", narrow)
    keys.remove(keyspace.record_key("a", "10.0.0.9"))
    assert accepted(keys, "vpc", narrow) == narrow


def test_a_drain_that_was_learnt_ahead_of_the_view_says_nothing_of_what_is_in_use(keys: Keys) -> None:
    ledger = keys.ledger()
    entry = ledger.pool("vpc")
    wider = replace(VPC, prefixes=("10.0.0.0/28", "10.0.1.0/24"), draining=("10.0.0.0/28",))
    ledger.learn([Entry(entry.key, wider, ledger.revision + 1, entry.created)], ledger.revision + 1)
    with pytest.raises(Stale):
        Declarations(ledger).accept("vpc", replace(VPC, prefixes=("10.0.1.0/24",)))


def test_a_pool_may_not_grow_into_another_of_an_account_that_has_both(keys: Keys) -> None:
    near = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.8.0/24",))
    declare(keys, "near", near)
    declare(keys, "a", replace(keys.ledger().account("a").required, pools=("vpc", "near")))
    assert "account a has pool near" in refusal(keys, "near", replace(near, prefixes=("10.0.0.0/16",)))
    assert accepted(keys, "near", replace(near, prefixes=("10.0.8.0/23",)))


def test_a_pool_keeps_the_prefix_that_an_account_prefers(keys: Keys) -> None:
    declare(keys, "vpc", replace(VPC, prefixes=("10.0.0.0/28", "10.0.1.0/24"), draining=("10.0.1.0/24",)))
    preferring = Account(tier="basic", vni=9, pools=("vpc",), preferences=Preferences(prefixes=("10.0.1.0/28",)))
    declare(keys, "c", preferring)
    assert "account c has pool vpc" in refusal(keys, "vpc", VPC)


def test_a_prefix_that_is_being_removed_stands_until_it_is_gone_whether_declared_or_not(keys: Keys) -> None:
    standing = replace(VPC, prefixes=("10.0.0.0/28", "10.0.1.0/24"), draining=("10.0.1.0/24",))
    declare(keys, "vpc", standing)
    remove(keys, "pool", "vpc", "10.0.1.0/24")
    assert accepted(keys, "vpc", VPC) == standing
    assert "it is being removed from pool vpc" in refusal(keys, "vpc", standing)


def test_what_is_being_removed_is_neither_declared_anew_nor_named(keys: Keys) -> None:
    ledger = keys.ledger()
    for kind, name in (("pool", "vpc6"), ("host", "h1"), ("account", "b")):
        remove(keys, kind, name)
    assert "wait until it is gone" in refusal(keys, "vpc6", ledger.pool("vpc6").required)
    assert "wait until it is gone" in refusal(keys, "h1", H1)
    assert "wait until it is gone" in refusal(keys, "b", ledger.account("b").required)
    assert "name another" in refusal(keys, "c", Account(tier="basic", vni=9, pools=("vpc6",)))


def test_a_block_cannot_rest_on_what_is_being_removed_of_a_physical_pool(keys: Keys) -> None:
    block = replace(H1, blocks=("100.64.0.32/28",))
    assert accepted(keys, "h3", block)
    remove(keys, "pool", "wire", "100.64.0.0/24")
    assert "inside a prefix of a physical pool" in refusal(keys, "h3", block)
    remove(keys, "pool", "wire")
    assert "inside a prefix of a physical pool" in refusal(keys, "h3", block)


def test_a_host_loses_a_block_only_once_nothing_of_it_is_in_use(keys: Keys) -> None:
    keys.record("a", "10.0.0.9", AddressState.BOUND, physical="100.64.0.9", instance="i")
    upper, lower = replace(H1, blocks=("100.64.0.8/29",)), replace(H1, blocks=("100.64.0.0/29",))
    assert accepted(keys, "h1", upper) == upper
    assert "1 addresses of it are in use, of a 1; drain host h1 first" in refusal(keys, "h1", lower)
    keys.remove(keyspace.physical_key("100.64.0.9"))
    assert accepted(keys, "h1", lower) == lower


def test_a_block_that_a_host_lost_just_now_is_looked_at_anew(keys: Keys) -> None:
    ledger = keys.ledger()
    entry = ledger.host("h1")
    ledger.learn([Entry(entry.key, H1, ledger.revision + 1, entry.created)], ledger.revision + 1)
    with pytest.raises(Stale):
        Declarations(ledger).accept("h1", replace(H1, blocks=("100.64.0.0/29",)))


def test_a_block_goes_to_another_host_only_once_no_address_of_it_is_kept_for_the_former_one(keys: Keys) -> None:
    for number in range(6):
        hold = PhysicalHold(
            state=HoldState.COOLING, account="a", logical="10.0.0.9", host=f"old{number}", since_ms=1
        )
        keys.put(keyspace.physical_key(f"100.64.0.{64 + number}"), hold)
    said = refusal(keys, "h3", replace(H1, blocks=("100.64.0.64/28",)))
    assert "6 addresses are kept for old0 1, old1 1, old2 1, old3 1, old4 1, 1 more; wait" in said
    assert accepted(keys, "h3", replace(H1, blocks=("100.64.0.80/28",)))


def test_blocks_of_hosts_that_stand_or_were_accepted_are_told_from_free_ones(keys: Keys) -> None:
    declarations = Declarations(keys.ledger())
    declarations.accept("h3", replace(H1, blocks=("100.64.0.64/26",)))
    for block in ("100.64.0.16/28", "100.64.0.0/26", "100.64.0.96/28", "100.64.0.64/26", "100.64.0.0/24"):
        with pytest.raises(Invalid, match="overlaps"):
            declarations.accept("h4", replace(H1, blocks=(block,)))
    declarations.accept("h4", replace(H1, blocks=("100.64.0.32/28", "100.64.0.48/28")))
    assert declarations.lost_blocks("h1", replace(H1, blocks=())) == H1.blocks
    assert declarations.lost_blocks("h4", H1) == ()


def test_an_account_keeps_its_vni(keys: Keys) -> None:
    account = keys.ledger().account("a").required
    assert "for as long as it lives" in refusal(keys, "a", replace(account, vni=9))
    assert accepted(keys, "a", replace(account, quota=3)) == replace(account, quota=3)


def test_a_vni_is_refused_with_who_still_has_it(keys: Keys) -> None:
    new = Account(tier="basic", vni=2, pools=("vpc",))
    assert "account b has it; choose" in refusal(keys, "c", new)
    remove(keys, "account", "b")
    assert "which is being removed, has it until hosts h1, h2 have left" in refusal(keys, "c", new)
    for host in ("h1", "h2"):
        keys.remove(keyspace.subscription_key(host, "b"))
    assert "has it until its last addresses have left" in refusal(keys, "c", new)
    keys.remove(keyspace.account_key("b"))
    assert accepted(keys, "c", new) == new


def test_a_tier_that_was_accepted_may_be_named(keys: Keys) -> None:
    declarations = Declarations(keys.ledger())
    declarations.accept("silver", DEFAULT_TIERS["basic"])
    assert declarations.accept("c", Account(tier="silver", vni=9, pools=("vpc",)))
