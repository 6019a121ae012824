"""A process's store and its view of it: waited for at the start, minded while it runs, given back at the end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import AddrcastError, Unavailable
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import EpochState
from addrcast.runtime.declare import set_up
from addrcast.runtime.open_store import open_store
from addrcast.runtime.role_status import StoreStatus
from addrcast.runtime.roles.watched_store import StoreHealth, WatchedStore
from addrcast.runtime.store_address import StoreKind
from addrcast.runtime.view import LedgerView

if TYPE_CHECKING:
    from addrcast.core.domain.record import StoreEpoch
    from addrcast.ports.clock import Clock
    from addrcast.runtime.open_store import StoreOptions
    from addrcast.runtime.roles.readiness import Readiness
    from addrcast.runtime.store_address import StoreAddress

log = logging.getLogger(__name__)

LOOK_S = 0.25
EMPTY = "the store is empty: set it up with `addrcast apply`"
CAUSES = {
    EpochState.CLOSED: "it was restored, and opens once every host has said what it has",
    EpochState.FROZEN: "it moves to another store",
}


class Ground:
    """The store at an address, and a view of the whole of it where one is asked for.

    What it waits for is told to `readiness`. Where `sets_up`, an embedded store that is new is set up.
    """

    def __init__(
        self,
        address: StoreAddress,
        options: StoreOptions,
        *,
        clock: Clock,
        readiness: Readiness,
        has_view: bool,
        sets_up: bool,
    ) -> None:
        self._address = address
        self._options = options
        self._readiness = readiness
        self._has_view = has_view
        self._sets_up = sets_up and address.kind is StoreKind.EMBEDDED
        self._view: LedgerView | None = None
        self._store: WatchedStore | None = None
        self._told: StoreEpoch | None = None
        self.health = StoreHealth(str(address), clock, on_change=self._changed)

    async def reach(self) -> WatchedStore:
        """Open the store; while it does not answer, try again, with pauses that grow and are not in step."""
        self._readiness.wait("store", f"the store {self._address}")
        while True:
            try:
                opened = await open_store(self._address, self._options)
                store = WatchedStore(opened, self.health, is_patient=not self._has_view)
                try:
                    await store.read([EPOCH])
                    if self._sets_up:
                        await set_up(store)
                except BaseException:
                    await opened.close()
                    raise
            except Unavailable as away:
                await asyncio.sleep(self.health.refusal(away).retry_after_ms / 1_000)
            else:
                self._store = store
                return store

    async def look(self, store: WatchedStore) -> LedgerView | None:
        """The view, read from a store that is set up; None where none is asked for."""
        view = None
        if self._has_view:
            self._readiness.wait("store", f"a snapshot of the store {self._address}")
            view = await self._read(store)
            if view.ledger.epoch.value is None:
                log.warning("the store %s is empty: it is waited for until somebody sets it up", self._address)
                self._readiness.wait("store", EMPTY)
                while (await view.changed()).epoch.value is None:
                    pass
        self._readiness.go_on("store")
        return view

    async def mind(self) -> None:
        """Ask a store that is away until it is back, and tell of epochs; ends with whatever ends the view."""
        assert self._store is not None  # noqa: S101
        async with asyncio.TaskGroup() as group:
            group.create_task(self.health.probe(self._store))
            while self._view is not None:
                self._tell_epoch(self._view)
                await self._view.changed()
                await asyncio.sleep(LOOK_S)

    async def leave(self) -> None:
        """Give the store back."""
        if self._view is not None:
            with suppress(Exception):  # why it failed is told already, by `mind`
                await self._view.stop()
        if self._store is not None:
            with suppress(AddrcastError):
                await self._store.close()

    def status(self) -> StoreStatus:
        """How the store is, as far as this process knows."""
        health, ledger, epoch = self.health, None, None
        if self._view is not None:
            ledger = self._view.ledger
            epoch = ledger.epoch.value
        return StoreStatus(
            address=str(self._address),
            is_reached=self._store is not None and not health.is_away(),
            what=health.what if health.is_away() else "",
            away_since_ms=health.away_since_ms,
            revision=None if ledger is None else ledger.revision,
            epoch=None if epoch is None else epoch.epoch,
            state="" if epoch is None else epoch.state.value,
        )

    async def _read(self, store: WatchedStore) -> LedgerView:
        view = LedgerView(store)
        while True:
            try:
                await view.start()
            except Unavailable as away:
                await asyncio.sleep(away.retry_after_ms / 1_000)
            else:
                self._view = view
                return view

    def _tell_epoch(self, view: LedgerView) -> None:
        epoch = view.ledger.epoch.value
        if epoch is None or epoch == self._told:
            return
        is_first, self._told = self._told is None, epoch
        if epoch.state is EpochState.OPEN:
            self._readiness.go_on("epoch")
            if not is_first:
                log.warning("the store is open, in epoch %d", epoch.epoch)
            return
        what = f"the store is {epoch.state.value}, in epoch {epoch.epoch}: {CAUSES[epoch.state]}"
        log.warning(what)
        self._readiness.wait("epoch", what)

    def _changed(self) -> None:
        if self._store is None:
            return  # the start says what it waits for
        if self.health.is_away():
            self._readiness.wait("store", f"the store {self._address}: {self.health.what}")
        else:
            self._readiness.go_on("store")
