"""A simulated controller: stands for all shards, leads some, is deposed, and may act on all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from addrcast.core.controller.candidacy import Candidacy, CandidacySettings
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
    TerritoryChanged,
    Tick,
)
from addrcast.core.controller.standing import SHARDS, Standing, candidate_key
from addrcast.core.domain.errors import AddrcastError, Stale
from addrcast.core.domain.transaction import Put, Transaction
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

LEASE_MS = 1_500
PATIENCE = CandidacySettings(take_after_ms=600, give_after_ms=1_000, give_after_max_ms=4_000)
BEAT_MS = 300
PLAN_TTL_MS = 5_000


class Held(NamedTuple):
    """A lease that lives, in which lineage of the store, and the election as it stands then."""

    lease: int
    lineage: int
    standing: Standing


class SimulatedController:
    """Owns a lease, a machine while it believes to lead, and a ledger.

    `stubborn_ms` is how long it acts on with its old fences once it could know that it is deposed. `prefixes` are
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
        self._candidacy = Candidacy(name)
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
        site = self.link.site
        if self._lease and self._lineage != site.lineage:
            self._depose("the number of the lease may be another's in a store that went back")
        if not self._lease and self.machine is not None:
            return  # deposed, and acting on
        lease = self._lease

        def hold(model: ModelStore) -> Held:
            held = lease or model.grant(ttl_ms=LEASE_MS, now_ms=now_ms)
            model.keep_alive(held, now_ms=now_ms)
            if not lease:
                put = Put(candidate_key(held), self._candidate_of(held).encode(), held)
                model.commit([Transaction((), (put,))])
            return Held(held, site.lineage, Standing.from_items(model.scan(SHARDS).items))

        self.link.ask(hold, lambda answer: self._held(lease, answer))

    def _candidate_of(self, lease: int) -> str:
        return f"{self.name} {lease}"

    def _held(self, asked: int, answer: Held | AddrcastError | None) -> None:
        if asked != self._lease:
            return
        if isinstance(answer, Stale):
            self._depose("the lease is over")
        elif isinstance(answer, Held):
            if not asked:
                self._lease, self._lineage = answer.lease, answer.lineage
                self._candidacy = Candidacy(self._candidate_of(answer.lease), PATIENCE)
            self._stand(answer.standing)

    def _stand(self, standing: Standing) -> None:
        """Move as the candidacy says, then lead what the store says."""
        moves = self._candidacy.step(standing, self.link.timeline.now_ms)
        transactions = [standing.claim(each, self._candidacy.candidate, lease=self._lease) for each in moves.claims]
        if moves.resigned is not None:
            transactions.append(standing.resignation(moves.resigned))
        territory = standing.territory_of(self._candidacy.candidate)
        if self.machine is None and territory.fences:
            self.machine = ControllerMachine(territory, self._settings)
            self.link.timeline.note(self.name, f"leads {[*territory.fences]}")
            self._step(self.machine, LedgerChanged())
        elif self.machine is not None and territory != self.machine.territory:
            self.link.timeline.note(self.name, f"leads {[*territory.fences]}")
            self._step(self.machine, TerritoryChanged(territory))
        if transactions:
            self.link.ask(lambda model: model.commit(transactions))

    def _depose(self, why: str) -> None:
        self.link.timeline.note(self.name, why)
        self._lease = 0
        deposed = self.machine
        if deposed is not None:
            self.link.timeline.after(self._dice.randint(0, self.stubborn_ms), lambda: self._resign(deposed))

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
                    ledger.learn(draft.entries_at(result.revision), result.revision, under=draft.compares[0])
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
