"""What a file would change, in words, and the order in which resources can be declared one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from addrcast.core.domain.declared_changes import changes, in_order
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Pool, PoolKind

if TYPE_CHECKING:
    from tests.core.domain.conftest import Keys

    from addrcast.core.domain.declarations import Resource

NEAR = Pool(kind=PoolKind.LOGICAL, prefixes=("10.1.0.0/24",))


def host(*blocks: str) -> Host:
    return Host(state=HostState.LOST, incarnation=0, blocks=blocks)


def test_what_stands_as_declared_is_no_change_whatever_state_its_host_is_in(keys: Keys) -> None:
    ledger = keys.ledger()
    standing: list[tuple[str, Resource]] = [
        ("vpc", ledger.pool("vpc").required),
        ("h1", host("100.64.0.0/28")),
        ("a", ledger.account("a").required),
        ("premium", DEFAULT_TIERS["premium"]),
    ]
    found = changes(ledger, standing)
    assert [change.kind for change in found] == ["tier"]  # the default tiers are not declared here


def test_a_change_is_told_field_by_field(keys: Keys) -> None:
    ledger = keys.ledger()
    found = changes(
        ledger,
        [
            ("near", NEAR),
            ("h1", host("100.64.0.0/28", "100.64.0.32/28")),
            ("a", replace(ledger.account("a").required, quota=5, pools=("vpc", "near"))),
        ],
    )
    assert [line for change in found for line in change.lines()] == [
        "+ pool near",
        '    kind = "logical"',
        '    prefixes = ["10.1.0.0/24"]',
        "    exclusions = []",
        "    draining = []",
        "    is_shared = false",
        "~ host h1",
        '    blocks: ["100.64.0.0/28"] -> ["100.64.0.0/28","100.64.0.32/28"]',
        "~ account a",
        '    pools: ["vpc","vpc6","net"] -> ["vpc","near"]',
        "    quota: null -> 5",
    ]


def test_a_change_that_breaks_a_rule_is_refused_before_anything_is_written(keys: Keys) -> None:
    with pytest.raises(Invalid, match="account b has it"):
        changes(keys.ledger(), [("c", Account(tier="basic", vni=2, pools=("vpc",)))])


def test_resources_are_declared_in_an_order_in_which_each_may_follow_the_last(keys: Keys) -> None:
    ledger = keys.ledger()
    wire = ledger.pool("wire").required
    keys.put("pool.wire", replace(wire, prefixes=("100.64.0.0/24", "100.65.0.0/24"), draining=("100.65.0.0/24",)))
    ledger = keys.ledger()
    given: list[tuple[str, Resource]] = [
        ("c", Account(tier="silver", vni=9, pools=("near",))),
        ("h3", host("100.64.0.0/29")),
        ("h1", host("100.64.0.8/29")),
        ("h2", host("100.66.0.0/28")),
        ("wire", replace(wire, prefixes=("100.64.0.0/24", "100.66.0.0/24"))),
        ("vpc", replace(ledger.pool("vpc").required, prefixes=("10.0.0.0/27",))),
        ("near", NEAR),
        ("silver", DEFAULT_TIERS["basic"]),
    ]
    ordered = in_order(ledger, given)
    assert [name for name, _ in ordered] == ["silver", "wire", "vpc", "near", "h1", "h2", "h3", "c", "wire"]
    assert ordered[1][1] == replace(
        ledger.pool("wire").required, prefixes=("100.64.0.0/24", "100.65.0.0/24", "100.66.0.0/24")
    )
    assert changes(ledger, ordered)
