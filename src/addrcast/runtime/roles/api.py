"""The role `api`: the assignment service behind a unix socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from addrcast.core.domain.errors import OutcomeUnknown, Unavailable
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.local_call import (
    CreateCall,
    CreatedAnswer,
    DeleteCall,
    DeletedAnswer,
    HostBehind,
    ReadyAnswer,
    ReadyCall,
)
from addrcast.runtime.role_status import ApiStatus
from addrcast.runtime.roles.names import own_name

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from addrcast.core.assignment.answer import Created
    from addrcast.core.propagation.ready import Readiness
    from addrcast.runtime.local_call import Call
    from addrcast.runtime.roles.part import Site
    from addrcast.runtime.settings import ApiSection, LimitsSection

T = TypeVar("T")

GRACE_S = 0.25
"""The service tells by itself that a deadline has come, and knows more of the reason."""

BEHIND_RETRY_MS = 500
CATCH_UP_S = 1.0


class ApiPart:
    """Answers creates, deletes and questions for readiness, from the moment that it is made."""

    def __init__(self, site: Site, api: ApiSection, limits: LimitsSection) -> None:
        self._site = site
        self._limits = limits
        self._replica = api.replica or own_name()
        self._service = AssignmentService(site.store, site.whole_view, site.clock, replica=self._replica)
        self._draining = asyncio.Event()
        self._under_way = 0
        self._answered = 0

    async def run(self) -> None:
        """Wait to be cancelled, then tell callers that still wait that they wait in vain."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._service.stop()

    async def drain(self) -> None:
        """Nobody waits for hosts any longer; creates and deletes go on to their end."""
        self._draining.set()

    async def status(self) -> ApiStatus:
        """See Part."""
        return ApiStatus(replica=self._replica, under_way=self._under_way, answered=self._answered)

    async def answer(self, call: Call) -> CreatedAnswer | DeletedAnswer | ReadyAnswer | None:
        """See Part; no deadline is later than the longest one allowed."""
        self._under_way += 1
        try:
            if isinstance(call, CreateCall):
                request = replace(call.request, deadline_ms=self._bounded(call.request.deadline_ms))
                return CreatedAnswer(await self._in_time(self._service.create(request), request.deadline_ms))
            if isinstance(call, DeleteCall):
                gone = replace(call.request, deadline_ms=self._bounded(call.request.deadline_ms))
                return DeletedAnswer(await self._in_time(self._service.delete(gone), gone.deadline_ms))
            if isinstance(call, ReadyCall):
                return await self._ready(call.created, self._bounded(call.deadline_ms))
            return None
        finally:
            self._under_way -= 1
            self._answered += 1

    async def _in_time(self, call: Awaitable[T], deadline_ms: int) -> T:
        """The answer, also where the store takes longer with it than the caller waits."""
        left_s = (deadline_ms - self._site.clock.now_ms()) / 1_000
        try:
            async with asyncio.timeout(max(0.0, left_s) + GRACE_S):
                return await call
        except TimeoutError:
            what = "the store has not answered before the deadline; ask again, it is idempotent"
            raise OutcomeUnknown(what, retry_after_ms=BEHIND_RETRY_MS) from None

    def _bounded(self, deadline_ms: int) -> int:
        return min(deadline_ms, self._site.clock.now_ms() + self._limits.deadline_max_ms)

    async def _ready(self, created: Created, deadline_ms: int) -> ReadyAnswer:
        if not created.addresses:
            return ReadyAnswer(is_ready=True)
        waiting = asyncio.create_task(self._readiness(created, deadline_ms))
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({waiting, draining}, return_when=asyncio.FIRST_COMPLETED)
            found = waiting.result() if waiting.done() else self._service.readiness(created)
        finally:
            waiting.cancel()
            draining.cancel()
        waits = tuple(HostBehind(wait.host, wait.revision) for wait in found.waits)
        return ReadyAnswer(found.is_ready, waits, found.left_out)

    async def _readiness(self, created: Created, deadline_ms: int) -> Readiness:
        # another replica may have bound it, and this one not know yet which hosts had to be told
        left_s = max(CATCH_UP_S, (deadline_ms - self._site.clock.now_ms()) / 1_000)
        try:
            async with asyncio.timeout(left_s):
                await self._site.whole_view.wait_revision(created.revision)
        except TimeoutError:
            what = f"this replica has not seen revision {created.revision} yet"
            raise Unavailable(what, retry_after_ms=BEHIND_RETRY_MS) from None
        return await self._service.wait_ready(created, deadline_ms=deadline_ms)
