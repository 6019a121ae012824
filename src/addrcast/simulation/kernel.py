"""A kernel table in memory, with the faults that real ones have."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from addrcast.core.dataplane.table import Rejected, Table, TableEntry, TableKey
from addrcast.core.domain.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence


class ModelTable:
    """The table as plain calls; it outlives the agents that write to it, as a real one does.

    Faults, set by the test: `refused` keys fail each time until they are taken out of the set; while
    `is_away`, every call fails; `flush_links` drops all entries, as a link that goes down does; `foreign` entries
    bear another's mark and are neither dumped nor touched.
    """

    def __init__(self) -> None:
        self.foreign: dict[TableKey, str] = {}
        self.refused: set[TableKey] = set()
        self.is_away = False
        self._table: dict[int, dict[str, str]] = {}

    def physical_of(self, vni: int, logical: str) -> str | None:
        """Where a packet to `logical` in a virtual network is sent by our entries; None is nowhere."""
        return self._table.get(vni, {}).get(logical)

    def entries(self) -> list[TableEntry]:
        """All of our entries, in ascending order."""
        return sorted(
            TableEntry(vni, logical, physical)
            for vni, entries in self._table.items()
            for logical, physical in entries.items()
        )

    def flush_links(self) -> None:
        """A link goes down and up: its routes are gone, and stay so until they are written again."""
        for entries in self._table.values():
            entries.clear()

    def ensure_account(self, vni: int) -> None:
        """See the port."""
        self._answer()
        self._table.setdefault(vni, {})

    def remove_account(self, vni: int) -> None:
        """See the port."""
        self._answer()
        self._table.pop(vni, None)

    def upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        """See the port."""
        self._answer()
        rejected = []
        for entry in entries:
            if entry.vni not in self._table:
                rejected.append(Rejected(entry.key, f"no account has the VNI {entry.vni}; ensure it first"))
            elif entry.key in self.refused or entry.key in self.foreign:
                rejected.append(Rejected(entry.key, "no buffer space, or another's entry is there"))
            else:
                self._table[entry.vni][entry.logical] = entry.physical
        return tuple(rejected)

    def delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        """See the port."""
        self._answer()
        present = [key for key in keys if key.logical in self._table.get(key.vni, {})]
        for key in present:
            if key not in self.refused:
                del self._table[key.vni][key.logical]
        return tuple(Rejected(key, "no buffer space") for key in present if key in self.refused)

    def dump(self) -> Table:
        """See the port."""
        self._answer()
        return {vni: dict(entries) for vni, entries in self._table.items()}

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("the model table is away", retry_after_ms=100)


class ModelKernel:
    """The kernel port over a model table."""

    def __init__(self, table: ModelTable | None = None) -> None:
        self.table = table or ModelTable()
        self._listeners: list[asyncio.Queue[str]] = []

    def flush_links(self) -> None:
        """A link goes down and up, and who listens is told."""
        self.table.flush_links()
        for listener in self._listeners:
            listener.put_nowait("a link went down and up")

    async def ensure_account(self, vni: int) -> None:
        """See the port."""
        self.table.ensure_account(vni)

    async def remove_account(self, vni: int) -> None:
        """See the port."""
        self.table.remove_account(vni)

    async def upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        """See the port."""
        return self.table.upsert(entries)

    async def delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        """See the port."""
        return self.table.delete(keys)

    async def dump(self) -> Table:
        """See the port."""
        return self.table.dump()

    async def disturbances(self) -> AsyncGenerator[str, None]:
        """See the port."""
        listener: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(listener)
        try:
            while True:
                yield await listener.get()
        finally:
            self._listeners.remove(listener)
