"""Errors: what, figure, limit, way out."""

from __future__ import annotations

from addrcast.core.domain.errors import (
    AddrcastError,
    Conflict,
    Exhausted,
    Invalid,
    OutcomeUnknown,
    Stale,
    Unavailable,
)


def test_an_invalid_value_is_named_with_its_field_and_rule() -> None:
    error = Invalid("vni", 0, "1 to 16777215 is expected")
    assert str(error) == "vni: 0 is not valid: 1 to 16777215 is expected"
    assert (error.field, error.value, error.rule) == ("vni", 0, "1 to 16777215 is expected")


def test_exhaustion_says_how_many_were_asked_for_how_many_are_free_and_what_to_do() -> None:
    error = Exhausted("vpc", asked=4, free=1)
    assert str(error) == "pool vpc: 4 asked for, 1 free; grow the pool"
    assert (error.pool, error.asked, error.free, error.way_out) == ("vpc", 4, 1, "grow the pool")


def test_what_is_unavailable_has_a_time_to_try_again() -> None:
    assert str(Unavailable("the store is closed", retry_after_ms=200)) == "the store is closed; try again in 200 ms"
    assert OutcomeUnknown("no reply", retry_after_ms=5).retry_after_ms == 5


def test_expected_failures_have_one_root() -> None:
    for kind in (Invalid, Exhausted, Conflict, Stale, Unavailable):
        assert issubclass(kind, AddrcastError)
