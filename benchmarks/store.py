"""Bindings a second into the embedded store, beside bare loops of the same commits in the same run.

512 callers each commit one binding at a time: the transaction compares the epoch, the record and the instance and
writes the last two. The bare loops have no event loop, no queue, no callers and no thread: they go through the same
bindings and put the same rows, log entries and counters into an environment of the same size, GROUP_MAX bindings a
commit. The one that carries the goal makes the same commits, so it reads and compares as well; the other one writes
blindly. Rounds of the three alternate, since a disk's pace changes by the minute; figures are medians.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from addrcast.adapters.stores.lmdb_environment import Environment
from addrcast.adapters.stores.lmdb_layout import REVISION, ROW_HEADER, Counters, encode_writes, write_counters
from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.adapters.stores.lmdb_writer import GROUP_MAX
from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import EPOCH, instance_key, record_key
from addrcast.core.domain.record import AddressState, InstanceEntry, InstanceState, Record
from addrcast.core.domain.transaction import Compare, Put, Transaction
from benchmarks.row import at_least, plain, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.row import Row

ACCOUNTS = 200
RECORDS = 100_000
CALLERS = 512
MEMORY_FILES = Path("/dev/shm")  # noqa: S108
DISK_FILES = Path("out")


class Binding(NamedTuple):
    """A reserved address and the instance that gets it."""

    record: str
    reserved: bytes
    bound: bytes
    instance: str
    entry: bytes
    revision: int = 0

    def transaction(self) -> Transaction:
        compares = Compare(EPOCH, 0), Compare(self.record, self.revision), Compare(self.instance, 0)
        return Transaction(compares, (Put(self.record, self.bound), Put(self.instance, self.entry)))


def bindings() -> Iterator[Binding]:
    """RECORDS of them, in an order that jumps between accounts."""
    for step in range(RECORDS):
        serial = step * 7919 % RECORDS
        account, host = f"account-{serial % ACCOUNTS:04}", f"host-{serial % 1000:04}"
        tail = f"{serial >> 16}.{serial >> 8 & 255}.{serial & 255}"
        logical, instance, since_ms = f"10.{tail}", f"i-{serial:017x}", 1_700_000_000_000 + serial
        record = Record(
            state=AddressState.RESERVED, physical=f"100.{tail}", host=host, pool="private-a", since_ms=since_ms
        )
        bound = msgspec.structs.replace(
            record, state=AddressState.BOUND, instance=instance, attempt=1, was_bound=True
        )
        entry = InstanceEntry(state=InstanceState.BOUND, attempt=1, since_ms=since_ms, addresses=(logical,))
        name = record_key(account, logical)
        yield Binding(name, encode(record), encode(bound), instance_key(account, instance), encode(entry))


async def filled(directory: Path, work: Sequence[Binding]) -> list[Binding]:
    """Write the reserved records into a new store; the bindings with their revisions."""
    store = await LmdbStore.open(directory)
    puts = [Transaction((), (Put(binding.record, binding.reserved),)) for binding in work]
    results = [
        result for begin in range(0, len(puts), 2000) for result in await store.commit(puts[begin : begin + 2000])
    ]
    await store.close()
    return [binding._replace(revision=result.revision) for binding, result in zip(work, results, strict=True)]


async def through_the_store(store: LmdbStore, work: Sequence[Binding]) -> float:
    """Commit each binding by itself, from CALLERS at once; seconds."""
    waiting = iter([binding.transaction() for binding in work])

    async def caller() -> None:
        for transaction in waiting:
            (result,) = await store.commit([transaction])
            assert result.is_success

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
    return time.perf_counter() - begin


class BareLoop:
    """The bindings written to LMDB with nothing around it, after `revision`; `epoch` is that of E, 0 for absent."""

    def __init__(self, env: Environment, *, compares: bool, revision: int = RECORDS, epoch: int = 0) -> None:
        self._env = env
        self._compares = compares
        self._revision = revision
        self._epoch = epoch

    def __call__(self, work: Sequence[Binding]) -> float:
        """Seconds for the bindings."""
        # what both loops are given: names as bytes, and the row that is to be replaced
        ready = [
            (
                binding,
                binding.record.encode(),
                binding.instance.encode(),
                ROW_HEADER.pack(binding.revision, binding.revision, 0) + binding.reserved,
            )
            for binding in work
        ]
        records, log = self._env.tables.records, self._env.tables.log
        begin = time.perf_counter()
        for first in range(0, len(ready), GROUP_MAX):
            with self._env.writing() as txn:
                for binding, record, instance, before in ready[first : first + GROUP_MAX]:
                    if self._compares:
                        row = txn.get(EPOCH.encode(), db=records)
                        assert (0 if row is None else ROW_HEADER.unpack_from(row)[0]) == self._epoch
                        row = txn.get(record, db=records)
                        assert row is not None
                        assert ROW_HEADER.unpack_from(row)[0] == binding.revision
                        assert txn.get(instance, db=records) is None
                    self._revision += 1
                    bound = ROW_HEADER.pack(self._revision, binding.revision, 0) + binding.bound
                    entry = ROW_HEADER.pack(self._revision, self._revision, 0) + binding.entry
                    txn.put(record, bound, db=records)
                    txn.put(instance, entry, db=records)
                    logged = [(binding.record, bound, before), (binding.instance, entry, None)]
                    txn.put(REVISION.pack(self._revision), encode_writes(logged), append=True, db=log)
                write_counters(txn, self._env.tables, Counters(self._revision))
                txn.commit()
        return time.perf_counter() - begin


async def rates(directory: Path, *, rounds: int, round_size: int) -> tuple[float, float, float]:
    """Bindings a second: through the store, by the bare loop that compares, by the one that writes blindly."""
    async with AsyncExitStack() as opened:
        work = list(bindings())
        loops: list[Callable[[Sequence[Binding]], float]] = []
        for name, compares in (("comparing", True), ("blind", False)):
            await filled(directory / name, work)
            env = Environment(directory / name)
            opened.callback(env.close)
            loops.append(BareLoop(env, compares=compares))
        work = await filled(directory / "store", work)
        store = await LmdbStore.open(directory / "store")
        opened.push_async_callback(store.close)
        gc.freeze()  # the prepared work is not the store's rubbish
        times: list[tuple[float, float, float]] = []
        for first in range(0, rounds * round_size, round_size):
            part = work[first : first + round_size]
            times.append((await through_the_store(store, part), loops[0](part), loops[1](part)))
        gc.unfreeze()
    through, comparing, blind = (median(column) for column in zip(*times, strict=True))
    return round_size / through, round_size / comparing, round_size / blind


def rows() -> list[Row]:
    """The figures for a memory file system and for the disk under the working directory."""
    found = []
    DISK_FILES.mkdir(exist_ok=True)
    for name, parent, goal in (("memory", MEMORY_FILES, 0.7), ("disk", DISK_FILES, 0.9)):
        with tempfile.TemporaryDirectory(dir=parent) as directory:
            store, comparing, blind = asyncio.run(rates(Path(directory), rounds=11, round_size=8192))
        title = f"bindings into LMDB on {name}, {CALLERS} callers"
        found.append(at_least(title, store, "bindings/s", reference=comparing, goal=goal))
        found.append(plain(f"{title}, to blind writes", store, "bindings/s", reference=blind))
    return found


if __name__ == "__main__":
    print(table(rows()))
