"""A proxy before a member that loses replies: the request is passed on, the answer never comes back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

# acknowledgements, pings and window updates of HTTP/2 are smaller; a transaction never is
REQUEST_BYTES = 150
CHUNK = 1 << 16


@dataclass(slots=True)
class Losses:
    """What all proxies share: how many of the next requests shall lose their replies, and how many have."""

    armed: int = 0
    lost: int = 0


class Proxy:
    """Passes connections on to a member; one whose turn it is to lose replies is cut."""

    def __init__(self, target: str, losses: Losses, dice: Random) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._dice = dice
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._losses = losses
        self.endpoint = ""

    async def start(self, address: str) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, address, 0)
        self.endpoint = "{}:{}".format(*self._server.sockets[0].getsockname())

    async def stop(self) -> None:
        """Cut everything."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError):
                onward_reader, onward_writer = await asyncio.open_connection(*self._target)
                await self._pass_on(reader, writer, onward_reader, onward_writer)
        except asyncio.CancelledError:
            pass  # the proxy stops; asyncio would complain of a connection that was cancelled
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        onward_reader: asyncio.StreamReader,
        onward_writer: asyncio.StreamWriter,
    ) -> None:
        back = asyncio.ensure_future(_copy(onward_reader, writer))
        out = asyncio.ensure_future(self._requests(reader, onward_writer, back))
        try:
            await asyncio.wait((back, out), return_when=asyncio.FIRST_COMPLETED)
            if back.cancelled():
                await out
        finally:
            for task in (back, out):
                task.cancel()
            await asyncio.gather(back, out, return_exceptions=True)
            onward_writer.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.Future[None]
    ) -> None:
        while chunk := await reader.read(CHUNK):
            is_losing = self._losses.armed > 0 and len(chunk) >= REQUEST_BYTES
            if is_losing:
                self._losses.armed -= 1
                back.cancel()
            writer.write(chunk)
            await writer.drain()
            if is_losing:
                self._losses.lost += 1
                # time enough for the member to carry it out, most of the time
                await asyncio.sleep(self._dice.choice((0.0, 0.005, 0.05, 0.2)))
                return


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
