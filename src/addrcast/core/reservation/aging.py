"""Which addresses go back: reservations that are old, on the wrong host or unwanted; holds that are over."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Idle(NamedTuple):
    """An address of an account that lies reserved or preserved, on which host and since when."""

    logical: str
    host: str
    since_ms: int


class Why(Enum):
    """Why an address goes back."""

    AGED = "idle for longer than its age limit"
    WRONG_HOST = "its host is lost, drains or is gone"
    UNWANTED = "more than the plan wants"
    HOLD_OVER = "preserved for as long as its tier grants"


class GoingBack(NamedTuple):
    """An address that goes back, and why."""

    logical: str
    why: Why


def reservations_to_give_back(
    held: Sequence[Idle], *, target: int, shares: Mapping[str, int], age_limit_ms: int, now_ms: int
) -> list[GoingBack]:
    """Choose the reservations of an account that go back.

    `shares` says how many each host should hold, of those that may keep any. All that are past `age_limit_ms` go,
    wanted or not, since a fresh one follows where creates come now; so do all on other hosts. Of the rest all but
    `target` go: first from the host that is furthest above its share, there the oldest first.
    """
    going = []
    staying = []
    for idle in sorted(held, key=_oldest_first):
        if idle.host not in shares:
            going.append(GoingBack(idle.logical, Why.WRONG_HOST))
        elif idle.since_ms + age_limit_ms <= now_ms:
            going.append(GoingBack(idle.logical, Why.AGED))
        else:
            staying.append(idle)
    for _ in range(len(staying) - target):
        over = Counter(idle.host for idle in staying)
        over.subtract(shares)
        chosen = min(staying, key=lambda idle: (-over[idle.host], *_oldest_first(idle)))
        staying.remove(chosen)
        going.append(GoingBack(chosen.logical, Why.UNWANTED))
    return going


def holds_that_are_over(preserved: Iterable[Idle], *, hold_ms: int, now_ms: int) -> list[GoingBack]:
    """The preserved addresses whose hold is over, oldest first."""
    over = [idle for idle in preserved if idle.since_ms + hold_ms <= now_ms]
    return [GoingBack(idle.logical, Why.HOLD_OVER) for idle in sorted(over, key=_oldest_first)]


def _oldest_first(idle: Idle) -> tuple[int, str]:
    return idle.since_ms, idle.logical
