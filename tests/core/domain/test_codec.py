"""Values as bytes: readable, versioned, refused politely."""

from __future__ import annotations

import pytest

from addrcast.core.domain.codec import decode, encode, entry_of
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import AddressState, Entry, Host, HostState, Record, Subscription
from addrcast.core.domain.transaction import KeyValue

RECORD = Record(state=AddressState.RESERVED, physical="100.64.0.1", host="h1", pool="vpc", since_ms=5)
RECORD_TEXT = b'{"v":2,"state":"reserved","physical":"100.64.0.1","host":"h1","pool":"vpc","since_ms":5}'


def test_a_value_is_json_with_its_version_and_without_defaults() -> None:
    assert encode(RECORD) == RECORD_TEXT
    assert decode("network_address.a.10.0.0.1", RECORD_TEXT) == RECORD
    assert encode(Subscription()) == b'{"v":2,"is_idle":false,"is_leaving":false}'


def test_a_value_without_a_version_is_of_the_newest_one() -> None:
    assert decode("host.h1", b'{"state":"up","incarnation":3,"blocks":[]}') == Host(
        state=HostState.UP, incarnation=3, blocks=()
    )


@pytest.mark.parametrize("fault", [b'{"v":3,"anything":"new"}', b'{"v":99}'])
def test_a_value_of_a_newer_version_is_refused_with_the_way_out(fault: bytes) -> None:
    with pytest.raises(Invalid, match="newer than 2, the newest known here; upgrade this process"):
        decode("host.h1", fault)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (b"not json", "malformed"),
        (b'{"v":2,"state":"\xff"}', "utf-8"),
        (b'{"v":0}', "Invalid value 0"),
        (b'{"v":true}', "Expected"),
        (b"[]", "Expected"),
        (b'{"v":1,"state":"up"}', "incarnation"),
        (b'{ "v": 1, "state": "up" }', "incarnation"),
        (b'{"v":2,"state":"up"}', "incarnation"),
        (b'{"state":"gone","incarnation":1,"blocks":[]}', "gone"),
        (b'{"state":"up","incarnation":1,"blocks":[],"extra":1}', "extra"),
        (b'{"state":"up"}', "incarnation"),
    ],
)
def test_a_broken_value_is_refused_with_its_fault(fault: bytes, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        decode("host.h1", fault)


def test_a_key_of_no_known_kind_has_no_value() -> None:
    with pytest.raises(Invalid, match="is expected"):
        decode("unheard_of.x", b"{}")


@pytest.mark.parametrize("key", ["host_account.h1", "host_account..a", "host_account.h1."])
def test_a_key_that_lacks_a_part_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="<name> is expected"):
        decode(key, b"{}")


def test_an_entry_bears_the_revisions_of_its_key_or_is_absent() -> None:
    item = KeyValue("network_address.a.10.0.0.1", RECORD_TEXT, 3, 7)
    assert entry_of(Record, item.key, item) == Entry(item.key, RECORD, 7, 3)
    absent = entry_of(Record, item.key, None)
    assert (bool(absent), absent.revision, absent.created) == (False, 0, 0)
    with pytest.raises(Invalid, match="a Record, not a Host"):
        entry_of(Host, item.key, item)
