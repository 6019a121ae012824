"""When an address that was given up may go to somebody else, and why not yet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from addrcast.core.domain.record import Entry, PhysicalHold, Record
from addrcast.core.propagation.audience import Audience, Wait


class CoolingReason(Enum):
    """Why cooling goes on, or on what ground it ended."""

    HOST = "a host has not acknowledged"
    MINIMUM_TIME = "the minimum time is not over"
    LOST_LEFT_OUT = "a lost host was left out"
    OVERRIDE = "an operator ended it"


@dataclass(frozen=True, slots=True)
class Cooling:
    """One address that cools: the revision at which the hosts were told, the stamp, the least time."""

    key: str
    revision: int
    since_ms: int
    minimum_ms: int


@dataclass(frozen=True, slots=True)
class CoolingVerdict:
    """Whether cooling is over, its reasons, the hosts waited for, those left out.

    `due_ms` is when the minimum time ends, None where only hosts are waited for or nothing is.
    """

    is_over: bool
    reasons: tuple[CoolingReason, ...]
    waits: tuple[Wait, ...] = ()
    left_out: tuple[str, ...] = ()
    due_ms: int | None = None


def cooling_of_record(record: Entry[Record], *, cooldown_ms: int, skew_max_ms: int) -> Cooling:
    """What a cooling record waits for; one that was never bound had no traffic, so it has no minimum time."""
    value = record.required
    minimum_ms = cooldown_ms + skew_max_ms if value.was_bound else 0
    return Cooling(record.key, record.revision, value.since_ms, minimum_ms)


def cooling_of_physical(hold: Entry[PhysicalHold], *, cooldown_ms: int, skew_max_ms: int) -> Cooling:
    """What the physical address waits for that a record left when it moved."""
    return Cooling(hold.key, hold.revision, hold.required.since_ms, cooldown_ms + skew_max_ms)


def cooling_over(
    cooling: Cooling, audience: Audience, *, now_ms: int, overridden: frozenset[str] = frozenset()
) -> CoolingVerdict:
    """Judge one address against the hosts of its account, read at the cooling's revision or later.

    `overridden` are the keys whose cooling an operator ended.
    """
    if cooling.key in overridden:
        return CoolingVerdict(True, (CoolingReason.OVERRIDE,), left_out=audience.left_out)
    waits = audience.behind(cooling.revision)
    ends_ms = cooling.since_ms + cooling.minimum_ms
    is_timely = now_ms >= ends_ms
    present = (
        (CoolingReason.HOST, bool(waits)),
        (CoolingReason.MINIMUM_TIME, not is_timely),
        (CoolingReason.LOST_LEFT_OUT, bool(audience.left_out)),
    )
    return CoolingVerdict(
        is_timely and not waits,
        tuple(reason for reason, holds in present if holds),
        waits,
        audience.left_out,
        None if is_timely else ends_ms,
    )
