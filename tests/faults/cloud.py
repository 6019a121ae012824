"""The process of two controllers, one of which leads, and of the agents of three hosts on model kernel tables."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec
from tests.faults.history import Lines, Mapped, Planned, now_ns
from tests.faults.processes import answer, log_to_stderr, orders
from tests.faults.site import ACCOUNTS, AGENT, CONTROLLER, HOSTS, RANKS, open_store

from addrcast.core.controller.messages import PlanMade
from addrcast.core.domain.resource import HOUR_MS
from addrcast.runtime.agent import AgentService
from addrcast.runtime.controller import ControllerService
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView
from addrcast.simulation.kernel import ModelKernel, ModelTable
from addrcast.simulation.world.controller import plan_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from addrcast.core.controller.messages import RequestPlan
    from addrcast.core.dataplane.table import Rejected, TableEntry, TableKey
    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.store import Store

CONTROLLERS = ("controller-0", "controller-1")
NEED_MAX = 6

log = logging.getLogger(__name__)


class RecordedTable(ModelTable):
    """A model table that writes down what becomes of it; refusals happen now and then, as in kernels."""

    def __init__(self, host: str, lines: Lines[Mapped], dice: Random) -> None:
        super().__init__()
        self._host = host
        self._lines = lines
        self._dice = dice
        self.is_calm = False

    def upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        self.refused = {entry.key for entry in entries if not self.is_calm and self._dice.random() < 0.01}
        rejected = super().upsert(entries)
        refused = {each.key for each in rejected}
        for entry in entries:
            if entry.key not in refused:
                self._write(entry.vni, entry.logical, entry.physical)
        self.refused = set()
        return rejected

    def delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        rejected = super().delete(keys)
        for key in keys:
            self._write(key.vni, key.logical)
        return rejected

    def remove_account(self, vni: int) -> None:
        super().remove_account(vni)
        self._write(vni)

    def _write(self, vni: int, logical: str = "", physical: str = "") -> None:
        self._lines.write(Mapped(at_ns=now_ns(), host=self._host, vni=vni, logical=logical, physical=physical))


class DicePlanner:
    """Plans for needs that a die decides, so that plans take, give back and change their mind all the time."""

    def __init__(self, dice: Random, lines: Lines[Planned]) -> None:
        self._dice = dice
        self._lines = lines
        self.need_max = NEED_MAX

    async def plan(self, request: RequestPlan, ledger: Ledger, now_ms: int) -> PlanMade:
        needs = {account: self._dice.randint(0, self.need_max) for account in sorted(ledger.accounts())}
        plan = plan_of(ledger, needs, now_ms=now_ms)
        self._lines.write(
            Planned(
                at_ns=now_ns(),
                revision=plan.revision,
                rows=tuple(
                    (account, RANKS[ACCOUNTS[account].tier], *figures)
                    for account, *figures in zip(
                        plan.given.accounts,
                        plan.wanted.tolist(),
                        plan.reserved.tolist(),
                        plan.by_pool.tolist(),
                        strict=True,
                    )
                ),
            )
        )
        return PlanMade(request, plan, {})


class Cloud:
    """Runs controllers and agents; one that ends by itself is a bug, which is written down."""

    def __init__(self, where: str, directory: Path, seed: str) -> None:
        self._where = where
        self._crashes = directory / "crashes"
        self._directory = directory
        self._dice = Random(f"cloud {seed}")
        mapped: Lines[Mapped] = Lines(directory / "tables")
        self._tables = {host: RecordedTable(host, mapped, self._dice) for host in HOSTS}
        self._planner = DicePlanner(self._dice, Lines(directory / "plans"))
        self._agents: dict[str, asyncio.Task[None]] = {}
        self._controllers: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        for host in HOSTS:
            self.start_agent(host)
        for name in CONTROLLERS:
            store = await self._open()
            view = LedgerView(store)
            await view.start()
            self._stack.push_async_callback(view.stop)
            service = ControllerService(
                store=store, view=view, clock=SystemClock(), planner=self._planner, settings=CONTROLLER
            )
            self._controllers.append(self._watched(name, partial(service.run, name)))

    async def _open(self) -> Store:
        store = await open_store(self._where)
        self._stack.push_async_callback(store.close)
        return store

    def start_agent(self, host: str) -> None:
        self._agents[host] = self._watched(f"agent {host}", lambda: self._run_agent(host))

    async def stop_agent(self, host: str) -> None:
        await _end(self._agents.pop(host))

    def calm(self) -> None:
        """Kernels refuse nothing, and nothing more is reserved."""
        self._planner.need_max = 0
        for table in self._tables.values():
            table.is_calm = True

    def tables(self) -> str:
        """What every host's table holds now, as JSON: host -> VNI -> logical -> physical."""
        found = {
            host: {str(vni): entries for vni, entries in table.dump().items()}
            for host, table in self._tables.items()
        }
        return msgspec.json.encode(found).decode()

    async def stop(self) -> None:
        for task in (*self._agents.values(), *self._controllers):
            await _end(task)
        await self._stack.aclose()

    async def _run_agent(self, host: str) -> None:
        store = await open_store(self._where)
        try:
            kernel = ModelKernel(self._tables[host])
            # a host is given up after ten minutes; no fault here lasts that long
            await AgentService(
                host, store=store, kernel=kernel, clock=SystemClock(), settings=AGENT, lease_ms=HOUR_MS // 60
            ).run()
        finally:
            await store.close()

    def _watched(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def watched() -> None:
            while True:
                try:
                    await run()
                except Exception:
                    with self._crashes.open("a") as crashes:
                        crashes.write(f"{name}: {traceback.format_exc()}\n")
                    log.exception("%s has ended", name)
                await asyncio.sleep(0.5)

        return asyncio.create_task(watched())


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def main(_name: str, where: str, directory: str, seed: str) -> None:
    log_to_stderr(logging.INFO)
    cloud = Cloud(where, Path(directory), seed)
    await cloud.start()
    answer()
    async for order in orders():
        word, _, host = order.partition(" ")
        match word:
            case "stop-agent":
                await cloud.stop_agent(host)
                answer()
            case "start-agent":
                cloud.start_agent(host)
                answer()
            case "calm":
                cloud.calm()
                answer()
            case "tables":
                answer(cloud.tables())
            case "stop":
                await cloud.stop()
                answer()
                return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
