"""A process that writes to an embedded store until it is killed, and reports what it was promised.

Each line on standard output is `<writer> <number> <revision>`, written only after the store acknowledged it.
Transaction n of a task replaces the task's two keys by n, adds a key of its own, and removes the one before: so a
half transaction shows as keys of different n.
"""

from __future__ import annotations

import asyncio
import os
import sys

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction

TASKS = 16


async def write(store: LmdbStore, writer: str) -> None:
    left, right = f"left.{writer}", f"right.{writer}"
    page = await store.read([left])
    number, revision = (int(page.items[0].value), page.items[0].mod_revision) if page.items else (0, 0)
    while True:
        number += 1
        value = b"%d" % number
        writes = Put(left, value), Put(right, value), Put(f"own.{writer}.{number}", value)
        remove = Delete(f"own.{writer}.{number - 1}")
        (result,) = await store.commit([Transaction((Compare(left, revision),), (*writes, remove))])
        if not result.is_success:
            raise AssertionError(result)
        revision = result.revision
        # one short write to a pipe is never torn, so the reader sees whole lines also after a kill
        os.write(1, b"%s %d %d\n" % (writer.encode(), number, revision))


async def main(directory: str, process: str, keep_revisions: int) -> None:
    store = await LmdbStore.open(directory, keep_revisions=keep_revisions, map_bytes=1 << 18)
    async with asyncio.TaskGroup() as tasks:
        for task in range(TASKS):
            tasks.create_task(write(store, f"{process}-{task}"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
