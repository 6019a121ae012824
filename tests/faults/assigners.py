"""A process of sixteen callers that create and delete the same instances as the other process does, all at once."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.faults.history import Lines, Operation, PlacedAt, Trouble, now_ns
from tests.faults.processes import answer, log_to_stderr, orders
from tests.faults.site import DEADLINE_MS, HOSTS, INSTANCES, open_store
from tests.faults.troubled_store import TroubledStore

from addrcast.core.assignment.answer import Created
from addrcast.core.assignment.request import CreateRequest, DeleteRequest
from addrcast.core.domain.codec import decode
from addrcast.core.domain.errors import AddrcastError, OutcomeUnknown, Stale, Unavailable
from addrcast.core.domain.keyspace import instance_key
from addrcast.core.domain.record import InstanceEntry
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView

if TYPE_CHECKING:
    from addrcast.ports.store import Store

CALLERS = 16
HOT = INSTANCES[::11]
TRIES = 4
LATE = re.compile(r"create it anew with attempt (\d+)")


@dataclass(slots=True)
class Known:
    """What this process believes of an instance; the other process may know better."""

    attempt: int = 0
    is_bound: bool = False


class Callers:
    """Sixteen callers and what they know; every call goes into the history, whatever became of it."""

    def __init__(self, name: str, store: Store, service: AssignmentService, lines: Lines[Operation]) -> None:
        self._name = name
        self._store = store
        self._service = service
        self._lines = lines
        self._known = {instance: Known() for instance in INSTANCES}
        self._clock = SystemClock()
        self._numbers = count(1)
        self.dice = Random(name)

    async def call(self) -> None:
        """One caller: one call after the other, until cancelled."""
        while True:
            await asyncio.sleep(self.dice.expovariate(1 / 0.03))
            instance = self.dice.choice(HOT if self.dice.random() < 0.25 else INSTANCES)
            known = self._known[instance]
            drawn = self.dice.random()
            if drawn < 0.1:
                await self._read(instance)
            elif known.is_bound and drawn < 0.75:
                await self._delete(instance, None if self.dice.random() < 0.2 else known.attempt)
            elif known.is_bound and drawn < 0.85:
                await self._create(instance, known.attempt)  # once more, for the same answer
            else:
                await self._create(instance, known.attempt + 1)

    async def _create(self, instance: tuple[str, str], attempt: int) -> None:
        """Ask until there is an answer, as a caller should whose instance waits."""
        host = self.dice.choice(HOSTS) if self.dice.random() < 0.3 else ""
        for _ in range(TRIES):
            outcome = await self._try_create(instance, attempt, host)
            if not isinstance(outcome, Unavailable):
                return
            if isinstance(outcome, OutcomeUnknown):
                await self._read(instance)
            await asyncio.sleep(min(outcome.retry_after_ms, 200) / 1000)

    async def _delete(self, instance: tuple[str, str], attempt: int | None) -> None:
        for _ in range(TRIES):
            outcome = await self._try_delete(instance, attempt)
            if not isinstance(outcome, Unavailable):
                return
            await asyncio.sleep(min(outcome.retry_after_ms, 200) / 1000)

    async def _try_create(self, instance: tuple[str, str], attempt: int, host: str) -> AddrcastError | None:
        known = self._known[instance]
        record = _Recorded(self._lines, self._name, f"{self._name}-{next(self._numbers)}", "create")
        request = CreateRequest(
            account=instance[0],
            instance=instance[1],
            deadline_ms=self._clock.now_ms() + DEADLINE_MS,
            host=host,
            attempt=attempt,
            request=record.request,
        )
        with record.of(instance, attempt, host):
            try:
                record.created(await self._service.create(request))
            except AddrcastError as error:
                record.failed(error)
                late = LATE.search(str(error)) if isinstance(error, Stale) else None
                if late is not None:
                    known.attempt, known.is_bound = max(known.attempt, int(late[1]) - 1), True
                return error
        known.attempt, known.is_bound = max(known.attempt, attempt), True
        return None

    async def _try_delete(self, instance: tuple[str, str], attempt: int | None) -> AddrcastError | None:
        known = self._known[instance]
        record = _Recorded(self._lines, self._name, f"{self._name}-{next(self._numbers)}", "delete")
        request = DeleteRequest(
            account=instance[0],
            instance=instance[1],
            deadline_ms=self._clock.now_ms() + DEADLINE_MS,
            attempt=attempt,
            request=record.request,
        )
        with record.of(instance, attempt):
            try:
                deleted = await self._service.delete(request)
            except AddrcastError as error:
                record.failed(error)
                return error
            record.revision, record.got_attempt = deleted.revision, deleted.attempt
            record.is_change = deleted.is_change
        if deleted.attempt >= known.attempt:
            known.attempt, known.is_bound = deleted.attempt, False
        return None

    async def _read(self, instance: tuple[str, str]) -> None:
        """Read an instance's key from the store itself, linearizably."""
        record = _Recorded(self._lines, self._name, f"{self._name}-{next(self._numbers)}", "read")
        key = instance_key(*instance)
        with record.of(instance, None):
            try:
                page = await self._store.read([key])
            except AddrcastError as error:
                record.failed(error)
                return
            record.revision = page.revision
            for item in page.items:
                entry = decode(key, item.value)
                assert isinstance(entry, InstanceEntry)
                record.how, record.got_attempt = entry.state.value, entry.attempt
                record.addresses = tuple(PlacedAt(logical, "", "") for logical in entry.addresses)


class _Recorded:
    """One call on its way into the history: begun, perhaps answered, ended, also where it was cancelled."""

    def __init__(self, lines: Lines[Operation], process: str, request: str, call: str) -> None:
        self._lines = lines
        self._process = process
        self.request = request
        self._call = call
        self._instance = ("", "")
        self._attempt: int | None = None
        self._host = ""
        self._begun_ns = 0
        self._outcome = "ok"
        self._said = ""
        self.revision = 0
        self.got_attempt = 0
        self.addresses: tuple[PlacedAt, ...] = ()
        self.is_change = False
        self.how = ""

    def of(self, instance: tuple[str, str], attempt: int | None, host: str = "") -> _Recorded:
        self._instance, self._attempt, self._host = instance, attempt, host
        return self

    def created(self, answer: Created) -> None:
        self.revision, self.got_attempt = answer.revision, answer.attempt
        self.is_change = not answer.is_repeat
        self.addresses = tuple(PlacedAt(each.logical, each.physical, each.host) for each in answer.addresses)
        self.how = answer.addresses[0].outcome.value

    def failed(self, error: AddrcastError) -> None:
        self._outcome, self._said = type(error).__name__, str(error)

    def __enter__(self) -> None:
        self._begun_ns = now_ns()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if kind is not None:
            self._outcome, self._said = (
                ("Cancelled" if kind is asyncio.CancelledError else kind.__name__),
                str(error),
            )
        self._lines.write(
            Operation(
                process=self._process,
                request=self.request,
                call=self._call,
                account=self._instance[0],
                instance=self._instance[1],
                attempt=self._attempt,
                begun_ns=self._begun_ns,
                ended_ns=now_ns(),
                outcome=self._outcome,
                said=self._said,
                host=self._host,
                revision=self.revision,
                got_attempt=self.got_attempt,
                addresses=self.addresses,
                is_change=self.is_change,
                how=self.how,
            )
        )


async def main(name: str, where: str, directory: str, seed: str) -> None:
    log_to_stderr()
    troubles: Lines[Trouble] = Lines(Path(directory) / f"{name}.troubles")
    store: Store = TroubledStore(await open_store(where), troubles)
    view = LedgerView(store)
    await view.start()
    service = AssignmentService(store, view, SystemClock(), replica=name)
    lines: Lines[Operation] = Lines(Path(directory) / f"{name}.operations")
    callers = Callers(name, store, service, lines)
    callers.dice.seed(f"{name} {seed}")
    tasks = [asyncio.create_task(callers.call()) for _ in range(CALLERS)]
    answer()
    async for order in orders():
        if order == "stop":
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            bugs = [repr(one) for one in ended if not isinstance(one, asyncio.CancelledError)]
            await service.stop()
            await view.stop()
            await store.close()
            answer(" ".join(["done", *bugs]))
            return
        answer()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
