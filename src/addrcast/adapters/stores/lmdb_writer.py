"""The one thread that writes the embedded store: it carries waiting work in groups, one commit for each."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import lmdb
import msgspec

from addrcast.adapters.stores.lmdb_lease import first_deadline
from addrcast.adapters.stores.lmdb_write import Writing, is_trim_due
from addrcast.core.domain.errors import AddrcastError, OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from addrcast.adapters.stores.lmdb_environment import Environment

T = TypeVar("T")

GROUP_MAX = 256
_RETRY_MS = 1000
_TRIM_IDLE = 10_000
_SWEEPS_PER_READER_CHECK = 100


class Settings(NamedTuple):
    """How an embedded store keeps house: its clock, how much of the log it keeps, how often it looks for leases."""

    now_ms: Callable[[], int]
    keep_revisions: int
    sweep_s: float


class Work(msgspec.Struct, frozen=True):
    """What one caller waits for; `size` is the number of its transactions."""

    act: Callable[[Writing], Any]
    size: int
    future: asyncio.Future[Any]


class GroupWriter:
    """Takes work from the event loop and carries it out in its own thread.

    The loop hands over what came in during one of its rounds as one list, and gets the answers to a group back in
    one call: two switches of thread for up to GROUP_MAX transactions. While more work waits, a group is answered
    just before the commit of the next one: the loop then runs while the writer waits for the disk without the
    interpreter's lock. A group is limited so that under load both have one.
    """

    def __init__(self, env: Environment, settings: Settings, *, on_commit: Callable[[], None]) -> None:
        self._env = env
        self._settings = settings
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._gathered: list[Work] = []
        self._handed: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._answered: list[tuple[list[Work], list[Any]]] = []
        self._is_bell_due = False
        self._sweep_count = 0
        self._thread = threading.Thread(target=self._run, name=f"lmdb-writer {env.directory}", daemon=True)
        self._thread.start()

    def submit(self, act: Callable[[Writing], T], *, size: int = 1) -> asyncio.Future[T]:
        """Have `act` carried out inside a group; the future is done when the group is durable."""
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        future: asyncio.Future[T] = self._loop.create_future()
        self._gathered.append(Work(act, size, future))
        return future

    async def stop(self) -> None:
        """Carry out what was submitted, then end the thread."""
        self._hand_over()
        self._handed.put(None)
        await self._ended
        self._thread.join()

    def _hand_over(self) -> None:
        if self._gathered:
            self._handed.put(self._gathered)
            self._gathered = []

    # below: the thread

    def _run(self) -> None:
        waiting: deque[Work] = deque()
        is_stopping = False
        while waiting or not is_stopping:
            is_stopping |= self._take(waiting)
            group = _next_group(waiting)
            if group:
                answers = self._carry_out([work.act for work in group])
                self._answered.append((group, answers))
        self._answer()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _take(self, waiting: deque[Work]) -> bool:
        """Move handed work to `waiting`; where there is none, wait for it. Returns whether to stop."""
        if not waiting and self._handed.empty():
            self._answer()
        try:
            handed = self._handed.get(block=not waiting, timeout=self._settings.sweep_s)
            while handed is not None:
                waiting.extend(handed)
                handed = self._handed.get_nowait()
        except Empty:
            if not waiting:
                self._sweep()
            return False
        return True

    def _answer(self) -> None:
        """Let the loop answer the callers of the groups that are carried out."""
        for group, answers in self._answered:
            self._loop.call_soon_threadsafe(_deliver, group, answers)
        self._answered.clear()
        if self._is_bell_due:  # after the answers: whoever wrote knows it before the watch says so
            self._is_bell_due = False
            self._on_commit()

    def _carry_out(self, acts: list[Callable[[Writing], Any]]) -> list[Any]:
        """The answers, or what is to be raised instead of each."""
        try:
            while (answers := self._attempt(acts)) is None:
                self._env.grow()
        except (lmdb.Error, OSError) as error:
            return [Unavailable(f"LMDB: {error}", retry_after_ms=_RETRY_MS) for _ in acts]
        except Exception as bug:  # the callers raise it; the thread goes on
            return [bug] * len(acts)
        return answers

    def _attempt(self, acts: list[Callable[[Writing], Any]]) -> list[Any] | None:
        """Carry out all in one transaction; None where the map was too small for it, and nothing happened."""
        is_committing = False
        try:
            with self._env.writing() as txn:
                writing = Writing(txn, self._env.tables, now_ms=self._settings.now_ms())
                writing.expire()
                answers = [_answer_of(act, writing) for act in acts]
                if not writing.has_changes:
                    return answers
                writing.flush(keep_revisions=self._settings.keep_revisions)
                self._answer()
                is_committing = True
                txn.commit()
        except lmdb.MapFullError:
            return None
        except lmdb.Error as error:
            if not is_committing:
                raise
            return [OutcomeUnknown(f"LMDB: {error}", retry_after_ms=_RETRY_MS) for _ in acts]
        self._is_bell_due = True
        return answers

    def _sweep(self) -> None:
        """While nobody calls: end leases that are due, and let the forgotten part of the log leave the disk."""
        self._sweep_count += 1
        try:
            if self._sweep_count % _SWEEPS_PER_READER_CHECK == 0:
                self._env.forget_dead_readers()
            with self._env.reading() as txn:
                has_backlog = is_trim_due(txn, self._env.tables)
                first = first_deadline(txn, self._env.tables)
        except lmdb.Error:  # most likely the map has grown, which writing follows
            has_backlog, first = True, None
        if has_backlog or (first is not None and first[0] <= self._settings.now_ms()):
            self._carry_out([_trim])


def _trim(writing: Writing) -> None:
    writing.trim(limit=_TRIM_IDLE)


def _next_group(waiting: deque[Work]) -> list[Work]:
    group: list[Work] = []
    size = 0
    while waiting and (not group or size + waiting[0].size <= GROUP_MAX):
        group.append(waiting.popleft())
        size += group[-1].size
    return group


def _answer_of(act: Callable[[Writing], Any], writing: Writing) -> Any:
    try:
        return act(writing)
    except AddrcastError as error:
        return error


def _deliver(group: list[Work], answers: list[Any]) -> None:
    for work, answer in zip(group, answers, strict=True):
        if work.future.done():  # its caller was cancelled
            continue
        if isinstance(answer, Exception):
            work.future.set_exception(answer)
        else:
            work.future.set_result(answer)
