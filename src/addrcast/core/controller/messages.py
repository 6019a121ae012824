"""What the controller is told and what it asks for; every answer bears the effect that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from addrcast.core.controller.territory import Territory
from addrcast.core.domain.transaction import Result
from addrcast.core.domain.transitions import Draft

if TYPE_CHECKING:
    from addrcast.core.reservation.plan import Plan


class Duty(Enum):
    """What a commit of the controller is for."""

    COOLING = "end of cooling"
    TOMBSTONES = "end of tombstones"
    LOST_HOSTS = "lost hosts"
    EPOCH = "opening the store"
    SUBSCRIPTIONS = "repair of subscriptions"
    LEAVING = "hosts that leave accounts"
    REMOVING = "what is being removed"
    GIVING_BACK = "addresses that go back"
    PLAN = "steps of the plan"


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit transactions, each by itself. Answered by Committed or Away.

    The driver lets the ledger learn what the successful ones wrote before it gives the answer.
    """

    duty: Duty
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """Make a plan from the ledger as it stands. Answered by PlanMade or PlanFailed."""

    number: int


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the operator."""

    what: str


@dataclass(frozen=True, slots=True)
class LedgerChanged:
    """The ledger has moved."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing but the passing of time: the deadline was reached."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of the transactions, in their order."""

    cause: Commit
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Away:
    """The store did not answer; what was asked for may have happened."""

    cause: Commit


@dataclass(frozen=True, slots=True)
class PlanMade:
    """A plan, and the recent creates by account and host that its placement rests on."""

    cause: RequestPlan
    plan: Plan
    recent_creates: Mapping[str, Mapping[str, int]]
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class PlanFailed:
    """There is no plan this time."""

    cause: RequestPlan
    reason: str


@dataclass(frozen=True, slots=True)
class CoolingOverridden:
    """An operator ends the cooling of these keys (R or P), whoever has not acknowledged."""

    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class TerritoryChanged:
    """Other shards are led here from now on, or under other fences."""

    territory: Territory


Effect = Commit | RequestPlan | Report
Event = LedgerChanged | Tick | Committed | Away | PlanMade | PlanFailed | CoolingOverridden | TerritoryChanged
