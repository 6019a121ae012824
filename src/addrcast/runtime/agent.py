"""The service of a host: carries out what the agent's machine asks for, on a store and a kernel table."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

from addrcast.core.agent.machine import AgentMachine
from addrcast.core.agent.messages import (
    AttachmentsKnown,
    Away,
    Changed,
    Commit,
    Committed,
    Compacted,
    Denied,
    Disturbed,
    Dumped,
    DumpTable,
    Event,
    ListSubscriptions,
    Program,
    Programmed,
    ReadHost,
    Report,
    ScanAccount,
    Started,
    Tick,
    Watch,
)
from addrcast.core.dataplane.table import Rejected
from addrcast.core.domain import errors
from addrcast.core.domain.errors import Stale, Unavailable
from addrcast.core.domain.keyspace import host_alive_key
from addrcast.core.domain.record import SCHEMA_VERSION
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.ports.store import Compacted as WatchCompacted
from addrcast.runtime.driver import next_event
from addrcast.runtime.view import scan_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from addrcast.core.agent.messages import Effect
    from addrcast.core.agent.settings import AgentSettings
    from addrcast.core.domain.record import Attached
    from addrcast.ports.clock import Clock
    from addrcast.ports.kernel import Kernel
    from addrcast.ports.store import Store

log = logging.getLogger(__name__)

REQUESTS_MAX = 8
EVENTS_MAX = 1_000


class AgentService:
    """Runs one host's agent until it is cancelled, then leaves the kernel table as it is.

    The host's sign of life is a key under a lease of `lease_ms`; it says which version of the schema can be read.
    An error that is neither the store's nor the kernel's being away ends the service: start it again, it needs no
    clean-up. `last_report` is what it told of last.
    """

    def __init__(
        self,
        host: str,
        *,
        store: Store,
        kernel: Kernel,
        clock: Clock,
        settings: AgentSettings | None = None,
        lease_ms: int = 15_000,
    ) -> None:
        self.machine = AgentMachine(host, settings)
        self.last_report = ""
        self._store = store
        self._kernel = kernel
        self._clock = clock
        self._lease_ms = lease_ms
        self._events: asyncio.Queue[Event] = asyncio.Queue(EVENTS_MAX)
        self._requests = asyncio.Semaphore(REQUESTS_MAX)
        self._watch: asyncio.Task[None] | None = None

    async def tell_attached(self, attached: Mapping[str, tuple[Attached, ...]]) -> None:
        """What instances the host has, by account, for a restored store; to be said first and at each change."""
        await self._events.put(AttachmentsKnown(attached))

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stay_alive())
            group.create_task(self._listen())
            event: Event = Started()
            while True:
                for effect in self.machine.step(event, self._clock.now_ms()):
                    self._start(effect, group)
                deadline_ms = self.machine.deadline_ms(self._clock.now_ms())
                event = await next_event(self._events, self._clock, deadline_ms) or Tick()

    def _start(self, effect: Effect, group: asyncio.TaskGroup) -> None:
        match effect:
            case Report():
                self.last_report = effect.what
                log.warning("host %s: %s", self.machine.host, effect.what)
            case Watch():
                if self._watch is not None:
                    self._watch.cancel()
                self._watch = group.create_task(self._follow(effect))
            case _:
                group.create_task(self._carry_out(effect))

    async def _carry_out(
        self, effect: ReadHost | ListSubscriptions | ScanAccount | Commit | DumpTable | Program
    ) -> None:
        if isinstance(effect, DumpTable | Program):
            answer = await self._in_kernel(effect)
        else:
            answer = await self._in_store(effect)
        await self._events.put(answer)

    async def _in_store(self, effect: ReadHost | ListSubscriptions | ScanAccount | Commit) -> Event:
        async with self._requests:
            try:
                if isinstance(effect, ReadHost):
                    return effect.answer((await self._store.read(effect.keys)).items)
                if isinstance(effect, Commit):
                    return Committed(effect, tuple(await self._store.commit(effect.transactions)))
                return effect.answer(*await scan_all(self._store, effect.prefixes))
            except (Unavailable, WatchCompacted):
                return Away(effect)
            except errors.Denied as denied:
                return Denied(effect, str(denied))

    async def _follow(self, watch: Watch) -> None:
        try:
            async with aclosing(self._store.watch(watch.prefixes, after_revision=watch.after_revision)) as changes:
                async for change in changes:
                    await self._events.put(Changed(watch, change))
            await self._events.put(Away(watch))
        except WatchCompacted:
            await self._events.put(Compacted(watch))
        except Unavailable:
            await self._events.put(Away(watch))
        except errors.Denied as denied:
            await self._events.put(Denied(watch, str(denied)))

    async def _in_kernel(self, effect: DumpTable | Program) -> Event:
        if isinstance(effect, Program):
            return await self._programmed(effect)
        try:
            return Dumped(await self._kernel.dump())
        except Unavailable:
            return Dumped(None)

    async def _programmed(self, program: Program) -> Programmed:
        rejected: list[Rejected] = []
        failed = [vni for vni in program.ensured if not await self._succeeds(self._kernel.ensure_account(vni))]
        try:
            rejected += await self._kernel.upsert(program.upserts)
        except Unavailable as away:
            rejected += [Rejected(entry.key, str(away)) for entry in program.upserts]
        try:
            rejected += await self._kernel.delete(program.deletes)
        except Unavailable as away:
            rejected += [Rejected(key, str(away)) for key in program.deletes]
        failed += [vni for vni in program.removed if not await self._succeeds(self._kernel.remove_account(vni))]
        return Programmed(program, tuple(rejected), tuple(failed))

    async def _succeeds(self, change: Awaitable[None]) -> bool:
        try:
            await change
        except Unavailable as away:
            log.warning("host %s: %s", self.machine.host, away)
            return False
        return True

    async def _listen(self) -> None:
        async with aclosing(self._kernel.disturbances()) as disturbances:
            async for reason in disturbances:
                await self._events.put(Disturbed(reason))

    async def _stay_alive(self) -> None:
        lease = 0
        while True:
            try:
                if lease == 0:
                    lease = await self._store.grant(ttl_ms=self._lease_ms)
                    alive = Put(host_alive_key(self.machine.host), b"%d" % SCHEMA_VERSION, lease)
                    await self._store.commit([Transaction((), (alive,))])
                await self._store.keep_alive(lease)
            except Stale:
                lease = 0
                continue
            except (Unavailable, errors.Denied) as away:
                log.info("host %s gives no sign of life: %s", self.machine.host, away)
            await self._clock.sleep_until(self._clock.now_ms() + self._lease_ms // 3)
