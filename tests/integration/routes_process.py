"""A process that writes a table and is then killed: settings and entries as JSON, one line said when it is done."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from addrcast.adapters.kernel.routes import RoutesKernel
from addrcast.adapters.kernel.routes_settings import RoutesSettings
from addrcast.core.dataplane.table import TableEntry


async def main() -> None:
    prefix, substrate, entries = json.loads(sys.argv[1])
    kernel = await RoutesKernel.open(RoutesSettings(prefix=prefix, substrate=Path(substrate)))
    table = [TableEntry(*entry) for entry in entries]
    for vni in {entry.vni for entry in table}:
        await kernel.ensure_account(vni)
    assert await kernel.upsert(table) == ()
    sys.stdout.write("written\n")
    sys.stdout.flush()
    while True:  # until it is killed, again and again in the middle of a write
        await kernel.upsert(table)


if __name__ == "__main__":
    asyncio.run(main())
