"""Reading many prefixes or keys of Consul as one state, and telling absence from what may not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.adapters.stores.consul_http import Denied
from addrcast.adapters.stores.consul_wire import OPERATIONS_MAX, Operation, encode
from addrcast.core.domain.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from addrcast.adapters.stores.consul_http import ConsulHttp
    from addrcast.adapters.stores.consul_wire import Entry, Layout
    from addrcast.core.domain.transaction import KeyValue

PREFIXES_AT_ONCE = (OPERATIONS_MAX - 1) // 2  # two reads for each prefix, one for the revision
_TRIES = 50
_MOVED_RETRY_MS = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What stood under some prefixes at `revision`: the items by key, and which keys were removed when."""

    revision: int
    compacted: int
    items: tuple[KeyValue, ...]
    removed: tuple[tuple[str, int], ...]

    def holds_at(self, revision: int) -> bool:
        """Whether the same stood there at an earlier revision; needs removals since then not to be forgotten."""
        return self.revision == revision or (
            self.compacted <= revision
            and all(item.mod_revision <= revision for item in self.items)
            and all(when <= revision for _, when in self.removed)
        )


class Reader:
    """Reads states. A read of a few prefixes is one transaction; of more, it is repeated until its parts fit."""

    def __init__(self, http: ConsulHttp, layout: Layout) -> None:
        self._http = http
        self._layout = layout

    async def revision(self) -> tuple[int, int]:
        """The newest revision, and the last one forgotten."""
        snapshot = await self._part([], is_exact=False)
        return snapshot.revision, snapshot.compacted

    async def keys(self, keys: Iterable[str]) -> Snapshot:
        """The state of some keys. Raises Denied where one is not found that may not be read."""
        wanted = sorted(set(keys))
        snapshot = await self._whole(wanted, is_exact=True)
        found = {item.key for item in snapshot.items}
        await self.check_allowed([self._layout.key(key) for key in wanted if key not in found])
        return snapshot

    async def prefixes(self, prefixes: Iterable[str]) -> Snapshot:
        """The state under some prefixes, of what the token may read: see `check_allowed`."""
        return await self._whole(reduced(prefixes), is_exact=False)

    async def check_prefixes(self, prefixes: Iterable[str]) -> None:
        """Raise Denied where a prefix may not be read, since Consul leaves out in silence what may not be seen."""
        layout = self._layout
        await self.check_allowed([place + prefix for prefix in prefixes for place in (layout.keys, layout.removed)])

    async def check_allowed(self, places: Sequence[str]) -> None:
        """Raise Denied where the token may not read one of some places in Consul."""
        for begin in range(0, len(places), OPERATIONS_MAX):
            some = places[begin : begin + OPERATIONS_MAX]
            await self._http.probe([encode(Operation("check-index", place)) for place in some])

    async def entries(self, *prefixes: str) -> list[list[Entry]]:
        """What lies under some places outside the keys, all at one moment."""
        found = await self._http.read([encode(Operation("get-tree", prefix)) for prefix in prefixes])
        return [[entry for entry in found if entry.key.startswith(prefix)] for prefix in prefixes]

    async def _whole(self, wanted: Sequence[str], *, is_exact: bool) -> Snapshot:
        if len(wanted) <= PREFIXES_AT_ONCE:
            return await self._part(wanted, is_exact=is_exact)
        for _ in range(_TRIES):
            parts = [
                await self._part(wanted[begin : begin + PREFIXES_AT_ONCE], is_exact=is_exact)
                for begin in range(0, len(wanted), PREFIXES_AT_ONCE)
            ]
            first = parts[0]
            if all(part.holds_at(first.revision) for part in parts):
                items = tuple(sorted((item for part in parts for item in part.items), key=_key_of))
                removed = tuple(pair for part in parts for pair in part.removed)
                return Snapshot(first.revision, first.compacted, items, removed)
        raise Unavailable("what is read changes faster than it can be read", retry_after_ms=_MOVED_RETRY_MS)

    async def _part(self, wanted: Sequence[str], *, is_exact: bool) -> Snapshot:
        layout = self._layout
        of: tuple[Callable[[str], str], ...] = (layout.keys.__add__, layout.removed.__add__)
        if is_exact:
            of = (layout.key, layout.removal)
        places = [layout.meta, *(place(name) for name in wanted for place in of)]
        items, removed, revision, compacted = [], [], 0, 0
        for entry in await self._http.read([encode(Operation("get-tree", place)) for place in places]):
            if entry.key.startswith(layout.keys):
                items += [layout.item(entry)] if layout.is_whole(entry) else []
            elif entry.key.startswith(layout.removed):
                removed.append((layout.removed_key(entry), entry.modify_index))
            elif entry.key == layout.revision:
                revision = entry.modify_index
            elif entry.key == layout.compacted:
                compacted = int(entry.value or b"0")
        if not revision:
            raise Denied(f"{layout.revision} is gone, or the token may not read {layout.meta}")
        if is_exact:
            names = frozenset(wanted)  # a longer key may begin with a whole one and its end mark
            items = [item for item in items if item.key in names]
            removed = [pair for pair in removed if pair[0] in names]
        return Snapshot(revision, compacted, tuple(sorted(items, key=_key_of)), tuple(removed))


def reduced(prefixes: Iterable[str]) -> list[str]:
    """The prefixes without those that another one covers, in order."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


def _key_of(item: KeyValue) -> str:
    # by code points, which is the order of the bytes in UTF-8
    return item.key
