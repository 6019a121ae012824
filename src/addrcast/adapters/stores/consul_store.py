"""The store port on Consul's key-value store, through its HTTP API."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from addrcast.adapters.stores.consul_commit import Committer
from addrcast.adapters.stores.consul_compile import mark
from addrcast.adapters.stores.consul_http import ConsulHttp
from addrcast.adapters.stores.consul_lease import SESSION_MS_MIN, Leases
from addrcast.adapters.stores.consul_pages import Pages
from addrcast.adapters.stores.consul_read import Reader
from addrcast.adapters.stores.consul_removals import Removals
from addrcast.adapters.stores.consul_watch import Watcher
from addrcast.adapters.stores.consul_wire import FORMAT, Layout, Operation, encode
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.transaction import Delete, Page
from addrcast.ports.store import check_key, check_range, check_transactions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Sequence

    from addrcast.adapters.stores.consul_http import Tls
    from addrcast.core.domain.transaction import Change, Result, Transaction

log = logging.getLogger(__name__)

VERSION_LEAST = (1, 8)
DEADLINE_MS = 5_000
ROOT = "addrcast"
_TRIM_EVERY = 500
_RETRY_MS = 1_000


class ConsulStore:
    """See Store. Made by `open`, used in the event loop it was opened in.

    Weaker than other stores: docs/operating/consul.md tells in what.
    """

    def __init__(self, http: ConsulHttp, layout: Layout, *, session_ms_min: int) -> None:
        reader = Reader(http, layout)
        self._http = http
        self._layout = layout
        self._reader = reader
        self._pages = Pages(reader)
        self._committer = Committer(http, layout, reader)
        self._leases = Leases(http, layout, reader, session_ms_min=session_ms_min)
        self._removals = Removals(http, layout, reader)
        self._closed = asyncio.Event()
        self._watcher = Watcher(http, layout, reader, self._closed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._removed = 0

    @classmethod
    async def open(
        cls,
        address: str,
        *,
        token: str = "",
        root: str = ROOT,
        tls: Tls | None = None,
        deadline_ms: int = DEADLINE_MS,
        session_ms_min: int = SESSION_MS_MIN,
        ends_leases: bool = True,
    ) -> ConsulStore:
        """Open the store below `root` on the Consul agent at `address` (`host:port` or a URL), new where none is.

        A request is given up after `deadline_ms`. `session_ms_min` is what the servers have as `session_ttl_min`.
        A store that `ends_leases` removes the keys of leases that are over, whosever they are, as its token may.
        Raises Unavailable, Denied, and Invalid for a Consul that is too old or files of `tls` that cannot be read.
        """
        http = ConsulHttp(address, token=token, tls=tls, deadline_ms=deadline_ms)
        layout = Layout(root)
        store = cls(http, layout, session_ms_min=session_ms_min)
        try:
            await _check_version(http)
            await store._found()
        except BaseException:
            await http.close()
            raise
        if ends_leases:
            store._start(store._leases.sweep())
        return store

    async def read(self, keys: Sequence[str]) -> Page:
        """See Store."""
        self._check_open()
        for key in keys:
            check_key(key)
        snapshot = await self._reader.keys(keys)
        return Page(snapshot.revision, snapshot.items)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See Store; the past is gone, but for what the last 30 s were asked for page by page."""
        self._check_open()
        check_range(prefix, after)
        return await self._pages.scan(prefix, after=after, limit=limit, revision=revision)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """See Store; at most 64 of Consul's operations and 512 KiB a transaction, or Invalid."""
        self._check_open()
        leases = set(check_transactions(transactions))
        sessions = await self._leases.sessions(leases) if leases else {}
        if not transactions:
            return []
        results = await self._committer.commit(transactions, sessions)
        self._count_removals(transactions, results)
        return results

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """See Store; what happened between two looks comes as one change of the latter's revision."""
        self._check_open()
        async with aclosing(self._watcher.changes(prefixes, after_revision)) as changes:
            async for change in changes:
                yield change

    async def compact(self, revision: int) -> None:
        """See Store."""
        self._check_open()
        await self._removals.compact(revision)

    async def grant(self, *, ttl_ms: int) -> int:
        """See Store; it lasts up to twice its time, and at least twice the servers' least one."""
        self._check_open()
        return await self._leases.grant(ttl_ms=ttl_ms)

    async def keep_alive(self, lease: int) -> None:
        """See Store."""
        self._check_open()
        await self._leases.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        """See Store."""
        self._check_open()
        await self._leases.revoke(lease)

    async def close(self) -> None:
        """See Store."""
        if self._closed.is_set():
            return
        self._closed.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def _found(self) -> None:
        """Make the store where there is none."""
        place = self._layout.revision
        (found,) = await self._reader.entries(place)
        formats = [entry.value for entry in found if entry.key == place]
        if not formats:
            # under a prefix without any key, a blocking query would come back at every write of anyone
            kept = encode(Operation("set", self._layout.leases))
            await self._http.write([encode(Operation("check-not-exists", place)), mark(self._layout), kept])
        elif formats != [FORMAT]:
            text = (formats[0] or b"").decode(errors="replace")
            raise Invalid(place, text, f"this program knows format {FORMAT.decode()} of a store on Consul")

    def _count_removals(self, transactions: Sequence[Transaction], results: Sequence[Result]) -> None:
        done = (each for each, result in zip(transactions, results, strict=True) if result.is_success)
        self._removed += sum(isinstance(write, Delete) for each in done for write in each.writes)
        if self._removed >= _TRIM_EVERY:
            self._removed = 0
            self._start(self._removals.trim())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("work behind the store on Consul was given up: %s", error)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Unavailable(f"the store on {self._http.address} is closed", retry_after_ms=_RETRY_MS)


async def _check_version(http: ConsulHttp) -> None:
    """Raise Invalid where the agent is too old; where the token may not ask, it is taken for new enough."""
    response = await http.get("/v1/agent/self")
    if response.status == HTTPStatus.FORBIDDEN:
        log.warning("%s does not tell its version: the token has no right to read the agent", http.address)
        return
    http.check(response)
    try:
        version = str(msgspec.json.decode(response.body)["Config"]["Version"])
        numbers = tuple(int(part) for part in version.split(".")[:2])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        raise Invalid("address", http.address, f"a Consul agent is expected, not: {response.text}") from None
    if numbers < VERSION_LEAST:
        least = ".".join(map(str, VERSION_LEAST))
        raise Invalid("address", http.address, f"it runs Consul {version}; {least} or newer is needed")
