"""The controller: looks at the ledger for what its duties call for, and asks for the transactions."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from addrcast.core.controller.cooling import CoolingJudge
from addrcast.core.controller.epoch import opening
from addrcast.core.controller.giving_back import going_back
from addrcast.core.controller.hosts import IdleHosts, SignsOfLife, missing_subscriptions
from addrcast.core.controller.messages import (
    Away,
    Commit,
    Committed,
    CoolingOverridden,
    Duty,
    Effect,
    Event,
    PlanFailed,
    PlanMade,
    Report,
    RequestPlan,
    TerritoryChanged,
)
from addrcast.core.controller.removing import Removing
from addrcast.core.controller.reserving import PlanInProgress
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.controller.territory import Territory
from addrcast.core.controller.tombstones import ended_tombstones
from addrcast.core.domain.errors import Stale
from addrcast.core.domain.record import EpochState
from addrcast.core.propagation.stamps import FutureStamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transaction import Compare
    from addrcast.core.domain.transitions import Draft


class ControllerMachine:
    """A controller and the shards that it leads, none or all of them; `TerritoryChanged` gives it others.

    Invariants: a duty has one commit under way; a key whose transaction lost a compare is left alone until the
    ledger has come to the revision at which it lost. Two controllers at once, or one that acts on an old ledger,
    break nothing: every transaction compares what it was decided on, and one that is fenced compares the election
    key of the shard whose duty it is.
    """

    def __init__(self, territory: Territory | None = None, settings: ControllerSettings | None = None) -> None:
        self.settings = settings or ControllerSettings()
        self.stamps = FutureStamps(skew_max_ms=self.settings.skew_max_ms)
        self.overridden: frozenset[str] = frozenset()
        self.territory = territory or Territory()
        self._signs = SignsOfLife()
        self._idle_hosts = IdleHosts()
        self._removing = Removing()
        self._busy: set[Duty] = set()
        self._lost_at: dict[str, int] = {}
        self._plan: PlanInProgress | None = None
        self._plan_revision = 0
        self._number = 0
        self._is_planning = False
        self._flagged = 0
        self._sweep_ms = self._round_ms = self._leave_ms = self._plan_ms = self._pause_ms = 0

    def step(self, event: Event, ledger: Ledger, now_ms: int) -> list[Effect]:
        """Take an event; `ledger` is the present view, in which own successful commits are learnt already."""
        return [*self._take(event, now_ms), *self._proceed(ledger, now_ms)]

    def deadline_ms(self, now_ms: int) -> int:
        """When to step with a Tick, unless an event comes first."""
        if not self.territory.fences:
            return now_ms + self.settings.plan_every_ms
        due = [self._sweep_ms, self._round_ms]
        if self.territory.first is not None and not self._is_planning:
            due.append(self._plan_ms)
        return max(now_ms, self._pause_ms, min(due))

    def _take(self, event: Event, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        match event:
            case Committed():
                self._committed(event)
            case Away():
                self._busy.discard(event.cause.duty)
                self._pause_ms = now_ms + self.settings.retry_ms
            case PlanMade() if event.cause.number == self._number:
                self._is_planning = False
                self._plan = PlanInProgress(event)
                effects = [Report(str(refusal)) for refusal in event.plan.refusals if not event.is_forced]
            case PlanFailed() if event.cause.number == self._number:
                self._is_planning = False
                effects = [Report(f"no plan: {event.reason}")]
            case CoolingOverridden():
                self.overridden |= event.keys
                self._sweep_ms = now_ms
            case TerritoryChanged():
                self._move(event.territory)
        return effects

    def _move(self, territory: Territory) -> None:
        before, self.territory = self.territory, territory
        # there may be work in what is new
        self._sweep_ms = self._round_ms = self._leave_ms = 0
        if before.shards != territory.shards or not before.fences.keys() <= territory.fences.keys():
            # what was noted of the accounts that another leads now must not outlive that
            self.stamps = FutureStamps(skew_max_ms=self.settings.skew_max_ms)
            self._idle_hosts = IdleHosts()
        if before.first != territory.first:
            self._signs = SignsOfLife()
            self._plan = None
            self._is_planning = False
            self._number += 1
            self._plan_ms = 0

    def _committed(self, event: Committed) -> None:
        duty = event.cause.duty
        self._busy.discard(duty)
        for draft, result in zip(event.cause.drafts, event.results, strict=True):
            key = _key(draft)
            if not result.is_success:
                self._lost_at[key] = result.revision
                if duty is Duty.PLAN:
                    self._plan_revision = max(self._plan_revision, result.revision)
            elif duty in (Duty.COOLING, Duty.TOMBSTONES):
                self.stamps.forget(key)
                self.overridden -= {key}
        if len(event.cause.drafts) >= self.settings.batch_max:
            self._sweep_ms = self._round_ms = self._leave_ms = 0  # there may be more

    def _proceed(self, ledger: Ledger, now_ms: int) -> list[Effect]:
        self._lost_at = {key: at for key, at in self._lost_at.items() if at > ledger.revision}
        if ledger.epoch.value is None or now_ms < self._pause_ms or not self.territory.fences:
            return []
        if ledger.epoch.value.state is EpochState.FROZEN:
            self._pause_ms = now_ms + self.settings.retry_ms
            return []
        effects: list[Effect] = []
        if now_ms >= self._sweep_ms:
            self._sweep_ms = now_ms + self.settings.sweep_every_ms
            effects += self._sweep(ledger, now_ms)
        if now_ms >= self._round_ms:
            self._round_ms = now_ms + self.settings.round_every_ms
            effects += self._round(ledger, now_ms)
        effects += self._carry_out(ledger, now_ms)
        if len(self.stamps) > self._flagged:
            effects.append(Report(f"{len(self.stamps)} stamps lie in the future: a writer's clock is ahead"))
        self._flagged = len(self.stamps)
        return effects

    def _sweep(self, ledger: Ledger, now_ms: int) -> Iterator[Effect]:
        settings, territory = self.settings, self.territory
        judge = CoolingJudge(
            ledger, settings, self.stamps, now_ms=now_ms, overridden=self.overridden, territory=territory
        )
        yield from self._commit(Duty.COOLING, (judged.end for judged in judge.judged() if judged.verdict.is_over))
        if ledger.epoch.required.state is EpochState.OPEN:  # else a host may yet report what was deleted since
            yield from self._commit(
                Duty.TOMBSTONES,
                ended_tombstones(
                    ledger, self.stamps, territory=territory, tombstone_ms=settings.tombstone_ms, now_ms=now_ms
                ),
            )
        if territory.first is not None:
            yield from self._sweep_whole(ledger, territory.first, now_ms)

    def _sweep_whole(self, ledger: Ledger, fence: Compare, now_ms: int) -> Iterator[Effect]:
        """The duties that are not of an account."""
        settings = self.settings
        yield from self._commit(
            Duty.LOST_HOSTS,
            self._signs.lost(ledger, fence=fence, host_lost_ms=settings.host_lost_ms, now_ms=now_ms),
        )
        yield from self._commit(
            Duty.EPOCH, opening(ledger, fence=fence, now_ms=now_ms, lost_hosts=settings.lost_hosts)
        )

    def _round(self, ledger: Ledger, now_ms: int) -> Iterator[Effect]:
        territory = self.territory
        yield from self._commit(Duty.SUBSCRIPTIONS, missing_subscriptions(ledger, territory))
        yield from self._commit(
            Duty.GIVING_BACK, going_back(ledger, self.stamps, territory=territory, now_ms=now_ms)
        )
        yield from self._commit(Duty.REMOVING, self._removing.drafts(ledger, territory=territory, now_ms=now_ms))
        if now_ms >= self._leave_ms:
            settings = self.settings
            self._leave_ms = now_ms + settings.leave_every_ms
            drafts = self._idle_hosts.leaving(
                ledger, territory=territory, leave_after_ms=settings.leave_after_ms, now_ms=now_ms
            )
            yield from self._commit(Duty.LEAVING, drafts)

    def _carry_out(self, ledger: Ledger, now_ms: int) -> Iterator[Effect]:
        fence = self.territory.first
        if fence is None:
            return
        if ledger.epoch.required.state is not EpochState.OPEN:
            # what looks free may still be in the tables of hosts that were not heard
            self._plan_ms = max(self._plan_ms, self._round_ms)
            return
        if now_ms >= self._plan_ms and not self._is_planning:
            self._plan_ms = now_ms + self.settings.plan_every_ms
            self._is_planning = True
            self._number += 1
            yield RequestPlan(self._number)
        # a step that lost its compare would lose it again on the same ledger
        if self._plan is None or Duty.PLAN in self._busy or ledger.revision < self._plan_revision:
            return
        try:
            drafts = self._plan.next(ledger, fence=fence, batch_max=self.settings.batch_max, now_ms=now_ms)
        except Stale as expired:
            self._plan = None
            yield Report(str(expired))
        else:
            yield from self._send(Duty.PLAN, drafts)

    def _commit(self, duty: Duty, drafts: Iterable[Draft]) -> Iterator[Commit]:
        """As much of a duty as goes into one batch, unless the last one is still under way."""
        if duty not in self._busy:
            found = (draft for draft in drafts if _key(draft) not in self._lost_at)
            yield from self._send(duty, tuple(islice(found, self.settings.batch_max)))

    def _send(self, duty: Duty, drafts: tuple[Draft, ...]) -> Iterator[Commit]:
        if drafts:
            self._busy.add(duty)
            yield Commit(duty, drafts)


def _key(draft: Draft) -> str:
    return str(draft.writes[0][0].key)
