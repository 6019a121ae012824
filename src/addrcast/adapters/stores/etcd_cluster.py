"""The members of one cluster: which one serves now, and on to the next when it does not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from grpc import aio

from addrcast.adapters.stores.etcd_failure import RETRY_MS, Failure, failure_of, raised_for, words_of
from addrcast.adapters.stores.etcd_identity import identified
from addrcast.adapters.stores.etcd_login import Login
from addrcast.adapters.stores.etcd_member import Member
from addrcast.adapters.stores.etcd_version import can_nest, check_version, version_of
from addrcast.core.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from google.protobuf.message import Message

    from addrcast.adapters.stores.etcd_member import Tls
    from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire

A = TypeVar("A", bound="Message")

# a first connection may take longer than a request: names, certificates, a login
OPEN_S = 5.0
_LEFT_FOR_S = 3.0
_LOGINS_MAX = 2


class Cluster:
    """Owns the channels and the login. Reads go on at another member when one fails; writes are the caller's."""

    def __init__(
        self, endpoints: Sequence[str], *, tls: Tls | None, credentials: tuple[str, str] | None, deadline_ms: int
    ) -> None:
        security = tls.credentials() if tls is not None else None
        self._tls = tls
        self.members = [Member(endpoint, security) for endpoint in endpoints]
        self.login = Login(credentials)
        self.deadline_s = deadline_ms / 1000
        self.nests = False
        self._current = self.members[0]
        self._is_closed = False

    @classmethod
    async def open(
        cls, endpoints: Sequence[str], *, tls: Tls | None, credentials: tuple[str, str] | None, deadline_ms: int
    ) -> Cluster:
        """Connect to the members that can be reached, and check that they are fit and of one cluster.

        Raises: Invalid for endpoints, a deadline, a version, a cluster or a user that will not do; Unavailable
        where none is reached.
        """
        if not endpoints or not all(":" in endpoint for endpoint in endpoints):
            raise Invalid("endpoints", list(endpoints), "at least one host:port is needed")
        if deadline_ms <= 0:
            raise Invalid("deadline_ms", deadline_ms, "a request needs at least 1 ms")
        cluster = cls(endpoints, tls=tls, credentials=credentials, deadline_ms=deadline_ms)
        try:
            await cluster._connect()
        except BaseException:
            await cluster.close()
            raise
        return cluster

    async def _connect(self) -> None:
        before = self.login.metadata
        member = await self._next_ready(within_s=max(OPEN_S, self.deadline_s))
        await asyncio.gather(*(self._look_at(other) for other in self.members if other is not member))
        if not self.login.is_open:
            await self.login.renew(member, used=before)
        known = [each.status.version for each in self.members if each.status is not None]
        self.nests = all(version and can_nest(version_of(version)) for version in known)

    async def ready(self) -> Member:
        """A member that is connected, at once where the current one is. Raises Unavailable: nothing was sent."""
        if self._is_closed:
            raise Unavailable("the etcd store is closed", retry_after_ms=1_000)
        member = self._current
        if member.is_ready and member.status is not None:
            return member
        return await self._next_ready(within_s=self.deadline_s)

    def leave(self, member: Member) -> None:
        """Go on at another member: this one did not serve."""
        member.leave()
        if member is self._current:
            self._current = self._in_order()[0]

    async def call(self, ask: Callable[[Member], Callable[..., Awaitable[A]]], request: object) -> A:
        """The answer to a request that may be asked again: at every member once, before it is given up.

        Raises: AioRpcError where etcd refuses it, Unavailable where no member serves.
        """
        logins = tries = 0
        while True:
            member = await self.ready()
            used = self.login.metadata
            try:
                return await ask(member)(request, timeout=self.deadline_s, metadata=used)
            except aio.AioRpcError as error:
                failure = failure_of(error)
                if failure is Failure.TOKEN and logins < _LOGINS_MAX:
                    logins += 1
                    await self.login.renew(member, used=used)
                elif failure in (Failure.LOST, Failure.AWAY):
                    tries += 1
                    self.leave(member)
                    if tries > len(self.members):
                        raise raised_for(failure, f"{member.endpoint}: {words_of(error)}") from None
                else:
                    raise

    async def close(self) -> None:
        """Close all channels."""
        self._is_closed = True
        await asyncio.gather(*(member.close() for member in self.members))

    def _in_order(self) -> list[Member]:
        """The members, those that failed lately last, else round from the current one."""
        begin = self.members.index(self._current)
        around = self.members[begin:] + self.members[:begin]
        now = time.monotonic()
        return sorted(around, key=lambda member: member.left_at if now - member.left_at < _LEFT_FOR_S else 0.0)

    async def _next_ready(self, *, within_s: float) -> Member:
        """The first member in order that is connected and fit, as soon as one is."""
        waiting = {asyncio.ensure_future(self._is_fit(member)): member for member in self._in_order()}
        unfit: list[Invalid] = []
        try:
            end = time.monotonic() + within_s
            pending = set(waiting)
            while pending and (left_s := end - time.monotonic()) > 0:
                done, pending = await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in waiting if task in done]:
                    error = task.exception()
                    if isinstance(error, Invalid):
                        unfit.append(error)
                    elif task.result():
                        self._current = waiting[task]
                        return self._current
        finally:
            for task in waiting:
                task.cancel()
        if unfit:
            raise unfit[0]
        raise Unavailable(f"no member of etcd serves: {await self._reasons()}", retry_after_ms=RETRY_MS)

    async def _is_fit(self, member: Member) -> bool:
        """Whether a member can be used now. Raises Invalid for one that must not be."""
        if not await member.connect():
            return False
        return await self._look_at(member)

    async def _look_at(self, member: Member) -> bool:
        """Ask a member who it is; see `_is_fit`."""
        try:
            status = await self._status_of(member)
        except (aio.AioRpcError, Unavailable):
            return False
        if status.version:
            check_version(status.version, endpoint=member.endpoint)
        for other in self.members:
            if other is member or other.status is None or not other.is_ready:
                continue
            if other.status.header.cluster_id != status.header.cluster_id:
                rule = f"it belongs to another cluster than {other.endpoint}; all endpoints must be of one"
                raise Invalid("etcd endpoint", member.endpoint, rule)
        return not status.isLearner and status.leader != 0

    async def _status_of(self, member: Member) -> wire.StatusResponse:
        """What a member says of itself, if need be to a known user. Raises AioRpcError, and as a login."""
        logins = 0
        while True:
            used = self.login.metadata
            try:
                return await member.ask_status(timeout_s=OPEN_S, metadata=used)
            except aio.AioRpcError as error:
                failure = failure_of(error)
                if failure is Failure.TOKEN and logins < _LOGINS_MAX:
                    logins += 1
                    await self.login.renew(member, used=used)
                    continue
                if failure is not Failure.DENIED:
                    raise
            member.status = await identified(member, tls=self._tls, metadata=used, timeout_s=OPEN_S)
            return member.status

    async def _reasons(self) -> str:
        """Why no member serves, as each of them, or the way to it, says."""
        return "; ".join(await asyncio.gather(*(self._reason(member) for member in self.members)))

    async def _reason(self, member: Member) -> str:
        try:
            status = await member.ask_status(timeout_s=self.deadline_s, metadata=self.login.metadata)
        except aio.AioRpcError as error:
            return f"{member.endpoint}: {words_of(error)}"
        why = (
            "is a learner"
            if status.isLearner
            else "knows no leader"
            if status.leader == 0
            else "was slow to answer"
        )
        return f"{member.endpoint} {why}"
