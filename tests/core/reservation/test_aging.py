"""Which reservations go back, and which holds are over."""

from __future__ import annotations

from addrcast.core.reservation.aging import (
    GoingBack,
    Idle,
    Why,
    holds_that_are_over,
    reservations_to_give_back,
)


def going(held: list[Idle], target: int, shares: dict[str, int]) -> list[GoingBack]:
    return reservations_to_give_back(held, target=target, shares=shares, age_limit_ms=100, now_ms=1_000)


def test_what_is_past_its_age_limit_goes_wanted_or_not() -> None:
    held = [Idle("10.0.0.1", "h1", 900), Idle("10.0.0.2", "h1", 901), Idle("10.0.0.3", "h1", 800)]
    assert going(held, 3, {"h1": 3}) == [("10.0.0.3", Why.AGED), ("10.0.0.1", Why.AGED)]


def test_what_lies_on_a_host_that_may_keep_none_goes() -> None:
    held = [Idle("10.0.0.1", "lost", 950), Idle("10.0.0.2", "h1", 950)]
    assert going(held, 2, {"h1": 2}) == [("10.0.0.1", Why.WRONG_HOST)]


def test_a_surplus_goes_from_the_host_furthest_above_its_share_then_the_oldest() -> None:
    held = [
        Idle("10.0.0.1", "h1", 951),
        Idle("10.0.0.2", "h2", 960),
        Idle("10.0.0.3", "h2", 955),
        Idle("10.0.0.4", "h2", 970),
        Idle("10.0.0.5", "h1", 952),
    ]
    assert going(held, 2, {"h1": 1, "h2": 1}) == [
        ("10.0.0.3", Why.UNWANTED),
        ("10.0.0.1", Why.UNWANTED),
        ("10.0.0.2", Why.UNWANTED),
    ]


def test_what_goes_for_its_age_counts_towards_the_surplus() -> None:
    held = [Idle("10.0.0.1", "h1", 0), Idle("10.0.0.2", "h1", 950)]
    assert going(held, 1, {"h1": 1}) == [("10.0.0.1", Why.AGED)]


def test_holds_end_oldest_first() -> None:
    preserved = [Idle("10.0.0.1", "h", 90), Idle("10.0.0.2", "h", 80), Idle("10.0.0.3", "h", 91)]
    assert holds_that_are_over(preserved, hold_ms=10, now_ms=100) == [
        ("10.0.0.2", Why.HOLD_OVER),
        ("10.0.0.1", Why.HOLD_OVER),
    ]
