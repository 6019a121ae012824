"""A relay between a client and a server's port, which a test cuts, stops and lets through again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Relay:
    """Where clients connect is `endpoint`. `loses_next_answer` cuts the connection in place of the next answer."""

    def __init__(self, target: str) -> None:
        self.endpoint = ""
        self.is_open = True
        self.loses_next_answer = False
        self.lost = 0
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Break all connections, and refuse new ones until `is_open` is set again."""
        self.is_open = False
        self.break_connections()

    def break_connections(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            writer.transport.abort()
            return
        to_reader, to_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, to_writer}
        try:
            with suppress(OSError):
                await asyncio.gather(self._pass_on(reader, to_writer), self._pass_back(to_reader, writer))
        finally:
            self._writers -= {writer, to_writer}
            for each in (writer, to_writer):
                each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            # the server's acknowledgement of a frame is short, an answer is not
            if self.loses_next_answer and len(chunk) > 40:
                self.loses_next_answer = False
                self.lost += 1
                self.break_connections()
                return
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def relay_to(target: str) -> AsyncIterator[Relay]:
    """A relay to `host:port` on a port of its own."""
    relay = Relay(target)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with server:
            yield relay
    finally:
        await relay.stop()
