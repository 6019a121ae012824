"""When every host delivers to an address."""

from __future__ import annotations

from addrcast.core.domain.keyspace import record_key
from addrcast.core.domain.record import AddressState, Entry, Record
from addrcast.core.propagation.audience import Audience, Wait
from addrcast.core.propagation.ready import placed_revision, readiness

KEY = record_key("a", "10.0.0.1")


def record(
    *, state: AddressState = AddressState.BOUND, placed: int = 0, host: str = "h1", revision: int = 20
) -> Entry[Record]:
    value = Record(state=state, physical="172.16.0.1", host=host, pool="p", since_ms=0, placed_revision=placed)
    return Entry(KEY, value, revision, 5)


AUDIENCE = Audience({"h1": 10, "h2": 15}, ("h9",), 10)


def test_a_shadow_is_ready_at_once_since_it_was_placed_before_it_was_bound() -> None:
    found = readiness(record(placed=10), AUDIENCE)
    assert found.is_ready
    assert found.left_out == ("h9",)


def test_an_address_that_was_just_placed_waits_for_every_host() -> None:
    assert placed_revision(record()) == 20
    assert readiness(record(), AUDIENCE).waits == (Wait("h1", 20), Wait("h2", 20))
    assert readiness(record(placed=12), AUDIENCE).waits == (Wait("h1", 12),)


def test_the_host_of_the_address_is_waited_for_before_it_has_subscribed() -> None:
    assert readiness(record(placed=10, host="h3"), AUDIENCE).waits == (Wait("h3", 10),)


def test_a_cooling_address_is_never_ready() -> None:
    assert not readiness(record(state=AddressState.COOLING, placed=1), AUDIENCE).is_ready
