"""The stores that the contract suite runs on, each with the ways in which it is allowed to differ."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from tests.servers.consul import SESSION_MS_MIN, shared_consul
from tests.servers.etcd import etcd_node

from addrcast.adapters.stores.consul_store import ConsulStore
from addrcast.adapters.stores.consul_wire import VALUE_BYTES_MAX as CONSUL_VALUE_BYTES_MAX
from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.ports.store import VALUE_BYTES_MAX
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from addrcast.ports.store import Store

MEMORY_FILES = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


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
    scanned, but for pages of what was read a moment ago. `has_dense_revisions`: False where revisions are left out.
    `lease_stretch`: how many times longer than asked for a lease may last. `reads_ahead`: True where a watch takes
    changes before its caller asks for them, so that compaction cannot overtake it at once. `lease_ms`: the shortest
    lease that it tells apart from none.
    """

    name: str
    open: Opener
    has_own_revisions: bool = True
    shows_each_state: bool = True
    reads_the_past: bool = True
    reads_ahead: bool = False
    has_dense_revisions: bool = True
    lease_ms: int = 1000
    lease_stretch: int = 1
    lease_lag_ms: int = 0
    value_bytes_max: int = VALUE_BYTES_MAX

    def over_after_ms(self, ttl_ms: int) -> int:
        """When a lease that is not kept alive has ended for certain, and its keys are gone."""
        return ttl_ms * self.lease_stretch + self.lease_lag_ms


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


@asynccontextmanager
async def open_etcd(directory: Path) -> AsyncIterator[Opened]:
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as files, etcd_node(Path(files)) as node:
        store = await EtcdStore.open([node.endpoint])
        try:
            yield Opened(store, let_time_pass)
        finally:
            await store.close()


@asynccontextmanager
async def open_consul(directory: Path) -> AsyncIterator[Opened]:
    """A root of its own on one server that all tests share."""
    address = shared_consul().address
    store = await ConsulStore.open(address, root=uuid4().hex, session_ms_min=SESSION_MS_MIN)
    try:
        yield Opened(store, let_time_pass)
    finally:
        await store.close()


async def let_time_pass(by_ms: int) -> None:
    await asyncio.sleep(by_ms / 1000)


def advancer(store: Store, clock: HandClock) -> Callable[[int], Awaitable[None]]:
    async def advance(by_ms: int) -> None:
        clock.ms += by_ms
        await store.revoke(1 << 40)  # no such lease: any write lets the due ones end first

    return advance


KINDS = (
    StoreKind("memory", open_memory),
    StoreKind("lmdb", open_lmdb),
    StoreKind("etcd", open_etcd, has_own_revisions=False, reads_ahead=True, lease_lag_ms=1000),
    StoreKind(
        "consul",
        open_consul,
        has_own_revisions=False,
        shows_each_state=False,
        reads_the_past=False,
        has_dense_revisions=False,
        lease_ms=SESSION_MS_MIN,
        lease_stretch=2,
        lease_lag_ms=400,
        value_bytes_max=CONSUL_VALUE_BYTES_MAX,
    ),
)
