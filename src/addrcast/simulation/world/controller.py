"""A simulated candidate for controller: campaigns, leads, is deposed, and may act on all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.controller.machine import ControllerMachine
from addrcast.core.controller.messages import (
    Away,
    Commit,
    Committed,
    LedgerChanged,
    PlanFailed,
    PlanMade,
    Report,
    RequestPlan,
    Tick,
)
from addrcast.core.domain.errors import AddrcastError, Stale
from addrcast.core.domain.keyspace import election_key
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.core.reservation.plan import plan_for
from addrcast.core.reservation.plan_input import PlanSettings
from addrcast.core.reservation.policy import ServedNeed
from addrcast.core.reservation.supply import Round, plan_input_of
from addrcast.simulation.world.follower import PREFIXES, Follower

if TYPE_CHECKING:
    from random import Random

    from addrcast.core.controller.messages import Effect, Event
    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.reservation.plan import Plan
    from addrcast.simulation.store import ModelStore
    from addrcast.simulation.world.link import Link

ELECTION = election_key("controller")
LEASE_MS = 1_500
BEAT_MS = 300
PLAN_TTL_MS = 5_000


class SimulatedController:
    """Owns a lease, a machine while it believes to lead, and a ledger.

    `stubborn_ms` is how long it acts on with its old fence once it could know that it is deposed. `prefixes` are
    what it watches.
    """

    def __init__(
        self,
        name: str,
        link: Link,
        dice: Random,
        settings: ControllerSettings,
        *,
        clock_ahead_ms: int,
        prefixes: tuple[str, ...] = PREFIXES,
    ) -> None:
        self.name = name
        self.link = link
        self.machine: ControllerMachine | None = None
        self.stubborn_ms = 0
        self.need_max = 3
        self._dice = dice
        self._settings = settings
        self._clock_ahead_ms = clock_ahead_ms
        self._lease = 0
        self._lineage = 0
        self._tick_at_ms = 0
        self._follower = Follower(link, lambda: self._step(self.machine, LedgerChanged()), prefixes=prefixes)
        self._beat()

    @property
    def now_ms(self) -> int:
        """This process's clock."""
        return self.link.timeline.now_ms + self._clock_ahead_ms

    def _beat(self) -> None:
        self.link.timeline.after(BEAT_MS, self._beat)
        now_ms = self.link.timeline.now_ms
        lease, machine, site = self._lease, self.machine, self.link.site

        def hold(model: ModelStore) -> tuple[int, Compare | None]:
            if machine is not None:
                if self._lineage != site.lineage:
                    raise Stale("the number of the lease may be another's in a store that went back")
                model.keep_alive(lease, now_ms=now_ms)
                return lease, None
            if model.read([ELECTION]).items:
                return 0, None
            self._lineage = site.lineage
            granted = model.grant(ttl_ms=LEASE_MS, now_ms=now_ms)
            put = Put(ELECTION, self.name.encode(), granted)
            won = model.commit([Transaction((Compare(ELECTION, 0),), (put,))])[0]
            return granted, Compare(ELECTION, won.revision)

        self.link.ask(hold, self._held)

    def _held(self, answer: tuple[int, Compare | None] | AddrcastError | None) -> None:
        if isinstance(answer, Stale) and self.machine is not None:
            deposed = self.machine
            self._lease = 0
            self.link.timeline.after(self._dice.randint(0, self.stubborn_ms), lambda: self._resign(deposed))
        elif isinstance(answer, tuple) and answer[1] is not None:
            self._lease, fence = answer[0], answer[1]
            self.machine = ControllerMachine(fence, self._settings)
            self.link.timeline.note(self.name, f"leads from {fence.revision}")
            self._step(self.machine, LedgerChanged())

    def _resign(self, deposed: ControllerMachine) -> None:
        if self.machine is deposed:
            self.machine = None

    def _step(self, machine: ControllerMachine | None, event: Event) -> None:
        ledger = self._follower.ledger
        if machine is None or machine is not self.machine or ledger is None:
            return
        for effect in machine.step(event, ledger, self.now_ms):
            self._carry_out(machine, effect)
        due_ms = machine.deadline_ms(self.now_ms) - self._clock_ahead_ms
        if not self.link.timeline.now_ms < self._tick_at_ms <= due_ms:
            self._tick_at_ms = max(due_ms, self.link.timeline.now_ms + 1)
            self.link.timeline.after(
                self._tick_at_ms - self.link.timeline.now_ms, lambda: self._step(machine, Tick())
            )

    def _carry_out(self, machine: ControllerMachine, effect: Effect) -> None:
        match effect:
            case Commit():
                self._commit(machine, effect)
            case RequestPlan():
                pause_ms = self._dice.randint(1, 300)
                self.link.timeline.after(pause_ms, lambda: self._plan(machine, effect))
            case Report():
                self.link.timeline.note(self.name, effect.what)

    def _commit(self, machine: ControllerMachine, effect: Commit) -> None:
        def answer(results: object) -> None:
            if not isinstance(results, list):
                self._step(machine, Away(effect))
                return
            ledger = self._follower.ledger
            for draft, result in zip(effect.drafts, results, strict=True):
                if result.is_success and ledger is not None:
                    ledger.learn(draft.entries_at(result.revision), result.revision)
            self._step(machine, Committed(effect, tuple(results)))

        self.link.commit([draft.transaction() for draft in effect.drafts], answer)

    def _plan(self, machine: ControllerMachine, cause: RequestPlan) -> None:
        ledger = self._follower.ledger
        if ledger is None or not ledger.accounts():
            self._step(machine, PlanFailed(cause, "no account is declared"))
            return
        needs = {account: self._dice.randint(0, self.need_max) for account in sorted(ledger.accounts())}
        self._step(machine, PlanMade(cause, plan_of(ledger, needs, now_ms=self.now_ms), {}))


def plan_of(ledger: Ledger, needs: dict[str, int], *, now_ms: int) -> Plan:
    """A plan for accounts that need so many addresses for certain, neither damped nor refused."""
    levels = np.array([0.5, 0.999])
    need = np.repeat(np.array([list(needs.values())], dtype=np.float32).T, len(levels), axis=1)
    served = ServedNeed(need, np.zeros(len(needs), dtype=np.uint8))
    settings = PlanSettings(
        dead_band=0, dead_band_share=0.0, shrink_share_max=1.0, grow_share_max=1.0, ttl_ms=PLAN_TTL_MS
    )
    return plan_for(
        plan_input_of(ledger, tuple(needs), levels, served, Round(now_ms=now_ms, lead_ms=0, settings=settings))
    )
