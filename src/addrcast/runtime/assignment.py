"""The assignment service: creates and deletes of many callers, group-committed to a store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from zlib import crc32

from addrcast.core.assignment.answer import Answer, Created, Deleted
from addrcast.core.assignment.assigner import Assigner, Child, Pending, Reply
from addrcast.core.assignment.request import CreateRequest, DeleteRequest, Request, check_request
from addrcast.core.domain.codec import entry_of
from addrcast.core.domain.errors import AddrcastError, OutcomeUnknown
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import StoreEpoch
from addrcast.runtime.assignment_ready import readiness_of
from addrcast.runtime.view import moment_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transaction import Page
    from addrcast.core.propagation.ready import Readiness
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store
    from addrcast.runtime.view import LedgerView

GROUPS_MAX = 8  # of 512 callers one half is decided on and answered while the other half is made durable
RETRY_MS = 1_000


class AssignmentService:
    """Answers creates and deletes; any number of replicas may run on one store.

    `view` is started and stopped by its owner. `replica` names this one; where it begins to look for free addresses
    follows from that. At most `groups_max` groups are in flight; what comes in meanwhile forms the next. Made and
    used in one event loop.
    """

    def __init__(
        self, store: Store, view: LedgerView, clock: Clock, *, replica: str = "", groups_max: int = GROUPS_MAX
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._groups_max = groups_max
        self._assigner = Assigner(view.ledger, offset=crc32(replica.encode()) if replica else 0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._groups = 0
        self._open: set[asyncio.Future[Answer]] = set()
        self._is_awake = False
        self._is_tending = False

    async def create(self, request: CreateRequest) -> Created:
        """Addresses for an instance. Raises the errors of the domain; Unavailable once the deadline has come."""
        answer = await self._ask(request)
        assert isinstance(answer, Created)  # noqa: S101
        return answer

    async def delete(self, request: DeleteRequest) -> Deleted:
        """Release the addresses of an instance. Raises the errors of the domain."""
        answer = await self._ask(request)
        assert isinstance(answer, Deleted)  # noqa: S101
        return answer

    async def answer_all(self, requests: Iterable[Request]) -> list[Answer | AddrcastError]:
        """The answers to many requests, in their order; where one fails, its error stands there."""
        calls: list[Coroutine[None, None, Answer]] = [
            self.create(one) if isinstance(one, CreateRequest) else self.delete(one) for one in requests
        ]
        answers: list[Answer | AddrcastError] = []
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, AddrcastError):
                raise answer
            answers.append(answer)
        return answers

    def readiness(self, answer: Created) -> Readiness:
        """Which hosts the addresses of an answer still wait for, by this replica's view."""
        return readiness_of(self._view.ledger, answer)

    async def wait_ready(self, answer: Created, *, deadline_ms: int) -> Readiness:
        """The readiness of an answer once all hosts have its addresses, or as it stands when the deadline comes."""
        alarm = asyncio.ensure_future(self._clock.sleep_until(deadline_ms))
        try:
            while not (found := self.readiness(answer)).is_ready and not alarm.done():
                await self._moved_or(alarm)
        finally:
            alarm.cancel()
        return found

    async def stop(self) -> None:
        """Give up what is under way; callers that wait are told that nobody knows what becomes of it."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail_all(OutcomeUnknown("this replica stops; ask another one", retry_after_ms=0))

    def _ask(self, request: Request) -> asyncio.Future[Answer]:
        check_request(request)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open.add(future)
        self._assigner.submit(Pending(request, future))
        self._wake()
        return future

    def _wake(self) -> None:
        """Have the queue looked at once whatever is ready to run now has run, so that groups fill."""
        if not self._is_awake:
            self._is_awake = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_awake = False
        self._assigner.ledger = self._view.ledger
        while self._assigner.queued and self._groups < self._groups_max:
            turn = self._assigner.turn(self._clock.now_ms())
            self._give(turn.replies)
            if turn.children:
                self._groups += 1
                self._spawn(self._commit(turn.children))
            if turn.looking:
                self._spawn(self._look(turn.looking))
        if self._assigner.is_waiting and not self._is_tending:
            self._is_tending = True
            self._spawn(self._tend())

    async def _commit(self, children: Sequence[Child]) -> None:
        try:
            results = await self._store.commit([child.draft.transaction() for child in children])
        except OutcomeUnknown:
            await self._read_back(children)
        except AddrcastError as error:
            self._give(self._assigner.failed(children, error))
        else:
            self._assigner.ledger = self._view.ledger
            self._give(self._assigner.settle(children, results))
        finally:
            self._groups -= 1
            self._wake()

    async def _read_back(self, children: Sequence[Child]) -> None:
        try:
            page = await self._store.read(self._assigner.unknown(children))
        except AddrcastError:
            what = "the store does not say whether the request was carried out; ask again, it is idempotent"
            self._give(self._assigner.failed(children, OutcomeUnknown(what, retry_after_ms=RETRY_MS)))
        else:
            self._assigner.read_back(children, page)

    async def _look(self, pendings: Sequence[Pending]) -> None:
        """Bring the view up to where the store is now: every request here has arrived before."""
        deadline_ms = min(pending.request.deadline_ms for pending in pendings)
        alarm = asyncio.ensure_future(self._clock.sleep_until(deadline_ms))
        try:
            newest = _moment(await self._store.read([EPOCH]))
            while moment_of(self._view.ledger) < newest and not alarm.done():
                await self._moved_or(alarm)
        except AddrcastError as error:
            self._give([self._assigner.refusal(pending, error) for pending in pendings])
        else:
            if moment_of(self._view.ledger) >= newest:
                self._assigner.looked(pendings)
            else:
                for pending in pendings:
                    self._assigner.submit(pending)
        finally:
            alarm.cancel()
            self._wake()

    async def _tend(self) -> None:
        """While requests wait for addresses: look at them again when the view moves, give up on late ones."""
        while (deadline_ms := self._assigner.deadline_ms()) is not None:
            alarm = asyncio.ensure_future(self._clock.sleep_until(deadline_ms))
            try:
                await self._moved_or(alarm)
            finally:
                alarm.cancel()
            self._give(self._assigner.expire(self._clock.now_ms()))
            self._assigner.moved()
            self._pump()
        self._is_tending = False

    async def _moved_or(self, alarm: asyncio.Future[None]) -> None:
        # from what is seen now, since the next move might come before the new task begins to listen
        moved = asyncio.ensure_future(self._moved_from(self._view.ledger, self._view.ledger.revision))
        try:
            await asyncio.wait((moved, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()
        if not moved.cancelled() and moved.done():
            moved.result()

    async def _moved_from(self, ledger: Ledger, revision: int) -> None:
        """Wait until the view has moved on, or is another one: after a restore that may be of a lower revision."""
        while self._view.ledger is ledger and ledger.revision <= revision:
            await self._view.changed()

    def _give(self, replies: Iterable[Reply]) -> None:
        for reply in replies:
            future: asyncio.Future[Answer] = reply.pending.token
            self._open.discard(future)
            if future.done():  # the caller has gone
                continue
            if isinstance(reply.answer, AddrcastError):
                future.set_exception(reply.answer)
            else:
                future.set_result(reply.answer)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # anything but an expected failure is a bug: nobody may wait for an answer that cannot come
            self._fail_all(error)

    def _fail_all(self, error: BaseException) -> None:
        for future in self._open:
            if not future.done():
                future.set_exception(error)
        self._open.clear()


def _moment(page: Page) -> tuple[int, int]:
    """When the store was read, as `moment_of` says it of a view."""
    epoch = entry_of(StoreEpoch, EPOCH, page.items[0] if page.items else None).value
    return (epoch.epoch if epoch is not None else 0, page.revision)
