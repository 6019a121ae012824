"""Creates a second through the assignment service into etcd, and a lonely one's wait, beside bare calls of etcd.

512 callers ask for one instance after the other, as in `benchmarks.assignment`. The bare loop has no callers, makes
no decisions and follows no watch: it sends the transactions that the service comes to, for addresses of another
root of the same node, encoded beforehand, as many in one request as etcd takes, as many requests in flight as the
store has. Another one sends each binding as a transaction of its own. Rounds alternate; figures are medians.

For the wait, one caller asks for one instance at a time, and in turn with it one key is put by a bare call.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from tests.servers.etcd import QUICK, etcd_node

from addrcast.adapters.stores.etcd_commit import GROUPS_MAX
from addrcast.adapters.stores.etcd_encode import encode_nested, encode_transaction
from addrcast.adapters.stores.etcd_group import OPERATIONS_MAX
from addrcast.adapters.stores.etcd_member import Member
from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import encode
from addrcast.core.domain.record import Entry, Outcome, StoreEpoch
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.core.domain.transitions_create import Claim, bind, create
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView
from benchmarks.assignment import (
    CALLERS,
    DISK_FILES,
    MEMORY_FILES,
    SINCE_MS,
    declared,
    ready,
    request,
    reserved,
    through_the_service,
)
from benchmarks.row import at_least, below, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from addrcast.core.domain.record import Value
    from benchmarks.row import Row

ROUNDS, ROUND_SIZE = 7, 8192
ALONE_SIZE, ALONE_IN_FLIGHT = 2048, 64
LONELY = 1_000
SERVED, BARE = "served/", "bare/"
DEADLINE_S = 10.0


async def fill(store: EtcdStore, values: dict[str, Value]) -> None:
    puts = [Transaction((), (Put(key, encode(value)),)) for key, value in values.items()]
    for begin in range(0, len(puts), 2000):
        await store.commit(puts[begin : begin + 2000])


async def bare_work(store: EtcdStore, count: int) -> list[bytes]:
    """What the first requests come to, each encoded as one transaction of etcd."""
    (found,) = (await store.read([keyspace.EPOCH])).items
    epoch = Entry(keyspace.EPOCH, StoreEpoch(epoch=1), found.mod_revision, found.create_revision)
    items = {item.key: item for item in (await store.scan(keyspace.RECORDS)).items}
    work = []
    for serial in range(count):
        asked = request(serial)
        key, record = ready(serial)
        item = items[key]
        claim = Claim(asked.account, asked.instance, 0, SINCE_MS, asked.request)
        step = bind(Entry(key, record, item.mod_revision, item.create_revision), claim, Outcome.SHADOW)
        draft = create(epoch, Entry(keyspace.instance_key(asked.account, asked.instance)), claim, [step])
        work.append(encode_transaction(draft.transaction(), BARE.encode()))
    return work


async def send(member: Member, requests: Iterable[bytes], *, in_flight: int) -> float:
    """Send each once and check that all of it succeeds; seconds."""
    waiting = iter(requests)

    async def sender() -> None:
        for each in waiting:
            answer = await member.txn(each, timeout=DEADLINE_S)
            assert answer.succeeded
            assert all(child.response_txn.succeeded for child in answer.responses if child.HasField("response_txn"))

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as senders:
        for _ in range(in_flight):
            senders.create_task(sender())
    return time.perf_counter() - begin


def grouped(work: Sequence[bytes]) -> list[bytes]:
    """As many bindings in one request as etcd takes: each compares three keys."""
    size = OPERATIONS_MAX - 3
    return [encode_nested(work[begin : begin + size]) for begin in range(0, len(work), size)]


class Site:
    """One node, the service on it under one root, and the work of the bare loops under another."""

    def __init__(self, service: AssignmentService, member: Member, work: list[bytes]) -> None:
        self.service = service
        self.member = member
        self.work = work
        self.passed = 0

    async def rates(self) -> tuple[float, float, float]:
        """Bindings a second: through the service, by the bare loop, one a transaction."""
        times = []
        for _ in range(ROUNDS):
            part = slice(self.passed, self.passed + ROUND_SIZE)
            alone = slice(part.stop, part.stop + ALONE_SIZE)
            requests = [request(serial) for serial in range(part.start, part.stop)]
            groups = grouped(self.work[part])
            times.append(
                (
                    await through_the_service(self.service, requests),
                    await send(self.member, groups, in_flight=GROUPS_MAX),
                    await send(self.member, self.work[alone], in_flight=ALONE_IN_FLIGHT),
                )
            )
            self.passed = alone.stop
        through, bare, alone_s = (median(column) for column in zip(*times, strict=True))
        return ROUND_SIZE / through, ROUND_SIZE / bare, ALONE_SIZE / alone_s

    async def waits(self) -> tuple[list[float], list[float]]:
        """Milliseconds that a lonely create and a lonely put take."""
        creates, puts = [], []
        put = encode_transaction(Transaction((), (Put("k", bytes(200)),)), BARE.encode())
        for serial in range(self.passed, self.passed + LONELY):
            begin = time.perf_counter()
            answer = await self.service.create(request(serial))
            middle = time.perf_counter()
            await self.member.txn(put, timeout=DEADLINE_S)
            puts.append(1000 * (time.perf_counter() - middle))
            creates.append(1000 * (middle - begin))
            assert answer.addresses[0].outcome is Outcome.SHADOW
        self.passed += LONELY
        return creates, puts


async def measured(directory: Path, name: str, goal: float | None) -> list[Row]:
    count = ROUNDS * (ROUND_SIZE + ALONE_SIZE) + LONELY
    # a memory file system has nothing to be made durable on
    flags = (*(QUICK if directory.is_relative_to(MEMORY_FILES) else ()), "--quota-backend-bytes=8589934592")
    async with AsyncExitStack() as opened:
        node = opened.enter_context(etcd_node(directory, flags=flags))
        for root in (SERVED, BARE):
            store = await EtcdStore.open([node.endpoint], root=root, deadline_ms=10_000)
            opened.push_async_callback(store.close)
            await fill(store, declared() | reserved(count))
            if root == SERVED:
                served = store
        work = await bare_work(store, count)
        view = LedgerView(served)
        await view.start()
        opened.push_async_callback(view.stop)
        service = AssignmentService(served, view, SystemClock())
        opened.push_async_callback(service.stop)
        member = Member(node.endpoint, None)
        opened.push_async_callback(member.close)
        gc.collect()
        gc.freeze()
        site = Site(service, member, work)
        through, bare, alone = await site.rates()
        creates, puts = (quantiles(column, n=100) for column in await site.waits())
        gc.unfreeze()
    title = f"creates through the service into etcd on {name}"
    return [
        at_least(f"{title}, {CALLERS} callers", through, "bindings/s", reference=bare, goal=goal)
        if goal
        else plain(f"{title}, {CALLERS} callers", through, "bindings/s", reference=bare),
        plain(f"{title}, to one a transaction", through, "bindings/s", reference=alone),
        plain(f"{title}, one caller, median", creates[49], "ms", reference=puts[49]),
        below(f"{title}, one caller, p99", creates[98], "ms", limit=2 * puts[98]),
    ]


def rows() -> list[Row]:
    """The figures for a node on a memory file system and on the disk under the working directory."""
    found = []
    DISK_FILES.mkdir(exist_ok=True)
    for name, parent in (("memory", MEMORY_FILES), ("disk", DISK_FILES)):
        with tempfile.TemporaryDirectory(dir=parent) as directory:
            found += asyncio.run(measured(Path(directory).resolve(), name, 0.7))
    return found


if __name__ == "__main__":
    print(table(rows()))
