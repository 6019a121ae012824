"""One stream of watches at one member: begun, read answer by answer, asked how far it has come."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from grpc import aio

from addrcast.adapters.stores.etcd_failure import Failure, failure_of, failure_of_reason, raised_for, words_of
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.adapters.stores.etcd_assembly import Assembly
    from addrcast.adapters.stores.etcd_keys import Range
    from addrcast.adapters.stores.etcd_login import Metadata
    from addrcast.adapters.stores.etcd_member import Member
    from addrcast.core.domain.transaction import Change

# how often it is looked at whether to ask; a question that the member could not answer is asked again
TICK_S = 0.1
# a watch without news asks where it is, so that it need not go far back when it is begun anew
QUIET_S = 10.0
# a member that gives no answer at all for so long, though it was asked, is left
SILENCE_S = 3.0

PAUSE_MAX_S = 60.0

_ALL_WATCHES = -1
_ASK_PROGRESS = wire.WatchRequest(progress_request=wire.WatchProgressRequest())


class Lost(Exception):
    """A stream broke: the watch goes on with another one, from the revision that it had come to."""

    def __init__(self, what: str, failure: Failure = Failure.LOST) -> None:
        super().__init__(what)
        self.failure = failure


class Stream:
    """Owns the call. Only what the reader asks for is read, so a slow one holds up the member."""

    def __init__(self, member: Member, metadata: Metadata, assembly: Assembly) -> None:
        self._member = member
        self._assembly = assembly
        self._call = member.watch(None, metadata=metadata)
        self._watched = ""
        self._pause_s = TICK_S
        self._ask_again_at = 0.0
        self._asked = False
        self._answered_at = time.monotonic()
        self._reading_since: float | None = None

    def cancel(self) -> None:
        """End the call; a reader that waits gets Lost."""
        self._call.cancel()

    async def begin(self, ranges: Sequence[Range], *, within_s: float) -> None:
        """Watch all ranges from behind the revision that the assembly has come to.

        Raises: Lost; Compacted; Invalid where the user may not read a range.
        """
        self._watched = ", ".join(key.decode(errors="replace") for key, _ in ranges[:3])
        start = self._assembly.passed + 1
        try:
            async with asyncio.timeout(within_s):
                for number, (key, end) in enumerate(ranges, 1):
                    creation = wire.WatchCreateRequest(
                        key=key,
                        range_end=end,
                        start_revision=start,
                        progress_notify=True,
                        watch_id=number,
                        fragment=True,
                    )
                    await self._write(wire.WatchRequest(create_request=creation))
                while not self._assembly.is_begun:
                    await self.read()
        except TimeoutError:
            raise Lost(f"{self._member.endpoint} does not begin the watch") from None

    async def read(self) -> list[Change]:
        """What the next answer completes, which may be nothing. Raises as `begin`."""
        self._reading_since = time.monotonic()
        answer = await self._next_answer()
        self._answered_at = time.monotonic()
        self._reading_since = None
        if answer.canceled:
            raise self._end(answer)
        if answer.created:
            self._assembly.created(answer.watch_id)
            return []
        if not answer.events:
            self._asked = False
            if answer.watch_id == _ALL_WATCHES:  # a note that was not asked for is of one watch
                self._member.tells_progress = True
                self._pause_s = TICK_S
        changes = self._assembly.take(answer)
        if self._assembly.is_waiting and not self._asked:
            await self._ask()
        return changes

    async def keep_asking(self, is_due: Callable[[], bool]) -> None:
        """Ask for progress when it is due, again where it was not answered, until cancelled.

        A watch that has not caught up cannot say how far it has come: etcd gives no answer then. A gRPC proxy never
        gives one and notes each question in its log, so it is asked less and less; what it waits for then are the
        notes that the servers send by themselves.
        """
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            since = self._reading_since
            if since is None:
                continue
            silent_s = now - max(since, self._answered_at)
            if self._asked and silent_s > SILENCE_S and self._member.tells_progress:
                self._member.leave()
                self._call.cancel()
                return
            if self._asked and now < self._ask_again_at:
                continue
            if self._asked or self._assembly.is_waiting or is_due() or silent_s > QUIET_S:
                with suppress(Lost):  # the reader is told
                    await self._ask()

    async def _ask(self) -> None:
        self._asked = True
        self._ask_again_at = time.monotonic() + self._pause_s
        if not self._member.tells_progress:
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
        await self._write(_ASK_PROGRESS)

    async def _write(self, request: wire.WatchRequest) -> None:
        try:
            await self._call.write(request)
        except aio.AioRpcError as error:
            raise self._lost(error) from None
        except asyncio.InvalidStateError:  # the call is over
            raise Lost(f"{self._member.endpoint} ended the watch") from None
        except asyncio.CancelledError:
            self._check_cancelled()
            raise

    async def _next_answer(self) -> wire.WatchResponse:
        try:
            answer = await self._call.read()
        except aio.AioRpcError as error:
            raise self._lost(error) from None
        except asyncio.CancelledError:
            self._check_cancelled()
            raise
        if isinstance(answer, wire.WatchResponse):
            return answer
        raise Lost(f"{self._member.endpoint} ended the watch")

    def _check_cancelled(self) -> None:
        """Raise Lost where the call was cancelled, and not the task that waits for it."""
        task = asyncio.current_task()
        if self._call.cancelled() and not (task and task.cancelling()):
            raise Lost(f"{self._member.endpoint}: the watch was given up")

    def _lost(self, error: aio.AioRpcError) -> Lost:
        return Lost(f"{self._member.endpoint}: {words_of(error)}", failure_of(error))

    def _end(self, answer: wire.WatchResponse) -> Exception:
        if answer.compact_revision:
            return Compacted(answer.compact_revision)
        what = f"watch of {self._watched}: {self._member.endpoint}: {answer.cancel_reason or 'cancelled'}"
        failure = failure_of_reason(answer.cancel_reason)
        if failure in (Failure.DENIED, Failure.REFUSED):
            return raised_for(failure, what)
        return Lost(what, failure)
