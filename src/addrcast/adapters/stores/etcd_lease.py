"""Leases of etcd: whole seconds, kept alive one question at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpc import aio

from addrcast.adapters.stores.etcd_calls import GRANT, KEEP_ALIVE, REVOKE, TIME_TO_LIVE
from addrcast.adapters.stores.etcd_failure import RETRY_MS, Failure, failure_of, raised_for, words_of
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
from addrcast.core.domain.errors import Invalid, Stale, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from addrcast.adapters.stores.etcd_cluster import Cluster


def stale(lease: int) -> Stale:
    """What is said of a lease that is over."""
    return Stale(f"lease {lease} is over; ask for a new one")


class Leases:
    """Leases are the cluster's: whoever knows the number may use one."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def grant(self, ttl_ms: int) -> int:
        """See Store.grant; the time is rounded up to seconds, and no less than etcd's election takes.

        A grant whose answer is lost is asked for again: the first one ends by itself.
        """
        if ttl_ms <= 0:
            raise Invalid("ttl_ms", ttl_ms, "a lease lasts at least 1 ms")
        request = wire.LeaseGrantRequest(TTL=-(-ttl_ms // 1000))
        try:
            return (await self._cluster.call(lambda member: member.unary(GRANT), request)).ID
        except aio.AioRpcError as error:
            raise raised_for(failure_of(error), f"grant of a lease: {words_of(error)}") from None

    async def keep_alive(self, lease: int) -> None:
        """See Store.keep_alive."""
        if not await self._beat(lease) and not await self._beat(lease):
            raise Unavailable("etcd does not take the login that it has just given", retry_after_ms=RETRY_MS)

    async def _beat(self, lease: int) -> bool:
        """Keep a lease alive; false where the login had to be renewed."""
        member = await self._cluster.ready()
        used = self._cluster.login.metadata
        beating = member.stream(KEEP_ALIVE)(None, timeout=self._cluster.deadline_s, metadata=used)
        try:
            await beating.write(wire.LeaseKeepAliveRequest(ID=lease))
            answer = await beating.read()
        except aio.AioRpcError as error:
            failure = failure_of(error)
            if failure is Failure.TOKEN:
                await self._cluster.login.renew(member, used=used)
                return False
            if failure is Failure.NO_LEASE:
                raise stale(lease) from None
            self._cluster.leave(member)
            raise raised_for(failure, f"{member.endpoint}: {words_of(error)}") from None
        finally:
            beating.cancel()
        if not isinstance(answer, wire.LeaseKeepAliveResponse):
            self._cluster.leave(member)
            raise Unavailable(f"{member.endpoint} gave no answer about lease {lease}", retry_after_ms=RETRY_MS)
        if answer.TTL <= 0:
            raise stale(lease)
        return True

    async def revoke(self, lease: int) -> None:
        """See Store.revoke."""
        try:
            await self._cluster.call(lambda member: member.unary(REVOKE), wire.LeaseRevokeRequest(ID=lease))
        except aio.AioRpcError as error:
            if failure_of(error) is not Failure.NO_LEASE:
                raise raised_for(failure_of(error), f"end of lease {lease}: {words_of(error)}") from None

    async def check(self, leases: Iterable[int]) -> None:
        """Raise Stale for one that is over."""
        for lease in sorted(set(leases)):
            request = wire.LeaseTimeToLiveRequest(ID=lease)
            try:
                answer = await self._cluster.call(lambda member: member.unary(TIME_TO_LIVE), request)
            except aio.AioRpcError as error:
                raise raised_for(failure_of(error), f"lease {lease}: {words_of(error)}") from None
            if answer.TTL <= 0:
                raise stale(lease)
