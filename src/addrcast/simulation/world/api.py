"""A simulated replica of the API: the real assigner over a ledger that lags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.assignment.assigner import Assigner, Pending
from addrcast.core.domain.codec import decode
from addrcast.core.domain.errors import AddrcastError, Unavailable
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import StoreEpoch
from addrcast.core.domain.transaction import Page
from addrcast.simulation.world.follower import Follower

if TYPE_CHECKING:
    from addrcast.core.assignment.answer import Answer
    from addrcast.core.assignment.assigner import Child, Reply
    from addrcast.core.assignment.request import Request
    from addrcast.simulation.world.link import Link

Tell = Callable[["Answer | AddrcastError"], None]
Door = Callable[["Request", "Follower"], "Request"]


@dataclass(slots=True)
class _Look:
    """Requests that wait until the ledger has come to a revision of an epoch."""

    pendings: list[Pending]
    revision: int
    epoch: int


class SimulatedApi:
    """Owns an assigner and what it has under way. A replica that restarts forgets all of it.

    `is_blind` answers from the ledger as it is, without a look at the store; `door` is what every request passes
    on its way in. Both are for leaving rules out.
    """

    def __init__(self, name: str, link: Link, *, offset: int, clock_ahead_ms: int) -> None:
        self.name = name
        self.link = link
        self.is_blind = False
        self.door: Door | None = None
        self._offset = offset
        self._clock_ahead_ms = clock_ahead_ms
        self._begin()

    @property
    def now_ms(self) -> int:
        """This replica's clock."""
        return self.link.timeline.now_ms + self._clock_ahead_ms

    def restart(self) -> None:
        """The process ends, nothing that it waited for comes back to it, and another one begins."""
        self._follower.stop()
        self._begin()

    def _begin(self) -> None:
        self._assigner: Assigner | None = None
        self._looks: list[_Look] = []
        self._alarm_ms: int | None = None
        self._follower = Follower(self.link, self._moved)

    def receive(self, request: Request, tell: Tell) -> None:
        """A request arrives."""
        if self._assigner is None:
            tell(Unavailable(f"{self.name} has no view of the store yet", retry_after_ms=100))
            return
        admitted = request if self.door is None else self.door(request, self._follower)
        self._assigner.submit(Pending(admitted, tell, has_looked=self.is_blind))
        self._pump()

    def _moved(self) -> None:
        ledger = self._follower.ledger
        if ledger is None:
            return
        if self._assigner is None:
            self._assigner = Assigner(ledger, offset=self._offset)
        self._assigner.ledger = ledger
        self._assigner.moved()
        self._end_looks()
        self._pump()

    def _pump(self) -> None:
        assigner = self._assigner
        if assigner is None:
            return
        while assigner.queued:
            turn = assigner.turn(self.now_ms)
            self._give(turn.replies)
            if turn.children:
                self._commit(assigner, turn.children)
            if turn.looking:
                self._look(assigner, turn.looking)
        self._set_alarm(assigner)

    def _commit(self, assigner: Assigner, children: list[Child]) -> None:
        def answer(results: object) -> None:
            if assigner is not self._assigner:
                return
            if results is None:
                self._read_back(assigner, children)
                return
            if isinstance(results, AddrcastError):
                self._give(assigner.failed(children, results))
            elif isinstance(results, list):
                self._give(assigner.settle(children, results))
            self._pump()

        self.link.commit([child.draft.transaction() for child in children], answer)

    def _read_back(self, assigner: Assigner, children: list[Child]) -> None:
        def answer(page: object) -> None:
            if assigner is not self._assigner:
                return
            if isinstance(page, Page):
                assigner.read_back(children, page)
                self._pump()
            else:
                self._read_back(assigner, children)

        self.link.ask(lambda model: model.read(assigner.unknown(children)), answer)

    def _look(self, assigner: Assigner, pendings: list[Pending]) -> None:
        def answer(page: object) -> None:
            if assigner is not self._assigner:
                return
            if isinstance(page, Page):
                epoch = decode(EPOCH, page.items[0].value)
                assert isinstance(epoch, StoreEpoch)  # noqa: S101
                self._looks.append(_Look(pendings, page.revision, epoch.epoch))
                self._end_looks()
                self._pump()
            else:
                self._look(assigner, pendings)

        self.link.ask(lambda model: model.read([EPOCH]), answer)

    def _end_looks(self) -> None:
        ledger, assigner = self._follower.ledger, self._assigner
        if ledger is None or assigner is None:
            return
        waiting, self._looks = self._looks, []
        for look in waiting:
            # after a restore revisions count anew: a view of the lost time is ahead of what was read, not newer
            if ledger.revision >= look.revision and ledger.epoch.required.epoch == look.epoch:
                assigner.looked(look.pendings)
            else:
                self._looks.append(look)

    def _give(self, replies: list[Reply]) -> None:
        for reply in replies:
            reply.pending.token(reply.answer)

    def _set_alarm(self, assigner: Assigner) -> None:
        due_ms = assigner.deadline_ms()
        if due_ms is None or due_ms == self._alarm_ms:
            return
        self._alarm_ms = due_ms
        self.link.timeline.after(due_ms - self.now_ms, lambda: self._ring(assigner))

    def _ring(self, assigner: Assigner) -> None:
        if assigner is self._assigner:
            self._alarm_ms = None
            self._give(assigner.expire(self.now_ms))
            self._pump()
