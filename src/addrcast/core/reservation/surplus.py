"""Which idle addresses of an account a plan counts on, and which of them it gives back."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence


class Idle(NamedTuple):
    """An address of an account that lies reserved or preserved, on which host and since when."""

    logical: str
    host: str
    since_ms: int


class Why(Enum):
    """Why an address goes back."""

    RESERVED = "reserved beyond what the plan wants"
    PRESERVED = "preserved beyond what the plan wants, and past its hold"


def lasting(reserved: Iterable[Idle], *, hosts: Container[str], after_ms: int) -> list[Idle]:
    """The reservations that stay unless the plan gives them back: on `hosts`, and made after `after_ms`.

    The others end without a plan; what is to replace them is reserved before they do.
    """
    return [idle for idle in reserved if idle.host in hosts and idle.since_ms > after_ms]


def reservations_to_give_back(staying: Iterable[Idle], *, target: int, shares: Mapping[str, int]) -> list[Idle]:
    """All but `target` of an account's reservations: first from the host furthest above its share, oldest first."""
    left = sorted(staying, key=_oldest_first)
    going = []
    for _ in range(len(left) - target):
        over = Counter(idle.host for idle in left)
        over.subtract(shares)
        chosen = min(left, key=lambda idle: (-over[idle.host], *_oldest_first(idle)))
        left.remove(chosen)
        going.append(chosen)
    return going


def preserved_to_give_back(preserved: Sequence[Idle], *, keep: int, until_ms: int) -> list[Idle]:
    """All but `keep` of what an account has preserved, oldest first, of those released no later than `until_ms`.

    The longer an instance is gone, the less likely it comes back for its address; where it lies does not matter,
    since no share of a host was ever meant for it.
    """
    past_hold = sorted((idle for idle in preserved if idle.since_ms <= until_ms), key=_oldest_first)
    return past_hold[: max(len(preserved) - keep, 0)]


def _oldest_first(idle: Idle) -> tuple[int, str]:
    return idle.since_ms, idle.logical
