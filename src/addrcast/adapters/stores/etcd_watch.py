"""Watching etcd: a stream that is begun anew at another member when it breaks, from where it had come."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from grpc import aio

from addrcast.adapters.stores.etcd_assembly import Assembly, ranges_of
from addrcast.adapters.stores.etcd_failure import Failure, failure_of
from addrcast.adapters.stores.etcd_stream import Lost, Stream
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.transaction import Change
from addrcast.ports.store import PROGRESS_REVISIONS, Compacted, check_range

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from addrcast.adapters.stores.etcd_cluster import Cluster
    from addrcast.adapters.stores.etcd_commit import Committer
    from addrcast.adapters.stores.etcd_keys import Range
    from addrcast.adapters.stores.etcd_read import Reader

# how long a watch is begun anew before its caller is told that the store is away
PATIENCE_S = 5.0
_PAUSE_S = 0.1


class _Position:
    """How far a watch has come: `told` to its caller, `passed` without anything to tell."""

    def __init__(self, revision: int) -> None:
        self.told = self.passed = revision
        self.alive_at = time.monotonic()

    def advance(self, changes: list[Change], passed: int) -> list[Change]:
        """What to tell the caller: the changes, or a note where there were none for long."""
        self.alive_at = time.monotonic()
        self.passed = passed
        if not changes and passed >= self.told + PROGRESS_REVISIONS:
            changes = [Change(passed, ())]
        return changes


class Watcher:
    """The watches of one store, which tell what the store itself commits after its callers know."""

    def __init__(self, cluster: Cluster, reader: Reader, committer: Committer, root: bytes) -> None:
        self._cluster = cluster
        self._reader = reader
        self._root = root
        self._committer = committer
        self._streams: set[Stream] = set()
        self._closed = asyncio.Event()

    def stop(self) -> None:
        """End all watches."""
        self._closed.set()
        for stream in tuple(self._streams):
            stream.cancel()

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """See Store.watch. Raises Unavailable where it could not be begun anew for PATIENCE_S."""
        if self._closed.is_set():
            raise Unavailable("the etcd store is closed", retry_after_ms=1_000)
        for prefix in prefixes:
            check_range(prefix, "")
        ranges = ranges_of(prefixes, self._root)
        position = _Position(after_revision)
        while not self._closed.is_set():
            assembly = Assembly(self._root, prefixes, watches=len(ranges), after_revision=position.passed)
            try:
                async with self._stream(ranges, assembly, position) as stream:
                    while not self._closed.is_set():
                        changes = position.advance(await stream.read(), assembly.passed)
                        if changes:
                            await self._committer.answered(changes[-1].revision)
                        for change in changes:
                            position.told = change.revision
                            yield change
            except (Lost, Unavailable) as away:
                if self._closed.is_set():
                    return
                if time.monotonic() - position.alive_at > PATIENCE_S:
                    raise Unavailable(f"the watch of etcd broke: {away}", retry_after_ms=1_000) from None
                await asyncio.sleep(_PAUSE_S)

    @asynccontextmanager
    async def _stream(
        self, ranges: Sequence[Range], assembly: Assembly, position: _Position
    ) -> AsyncIterator[Stream]:
        await self._check_start(ranges[0][0], assembly.passed)
        member = await self._cluster.ready()
        used = self._cluster.login.metadata
        stream = Stream(member, used, assembly)
        self._streams.add(stream)
        asking = asyncio.create_task(
            stream.keep_asking(lambda: self._committer.revision >= position.told + PROGRESS_REVISIONS)
        )
        try:
            await stream.begin(ranges, within_s=self._cluster.deadline_s)
            yield stream
        except Lost as lost:
            if lost.failure is Failure.TOKEN:
                await self._cluster.login.renew(member, used=used)
            else:
                self._cluster.leave(member)
            raise
        finally:
            self._streams.discard(stream)
            asking.cancel()
            stream.cancel()

    async def _check_start(self, key: bytes, after_revision: int) -> None:
        """Raise Compacted unless every change after a revision can be shown, and the store has come to it.

        etcd shows what is left of a compacted revision, and waits in silence for one that is to come.
        """
        if after_revision == 0:
            return
        request = wire.RangeRequest(key=key, revision=after_revision, count_only=True)
        try:
            await self._cluster.call(lambda member: member.range, request)
        except aio.AioRpcError as error:
            if failure_of(error) in (Failure.COMPACTED, Failure.AHEAD):
                raise Compacted(await self._reader.oldest(key) or 1) from None
            raise await self._reader.error(error, "watch", key) from None
