"""The life of a role's process: socket, store, view, parts, readiness; and its end, by a signal or by a bug."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.local_call import StatusAnswer, StatusCall
from addrcast.runtime.local_call_server import LocalServer
from addrcast.runtime.local_call_socket import SocketFile, default_socket
from addrcast.runtime.role_status import Status
from addrcast.runtime.roles.ground import Ground
from addrcast.runtime.roles.part import Part, Site
from addrcast.runtime.roles.readiness import Readiness
from addrcast.runtime.store_address import parse_store_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.runtime.local_call import Call, CreatedAnswer, DeletedAnswer, ReadyAnswer
    from addrcast.runtime.settings import RoleSettings
    from addrcast.runtime.settings_sources import Loaded

log = logging.getLogger(__name__)

END_S = 2.0
"""How long each step of an orderly end may take, besides `process.drain_ms`."""


class RoleProcess:
    """One process of a role, made of what `make_parts` makes on a site.

    The socket opens first, so that the status can be asked for from the start on and two processes never get into
    each other's way; then the store is waited for, then its view, then the parts run. A part that fails ends the
    process. The first signal ends it in order, the second at once.
    """

    def __init__(
        self,
        role: str,
        loaded: Loaded[Any],
        *,
        socket_name: str,
        make_parts: Callable[[Site], Sequence[Part]],
        has_view: bool = True,
        sets_up: bool = False,
    ) -> None:
        settings: RoleSettings = loaded.settings
        if not settings.store.address:
            raise loaded.lack("store.address")
        self._role = role
        self._settings = settings
        self._make_parts = make_parts
        self._clock = SystemClock()
        self._started_ms = self._clock.now_ms()
        self._path = Path(settings.socket.path or default_socket(socket_name, os.environ))
        self._readiness = Readiness(settings.process.ready_file, os.environ)
        self._ground = Ground(
            parse_store_address(settings.store.address),
            settings.store,
            clock=self._clock,
            readiness=self._readiness,
            has_view=has_view,
            sets_up=sets_up,
        )
        self._stop = asyncio.Event()
        self._parts: dict[asyncio.Task[None], Part] = {}

    async def run(self) -> None:
        """Live until a signal. Raises Invalid where it cannot start or go on, and ExceptionGroup of what failed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        file = SocketFile(self._path, self._settings.socket)
        log.info("starts: pid %d, socket %s, store %s", os.getpid(), self._path, self._ground.health.address)
        try:
            await self._live(LocalServer(file, self._settings.socket, self))
        finally:
            self._readiness.stopping()
            await self._ground.leave()
            file.close()
        log.info("stopped")

    async def _live(self, server: LocalServer) -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.run())
            living = group.create_task(self._start(group))
            await self._stop.wait()
            self._readiness.stopping()
            server.refuse()
            living.cancel()
            await self._drain(server)
            serving.cancel()

    async def _start(self, group: asyncio.TaskGroup) -> None:
        store = await self._ground.reach()
        view = await self._ground.look(store)
        site = Site(store=store, view=view, clock=self._clock, readiness=self._readiness)
        for part in self._make_parts(site):
            self._parts[group.create_task(part.run())] = part
        self._readiness.started()
        await self._ground.mind()

    async def _drain(self, server: LocalServer) -> None:
        """Finish what callers wait for, within the bound; then end the parts."""
        bound_s = self._settings.process.drain_ms / 1_000
        draining = [asyncio.create_task(part.drain()) for part in self._parts.values()]
        if left := await server.settle(seconds=bound_s):
            log.warning("%d calls were not finished within %g s", left, bound_s)
        await _within(END_S, draining)
        for task in self._parts:
            task.cancel()
        await _within(END_S, self._parts)
        await server.settle(seconds=END_S)
        await server.hang_up()

    def _signalled(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning("%s again: ends at once", number.name)
            self._path.unlink(missing_ok=True)
            os._exit(128 + number)
        log.info("%s: finishes what is under way, then stops", number.name)
        self._stop.set()

    async def answer(self, call: Call) -> CreatedAnswer | DeletedAnswer | ReadyAnswer | StatusAnswer:
        """See Desk."""
        if isinstance(call, StatusCall):
            return StatusAnswer(await self._status())
        if not self._readiness.is_started:
            waits = "; ".join(self._readiness.waits.values())
            raise Unavailable(f"it starts, and waits for {waits}", retry_after_ms=self._ground.health.pause_ms())
        for part in self._parts.values():
            if (answer := await part.answer(call)) is not None:
                return answer
        raise Invalid("--socket", str(self._path), f"it is of the role {self._role}, which assigns no addresses")

    async def _status(self) -> Status:
        parts = [await part.status() for part in self._parts.values()]
        of_parts: dict[str, Any] = {type(part).__name__.removesuffix("Status").lower(): part for part in parts}
        return Status(
            role=self._role,
            version=version("addrcast"),
            pid=os.getpid(),
            started_ms=self._started_ms,
            is_ready=self._readiness.is_ready,
            is_stopping=self._readiness.is_stopping,
            waits_for=tuple(self._readiness.waits.values()),
            store=self._ground.status(),
            **of_parts,
        )


async def _within(seconds: float, tasks: Sequence[asyncio.Task[None]] | dict[asyncio.Task[None], Part]) -> None:
    """Wait for tasks, but not for ever."""
    if tasks:
        await asyncio.wait(tuple(tasks), timeout=seconds)
