"""A controller of a model cluster: its machine over a view of the store that can be as old as a test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.controller.machine import ControllerMachine
from addrcast.core.controller.messages import Away, Commit, Committed, PlanFailed, Report, RequestPlan, Tick
from addrcast.core.domain.ledger import Ledger

if TYPE_CHECKING:
    from addrcast.core.controller.messages import Effect, Event
    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.controller.territory import Territory
    from addrcast.simulation.store import ModelStore


class ModelController:
    """What the controller asks for waits in `asked`, answers wait in `answers`; `catch_up` moves its view on."""

    def __init__(
        self, store: ModelStore, territory: Territory, *, settings: ControllerSettings | None = None
    ) -> None:
        self.store = store
        self.ledger = Ledger.from_items(store.scan("").items, store.revision)
        self.machine = ControllerMachine(territory, settings)
        self.asked: list[Commit] = []
        self.answers: list[Event] = []
        self.reports: list[str] = []
        self.plan_requests: list[RequestPlan] = []

    def catch_up(self, *, up_to: int | None = None) -> None:
        """The view comes to a revision (None: the newest)."""
        newest = self.store.revision if up_to is None else up_to
        for change in self.store.changes([""], after_revision=self.ledger.revision, up_to=newest):
            self.ledger.apply(change)

    def give(self, event: Event, now_ms: int) -> None:
        """Step the machine; what it asks for waits."""
        for effect in self.machine.step(event, self.ledger, now_ms):
            self._ask(effect)

    def carry_out(self, index: int = 0, *, is_reply_lost: bool = False) -> None:
        """Commit what was asked for; the answer waits. The reply can be lost."""
        commit = self.asked.pop(index)
        results = self.store.commit([draft.transaction() for draft in commit.drafts])
        if is_reply_lost:
            self.answers.append(Away(commit))
            return
        for draft, result in zip(commit.drafts, results, strict=True):
            if result.is_success:
                self.ledger.learn(draft.entries_at(result.revision), result.revision)
        self.answers.append(Committed(commit, tuple(results)))

    def settle(self, now_ms: int) -> None:
        """Look, act and learn until there is nothing more to do at this moment."""
        self.catch_up()
        self.give(Tick(), now_ms)
        while self.asked or self.answers:
            while self.asked:
                self.carry_out()
            while self.answers:
                self.give(self.answers.pop(0), now_ms)
            self.catch_up()

    def _ask(self, effect: Effect) -> None:
        match effect:
            case Report():
                self.reports.append(effect.what)
            case RequestPlan():
                self.plan_requests.append(effect)
                self.answers.append(PlanFailed(effect, "nobody plans here"))
            case Commit():
                self.asked.append(effect)
