"""Answers calls over a unix socket: bounded in size, number and time, many at once on each connection."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import msgspec

from addrcast.core.domain.errors import AddrcastError, Invalid, Unavailable
from addrcast.runtime.local_call import (
    ASKS,
    PROTOCOL,
    Answer,
    Ask,
    StatusCall,
    TooLong,
    failure_of,
    frame,
    read_frame,
)

if TYPE_CHECKING:
    from addrcast.runtime.local_call import Call, CreatedAnswer, DeletedAnswer, ReadyAnswer, StatusAnswer
    from addrcast.runtime.local_call_socket import SocketFile
    from addrcast.runtime.settings import SocketSection

log = logging.getLogger(__name__)

REST_S = 10.0
FLUSH_S = 1.0
RETRY_MS = 500


class Desk(Protocol):
    """Whoever answers the calls."""

    async def answer(self, call: Call) -> CreatedAnswer | DeletedAnswer | ReadyAnswer | StatusAnswer:
        """The answer to a call; it keeps to the call's deadline. Raises AddrcastError."""
        ...


class LocalServer:
    """Serves the socket until it is cancelled, or drained.

    A caller that sends more than may be under way is not read further until there is room. Anything but an error
    of the domain that a call ends with is a bug, and ends `run`.
    """

    def __init__(self, file: SocketFile, section: SocketSection, desk: Desk) -> None:
        self._file = file
        self._section = section
        self._desk = desk
        self._slots = asyncio.Semaphore(section.requests_max)
        self._calls: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._group: asyncio.TaskGroup | None = None
        self._server: asyncio.Server | None = None
        self._is_stopping = False
        self.answered = 0

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._writers)

    @property
    def under_way(self) -> int:
        """How many calls are not answered yet."""
        return len(self._calls)

    async def run(self) -> None:
        """Accept connections and answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._server = await asyncio.start_unix_server(self._accept, sock=self._file.socket)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None
                self._server.close()
                for writer in tuple(self._writers):
                    writer.transport.abort()

    def refuse(self) -> None:
        """From now on take no connection and no call but for the status; the socket's file is gone."""
        self._is_stopping = True
        if self._server is not None:
            self._server.close()
        self._file.path.unlink(missing_ok=True)

    async def settle(self, *, seconds: float) -> int:
        """Wait until all calls are answered, or the time is over; how many are not."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=seconds)
        return len(self._calls)

    async def hang_up(self) -> None:
        """Have what was answered go out, and end every connection."""
        writers = tuple(self._writers)
        for writer in writers:
            writer.close()
        flushing = [asyncio.create_task(_closed(writer)) for writer in writers]
        if flushing:
            await asyncio.wait(flushing, timeout=FLUSH_S)
        for writer in writers:
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._group is None:  # it was waiting for us when we ended
            writer.transport.abort()
            return
        if self.connections >= self._section.connections_max:
            most = self._section.connections_max
            full = Unavailable(f"there are {most} connections, as many as are allowed", retry_after_ms=RETRY_MS)
            writer.write(frame(Answer(0, failure_of(full))))
            writer.close()
            return
        self._writers.add(writer)
        self._group.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls: set[asyncio.Task[None]] = set()
        room = asyncio.Semaphore(self._section.pipeline_max)
        try:
            while (ask := await self._next(reader)) is not None:
                await room.acquire()
                await self._slots.acquire()
                self._start(ask, writer, calls, room)
                await writer.drain()
            if calls:  # who half-closes still reads
                await asyncio.wait(calls)
        except AddrcastError as fault:
            writer.write(frame(Answer(0, failure_of(fault))))
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _next(self, reader: asyncio.StreamReader) -> Ask | None:
        """The next call of a connection, None at its end. Raises Invalid for what cannot be read as one."""
        try:
            body = await read_frame(reader, bytes_max=self._section.message_bytes_max, rest_s=REST_S)
            ask = None if body is None else ASKS.decode(body)
        except TooLong as fault:
            raise Invalid("message", "too long", str(fault)) from None
        except TimeoutError:
            raise Invalid("message", "begun", f"the rest of it has to come within {REST_S:g} s") from None
        except msgspec.MsgspecError as fault:
            raise Invalid("message", "unreadable", str(fault)) from None
        if ask is not None and (ask.protocol != PROTOCOL or ask.number < 1):
            rule = f"protocol {PROTOCOL} and numbers from 1 are spoken here"
            raise Invalid("message", f"protocol {ask.protocol}, number {ask.number}", rule)
        return ask

    def _start(
        self, ask: Ask, writer: asyncio.StreamWriter, calls: set[asyncio.Task[None]], room: asyncio.Semaphore
    ) -> None:
        assert self._group is not None  # noqa: S101
        task = self._group.create_task(self._answer(ask, writer))
        for kept in (calls, self._calls):
            kept.add(task)
            task.add_done_callback(kept.discard)

        def done(_: asyncio.Task[None]) -> None:
            room.release()
            self._slots.release()

        task.add_done_callback(done)

    async def _answer(self, ask: Ask, writer: asyncio.StreamWriter) -> None:
        try:
            if self._is_stopping and not isinstance(ask.call, StatusCall):
                raise Unavailable("this process stops", retry_after_ms=RETRY_MS)
            answer = Answer(ask.number, await self._desk.answer(ask.call))
        except AddrcastError as error:
            answer = Answer(ask.number, failure_of(error))
        self.answered += 1
        if not writer.is_closing():
            writer.write(frame(answer))  # in one piece, so that no answer is torn


async def _closed(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await writer.wait_closed()
