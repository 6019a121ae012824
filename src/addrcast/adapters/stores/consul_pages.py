"""Pages of one state of a store that only knows its newest one."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING

from addrcast.adapters.stores.consul_read import PREFIXES_AT_ONCE
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.transaction import Page
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from addrcast.adapters.stores.consul_read import Reader, Snapshot
    from addrcast.core.domain.transaction import KeyValue

HELD_S = 30.0
HELD_MAX = 8


class Pages:
    """Scans. What was read for a first page is held for 30 s for the following ones, at most 8 states.

    Where several prefixes are asked for at one revision and one of them has changed meanwhile, they are read
    together the next time, so that a caller who begins anew comes to an end.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._held: OrderedDict[int, dict[str, tuple[KeyValue, ...]]] = OrderedDict()
        self._chains: OrderedDict[int, list[str]] = OrderedDict()  # which prefixes were asked for at a revision
        self._together: dict[str, tuple[str, ...]] = {}  # by the first one

    async def scan(self, prefix: str, *, after: str, limit: int, revision: int) -> Page:
        """See Store.scan."""
        if revision:
            items = self._held.get(revision, {}).get(prefix)
            if items is None:
                items = await self._items_at(prefix, revision)
        else:
            revision, items = await self._newest(prefix)
        if limit and len(items) > limit:
            self._hold(revision, prefix, items)
        return _page(items, revision, after=after, limit=limit)

    async def _newest(self, prefix: str) -> tuple[int, tuple[KeyValue, ...]]:
        together = self._together.get(prefix, ())
        snapshot = await self._read(prefix, *together)
        self._chains[snapshot.revision] = [prefix, *together]
        while len(self._chains) > HELD_MAX:
            self._chains.popitem(last=False)
        if not together:
            return snapshot.revision, snapshot.items
        for each in (prefix, *together):
            found = tuple(item for item in snapshot.items if item.key.startswith(each))
            self._hold(snapshot.revision, each, found)
        return snapshot.revision, self._held[snapshot.revision][prefix]

    async def _items_at(self, prefix: str, revision: int) -> tuple[KeyValue, ...]:
        snapshot = await self._read(prefix)
        if revision > snapshot.revision:
            raise Invalid("revision", revision, f"the store has come to {snapshot.revision} only")
        chain = self._chains.get(revision, [prefix])
        if prefix not in chain:
            chain.append(prefix)
        if not snapshot.holds_at(revision):
            if len(chain) <= PREFIXES_AT_ONCE:
                self._together[chain[0]] = tuple(chain[1:])
            raise Compacted(snapshot.revision)
        return snapshot.items

    async def _read(self, *prefixes: str) -> Snapshot:
        snapshot, _ = await asyncio.gather(self._reader.prefixes(prefixes), self._reader.check_prefixes(prefixes))
        return snapshot

    def _hold(self, revision: int, prefix: str, items: tuple[KeyValue, ...]) -> None:
        if revision not in self._held:
            self._held[revision] = {}
            asyncio.get_running_loop().call_later(HELD_S, self._held.pop, revision, None)
            while len(self._held) > HELD_MAX:
                self._held.popitem(last=False)
        self._held[revision][prefix] = items


def _page(items: tuple[KeyValue, ...], revision: int, *, after: str, limit: int) -> Page:
    begin = bisect_right(items, after, key=lambda item: item.key) if after else 0
    end = begin + limit if limit else len(items)
    return Page(revision, items[begin:end], has_more=end < len(items))
