"""Entries a second into the kernel table of routes, beside prebuilt messages sent in a bare loop in the same run.

Every entry has a physical address of its own, as in the real thing: a new entry is a new nexthop and a new route.
The bare loop sends the same messages, built before the clock starts, in datagrams as large as the socket takes, and
reads the answer to each. Both write into fresh accounts and take turns at being first; figures are medians. A
resync reads a table in which one entry in a hundred is out of date, compares it and writes the difference.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from addrcast.adapters.kernel.namespace import create, inside, remove
from addrcast.adapters.kernel.netlink_link import AF_INET, find_link
from addrcast.adapters.kernel.netlink_route import nexthop_template, pack, route_template
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket
from addrcast.adapters.kernel.probe import probe
from addrcast.adapters.kernel.routes import RoutesKernel
from addrcast.adapters.kernel.routes_device import TUNNEL
from addrcast.adapters.kernel.routes_settings import RoutesSettings
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.dataplane.reconcile import reconcile
from addrcast.core.dataplane.table import TableEntry
from benchmarks.row import at_least, plain, table

if TYPE_CHECKING:
    from addrcast.core.dataplane.table import Table
    from benchmarks.row import Row

PREFIX = f"bench{os.getpid()}-"
BATCH = AgentSettings().batch_max
BARE = 9999
PAGE = os.sysconf("SC_PAGESIZE")
ROUNDS = {1_000: 21, 100_000: 6, 1_000_000: 1}


def entries(vni: int, count: int, *, physicals: int) -> list[TableEntry]:
    return [
        TableEntry(
            vni,
            f"10.{serial >> 16 & 255}.{serial >> 8 & 255}.{serial & 255}",
            f"100.{64 + (to >> 16 & 63)}.{to >> 8 & 255}.{to & 255}",
        )
        for serial in range(count)
        for to in (serial % physicals,)
    ]


async def written(kernel: RoutesKernel, wanted: list[TableEntry]) -> float:
    begin = time.perf_counter()
    for first in range(0, len(wanted), BATCH):
        assert await kernel.upsert(wanted[first : first + BATCH]) == ()
    return time.perf_counter() - begin


def bare_loop(netlink: NetlinkSocket, wanted: list[TableEntry]) -> float:
    link = find_link(netlink, TUNNEL)
    assert link is not None
    nexthops, routes = nexthop_template(BARE, link.number, AF_INET), route_template(AF_INET)
    known: set[str] = set()
    sends: list[tuple[bytearray, int]] = []
    step = netlink.send_bytes // nexthops.size
    for first in range(0, len(wanted), step):
        part = wanted[first : first + step]
        new = [each for each in dict.fromkeys(entry.physical for entry in part) if each not in known]
        known.update(new)
        column, targets = pack(AF_INET, new), pack(AF_INET, [entry.physical for entry in part])
        if new:
            sends.append((nexthops.fill(column, column), nexthops.size))
        sends.append((routes.fill(pack(AF_INET, [entry.logical for entry in part]), targets), routes.size))
    begin = time.perf_counter()
    for buffer, size in sends:
        assert netlink.send_batch(buffer, size) == []
    return time.perf_counter() - begin


async def rate(
    kernel: RoutesKernel, settings: RoutesSettings, count: int, *, physicals: int
) -> tuple[float, float]:
    """Entries a second into fresh accounts: by the backend, by the bare loop."""
    times: list[tuple[float, float]] = []
    for turn in range(ROUNDS[count]):
        for vni in (1, BARE):
            await kernel.ensure_account(vni)
        ours, bare = entries(1, count, physicals=physicals), entries(BARE, count, physicals=physicals)
        gc.freeze()
        with inside(settings.namespace(BARE)):
            netlink = NetlinkSocket()
        with closing(netlink):  # who comes second finds memory that the kernel has at hand: take turns
            beside = bare_loop(netlink, bare) if turn % 2 else 0.0
            through = await written(kernel, ours)
            times.append((through, beside or bare_loop(netlink, bare)))
        gc.unfreeze()
        for vni in (1, BARE):
            await kernel.remove_account(vni)
    through, beside = (median(column) for column in zip(*times, strict=True))
    return count / through, count / beside


async def singles(kernel: RoutesKernel, settings: RoutesSettings, count: int = 2_000) -> tuple[float, float]:
    """One entry at a time: a second's worth, awaited each; and by a bare loop."""
    for vni in (1, BARE):
        await kernel.ensure_account(vni)
    ours, bare = entries(1, count, physicals=count), entries(BARE, count, physicals=count)
    begin = time.perf_counter()
    for entry in ours:
        await kernel.upsert([entry])
    through = time.perf_counter() - begin
    with inside(settings.namespace(BARE)), closing(NetlinkSocket()) as netlink:
        beside = sum(bare_loop(netlink, [entry]) for entry in bare)
    for vni in (1, BARE):
        await kernel.remove_account(vni)
    return count / through, count / beside


async def resync_s(kernel: RoutesKernel, count: int) -> tuple[float, float, float]:
    """Seconds of a whole resync and of its reading; bytes that the backend keeps for an entry."""
    await kernel.ensure_account(1)
    wanted = entries(1, count, physicals=count)
    gc.collect()
    before = resident()
    await written(kernel, wanted)
    gc.collect()
    kept = (resident() - before) / count
    desired: Table = {1: {entry.logical: entry.physical for entry in wanted}}
    await kernel.dump()  # what an earlier life left behind is looked for once
    await written(kernel, [entry._replace(physical=f"100.63{entry.physical[6:]}") for entry in wanted[::100]])
    gc.freeze()
    begin = time.perf_counter()
    actual = await kernel.dump()
    read = time.perf_counter() - begin
    difference = reconcile(desired, actual)
    assert await kernel.upsert(difference.upserts) == ()
    whole = time.perf_counter() - begin
    gc.unfreeze()
    assert len(difference.upserts) == len(wanted[::100])
    await kernel.remove_account(1)
    return whole, read, kept


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def account_ms(kernel: RoutesKernel, count: int = 100) -> float:
    """Milliseconds to make an account."""
    begin = time.perf_counter()
    for vni in range(1, count + 1):
        await kernel.ensure_account(vni)
    spent = time.perf_counter() - begin
    for vni in range(1, count + 1):
        await kernel.remove_account(vni)
    return spent * 1000 / count


async def measured(settings: RoutesSettings) -> list[Row]:
    found: list[Row] = []
    kernel = await RoutesKernel.open(settings)
    try:
        ours, bare = await singles(kernel, settings)
        found.append(plain("routes: entries, 1 at a time", ours, "entries/s", reference=bare))
        for count in ROUNDS:
            ours, bare = await rate(kernel, settings, count, physicals=count)
            title = f"routes: entries, {count:,} new"
            if count == 100_000:
                found.append(at_least(title, ours, "entries/s", reference=bare, goal=0.8))
            else:
                found.append(plain(title, ours, "entries/s", reference=bare))
        ours, bare = await rate(kernel, settings, 100_000, physicals=1_000)
        found.append(plain("routes: entries, 100,000 to 1,000 physical", ours, "entries/s", reference=bare))
        for count in (100_000, 1_000_000):
            whole, read, kept = await resync_s(kernel, count)
            found.append(plain(f"routes: resync of {count:,}, 1 % out of date", whole * 1000, "ms"))
            found.append(plain(f"routes: of which reading {count:,}", read * 1000, "ms"))
            found.append(plain(f"routes: kept by the backend, of {count:,}", kept, "bytes/entry"))
        found.append(plain("routes: an account made", await account_ms(kernel), "ms"))
    finally:
        await kernel.close()
    return found


def rows() -> list[Row]:
    """The figures; none, and why, where the rights are missing."""
    offer = probe()[0]
    if not offer.is_usable:
        print(f"kernel: {offer.backend} {offer.reason}", file=sys.stderr)
        return []
    settings = RoutesSettings(prefix=PREFIX)
    substrate = settings.directory / f"{PREFIX}host"
    create(substrate)
    try:
        return asyncio.run(measured(RoutesSettings(prefix=PREFIX, substrate=substrate)))
    finally:
        for path in settings.directory.glob(f"{PREFIX}*"):
            remove(path)


if __name__ == "__main__":
    print(table(rows()))
