"""A process that assigns addresses on an embedded store until it is killed, and reports what it was promised.

A line `created <account>/<instance> <logical>` is written only after the service answered; `deleting
<account>/<instance>` before it is asked to delete.
"""

from __future__ import annotations

import asyncio
import os
import sys

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.assignment.request import CreateRequest, DeleteRequest
from addrcast.core.domain.errors import Exhausted, Unavailable
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView

CALLERS = 12
KEPT = 3
ACCOUNTS = ("bulk", "gold", "new")


def tell(line: str) -> None:
    # one short write to a pipe is never torn, so the reader sees whole lines also after a kill
    os.write(1, f"{line}\n".encode())


async def call(service: AssignmentService, clock: SystemClock, name: str, account: str) -> None:
    """Create one instance after another, and delete all but the newest few."""
    alive: list[str] = []
    number = 0
    while True:
        number += 1
        instance = f"{name}-{number}"
        deadline_ms = clock.now_ms() + 5_000
        try:
            created = await service.create(
                CreateRequest(account=account, instance=instance, deadline_ms=deadline_ms)
            )
        except (Exhausted, Unavailable):
            await asyncio.sleep(0.01)
            continue
        tell(f"created {account}/{instance} {created.addresses[0].logical}")
        alive.append(instance)
        if len(alive) > KEPT:
            gone = alive.pop(0)
            tell(f"deleting {account}/{gone}")
            await service.delete(DeleteRequest(account=account, instance=gone, deadline_ms=deadline_ms))


async def main(directory: str, process: str) -> None:
    store = await LmdbStore.open(directory)
    view = LedgerView(store)
    await view.start()
    clock = SystemClock()
    service = AssignmentService(store, view, clock, replica=process)
    async with asyncio.TaskGroup() as callers:
        for caller in range(CALLERS):
            callers.create_task(call(service, clock, f"{process}-{caller}", ACCOUNTS[caller % len(ACCOUNTS)]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
