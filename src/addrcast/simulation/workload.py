"""Callers of a simulated world: instances come, move, go and come back, over a network that loses and repeats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from addrcast.core.assignment.answer import Created, Deleted
from addrcast.core.assignment.request import CreateRequest, DeleteRequest, Request, Want
from addrcast.core.domain.errors import AddrcastError, Exhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from addrcast.core.assignment.answer import Answer
    from addrcast.simulation.world.api import SimulatedApi
    from addrcast.simulation.world.attachments import Attachments
    from addrcast.simulation.world.promises import Promises
    from addrcast.simulation.world.scarcity import ScarcityChecker
    from addrcast.simulation.world.timeline import Timeline

DEADLINE_MS = 2_000
PATIENCE = 5


class Phase(Enum):
    """What a caller is about with an instance."""

    GONE = "gone"
    CREATING = "creating"
    BOUND = "bound"
    DELETING = "deleting"


@dataclass(slots=True)
class Callers:
    """How callers behave, drawn for each world; shares are of all messages, times are the longest.

    `repeated` messages arrive twice, `late` ones take up to their deadline and beyond, `lost` ones (or their
    replies) never come. `overtaken` creates are deleted before their answer, `moved` instances are created anew
    while they are bound.
    """

    repeated: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    overtaken: float = 0.0
    moved: float = 0.0
    asks_host: float = 0.5
    life_ms: int = 3_000
    gap_ms: int = 2_000

    def calm(self) -> None:
        """Every message arrives once and soon; who is bound late does not live long."""
        self.repeated = self.late = self.lost = self.overtaken = self.moved = 0.0
        self.life_ms = 300


@dataclass(slots=True)
class Instance:
    """One instance as its caller sees it; `serial` voids what belongs to an earlier step of it."""

    account: str
    name: str
    wants: tuple[Want, ...]
    attempt: int = 0
    phase: Phase = Phase.GONE
    serial: int = 0

    @property
    def id(self) -> tuple[str, str]:
        """Account and instance."""
        return self.account, self.name


class Workload:
    """Drives every instance through its lives, until `end`; then it lets each come to rest."""

    def __init__(
        self,
        timeline: Timeline,
        dice: Random,
        *,
        callers: Callers,
        apis: Sequence[SimulatedApi],
        hosts: Sequence[str],
        promises: Promises,
        scarcity: ScarcityChecker,
        attachments: Attachments,
    ) -> None:
        self.instances: list[Instance] = []
        self.outcomes: dict[str, int] = {}
        self._timeline = timeline
        self._dice = dice
        self._callers = callers
        self._apis = apis
        self._hosts = hosts
        self._promises = promises
        self._scarcity = scarcity
        self._attachments = attachments
        self._lineage = 0
        self._count = 0
        self._is_ending = False

    def add(self, instance: Instance) -> None:
        """An instance will come."""
        self.instances.append(instance)
        self._later(instance, self._callers.gap_ms, self._create)

    def restored(self) -> None:
        """The store went back: callers go on with some of what they have, delete all else, and begin anew."""
        self._lineage += 1
        self._promises.restored()
        for instance in self.instances:
            is_left = instance.phase is Phase.BOUND and self._attachments.is_attached(instance.id)
            if not (is_left and self._dice.random() < 0.8):
                self._later(instance, 300, self._delete)

    def end(self) -> None:
        """No new lives; those that were to last go on or end soon."""
        self._is_ending = True
        for instance in self.instances:
            if instance.phase is Phase.BOUND:
                self._later(instance, self._callers.life_ms, self._delete)

    @property
    def unsettled(self) -> list[Instance]:
        """Instances whose last request has not come to an end."""
        return [each for each in self.instances if each.phase in (Phase.CREATING, Phase.DELETING)]

    def _later(self, instance: Instance, within_ms: int, act: Callable[[Instance], None]) -> None:
        instance.serial += 1
        serial = instance.serial

        def go() -> None:
            if instance.serial == serial:
                act(instance)

        self._timeline.after(self._dice.randint(1, within_ms), go)

    def _create(self, instance: Instance) -> None:
        if self._is_ending:
            return
        instance.attempt += 1
        instance.phase = Phase.CREATING
        self._release(instance)
        self._try_create(instance, PATIENCE)

    def _try_create(self, instance: Instance, tries: int) -> None:
        instance.serial += 1
        serial, attempt, lineage = instance.serial, instance.attempt, self._lineage
        host = self._dice.choice(self._hosts) if self._dice.random() < self._callers.asks_host else ""
        request = CreateRequest(
            account=instance.account,
            instance=instance.name,
            deadline_ms=self._timeline.now_ms + DEADLINE_MS,
            host=host,
            wants=instance.wants,
            attempt=attempt,
            request=self._name(attempt),
        )

        def answered(answer: Answer | AddrcastError | None) -> None:
            if lineage != self._lineage or instance.attempt != attempt:
                return
            if isinstance(answer, Created) and instance.phase in (Phase.CREATING, Phase.BOUND):
                self._promises.created(instance.id, attempt, tuple(each.logical for each in answer.addresses))
                self._attachments.attach(instance.id, attempt, answer.addresses)
                self._tally(answer.addresses[0].outcome.value)
            if instance.serial != serial:
                return
            if isinstance(answer, Created):
                instance.phase = Phase.BOUND
                is_moved = self._dice.random() < self._callers.moved
                self._later(instance, self._callers.life_ms, self._create if is_moved else self._delete)
            elif tries > 1 and not self._is_ending and not isinstance(answer, Exhausted):
                self._later(instance, 300, lambda again: self._try_create(again, tries - 1))
            else:
                self._later(instance, 300, self._delete)

        if self._dice.random() < self._callers.overtaken:
            self._later(instance, 30, self._delete)
        self._send(request, answered)

    def _release(self, instance: Instance) -> None:
        self._promises.released(instance.id)
        self._attachments.detach(instance.id)

    def _delete(self, instance: Instance) -> None:
        if self._is_ending and instance.phase is Phase.BOUND and instance.attempt % 2:
            return  # some stay, so that the end has bindings to check
        instance.phase = Phase.DELETING
        self._release(instance)
        self._try_delete(instance)

    def _try_delete(self, instance: Instance) -> None:
        instance.serial += 1
        serial, attempt, lineage = instance.serial, instance.attempt, self._lineage
        request = DeleteRequest(
            account=instance.account,
            instance=instance.name,
            deadline_ms=self._timeline.now_ms + DEADLINE_MS,
            attempt=attempt,
            request=self._name(attempt),
        )

        def answered(answer: Answer | AddrcastError | None) -> None:
            if lineage != self._lineage:
                return
            if isinstance(answer, Deleted):
                self._promises.deleted(instance.id, attempt)
                self._tally("deleted")
            if instance.serial != serial:
                return
            if isinstance(answer, Deleted):
                instance.phase = Phase.GONE
                self._later(instance, self._callers.gap_ms, self._create)
            else:
                self._later(instance, 300, self._try_delete)

        self._send(request, answered)

    def _send(self, request: Request, answered: Callable[[Answer | AddrcastError | None], None]) -> None:
        """One message to some replica, perhaps again to another; no answer is None, once."""
        callers, dice = self._callers, self._dice
        is_answered = False

        def tell(answer: Answer | AddrcastError | None) -> None:
            nonlocal is_answered
            what = type(answer).__name__ if answer is None or isinstance(answer, AddrcastError) else answer
            self._timeline.note("caller", f"{request.request} {request.instance} {what}")
            if isinstance(answer, Exhausted) and isinstance(request, CreateRequest):
                self._scarcity.refused(request)
            if answer is not None and dice.random() < callers.lost:
                return
            is_answered = True
            answered(answer)

        for _ in range(2 if dice.random() < callers.repeated else 1):
            if dice.random() < callers.lost:
                continue
            api = dice.choice(self._apis)
            travel_ms = dice.randint(1, DEADLINE_MS + 200 if dice.random() < callers.late else 20)
            self._timeline.after(travel_ms, partial(self._arrive, api, request, tell))
        self._timeline.after(DEADLINE_MS + 600, lambda: None if is_answered else tell(None))

    def _arrive(self, api: SimulatedApi, request: Request, tell: Callable[[Answer | AddrcastError], None]) -> None:
        if isinstance(request, CreateRequest):
            self._scarcity.arrived(request)
        api.receive(request, tell)

    def _name(self, attempt: int) -> str:
        self._count += 1
        name = f"r{self._count}"
        self._promises.sent[name] = attempt
        return name

    def _tally(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
