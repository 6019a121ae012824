"""What an address takes in etcd: the database, its history until it is compacted, and the member's memory.

A single node is filled with reserved addresses, binds them all, is compacted and is defragmented; its own metrics
say what each step took. Nothing here is timed.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace
from tests.servers.etcd import QUICK, etcd_node
from tests.servers.process import binary

from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import encode
from addrcast.core.domain.record import AddressState, InstanceEntry, InstanceState, Outcome
from addrcast.core.domain.transaction import Put, Transaction
from benchmarks.assignment import MEMORY_FILES, SINCE_MS, request, reserved
from benchmarks.row import plain, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.servers.etcd import Etcd

    from addrcast.core.domain.record import Value
    from benchmarks.row import Row

ADDRESSES = 100_000
_USED, _FILE = "etcd_mvcc_db_total_size_in_use_in_bytes", "etcd_mvcc_db_total_size_in_bytes"
_MEMORY = "process_resident_memory_bytes"


def rows() -> list[Row]:
    """Bytes for each address, in each state and each place."""
    files = MEMORY_FILES if MEMORY_FILES.is_dir() else None
    flags = (*QUICK, "--quota-backend-bytes=8589934592")
    with tempfile.TemporaryDirectory(dir=files) as directory, etcd_node(Path(directory), flags=flags) as node:
        return asyncio.run(_filled(node))


async def _filled(node: Etcd) -> list[Row]:
    store = await EtcdStore.open([node.endpoint], deadline_ms=10_000)
    empty = _metrics(node)
    await _put(store, reserved(ADDRESSES).items())
    revision = (await store.read([])).revision
    await store.compact(revision)
    idle = _settled(node)
    await _put(store, _bound())
    uncompacted = _metrics(node)
    await store.compact((await store.read([])).revision)
    bound = _settled(node)
    await store.close()

    def each(after: dict[str, float], before: dict[str, float], what: str) -> float:
        return (after[what] - before[what]) / ADDRESSES

    return [
        plain("etcd, an address held ready: database", each(idle, empty, _USED), "bytes"),
        plain("etcd, an address held ready: memory", each(idle, empty, _MEMORY), "bytes"),
        plain("etcd, a bound address: database", each(bound, empty, _USED), "bytes"),
        plain("etcd, a bound address: memory", each(bound, empty, _MEMORY), "bytes"),
        plain("etcd, history of a binding until compacted", each(uncompacted, idle, _FILE), "bytes"),
    ]


def _bound() -> Iterable[tuple[str, Value]]:
    """What a create writes for each of the addresses: its record again, and the instance."""
    values = reserved(ADDRESSES)
    records = (key for key in values if key.startswith(keyspace.RECORDS))
    for serial, key in enumerate(records):
        asked = request(serial)
        yield (
            key,
            replace(values[key], state=AddressState.BOUND, instance=asked.instance, request=asked.request),
        )
        yield (
            keyspace.instance_key(asked.account, asked.instance),
            InstanceEntry(
                state=InstanceState.BOUND,
                attempt=0,
                since_ms=SINCE_MS,
                addresses=(keyspace.parts_of(key).second,),
                outcomes=(Outcome.SHADOW,),
                request=asked.request,
            ),
        )


async def _put(store: EtcdStore, values: Iterable[tuple[str, Value]]) -> None:
    puts = [Transaction((), (Put(key, encode(value)),)) for key, value in values]
    for begin in range(0, len(puts), 2_000):
        await store.commit(puts[begin : begin + 2_000])


def _settled(node: Etcd) -> dict[str, float]:
    """The metrics after what was compacted has been given back to the file system."""
    command = [str(binary("etcdctl")), f"--endpoints={node.endpoint}", "--command-timeout=60s", "defrag"]
    subprocess.run(command, check=True, capture_output=True)
    return _metrics(node)


def _metrics(node: Etcd) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{node.endpoint}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for line in lines if line[:1] != "#" for name, _, value in [line.partition(" ")]}


if __name__ == "__main__":
    print(table(rows()))
