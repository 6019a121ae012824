"""Versions of the schema: a store of version 1 is read, run with beside its own processes, and switched over."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.core.domain.first_structs import read as read_as_first

from addrcast.core.domain import codec
from addrcast.core.domain.codec import decode, encode
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.first_schema import FIRST_FIELDS
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import EPOCH, VALUE_TYPES, parts_of
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import (
    AddressState,
    EpochState,
    Host,
    HostReport,
    HostState,
    StoreEpoch,
    Subscription,
    Value,
)
from addrcast.core.domain.resource import Account
from addrcast.core.domain.transaction import Compare, KeyValue, Put
from addrcast.core.domain.transitions import Draft, age_out

STORED = json.loads((Path(__file__).parent / "store_v1.json").read_text())
ITEMS = [KeyValue(key, value.encode(), created, changed) for key, value, created, changed in STORED["items"]]
VALUES = [item for item in ITEMS if parts_of(item.key).kind in VALUE_TYPES]
FENCE = Compare("election.controller", 4)


class Novelty(Value, frozen=True, kw_only=True):
    """A kind of value that version 1 did not have."""


def test_the_fixture_has_every_kind_of_value_that_version_1_had() -> None:
    assert {type(decode(item.key, item.value)).__name__ for item in VALUES} == set(FIRST_FIELDS)
    assert all(read_as_first(item.key, item.value) for item in VALUES)


def test_a_store_of_version_1_is_read_and_sound() -> None:
    ledger = Ledger.from_items(ITEMS, STORED["revision"])
    assert violations(ledger) == []
    assert ledger.epoch.required == StoreEpoch(v=1, epoch=1)


@pytest.mark.parametrize("item", VALUES, ids=lambda item: item.key)
def test_what_is_written_in_version_1_is_what_version_1_wrote(item: KeyValue) -> None:
    value = decode(item.key, item.value)
    assert encode(value, 1) == item.value
    assert decode(item.key, encode(value)) == value


def test_values_of_both_versions_are_equal_in_memory() -> None:
    for item in VALUES:
        if item.key != EPOCH:
            assert decode(item.key, item.value) == decode(item.key, b'{"v":2,' + item.value[7:])


def test_an_old_value_that_an_operator_wrote_by_hand_is_read_too() -> None:
    by_hand = b'{ "incarnation": 3, "state": "up", "blocks": [], "v": 1 }'
    assert decode("host.h1", by_hand) == Host(state=HostState.UP, incarnation=3, blocks=())


def test_a_transition_is_written_in_the_version_that_the_epoch_says() -> None:
    ledger = Ledger.from_items(ITEMS, STORED["revision"])
    reserved = next(iter(ledger.in_state("acme", AddressState.RESERVED)))
    for version in (1, 2):
        epoch = msgspec.structs.replace(ledger.epoch, value=StoreEpoch(v=version, epoch=1))
        (put,) = age_out(epoch, reserved, fence=FENCE, now_ms=9_000_000).transaction().writes
        assert isinstance(put, Put)
        assert json.loads(put.value)["v"] == version
        if version == 1:
            assert read_as_first(put.key, put.value)
        else:
            with pytest.raises(msgspec.ValidationError, match="v"):
                read_as_first(put.key, put.value)


def test_an_old_process_refuses_the_epoch_of_a_store_that_was_switched_over() -> None:
    with pytest.raises(msgspec.ValidationError, match="<= 1"):
        read_as_first(EPOCH, encode(StoreEpoch(epoch=1)))


def test_what_version_1_has_no_word_for_is_refused_before_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    added: dict[type[Value], dict[str, object]] = {Subscription: {"is_leaving": False}}
    monkeypatch.setattr(codec, "_ADDED", added)
    with pytest.raises(Invalid, match=r"is_leaving: True is not valid: .*addrcast upgrade"):
        encode(Subscription(is_leaving=True), 1)
    assert encode(Subscription(is_idle=True), 1) == b'{"v":1,"is_idle":true}'
    with pytest.raises(Invalid, match="addrcast upgrade"):
        encode(Novelty(), 1)
    report = HostReport(epoch=1, incarnation=1, is_known=False)
    assert encode(report, 1) == encode(report)  # version 1 passes over such keys, and nothing breaks


def test_a_field_that_a_kind_of_version_1_got_since_is_known_as_added() -> None:
    class Renamed(Account, frozen=True, kw_only=True):
        colour: str = ""

    Renamed.__name__ = "Account"
    assert codec._added(Renamed) == {"colour": ""}


def test_nothing_is_written_while_the_store_is_frozen() -> None:
    ledger = Ledger.from_items(ITEMS, STORED["revision"])
    frozen = msgspec.structs.replace(ledger.epoch, value=StoreEpoch(epoch=1, state=EpochState.FROZEN))
    with pytest.raises(Unavailable, match="frozen"):
        Draft((frozen,), ()).transaction()
