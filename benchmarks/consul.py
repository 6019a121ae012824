"""What Consul does as a store: puts, bindings, what a watch costs by what it watches, a leader that is killed.

The server runs on this machine, with its data on disk under the working directory. Bindings come as the assignment
service commits them: eight groups of 64 on their way, each binding comparing the epoch and changing two keys. The
watch is one of everything, as every controller and every replica of the service has it. The gap is the longest time
between two acknowledged puts after the leader was killed, of one writer that asks the two servers left in turn.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import aclosing, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from tests.servers.consul import Consul, consul_cluster, consul_server

from addrcast.adapters.stores.consul_store import ConsulStore
from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.transaction import Compare, Put, Transaction
from benchmarks.row import plain, table
from benchmarks.store import DISK_FILES, bindings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.row import Row
    from benchmarks.store import Binding

GROUP, GROUPS = 64, 8
PUTS = 200
BOUND = 8_192
WATCHED = (1_000, 10_000)
KILLS = 3


async def put_times_ms(store: ConsulStore) -> list[float]:
    """Of one put after the other."""
    times = []
    for number in range(PUTS):
        begin = time.perf_counter()
        await store.commit([Transaction((), (Put("alone", b"%d" % number),))])
        times.append((time.perf_counter() - begin) * 1000)
    return times


async def filled(store: ConsulStore, work: Sequence[Binding]) -> list[Binding]:
    """Write reserved records; the bindings with their revisions."""
    puts = [Transaction((), (Put(binding.record, binding.reserved),)) for binding in work]
    results = await store.commit(puts)
    return [binding._replace(revision=result.revision) for binding, result in zip(work, results, strict=True)]


async def bind(store: ConsulStore, work: Sequence[Binding]) -> float:
    """Bindings a second."""
    groups = iter([work[first : first + GROUP] for first in range(0, len(work), GROUP)])

    async def commit_groups() -> None:
        for group in groups:
            results = await store.commit([binding.transaction() for binding in group])
            assert all(result.is_success for result in results)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(GROUPS):
            callers.create_task(commit_groups())
    return len(work) / (time.perf_counter() - begin)


async def watch_times_ms(store: ConsulStore) -> list[float]:
    """From a put to its change at a watch of everything, one after the other."""
    times = []
    page = await store.scan("")
    async with aclosing(store.watch([""], after_revision=page.revision)) as changes:
        for number in range(10):
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(1.0)  # it rests as long as it worked
            begin = time.perf_counter()
            await store.commit([Transaction((), (Put("watched", b"%d" % number),))])
            await waiting
            times.append((time.perf_counter() - begin) * 1000)
    return times


async def gap_s(servers: Sequence[Consul]) -> float:
    """The longest time without an acknowledged put in the 12 s after the leader was killed."""
    leader = [each.peer for each in servers].index(servers[0].leader())
    left = [each for number, each in enumerate(servers) if number != leader]
    stores = [await ConsulStore.open(each.address, deadline_ms=1_000, ends_leases=False) for each in left]
    servers[leader].server.kill()
    longest, number, begin = 0.0, 0, time.perf_counter()
    last = begin
    while last - begin < 12:
        number += 1
        with suppress(AddrcastError):
            await stores[number % 2].commit([Transaction((Compare("never", 0),), (Put("gap", b"%d" % number),))])
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    for store in stores:
        await store.close()
    servers[leader].server.start()
    servers[leader].server.wait_until(servers[leader].is_healthy)
    return longest


async def single(consul: Consul) -> list[Row]:
    """The figures of one server."""
    found = []
    work = list(bindings())
    store = await ConsulStore.open(consul.address)
    times = await put_times_ms(store)
    found.append(plain("a put on Consul, median", median(times), "ms"))
    found.append(plain("a put on Consul, p99", quantiles(times, n=100)[98], "ms"))
    ready = await filled(store, work[:BOUND])
    rate = await bind(store, ready)
    found.append(plain(f"bindings into Consul, {GROUPS} groups of {GROUP}", rate, "bindings/s"))
    await store.close()
    for count in WATCHED:
        store = await ConsulStore.open(consul.address, root=f"watched-{count}")
        await filled(store, work[:count])
        begin = time.perf_counter()
        await store.scan("")
        found.append(plain(f"a scan of {count} records on Consul", (time.perf_counter() - begin) * 1000, "ms"))
        lag = median(await watch_times_ms(store))
        found.append(plain(f"put to change on Consul, {count} records watched", lag, "ms"))
        await store.close()
    return found


def rows() -> list[Row]:
    """The figures of one server, and of three."""
    DISK_FILES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DISK_FILES) as directory:
        with consul_server(Path(directory).absolute(), is_kept=True) as consul:
            found = asyncio.run(single(consul))
        with consul_cluster(Path(directory).absolute() / "three") as servers:
            for kill in range(1, KILLS + 1):
                name = f"longest time without a put, leader of three killed, {kill} of {KILLS}"
                found.append(plain(name, asyncio.run(gap_s(servers)), "s"))
    return found


if __name__ == "__main__":
    print(table(rows()))
