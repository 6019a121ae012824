"""The stores that the contract suite runs on, each with the ways in which it is allowed to differ."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from addrcast.ports.store import Store


@dataclass(frozen=True, slots=True)
class Opened:
    """A store at work, and how to let its time pass: `advance(ms)` returns when due leases have ended."""

    store: Store
    advance: Callable[[int], Awaitable[None]]


class Opener(Protocol):
    def __call__(self, directory: Path) -> AbstractAsyncContextManager[Opened]: ...


@dataclass(frozen=True, slots=True)
class StoreKind:
    """How to open an empty store, and what it declares to do otherwise than the strictest one.

    `has_own_revisions`: False where the transactions of a group share one. `shows_each_state`: False where a watch
    may leave out states that were overwritten since. `reads_the_past`: False where only the newest state can be
    scanned. `lease_ms`: the shortest lease that it tells apart from none.
    """

    name: str
    open: Opener
    has_own_revisions: bool = True
    shows_each_state: bool = True
    reads_the_past: bool = True
    lease_ms: int = 1000


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@asynccontextmanager
async def open_memory(directory: Path) -> AsyncIterator[Opened]:
    clock = HandClock()
    store = MemoryStore(clock)
    try:
        yield Opened(store, advancer(store, clock))
    finally:
        await store.close()


@asynccontextmanager
async def open_lmdb(directory: Path) -> AsyncIterator[Opened]:
    clock = HandClock()
    store = await LmdbStore.open(directory / "store", now_ms=clock)
    try:
        yield Opened(store, advancer(store, clock))
    finally:
        await store.close()


def advancer(store: Store, clock: HandClock) -> Callable[[int], Awaitable[None]]:
    async def advance(by_ms: int) -> None:
        clock.ms += by_ms
        await store.revoke(1 << 40)  # no such lease: any write lets the due ones end first

    return advance


KINDS = (StoreKind("memory", open_memory), StoreKind("lmdb", open_lmdb))
