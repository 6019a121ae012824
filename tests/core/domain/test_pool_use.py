"""What keeps a prefix from being removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.pool_use import in_use, use_of
from addrcast.core.domain.record import AddressState, HoldState, PhysicalHold

if TYPE_CHECKING:
    from tests.core.domain.conftest import Keys


def test_addresses_with_a_record_in_any_state_and_account_keep_a_logical_prefix(keys: Keys) -> None:
    keys.record("a", "10.0.0.1", AddressState.COOLING, physical="100.64.0.1")
    keys.record("b", "10.0.0.1", AddressState.RESERVED, physical="100.64.0.2")
    keys.record("b", "10.0.0.9", AddressState.RESERVED, physical="100.64.0.3")
    keys.record("b", "172.16.0.1", AddressState.RESERVED, physical="100.64.0.4", pool="net", is_shared=True)
    ledger = keys.ledger()
    assert in_use(ledger, "vpc", parse_prefix("10.0.0.0/28")) == 3
    assert in_use(ledger, "vpc", parse_prefix("10.0.0.0/30")) == 2
    assert in_use(ledger, "net", parse_prefix("172.16.0.0/30")) == 1
    assert in_use(ledger, "vpc6", parse_prefix("fd00::/64")) == 0


def test_blocks_and_what_lies_outside_them_keep_a_physical_prefix(keys: Keys) -> None:
    hold = PhysicalHold(state=HoldState.COOLING, account="a", logical="10.0.0.1", host="h9", since_ms=1)
    keys.put("physical_address.100.64.0.1", hold)
    keys.put("physical_address.100.64.0.200", hold)
    ledger = keys.ledger()
    assert in_use(ledger, "wire", parse_prefix("100.64.0.0/24")) == 33
    assert in_use(ledger, "wire", parse_prefix("100.64.0.8/29")) == 8
    assert in_use(ledger, "wire", parse_prefix("100.64.0.64/26")) == 0


def test_a_pool_that_is_not_declared_has_no_use(keys: Keys) -> None:
    with pytest.raises(Invalid, match="no pool of this name"):
        in_use(keys.ledger(), "none", parse_prefix("10.0.0.0/8"))


def test_the_use_of_prefixes_is_told_by_state_and_by_owner(keys: Keys) -> None:
    keys.record("a", "10.0.0.1", AddressState.COOLING, physical="100.64.0.1")
    for last in (2, 3):
        keys.record("b", f"10.0.0.{last}", AddressState.BOUND, physical=f"100.64.0.{last}", instance=f"i{last}")
    ledger = keys.ledger()
    whole = [parse_prefix("10.0.0.0/28")]
    assert use_of(ledger, "vpc", whole) == "3 addresses are in use (bound 2, cooling 1), of b 2, a 1"
    assert use_of(ledger, "vpc6", [parse_prefix("fd00::/64")]) == ""
    assert (
        use_of(ledger, "wire", [parse_prefix("100.64.0.0/24")])
        == "32 addresses are in use, in blocks of h1 1, h2 1"
    )
    keys.remove("host.h1")
    assert use_of(keys.ledger(), "wire", [parse_prefix("100.64.0.0/28")]) == "3 addresses are in use"
