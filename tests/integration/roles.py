"""Role processes for tests: started as an operator starts them, asked over their sockets, signalled, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from addrcast.core.assignment.request import CreateRequest, Want
from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.entrypoints.cli.store import ledger_of
from addrcast.runtime.declare import declare, set_up
from addrcast.runtime.local_call_client import LocalClient
from addrcast.runtime.open_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from addrcast.core.domain.ledger import Ledger
    from addrcast.runtime.declare import Resource
    from addrcast.runtime.role_status import Status

ADDRCAST = Path(sys.executable).with_name("addrcast")
LIMIT_S = 30.0
RESOURCES: list[tuple[str, Resource]] = [
    ("net", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/20",), is_shared=True)),
    ("tiny", Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.9.4/32",), is_shared=True)),
    ("substrate", Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/16",))),
    ("h1", Host(state=HostState.REJOINING, incarnation=0, blocks=("172.16.0.0/18",))),
    ("web", Account(tier="premium", vni=1, pools=("net",))),
    ("one", Account(tier="standard", vni=2, pools=("tiny",))),
    ("two", Account(tier="standard", vni=3, pools=("tiny",))),
]


class Role:
    """One process of a role, its socket and its log below a folder of the test's."""

    def __init__(self, role: str, folder: Path, store: str, *flags: str, name: str = "") -> None:
        self.role = role
        self.socket = folder / f"{name or role}.sock"
        self.log = folder / f"{name or role}.log"
        self.command = [str(ADDRCAST), role, "--store", store, "--socket", str(self.socket), *flags]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stderr=log, env=clean_environment() | environment)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit status, waited for."""
        return await asyncio.to_thread(self.process.wait, LIMIT_S)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def status_once(self) -> Status | None:
        """Its status; None while it does not answer."""
        async with LocalClient(self.socket) as client:
            try:
                return await client.status()
            except AddrcastError:
                return None

    async def status_when(self, holds: Callable[[Status], bool]) -> Status:
        """Its status, once something holds of it."""
        limit = time.monotonic() + LIMIT_S
        last = None
        while time.monotonic() < limit:
            assert self.process.poll() is None, self.log.read_text()
            last = await self.status_once()
            if last is not None and holds(last):
                return last
            await asyncio.sleep(0.05)
        raise AssertionError(f"{self.role}: {last}\n{self.log.read_text()}")

    async def ready(self) -> Status:
        return await self.status_when(lambda status: status.is_ready)

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("ADDRCAST_", "NOTIFY_"))}


async def declared(address: str, *more: tuple[str, Resource]) -> None:
    """Set a store up and declare the accounts, pools and hosts of these tests, and more."""
    store = await open_store(address)
    try:
        await set_up(store)
        await declare(store, [*RESOURCES, *more])
    finally:
        await store.close()


async def seen(address: str) -> Ledger:
    """All that stands in a store."""
    store = await open_store(address)
    try:
        return await ledger_of(store)
    finally:
        await store.close()


def deadline_ms(seconds: float) -> int:
    return int((time.time() + seconds) * 1_000)


def create(
    account: str, instance: str, *, host: str = "", wants: tuple[Want, ...] = (Want(),), seconds: float = 10.0
) -> CreateRequest:
    return CreateRequest(
        account=account, instance=instance, host=host, wants=wants, deadline_ms=deadline_ms(seconds)
    )
