"""Stores that are backed up, restored and migrated: filled with a small world, written to by callers, compared."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.core.assignment.world import create, small_world

from addrcast.core.domain.errors import AddrcastError, Unavailable
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.view import LedgerView
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from addrcast.core.assignment.answer import Created
    from addrcast.ports.store import Store


class StillClock:
    """A clock that stands still, at the time of the small world."""

    def now_ms(self) -> int:
        return 1_000_000

    async def sleep_until(self, when_ms: int) -> None:
        if when_ms > 1_000_000:
            await asyncio.Event().wait()


CLOCK = StillClock()


def peopled() -> MemoryStore:
    """A memory store with two hosts and records of every state but few."""
    world = small_world()
    world.host("h1", "192.0.2.0/25")
    world.host("h2", "192.0.2.128/25")
    world.pool("p", "10.0.0.0/23")
    for _ in range(4):
        world.reserve("acme", "h1")
    world.cool("acme", world.reserve("acme", "h2"))
    return MemoryStore(model=world.store)


async def fill(store: Store) -> None:
    """Put what a peopled store holds into another."""
    items = (await peopled().scan("")).items
    await store.commit([Transaction((), (Put(item.key, item.value),)) for item in items])


async def ledger_of(store: Store) -> Ledger:
    page = await store.scan("")
    return Ledger.from_items(page.items, page.revision)


class Callers:
    """Callers that create instances until they are refused; `told` is what was acknowledged."""

    def __init__(self, service: AssignmentService) -> None:
        self._service = service
        self.told: list[Created] = []
        self.refusals: list[AddrcastError] = []
        self._is_told = asyncio.Event()

    async def wait_told(self, count: int) -> None:
        while len(self.told) < count:
            self._is_told.clear()
            await self._is_told.wait()

    async def run(self, caller: int, *, count: int = 60) -> None:
        for number in range(count):
            try:
                self.told.append(await self._service.create(create("acme", f"i-{caller}-{number}")))
                self._is_told.set()
            except Unavailable as refusal:
                self.refusals.append(refusal)
                return


@asynccontextmanager
async def serving(store: Store) -> AsyncIterator[AssignmentService]:
    view = LedgerView(store)
    await view.start()
    service = AssignmentService(store, view, CLOCK)
    try:
        yield service
    finally:
        await service.stop()
        await view.stop()


def missing(told: list[Created], ledger: Ledger) -> list[str]:
    """What was acknowledged and is not bound."""
    return [
        answer.instance
        for answer in told
        for address in answer.addresses
        if (record := ledger.record("acme", address.logical).value) is None
        or record.instance != answer.instance
        or record.physical != address.physical
    ]
