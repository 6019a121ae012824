"""What is left of an account, a host or a pool, in words; what the transitions of a removal compare and write."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from addrcast.core.domain import keyspace
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import AddressState, HoldState, PhysicalHold
from addrcast.core.domain.removals import Bound, Kind, Left, begun, left_of
from addrcast.core.domain.transaction import Compare
from addrcast.core.domain.transitions_removal import evict, forget_subscription, host_removed

if TYPE_CHECKING:
    from tests.core.domain.conftest import Keys

FENCE = Compare("election.controller", 7)


def cooling(account: str, host: str) -> PhysicalHold:
    return PhysicalHold(state=HoldState.COOLING, account=account, logical="10.0.0.9", host=host, since_ms=1)


def test_what_is_left_is_told_by_state_by_account_and_by_host(keys: Keys) -> None:
    keys.record("a", "10.0.0.1", AddressState.BOUND, physical="100.64.0.1", instance="i")
    keys.record("b", "10.0.0.1", AddressState.COOLING, physical="100.64.0.2")
    keys.put("physical_address.100.64.0.3", cooling("b", "h1"))
    ledger = keys.ledger()
    assert str(left_of(ledger, Kind.ACCOUNT, "a")) == "bound 1, of a 1; hosts h1, h2"
    assert str(left_of(ledger, Kind.ACCOUNT, "b")) == "cooling 2, of b 2; hosts h1, h2"
    assert str(left_of(ledger, Kind.HOST, "h1")) == "cooling 2, bound 1, of b 2, a 1"
    assert str(left_of(ledger, Kind.POOL, "vpc")) == "bound 1, cooling 1, of a 1, b 1"
    assert str(left_of(ledger, Kind.POOL, "wire")) == "cooling 2, bound 1, of b 2, a 1; hosts h1, h2"
    assert str(left_of(ledger, Kind.POOL, "none")) == "nothing"
    assert str(left_of(ledger, Kind.ACCOUNT, "none")) == "nothing"
    assert left_of(ledger, Kind.HOST, "h1").bound == Counter(a=1)


def test_an_address_outside_the_prefixes_that_go_is_not_left_of_them(keys: Keys) -> None:
    keys.put("physical_address.100.64.9.9", cooling("b", "h9"))
    assert str(left_of(keys.ledger(), Kind.POOL, "wire")) == "hosts h1, h2"


def test_many_hosts_are_counted_and_not_all_named() -> None:
    assert str(Left(Counter(), tuple(f"h{n}" for n in range(8)))) == "hosts h0, h1, h2, h3, h4 and 3 more"


def test_a_removal_counts_up_what_declarations_compare(keys: Keys) -> None:
    for kind, name in ((Kind.ACCOUNT, "a"), (Kind.HOST, "h2")):
        draft = begun(keys.ledger(), kind, name, bound=Bound.REFUSED, now_ms=5)
        assert draft is not None
        assert keyspace.DECLARED in [entry.key for entry in draft.compares]
        assert keys.commit(draft)
    assert keys.ledger().declared.required.count == 2
    assert not keys.ledger().account("b").required.is_draining
    assert keys.ledger().account("a").required.is_draining


def test_a_host_of_which_a_sign_of_life_comes_meanwhile_is_not_removed(keys: Keys) -> None:
    draft = begun(keys.ledger(), Kind.HOST, "h2", bound=Bound.TAKEN, now_ms=5)
    assert draft is not None
    assert keyspace.host_alive_key("h2") in [entry.key for entry in draft.compares]


def test_an_eviction_compares_instance_and_records_and_leaves_a_tombstone_and_cooling_records(keys: Keys) -> None:
    keys.record("a", "10.0.0.1", AddressState.BOUND, physical="100.64.0.1", instance="i", attempt=4)
    ledger = keys.ledger()
    record, instance = ledger.record("a", "10.0.0.1"), ledger.instance("a", "i")
    draft = evict(ledger.epoch, instance, [record], fence=FENCE, now_ms=9)
    assert [entry.key for entry in draft.compares] == [keyspace.EPOCH, instance.key, record.key]
    assert draft.fence == FENCE
    assert keys.commit(draft) is False  # the fence is no key of this store
    values: dict[str, Any] = {entry.key: value for entry, value in draft.writes}
    assert (values[record.key].state, values[record.key].was_bound) == (AddressState.COOLING, True)
    assert values[record.key].placed_revision == record.revision
    assert values[instance.key].attempt == 4


def test_a_subscription_is_forgotten_only_while_its_host_is_not_declared(keys: Keys) -> None:
    ledger = keys.ledger()
    assert not keys.commit(forget_subscription(ledger.epoch, ledger.subscription("h1", "a")))
    keys.remove("host.h1")
    assert keys.commit(forget_subscription(ledger.epoch, ledger.subscription("h1", "a")))
    assert not keys.ledger().subscription("h1", "a")
    assert not keys.ledger().acknowledgement("h1", "a")


def test_the_end_of_a_host_compares_that_it_is_not_declared(keys: Keys) -> None:
    ledger = keys.ledger()
    draft = host_removed(ledger.epoch, "h1", ledger.removal("host", "h1"), fence=FENCE)
    assert [(entry.key, entry.revision) for entry in draft.compares][2] == ("host.h1", 0)


def test_a_second_removal_of_what_is_gone_is_refused(keys: Keys) -> None:
    with pytest.raises(Invalid, match="no pool of this name"):
        begun(keys.ledger(), Kind.POOL, "none", bound=Bound.TAKEN, now_ms=1)
