"""Entries a second into the kernel table of BPF maps, beside prebuilt buffers in a bare loop in the same run.

The bare loop hands the same keys and values, made before the clock starts, to the same batch call in pieces of the
same size, into a map of the same shape. Both write into empty maps and take turns at being first; figures are
medians. A resync reads a table in which one entry in a hundred is out of date, compares and writes the difference.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from addrcast.adapters.kernel import bpf_syscall
from addrcast.adapters.kernel.bpf import BpfKernel
from addrcast.adapters.kernel.bpf_entries import batches
from addrcast.adapters.kernel.bpf_map import HashMap
from addrcast.adapters.kernel.bpf_settings import BpfSettings
from addrcast.adapters.kernel.namespace import RUN_DIRECTORY, create, remove
from addrcast.adapters.kernel.probe import probe
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.dataplane.reconcile import reconcile
from addrcast.core.dataplane.table import TableEntry, TableKey
from benchmarks.row import at_least, plain, table

if TYPE_CHECKING:
    from benchmarks.row import Row

PREFIX = f"bench{os.getpid()}-"
BATCH = AgentSettings().batch_max
PIECE = 4096
VNI = 101
ENTRIES_MAX = 1 << 20
ROUNDS = {1_000: 41, 100_000: 11, 1_000_000: 3}
SINGLES = 2_000


def entries(count: int) -> list[TableEntry]:
    return [
        TableEntry(
            VNI,
            f"10.{serial >> 16 & 255}.{serial >> 8 & 255}.{serial & 255}",
            f"100.{64 + (serial >> 16 & 63)}.{serial >> 8 & 255}.{serial & 255}",
        )
        for serial in range(count)
    ]


async def written(kernel: BpfKernel, wanted: list[TableEntry]) -> float:
    begin = time.perf_counter()
    for first in range(0, len(wanted), BATCH):
        assert await kernel.upsert(wanted[first : first + BATCH]) == ()
    return time.perf_counter() - begin


def prebuilt(wanted: list[TableEntry], piece: int) -> list[tuple[bytearray, bytearray]]:
    buffers = []
    for first in range(0, len(wanted), piece):
        (batch,) = batches(wanted[first : first + piece], [])
        buffers.append((batch.keys, batch.values))
    return buffers


def bare_loop(buffers: list[tuple[bytearray, bytearray]]) -> float:
    """Seconds of writing buffers into a map of the backend's shape."""
    shape = bpf_syscall.MapShape(bpf_syscall.BPF_MAP_TYPE_HASH, 20, 20, ENTRIES_MAX, bpf_syscall.BPF_F_NO_PREALLOC)
    bare = HashMap(bpf_syscall.create_map("bare", shape))
    try:
        begin = time.perf_counter()
        for keys, values in buffers:
            assert bare.write(keys, values) == []
        return time.perf_counter() - begin
    finally:
        bare.close()


async def rate(kernel: BpfKernel, count: int) -> tuple[float, float]:
    """Entries a second into an empty table: by the backend, by the bare loop."""
    wanted = entries(count)
    buffers = prebuilt(wanted, PIECE)
    times: list[tuple[float, float]] = []
    gc.freeze()
    for turn in range(ROUNDS[count]):
        beside = bare_loop(buffers) if turn % 2 else 0.0
        through = await written(kernel, wanted)
        times.append((through, beside or bare_loop(buffers)))
        await kernel.delete([TableKey(VNI, entry.logical) for entry in wanted])
    gc.unfreeze()
    through, beside = (median(column) for column in zip(*times, strict=True))
    return count / through, count / beside


async def singles(kernel: BpfKernel) -> tuple[float, float]:
    """Entries a second, one at a time and each awaited; and by a bare loop."""
    wanted = entries(SINGLES)
    begin = time.perf_counter()
    for entry in wanted:
        await kernel.upsert([entry])
    through = time.perf_counter() - begin
    await kernel.delete([entry.key for entry in wanted])
    return SINGLES / through, SINGLES / bare_loop(prebuilt(wanted, 1))


async def resync_ms(kernel: BpfKernel, count: int) -> tuple[float, float]:
    """Milliseconds of a whole resync, and of its reading."""
    wanted = entries(count)
    await written(kernel, wanted)
    desired = {VNI: {entry.logical: entry.physical for entry in wanted}}
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
    await kernel.delete([entry.key for entry in wanted])
    return whole * 1000, read * 1000


def map_bytes(count: int) -> float:
    """What the kernel says that a map takes for each entry, its own bound left out."""
    shape = bpf_syscall.MapShape(bpf_syscall.BPF_MAP_TYPE_HASH, 20, 20, ENTRIES_MAX, bpf_syscall.BPF_F_NO_PREALLOC)
    bare = HashMap(bpf_syscall.create_map("bare", shape))
    try:
        empty = bare.memory_bytes()
        for keys, values in prebuilt(entries(count), PIECE):
            bare.write(keys, values)
        return (bare.memory_bytes() - empty) / count
    finally:
        bare.close()


async def measured(settings: BpfSettings) -> list[Row]:
    found: list[Row] = []
    begin = time.perf_counter()
    kernel = await BpfKernel.open(settings)
    found.append(plain("bpf: opened, programs loaded", (time.perf_counter() - begin) * 1000, "ms"))
    try:
        await kernel.ensure_account(VNI)
        ours, bare = await singles(kernel)
        found.append(plain("bpf: entries, 1 at a time", ours, "entries/s", reference=bare))
        for count in ROUNDS:
            ours, bare = await rate(kernel, count)
            title = f"bpf: entries, {count:,} new"
            if count == 100_000:
                found.append(at_least(title, ours, "entries/s", reference=bare, goal=0.8))
            else:
                found.append(plain(title, ours, "entries/s", reference=bare))
        for count in (100_000, 1_000_000):
            whole, read = await resync_ms(kernel, count)
            found.append(plain(f"bpf: resync of {count:,}, 1 % out of date", whole, "ms"))
            found.append(plain(f"bpf: of which reading {count:,}", read, "ms"))
        found.append(plain("bpf: kernel memory of an entry", map_bytes(100_000), "bytes/entry"))
        begin = time.perf_counter()
        for vni in range(1, 101):
            await kernel.ensure_account(vni)
        found.append(plain("bpf: an account made", (time.perf_counter() - begin) * 10, "ms"))
    finally:
        await kernel.close()
    return found


def rows() -> list[Row]:
    """The figures; none, and why, where the rights are missing."""
    (offer,) = [each for each in probe() if each.backend == "bpf"]
    if not offer.is_usable:
        print(f"kernel_bpf: {offer.backend} {offer.reason}", file=sys.stderr)
        return []
    substrate = RUN_DIRECTORY / f"{PREFIX}host"
    settings = BpfSettings(prefix=PREFIX, substrate=substrate, entries_max=ENTRIES_MAX)
    create(substrate)
    try:
        return asyncio.run(measured(settings))
    finally:
        shutil.rmtree(settings.pins, ignore_errors=True)
        remove(substrate)


if __name__ == "__main__":
    print(table(rows()))
