"""Reading etcd: keys and ranges at one revision, and what is left of the past."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from grpc import aio

from addrcast.adapters.stores.etcd_encode import encode_reads
from addrcast.adapters.stores.etcd_failure import Failure, failure_of, raised_for, words_of
from addrcast.adapters.stores.etcd_keys import LEAST, end_of, item_reader
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import WholeKey
from addrcast.core.domain.transaction import Page
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.adapters.stores.etcd_cluster import Cluster
    from addrcast.core.domain.transaction import KeyValue

PAGE_ITEMS = 5_000
# etcd's default of --max-txn-ops
_READS_MAX = 128


class Reader:
    """Reads of one store; each is linearizable, since no request of its says `serializable`."""

    def __init__(self, cluster: Cluster, root: bytes) -> None:
        self._cluster = cluster
        self._root = root
        self._item_of: Callable[[wire.KeyValue], KeyValue] = item_reader(root)

    async def read(self, keys: Sequence[str]) -> Page:
        """See Store.read; the keys were checked."""
        names = sorted({self._root + key.encode() for key in keys}) or [self._root + LEAST]
        while True:
            with suppress(Compacted):  # between two requests for one state
                return await self._read(names)

    async def _read(self, names: list[bytes]) -> Page:
        items: list[KeyValue] = []
        revision = 0
        for begin in range(0, len(names), _READS_MAX):
            request = encode_reads(names[begin : begin + _READS_MAX], revision=revision)
            try:
                answer = await self._cluster.call(lambda member: member.txn, request)
            except aio.AioRpcError as error:
                raise await self.error(
                    error, f"read of {len(names)} keys from {names[0].decode()} on", b""
                ) from None
            revision = revision or answer.header.revision
            items += [self._item_of(item) for each in answer.responses for item in each.response_range.kvs]
        return Page(revision, tuple(items))

    async def scan(self, prefix: str, *, after: str, limit: int, revision: int) -> Page:
        """See Store.scan; prefix and last key were checked."""
        begin = self._root + prefix.encode()
        # of a whole key there is one, or none
        end = begin + LEAST if isinstance(prefix, WholeKey) else end_of(begin)
        items: list[KeyValue] = []
        start = max(begin, self._root + after.encode() + LEAST) if after else begin or LEAST
        while True:
            count = min(PAGE_ITEMS, limit - len(items)) if limit else PAGE_ITEMS
            request = wire.RangeRequest(key=start, range_end=end, limit=count, revision=revision)
            answer = await self.range(request)
            revision = revision or answer.header.revision
            items += map(self._item_of, answer.kvs)
            if not answer.more or len(items) == limit:
                return Page(revision, tuple(items), answer.more)
            start = answer.kvs[-1].key + LEAST

    async def range(self, request: wire.RangeRequest) -> wire.RangeResponse:
        """One request for a range. Raises Compacted and Invalid for its revision, Unavailable."""
        if end_of_nothing(request):
            return wire.RangeResponse(header=wire.ResponseHeader(revision=request.revision))
        try:
            return await self._cluster.call(lambda member: member.range, request)
        except aio.AioRpcError as error:
            what = f"scan from {request.key.decode(errors='replace')} on"
            raise await self.error(error, what, request.key, revision=request.revision) from None

    async def compact(self, revision: int) -> None:
        """See Store.compact."""
        try:
            await self._cluster.call(lambda member: member.compact, wire.CompactionRequest(revision=revision))
        except aio.AioRpcError as error:
            if failure_of(error) is not Failure.COMPACTED:
                raise await self.error(error, "compaction", b"", revision=revision) from None

    async def oldest(self, key: bytes) -> int:
        """The oldest revision that can still be read; 0 where etcd does not say.

        Only the cancellation of a watch that asks for too old a revision bears it.
        """
        member = await self._cluster.ready()
        watching = member.watch(None, timeout=self._cluster.deadline_s, metadata=self._cluster.login.metadata)
        try:
            await watching.write(
                wire.WatchRequest(create_request=wire.WatchCreateRequest(key=key or LEAST, start_revision=1))
            )
            async for answer in watching:
                if answer.compact_revision:
                    return answer.compact_revision
        except aio.AioRpcError:
            return 0
        finally:
            watching.cancel()
        return 0

    async def error(self, error: aio.AioRpcError, what: str, key: bytes, *, revision: int = 0) -> Exception:
        """The error of the domain for a read that etcd refused."""
        failure = failure_of(error)
        if failure is Failure.COMPACTED:
            return Compacted(await self.oldest(key) or revision + 1)
        if failure is Failure.AHEAD:
            return Invalid("revision", revision, "the store has not come to it yet")
        return raised_for(failure, f"{what}: {words_of(error)}")


def end_of_nothing(request: wire.RangeRequest) -> bool:
    """Whether a range is empty because it ends before it begins, which etcd would take for an error."""
    return request.range_end not in (b"", LEAST) and request.key >= request.range_end
