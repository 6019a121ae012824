"""Which idle addresses a plan counts on, and which of them go back."""

from __future__ import annotations

from addrcast.core.reservation.surplus import (
    Idle,
    lasting,
    preserved_to_give_back,
    reservations_to_give_back,
)


def going(held: list[Idle], target: int, shares: dict[str, int]) -> list[str]:
    return [idle.logical for idle in reservations_to_give_back(held, target=target, shares=shares)]


def test_what_is_old_or_on_another_host_does_not_last() -> None:
    held = [Idle("10.0.0.1", "h1", 900), Idle("10.0.0.2", "h1", 901), Idle("10.0.0.3", "lost", 990)]
    assert lasting(held, hosts={"h1": 3}, after_ms=900) == [held[1]]


def test_a_surplus_goes_from_the_host_furthest_above_its_share_then_the_oldest() -> None:
    held = [
        Idle("10.0.0.1", "h1", 951),
        Idle("10.0.0.2", "h2", 960),
        Idle("10.0.0.3", "h2", 955),
        Idle("10.0.0.4", "h2", 970),
        Idle("10.0.0.5", "h1", 952),
    ]
    assert going(held, 2, {"h1": 1, "h2": 1}) == ["10.0.0.3", "10.0.0.1", "10.0.0.2"]
    assert going(held, 5, {"h1": 5}) == []


def test_of_what_is_preserved_the_oldest_goes_but_nothing_within_its_hold() -> None:
    preserved = [Idle("10.0.0.1", "h", 90), Idle("10.0.0.2", "h", 80), Idle("10.0.0.3", "h", 91)]

    def gone(keep: int) -> list[str]:
        return [idle.logical for idle in preserved_to_give_back(preserved, keep=keep, until_ms=90)]

    assert gone(0) == ["10.0.0.2", "10.0.0.1"]
    assert gone(2) == ["10.0.0.2"]
    assert gone(4) == []
