"""A watch on Consul: an alarm by blocking queries, then the difference of two states as one change."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from addrcast.adapters.stores.consul_read import reduced
from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.transaction import Change, Event
from addrcast.ports.store import PROGRESS_REVISIONS, Compacted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from addrcast.adapters.stores.consul_http import ConsulHttp
    from addrcast.adapters.stores.consul_read import Reader, Snapshot
    from addrcast.adapters.stores.consul_wire import Layout

WAIT_MS = 5_000
CHECK_S = 5.0
_QUERIES_MAX = 8
_REST_MAX_S = 1.0
# the characters that need no thought in the path of a URL; a shorter prefix only rings more often
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:")


class Alarm:
    """Blocking queries on a few prefixes, or on the store's revision where there are many."""

    def __init__(self, http: ConsulHttp, layout: Layout, prefixes: Sequence[str]) -> None:
        self._http = http
        places = reduced(_plain(layout.keys + prefix, len(layout.keys)) for prefix in prefixes)
        if len(places) > _QUERIES_MAX or layout.keys in places:
            places = [layout.revision]
        self._indexes = dict.fromkeys(places, 0)

    async def arm(self) -> None:
        """Take note of how things stand: whatever comes after will ring."""
        await asyncio.gather(*(self._ask(place, index=0) for place in self._indexes))

    async def ring(self, closed: asyncio.Event) -> None:
        """Wait until something may have changed, a while has passed, or `closed` is set. Raises Unavailable."""
        tasks: list[asyncio.Future[object]] = [asyncio.ensure_future(closed.wait())]
        tasks += [asyncio.ensure_future(self._ask(place, index=index)) for place, index in self._indexes.items()]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not closed.is_set():
                raise outcome

    async def _ask(self, place: str, *, index: int) -> None:
        found = await self._http.wait(place, index=index, wait_ms=WAIT_MS)
        # after a restore indexes are lower: a query for a higher one would not come back for a long time
        self._indexes[place] = found if found >= index else 0


class Watcher:
    """Watches. `closed` ends them."""

    def __init__(self, http: ConsulHttp, layout: Layout, reader: Reader, closed: asyncio.Event) -> None:
        self._http = http
        self._layout = layout
        self._reader = reader
        self._closed = closed

    async def changes(self, prefixes: Sequence[str], after_revision: int) -> AsyncGenerator[Change, None]:
        """See Store.watch."""
        try:
            async with aclosing(self._changes(prefixes, after_revision)) as changes:
                async for change in changes:
                    yield change
        except Unavailable:
            if not self._closed.is_set():
                raise

    async def _changes(self, prefixes: Sequence[str], after_revision: int) -> AsyncGenerator[Change, None]:
        alarm = Alarm(self._http, self._layout, prefixes)
        await asyncio.gather(alarm.arm(), self._reader.check_prefixes(prefixes))
        told = passed = after_revision
        loop = asyncio.get_running_loop()
        checked_s = loop.time()
        while not self._closed.is_set():
            begin_s = loop.time()
            if begin_s >= checked_s + CHECK_S:  # a token that lost its rights sees nothing, and no error
                await self._reader.check_prefixes(prefixes)
                begin_s = checked_s = loop.time()
            snapshot = await self._state(prefixes, passed)
            if snapshot.revision > passed:
                took_s = loop.time() - begin_s
                change = change_of(snapshot, tuple(prefixes), passed)
                passed = change.revision
                if change.events or passed >= told + PROGRESS_REVISIONS:
                    told = passed
                    yield change
                await self._rest(took_s)
            await alarm.ring(self._closed)

    async def _state(self, prefixes: Sequence[str], passed: int) -> Snapshot:
        snapshot = await self._reader.prefixes(prefixes)
        if passed < snapshot.compacted:
            raise Compacted(snapshot.compacted)
        if passed > snapshot.revision:
            # the store went back to an older state: what happened since is not known
            raise Compacted(snapshot.revision)
        return snapshot

    async def _rest(self, took_s: float) -> None:
        """Leave Consul alone for as long as it took: under steady writes a watch costs at most half of the time."""
        rest_s = min(took_s, _REST_MAX_S)
        try:
            async with asyncio.timeout(rest_s):
                await self._closed.wait()
        except TimeoutError:
            return


def change_of(snapshot: Snapshot, prefixes: tuple[str, ...], after_revision: int) -> Change:
    """All that is different since a revision, as one change: taken apart by revision, it would show states in which
    a transaction is half there, since keys overwritten later are missing in it.

    Events are ordered by revision, then by key.
    """
    present = set()
    events = []
    for item in snapshot.items:
        present.add(item.key)
        if item.mod_revision > after_revision and item.key.startswith(prefixes):
            events.append(Event(item.key, item.value, item.create_revision, item.mod_revision))
    for key, when in snapshot.removed:
        if when > after_revision and key not in present and key.startswith(prefixes):
            events.append(Event(key, None, 0, when))
    events.sort(key=lambda event: (event.mod_revision, event.key))
    return Change(snapshot.revision, tuple(events))


def _plain(place: str, least: int) -> str:
    """The beginning of a place that can stand in a URL as it is, at least its first `least` characters."""
    end = least
    while end < len(place) and place[end] in _PLAIN:
        end += 1
    if set(place[least:end]) <= {"."}:  # as a segment of a path it would mean a directory
        end = least
    return place[:end]
