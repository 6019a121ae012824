"""One run: a cluster, the load, the faults, a calm end, and the history that all of it leaves in a directory."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from tests.faults.checker.hosts import unsettled
from tests.faults.cluster import cluster_in
from tests.faults.history import Lines, Struck, now_ns
from tests.faults.processes import Process
from tests.faults.proxy import Losses, Proxy
from tests.faults.site import found, open_store
from tests.faults.strikes import Strikes
from tests.faults.witness import Witness
from tests.servers.namespaces import CLIENTS

from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.ledger import Ledger
from addrcast.runtime.view import PREFIXES, scan_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.faults.cluster import Cluster
    from tests.faults.schedule import Strike

    from addrcast.ports.store import Store

CALM_S = 2.0
SETTLE_S = 25.0


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a run knows of itself beside its history; `unsettled` is what did not come to rest in the calm end."""

    seed: int
    founded: int
    begun_ns: int
    calm_ns: int
    ended_ns: int
    unsettled: str
    watchers: str
    callers: tuple[str, ...]
    witness_starts: int
    tables: dict[str, dict[str, dict[str, str]]]


@dataclass(slots=True)
class Cast:
    """Who takes part."""

    cluster: Cluster
    losses: Losses
    witness: Witness
    processes: dict[str, Process]


def run(directory: Path, *, seed: int, schedule: Sequence[Strike]) -> Ran:
    """Run a schedule; the history is in `directory`. Raises RuntimeError where something does not come back."""
    with cluster_in(directory) as cluster:
        ran = asyncio.run(_run(directory, cluster, seed=seed, schedule=schedule))
    (directory / "ran.json").write_bytes(msgspec.json.encode(ran))
    return ran


async def _run(directory: Path, cluster: Cluster, *, seed: int, schedule: Sequence[Strike]) -> Ran:
    async with AsyncExitStack() as stack:
        cast = await _cast(stack, directory, cluster, seed)
        store = await open_store(",".join(cluster.endpoints))
        stack.push_async_callback(store.close)
        await found(store)
        founded = (await store.read([EPOCH])).revision
        await asyncio.gather(*(process.start() for process in cast.processes.values()))
        await _until_up(store)
        begun_ns = now_ns()
        log: Lines[Struck] = Lines(directory / "faults")
        strikes = Strikes(
            cluster,
            losses=cast.losses,
            processes=cast.processes,
            witness=cast.witness,
            strike_log=log.write,
        )
        await strikes.carry_out(schedule)
        calm_ns = now_ns()
        await asyncio.sleep(CALM_S)
        return await _end(cast, store, seed=seed, founded=founded, begun_ns=begun_ns, calm_ns=calm_ns)


async def _cast(stack: AsyncExitStack, directory: Path, cluster: Cluster, seed: int) -> Cast:
    witness = Witness(cluster.endpoints, directory / "witness")
    witness.start()
    stack.push_async_callback(witness.stop)
    losses = Losses()
    proxies = [Proxy(endpoint, losses, Random(f"proxy {seed} {endpoint}")) for endpoint in cluster.endpoints]
    for proxy in proxies:
        await proxy.start(f"{CLIENTS}.1")
        stack.push_async_callback(proxy.stop)
    direct = ",".join(cluster.endpoints)
    lossy = ",".join(proxy.endpoint for proxy in proxies)
    processes = {}
    for name, module, where in (
        ("observer", "observer", direct),
        ("cloud", "cloud", direct),
        ("a", "assigners", lossy),
        ("b", "assigners", direct),
    ):
        words = [where, str(directory), str(seed)]
        processes[name] = Process(name, module, words, log=directory / f"{name}.log")
        stack.push_async_callback(processes[name].kill)
    return Cast(cluster, losses, witness, processes)


async def _end(cast: Cast, store: Store, *, seed: int, founded: int, begun_ns: int, calm_ns: int) -> Ran:
    """The calm end: callers stop, addresses cool, hosts converge, watchers come to the last revision."""
    cloud, observer = cast.processes["cloud"], cast.processes["observer"]
    await cloud.tell("calm")
    callers = [await cast.processes[name].tell("stop") for name in ("a", "b")]
    waits_for = await _settle(store, cloud)
    await observer.tell("scan")
    # every agent and controller goes, so that no revision comes after the last one
    tables: Any = msgspec.json.decode(await cloud.tell("tables"))
    await cloud.tell("stop")
    await _until_seen(store, cast)
    await observer.tell("scan")
    watchers = await observer.tell("stop")
    return Ran(
        seed=seed,
        founded=founded,
        begun_ns=begun_ns,
        calm_ns=calm_ns,
        ended_ns=now_ns(),
        unsettled=waits_for,
        watchers=watchers,
        callers=tuple(callers),
        witness_starts=cast.witness.starts,
        tables=tables,
    )


async def _until_up(store: Store) -> None:
    """Wait until the hosts take use: before that there is no load to speak of."""
    while True:
        revision, items = await scan_all(store, PREFIXES)
        hosts = Ledger.from_items(items, revision).hosts().values()
        if all(entry.required.takes_use for entry in hosts):
            return
        await asyncio.sleep(0.1)


async def _settle(store: Store, cloud: Process) -> str:
    """Wait until nothing cools and every table is what the store says; what did not, where it takes too long."""
    end = time.monotonic() + SETTLE_S
    while True:
        tables: Any = msgspec.json.decode(await cloud.tell("tables"))
        revision, items = await scan_all(store, PREFIXES)
        waits_for = unsettled(Ledger.from_items(items, revision), tables)
        if not waits_for or time.monotonic() > end:
            return waits_for
        await asyncio.sleep(0.2)


async def _until_seen(store: Store, cast: Cast) -> None:
    end = time.monotonic() + SETTLE_S
    _, items = await scan_all(store, PREFIXES)
    newest = max(item.mod_revision for item in items)
    while time.monotonic() < end:
        # removals are newer than all that stands; they come soon after it
        seen = int(await cast.processes["observer"].tell("all-seen"))
        if seen >= max(newest, cast.witness.ours) and cast.witness.ours >= newest:
            return
        await asyncio.sleep(0.1)
