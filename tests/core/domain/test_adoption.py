"""Adoption: what was in use before is bound as it is, and rows that cannot be are told one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from addrcast.core.domain.adoption import AddressInUse, Adoption, adopt
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import subscription_key
from addrcast.core.domain.record import AddressState, InstanceEntry, InstanceState, Subscription

if TYPE_CHECKING:
    from tests.core.domain.conftest import Keys


def row(line: int, logical: str, physical: str, **others: str | int) -> AddressInUse:
    fields: dict[str, Any] = {"account": "a", "host": "h1", "instance": f"i-{line}", **others}
    return AddressInUse(line=line, logical=logical, physical=physical, **fields)


def carry_out(keys: Keys, adoption: Adoption) -> None:
    for draft in (*adoption.subscriptions, *adoption.bindings):
        assert keys.commit(draft)


def faults(adoption: Adoption) -> dict[int, str]:
    return {fault.line: str(fault.reason) for fault in adoption.faults}


def test_addresses_in_use_become_bound_records_of_a_sound_store(keys: Keys) -> None:
    keys.remove(subscription_key("h2", "b"))
    keys.remove("host_applied.h2.b")
    keys.put(subscription_key("h1", "a"), Subscription(is_leaving=True))
    rows = [
        row(1, "10.0.0.1", "100.64.0.1", instance="web"),
        row(2, "fd00::1", "100.64.0.2", instance="web"),
        row(3, "10.0.0.2", "100.64.0.3", instance="db"),
        row(4, "172.16.0.3", "100.64.0.17", account="b", host="h2"),
    ]
    adoption = adopt(keys.ledger(), rows, now_ms=7, request="import")
    assert (len(adoption.subscriptions), len(adoption.bindings)) == (2, 3)
    assert (adoption.faults, adoption.present) == ([], [])
    carry_out(keys, adoption)
    ledger = keys.ledger()
    assert violations(ledger) == []
    assert ledger.instance("a", "web").required.addresses == ("10.0.0.1", "fd00::1")
    record = ledger.record("b", "172.16.0.3").required
    assert (record.state, record.pool, record.is_shared) == (AddressState.BOUND, "net", True)
    assert (record.physical, record.host, record.since_ms) == ("100.64.0.17", "h2", 7)
    assert ledger.subscription("h2", "b")


def test_the_same_rows_may_be_adopted_again(keys: Keys) -> None:
    rows = [row(1, "10.0.0.1", "100.64.0.1"), row(2, "10.0.0.2", "100.64.0.2")]
    carry_out(keys, adopt(keys.ledger(), rows, now_ms=7))
    assert adopt(keys.ledger(), rows, now_ms=8) == Adoption(present=[1, 2])


def test_a_transaction_fails_where_the_world_moved_on(keys: Keys) -> None:
    adoption = adopt(keys.ledger(), [row(1, "10.0.0.1", "100.64.0.1")], now_ms=7)
    keys.record("b", "10.0.0.9", AddressState.RESERVED, physical="100.64.0.1")
    assert not keys.commit(adoption.bindings[0])


def test_an_excluded_address_is_adopted_since_it_is_in_use_and_one_outside_the_pools_is_not(keys: Keys) -> None:
    rows = [row(1, "10.0.0.0", "100.64.0.1"), row(2, "10.9.0.0", "100.64.0.2")]
    adoption = adopt(keys.ledger(), rows, now_ms=7)
    assert len(adoption.bindings) == 1
    assert "no pool of account a" in faults(adoption)[2]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (row(1, "10.0.0.1", "100.64.0.1", account="nobody"), "no account of this name"),
        (row(1, "10.0.0.1", "100.64.0.1", host="nobody"), "no host of this name"),
        (row(1, "10.0.0.1", "100.64.0.1", instance=""), "instance"),
        (row(1, "10.0.0.01", "100.64.0.1"), "address"),
        (row(1, "10.0.0.1", "100.64.0.300"), "address"),
        (row(1, "10.0.0.1", "100.64.0.17"), "inside a block of host h1"),
        (row(1, "10.0.0.5", "100.64.0.1"), "it has a record, preserved"),
        (row(1, "10.0.0.1", "100.64.0.5"), "account a has it"),
        (row(1, "172.16.0.1", "100.64.0.1"), "account b has it in pool net"),
        (row(1, "10.0.0.1", "100.64.0.1", instance="gone"), "known already"),
    ],
)
def test_a_row_at_fault_is_told_with_its_reason(keys: Keys, fault: AddressInUse, reason: str) -> None:
    keys.record("a", "10.0.0.5", AddressState.PRESERVED, physical="100.64.0.5", instance="i-5")
    keys.record("b", "172.16.0.1", AddressState.RESERVED, physical="100.64.0.6", pool="net", is_shared=True)
    stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=0, since_ms=1)
    keys.put("instance.a.gone", stone)
    adoption = adopt(keys.ledger(), [fault, row(2, "10.0.0.2", "100.64.0.2")], now_ms=7)
    assert list(faults(adoption)) == [1]
    assert reason in faults(adoption)[1]
    assert len(adoption.bindings) == 1


def test_a_pool_that_an_account_names_but_nobody_declared_has_no_addresses(keys: Keys) -> None:
    keys.remove("pool.vpc")
    adoption = adopt(keys.ledger(), [row(1, "10.0.0.1", "100.64.0.1")], now_ms=7)
    assert "no pool of account a" in faults(adoption)[1]


def test_rows_that_name_an_address_twice_are_told_with_the_line_that_had_it_first(keys: Keys) -> None:
    rows = [
        row(1, "172.16.0.1", "100.64.0.1"),
        row(2, "10.0.0.2", "100.64.0.1"),
        row(3, "172.16.0.1", "100.64.0.3", account="b"),
        row(4, "172.16.0.1", "100.64.0.4"),
    ]
    adoption = adopt(keys.ledger(), rows, now_ms=7)
    assert list(faults(adoption)) == [2, 3, 4]
    assert all("line 1 has it" in reason for reason in faults(adoption).values())


def test_an_instance_is_adopted_with_all_its_addresses_or_not_at_all(keys: Keys) -> None:
    rows = [
        row(1, "10.0.0.1", "100.64.0.1", instance="web"),
        row(2, "fd00::1", "100.64.0.99", instance="web"),
        row(3, "10.0.0.2", "100.64.0.2", instance="db"),
        row(4, "fd00::2", "100.64.0.18", instance="db", host="h2"),
    ]
    adoption = adopt(keys.ledger(), rows, now_ms=7)
    assert adoption.bindings == adoption.subscriptions == []
    assert "all are adopted or none" in faults(adoption)[1]
    assert "inside a block" in faults(adoption)[2]
    assert "on several hosts" in faults(adoption)[3]
    assert "on several hosts" in faults(adoption)[4]


def test_the_host_is_found_by_the_physical_address_and_a_free_one_is_taken_where_only_the_host_is_told(
    keys: Keys,
) -> None:
    rows = [
        row(1, "10.0.0.1", "", host="h2"),
        row(2, "10.0.0.2", "100.64.0.16", host=""),
        row(3, "10.0.0.3", "", host="h2", attempt=4),
    ]
    adoption = adopt(keys.ledger(), rows, now_ms=7)
    assert adoption.faults == []
    carry_out(keys, adoption)
    ledger = keys.ledger()
    assert violations(ledger) == []
    records = [ledger.record("a", f"10.0.0.{number}").required for number in (1, 2, 3)]
    assert [record.physical for record in records] == ["100.64.0.17", "100.64.0.16", "100.64.0.18"]
    assert {record.host for record in records} == {"h2"}
    assert ledger.instance("a", "i-3").required.attempt == 4
    assert sorted(adopt(ledger, rows, now_ms=8).present) == [1, 2, 3]


@pytest.mark.parametrize(
    ("fault", "column", "reason"),
    [
        (row(1, "10.0.0.1", "", host=""), "physical", "a physical address or a host is expected"),
        (row(1, "10.0.0.1", "100.64.9.9", host=""), "physical", "in no block of a host"),
        (row(1, "10.0.0.1", "", host="h9"), "host", "no free physical address"),
        (row(1, "10.0.0.1", "100.64.0.1", attempt=-1), "attempt", "at least 0"),
    ],
)
def test_a_row_that_does_not_say_where_it_is_delivered_is_at_fault(
    keys: Keys, fault: AddressInUse, column: str, reason: str
) -> None:
    (found,) = adopt(keys.ledger(), [fault], now_ms=7).faults
    assert found.reason.field == column
    assert reason in found.reason.rule


def test_addresses_of_one_instance_in_several_attempts_are_at_fault(keys: Keys) -> None:
    rows = [
        row(1, "10.0.0.1", "100.64.0.1", instance="i", attempt=1),
        row(2, "10.0.0.2", "100.64.0.2", instance="i", attempt=2),
    ]
    adoption = adopt(keys.ledger(), rows, now_ms=7)
    assert adoption.bindings == []
    assert "several attempts" in faults(adoption)[1]


def test_nothing_is_adopted_into_what_drains_since_it_is_removed_at_zero(keys: Keys) -> None:
    ledger = keys.ledger()
    keys.put("account.b", replace(ledger.account("b").required, is_draining=True))
    keys.put("pool.net", replace(ledger.pool("net").required, draining=("172.16.0.0/30",)))
    rows = [row(1, "10.0.0.1", "100.64.0.1", account="b"), row(2, "172.16.0.1", "100.64.0.2")]
    adoption = adopt(keys.ledger(), rows, now_ms=7)
    assert adoption.bindings == []
    assert "it drains" in faults(adoption)[1]
    assert "its prefix of pool net drains" in faults(adoption)[2]
