"""Duty: carry out a plan, a bounded batch at a time, each on the ledger as it then is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.controller.giving_back import give_back
from addrcast.core.controller.hosts import missing_subscription
from addrcast.core.domain.transitions import Draft, FreeAddress, reserve
from addrcast.core.reservation.batch import batch_of
from addrcast.core.reservation.cutting import GiveBackStep, ReserveStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.controller.messages import PlanMade
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transaction import Compare


class PlanInProgress:
    """A plan and how far it has been carried out."""

    __slots__ = ("_made", "_position")

    def __init__(self, made: PlanMade) -> None:
        self._made = made
        self._position: int | None = 0

    def next(self, ledger: Ledger, *, fence: Compare, batch_max: int, now_ms: int) -> tuple[Draft, ...]:
        """The next transactions; none once the plan is done.

        Raises: Stale once the plan has expired.
        """
        drafts: tuple[Draft, ...] = ()
        while not drafts and self._position is not None:
            batch = batch_of(
                self._made.plan,
                ledger,
                recent_creates=self._made.recent_creates,
                now_ms=now_ms,
                batch_max=batch_max,
                position=self._position,
                is_forced=self._made.is_forced,
            )
            drafts = _subscriptions(ledger, batch.steps)
            if drafts:
                break  # a reservation compares its subscription: the same steps are cut again once those stand
            self._position = batch.next_position
            drafts = tuple(_drafts(ledger, batch.steps, fence=fence, now_ms=now_ms))
        return drafts


def _subscriptions(ledger: Ledger, steps: tuple[ReserveStep | GiveBackStep, ...]) -> tuple[Draft, ...]:
    """Those that the steps need: a host mirrors an account before anything is held ready there for it."""
    places = dict.fromkeys((step.host, step.account) for step in steps if isinstance(step, ReserveStep))
    drafts = (missing_subscription(ledger, host, account) for host, account in places)
    return tuple(draft for draft in drafts if draft is not None)


def _drafts(
    ledger: Ledger, steps: tuple[ReserveStep | GiveBackStep, ...], *, fence: Compare, now_ms: int
) -> Iterator[Draft]:
    for step in steps:
        record = ledger.record(step.account, step.logical)
        if isinstance(step, GiveBackStep):
            yield give_back(ledger, record, fence=fence, now_ms=now_ms)
            continue
        pool = ledger.pool(step.pool)
        free = FreeAddress(
            record=record,
            hold=ledger.physical(step.physical),
            pool=pool,
            host=ledger.host(step.host),
            account=ledger.account(step.account),
            owner=ledger.pool_address(step.pool, step.logical) if pool.required.is_shared else None,
        )
        subscription = ledger.subscription(step.host, step.account)
        yield reserve(ledger.epoch, free, subscription, fence=fence, now_ms=now_ms)
