"""Calls a role over its unix socket: many calls at once on one connection, made anew when it is lost."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from addrcast.core.domain.errors import AddrcastError, Invalid, OutcomeUnknown, Unavailable
from addrcast.runtime.local_call import (
    ANSWER_BYTES_MAX,
    ANSWERS,
    Ask,
    CreateCall,
    CreatedAnswer,
    DeleteCall,
    DeletedAnswer,
    Failure,
    ReadyAnswer,
    ReadyCall,
    StatusAnswer,
    StatusCall,
    TooLong,
    frame,
    read_frame,
)

if TYPE_CHECKING:
    from types import TracebackType

    from addrcast.core.assignment.answer import Created, Deleted
    from addrcast.core.assignment.request import CreateRequest, DeleteRequest
    from addrcast.runtime.local_call import Answer, Call
    from addrcast.runtime.role_status import Status

B = TypeVar("B", CreatedAnswer, DeletedAnswer, ReadyAnswer, StatusAnswer)

GRACE_MS = 2_000
STATUS_MS = 5_000
RETRY_S = 0.05
RETRY_MS = 500


class _Lost(Exception):
    """The connection ended before the answer; `was_sent` tells whether the call may have arrived."""

    def __init__(self, *, was_sent: bool) -> None:
        super().__init__()
        self.was_sent = was_sent


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer | None]] = {}
        self._fault: AddrcastError | None = None
        self._reading = asyncio.create_task(self._read(reader))

    @property
    def is_over(self) -> bool:
        return self._reading.done()

    async def ask(self, call: Call) -> Answer:
        """The answer to a call. Raises _Lost, or what the server said of the whole connection."""
        if self.is_over:
            raise self._fault or _Lost(was_sent=False)
        number = next(self._numbers)
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._writer.write(frame(Ask(number, call)))
        try:
            await self._writer.drain()
            found = await answer
        except ConnectionError:
            found = None
        finally:
            self._waiting.pop(number, None)
        if found is None:
            raise self._fault or _Lost(was_sent=True)
        return found

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (body := await read_frame(reader, bytes_max=ANSWER_BYTES_MAX)) is not None:
                answer = ANSWERS.decode(body)
                if answer.number == 0 and isinstance(answer.answer, Failure):
                    self._fault = answer.answer.raised()
                    return
                if (waiting := self._waiting.get(answer.number)) is not None and not waiting.done():
                    waiting.set_result(answer)
        except (TooLong, msgspec.MsgspecError) as error:
            self._fault = Invalid("answer", "unreadable", f"another program or version serves there: {error}")
        finally:
            self._writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(None)


class LocalClient:
    """A caller of one socket, used in one event loop; `async with` closes it.

    A call whose connection is lost is sent again until its deadline where that is safe: creates, and deletes that
    name their attempt, have one and the same answer however often they are asked for. A delete of whatever is bound
    is not sent again, since a successor might be bound by then: it ends as OutcomeUnknown.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._was_connected = False

    async def __aenter__(self) -> LocalClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; calls under way end as if it had been lost."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def create(self, request: CreateRequest) -> Created:
        """Addresses for an instance. Raises the errors of the domain."""
        answer = await self._call(CreateCall(request), CreatedAnswer, request.deadline_ms, is_repeatable=True)
        return answer.created

    async def delete(self, request: DeleteRequest) -> Deleted:
        """Release the addresses of an instance. Raises the errors of the domain."""
        is_repeatable = request.attempt is not None
        call = DeleteCall(request)
        answer = await self._call(call, DeletedAnswer, request.deadline_ms, is_repeatable=is_repeatable)
        return answer.deleted

    async def ready(self, created: Created, *, deadline_ms: int) -> ReadyAnswer:
        """Whether all hosts have an answer's addresses, waiting for it until the deadline."""
        return await self._call(ReadyCall(created, deadline_ms), ReadyAnswer, deadline_ms, is_repeatable=True)

    async def status(self) -> Status:
        """How the process is."""
        deadline_ms = _now_ms() + STATUS_MS
        return (await self._call(StatusCall(), StatusAnswer, deadline_ms, is_repeatable=True)).status

    async def _call(self, call: Call, kind: type[B], deadline_ms: int, *, is_repeatable: bool) -> B:
        # the server keeps the deadline; the grace is for a server that is no more
        limit_ms = max(deadline_ms, _now_ms()) + GRACE_MS
        while True:
            connection = await self._connected(limit_ms)
            try:
                async with asyncio.timeout((limit_ms - _now_ms()) / 1_000):
                    answer = (await connection.ask(call)).answer
            except _Lost as lost:
                if lost.was_sent and not is_repeatable:
                    what = "the connection was lost before the answer; look at what is bound before you ask again"
                    raise OutcomeUnknown(what, retry_after_ms=RETRY_MS) from None
                if _now_ms() >= deadline_ms:
                    raise self._silent() from None
                await asyncio.sleep(RETRY_S)
                continue
            except TimeoutError:
                raise self._silent() from None
            if isinstance(answer, Failure):
                raise answer.raised()
            if not isinstance(answer, kind):
                raise Invalid(
                    "answer", type(answer).__name__, f"{kind.__name__} is expected: another version answers"
                )
            return answer

    def _silent(self) -> OutcomeUnknown:
        return OutcomeUnknown(f"{self._path} did not answer in time", retry_after_ms=RETRY_MS)

    async def _connected(self, limit_ms: int) -> _Connection:
        """The connection, made where there is none. Raises Unavailable where nobody listens.

        Who was connected before waits for the server to come back, until the limit.
        """
        async with self._connecting:
            while self._connection is None or self._connection.is_over:
                try:
                    reader, writer = await asyncio.open_unix_connection(str(self._path))
                except (OSError, ValueError) as error:
                    if self._was_connected and _now_ms() < limit_ms - GRACE_MS:
                        await asyncio.sleep(RETRY_S)
                        continue
                    reason = getattr(error, "strerror", None) or str(error)
                    what = f"nobody answers at {self._path} ({reason}): start `addrcast serve` or name its --socket"
                    raise Unavailable(what, retry_after_ms=RETRY_MS) from None
                self._connection = _Connection(reader, writer)
                self._was_connected = True
            return self._connection


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
