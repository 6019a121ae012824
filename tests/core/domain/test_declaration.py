"""Declarations: what is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from addrcast.core.domain.declaration import check_account, check_host, check_pool, check_tier
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Pool, PoolKind, Preferences

POOLS = {
    "vpc": Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/16",)),
    "vpc6": Pool(kind=PoolKind.LOGICAL, prefixes=("fd00::/64",)),
    "near": Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.1.0/24",)),
    "wire": Pool(kind=PoolKind.PHYSICAL, prefixes=("100.64.0.0/16",)),
}
HOSTS = {"h1": Host(state=HostState.UP, incarnation=1, blocks=("100.64.0.0/24",))}
ACCOUNT = Account(tier="basic", vni=7, pools=("vpc", "vpc6"))


def accept(account: Account, account_id: str = "a") -> None:
    check_account(account_id, account, accounts={"a": ACCOUNT}, pools=POOLS, tiers=DEFAULT_TIERS)


@pytest.mark.parametrize("name", sorted(DEFAULT_TIERS))
def test_the_default_tiers_keep_to_the_rules(name: str) -> None:
    check_tier(name, DEFAULT_TIERS[name])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rank", -1),
        ("hold_ms", -1),
        ("cooldown_ms", -1),
        ("age_limit_ms", 0),
        ("weight", 0.0),
        ("weight", float("inf")),
        ("weight", float("nan")),
        ("service_level", 0.0),
        ("service_level", 1.0),
        ("headroom", -0.1),
        ("headroom", 1.0),
    ],
)
def test_a_tier_with_a_figure_out_of_range_is_refused(field: str, value: float) -> None:
    changed: dict[str, Any] = {field: value}
    with pytest.raises(Invalid, match=field):
        check_tier("basic", replace(DEFAULT_TIERS["basic"], **changed))


def test_an_account_may_have_pools_of_both_families() -> None:
    accept(ACCOUNT)
    accept(replace(ACCOUNT, vni=(1 << 24) - 1, quota=0))
    accept(replace(ACCOUNT, preferences=Preferences(prefixes=("10.0.3.0/24", "fd00::/96"), hosts=("h1",))))


@pytest.mark.parametrize(
    ("account", "rule"),
    [
        (replace(ACCOUNT, tier="gold"), "one of basic, premium, standard"),
        (replace(ACCOUNT, vni=0), "1 to 16777215"),
        (replace(ACCOUNT, vni=1 << 24), "1 to 16777215"),
        (replace(ACCOUNT, quota=-1), "at least 0"),
        (replace(ACCOUNT, pools=()), "at least one logical pool"),
        (replace(ACCOUNT, pools=("none",)), "no logical pool"),
        (replace(ACCOUNT, pools=("wire",)), "no logical pool"),
        (replace(ACCOUNT, pools=("vpc", "near")), "overlaps 10.0.1.0/24 of near"),
        (replace(ACCOUNT, pools=("vpc", "vpc")), "overlaps"),
        (replace(ACCOUNT, preferences=Preferences(prefixes=("10.7.0.0/16",))), "inside a pool of the account"),
        (replace(ACCOUNT, preferences=Preferences(hosts=("h.1",))), "preferences.hosts"),
    ],
)
def test_an_account_that_breaks_a_rule_is_refused(account: Account, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        accept(account)


def test_a_network_identifier_belongs_to_one_account() -> None:
    with pytest.raises(Invalid, match="account a has it"):
        accept(ACCOUNT, account_id="b")
    accept(replace(ACCOUNT, vni=8), account_id="b")


def test_a_logical_pool_may_share_addresses_with_any_other_and_a_physical_one_with_none() -> None:
    check_pool("far", replace(POOLS["vpc"], is_shared=True), POOLS)
    check_pool("wire", POOLS["wire"], POOLS)
    with pytest.raises(Invalid, match=r"overlaps 100\.64\.0\.0/16 of wire"):
        check_pool("wire2", POOLS["wire"], POOLS)
    with pytest.raises(Invalid, match="only logical pools are shared"):
        check_pool("wire", replace(POOLS["wire"], is_shared=True), POOLS)


def test_names_have_no_dots() -> None:
    with pytest.raises(Invalid, match="tier"):
        check_tier("a.b", DEFAULT_TIERS["basic"])
    with pytest.raises(Invalid, match="pool"):
        check_pool("a.b", POOLS["vpc"], POOLS)
    with pytest.raises(Invalid, match="host"):
        check_host("a.b", HOSTS["h1"], hosts={}, pools=POOLS)
    with pytest.raises(Invalid, match="account"):
        accept(ACCOUNT, account_id="a.b")


@pytest.mark.parametrize(
    ("blocks", "rule"),
    [
        (("100.64.1.1/24",), "100.64.1.0/24"),
        (("100.65.0.0/24",), "inside a prefix of a physical pool"),
        (("10.0.0.0/24",), "inside a prefix of a physical pool"),
        (("100.64.1.0/24", "100.64.1.0/25"), "name each address once"),
        (("100.64.0.128/25",), "overlaps 100.64.0.0/24 of h1"),
    ],
)
def test_blocks_lie_in_physical_pools_and_belong_to_one_host(blocks: tuple[str, ...], rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        check_host("h2", replace(HOSTS["h1"], blocks=blocks), hosts=HOSTS, pools=POOLS)


def test_a_host_may_be_declared_again_with_other_blocks() -> None:
    check_host("h1", replace(HOSTS["h1"], blocks=("100.64.0.0/23",)), hosts=HOSTS, pools=POOLS)
    check_host("h3", replace(HOSTS["h1"], blocks=()), hosts=HOSTS, pools=POOLS)
