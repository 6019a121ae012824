"""Creates a second through the assignment service into the embedded store, beside a bare loop of the same commits.

512 callers ask for one instance after the other; every account has addresses held ready on the hosts they name, so
each create is one binding: the epoch, the record and the instance compared, the last two written. The service does
all of its work meanwhile, from the choice of the address to following the store's watch. The bare loop is that of
`benchmarks.store`: it writes the very same rows, log entries and counters, a group a commit, with no event loop, no
callers and no decisions. Rounds of the two alternate; figures are medians.

There is no goal here: the goals for bindings into the store are those of `benchmarks.store`. The ratio says what
decisions, the view of the store and the callers cost on top, in one interpreter.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from addrcast.adapters.stores.lmdb_environment import Environment
from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.assignment.request import CreateRequest
from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import encode
from addrcast.core.domain.record import (
    AddressState,
    Entry,
    HoldState,
    Host,
    HostState,
    Outcome,
    PhysicalHold,
    Record,
    StoreEpoch,
    Subscription,
)
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.core.domain.transitions_create import Claim, bind, create
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView
from benchmarks.row import plain, table
from benchmarks.store import BareLoop, Binding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.record import Value
    from benchmarks.row import Row

ACCOUNTS = 200
HOSTS = 20
CALLERS = 512
MEMORY_FILES = Path("/dev/shm")  # noqa: S108
DISK_FILES = Path("out")
SINCE_MS = 1_700_000_000_000


def declared() -> dict[str, Value]:
    """What operators declare, and a subscription of every host to every account."""
    pools = {
        "private": Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/8",)),
        "substrate": Pool(kind=PoolKind.PHYSICAL, prefixes=("100.64.0.0/10",)),
    }
    values: dict[str, Value] = {keyspace.EPOCH: StoreEpoch(epoch=1)}
    values |= {keyspace.pool_key(name): pool for name, pool in pools.items()}
    for number in range(HOSTS):
        host = Host(state=HostState.UP, incarnation=1, blocks=(f"100.{64 + number}.0.0/16",))
        values[keyspace.host_key(f"host-{number}")] = host
    for number in range(ACCOUNTS):
        account = f"account-{number:04}"
        values[keyspace.account_key(account)] = Account(tier="standard", vni=number, pools=("private",))
        values |= {keyspace.subscription_key(f"host-{host}", account): Subscription() for host in range(HOSTS)}
    return values


def request(serial: int) -> CreateRequest:
    """One create on a host where its account has an address held ready."""
    account = serial * 7919 % ACCOUNTS
    return CreateRequest(
        account=f"account-{account:04}",
        instance=f"i-{serial:017x}",
        host=f"host-{account % HOSTS}",
        deadline_ms=1 << 50,
        request=f"{serial:032x}",
    )


def ready(serial: int) -> tuple[str, Record]:
    """The address held ready for a request, by its key."""
    asked = request(serial)
    tail = f"{serial >> 8 & 255}.{serial & 255}"
    physical = f"100.{64 + int(asked.host[5:])}.{tail}"
    record = Record(
        state=AddressState.RESERVED, physical=physical, host=asked.host, pool="private", since_ms=SINCE_MS
    )
    return keyspace.record_key(asked.account, f"10.{serial >> 16}.{tail}"), record


def reserved(count: int) -> dict[str, Value]:
    """The addresses held ready for the first requests."""
    values: dict[str, Value] = {}
    for serial in range(count):
        key, record = ready(serial)
        _, account, logical = keyspace.parts_of(key)
        values[key] = record
        values[keyspace.physical_key(record.physical)] = PhysicalHold(
            state=HoldState.HELD, account=account, logical=logical, host=record.host, since_ms=SINCE_MS
        )
    return values


async def filled(directory: Path, values: dict[str, Value]) -> LmdbStore:
    """A new store that holds some values."""
    store = await LmdbStore.open(directory)
    puts = [Transaction((), (Put(key, encode(value)),)) for key, value in values.items()]
    for begin in range(0, len(puts), 2000):
        await store.commit(puts[begin : begin + 2000])
    return store


async def bare_work(store: LmdbStore, count: int) -> list[Binding]:
    """What the requests come to, ready to be written."""
    epoch = Entry(keyspace.EPOCH, StoreEpoch(epoch=1), 1, 1)
    items = {item.key: item for item in (await store.scan(keyspace.RECORDS)).items}
    work = []
    for serial in range(count):
        asked = request(serial)
        key, record = ready(serial)
        item = items[key]
        claim = Claim(asked.account, asked.instance, 0, SINCE_MS, asked.request)
        step = bind(Entry(key, record, item.mod_revision, item.create_revision), claim, Outcome.SHADOW)
        draft = create(epoch, Entry(keyspace.instance_key(asked.account, asked.instance)), claim, [step])
        values = [encode(value) for _, value in draft.writes if value is not None]
        work.append(Binding(key, item.value, values[1], draft.writes[0][0].key, values[0], item.mod_revision))
    return work


async def through_the_service(service: AssignmentService, requests: Sequence[CreateRequest]) -> float:
    """Ask for each instance by itself, from CALLERS at once; seconds."""
    waiting = iter(requests)

    async def caller() -> None:
        for asked in waiting:
            answer = await service.create(asked)
            assert answer.addresses[0].outcome is Outcome.SHADOW

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
    return time.perf_counter() - begin


async def rates(directory: Path, *, rounds: int, round_size: int) -> tuple[float, float]:
    """Creates a second through the service, bindings a second by the bare loop."""
    count = rounds * round_size
    async with AsyncExitStack() as opened:
        values = declared() | reserved(count)
        bare = await filled(directory / "bare", values)
        work = await bare_work(bare, count)
        revision = (await bare.read([])).revision
        await bare.close()
        env = Environment(directory / "bare")
        opened.callback(env.close)
        loop = BareLoop(env, compares=True, revision=revision, epoch=1)
        store = await filled(directory / "store", values)
        opened.push_async_callback(store.close)
        view = LedgerView(store)
        await view.start()
        opened.push_async_callback(view.stop)
        service = AssignmentService(store, view, SystemClock())
        opened.push_async_callback(service.stop)
        requests = [request(serial) for serial in range(count)]
        gc.collect()
        gc.freeze()
        times = []
        for first in range(0, count, round_size):
            part = slice(first, first + round_size)
            times.append((await through_the_service(service, requests[part]), loop(work[part])))
        gc.unfreeze()
    through, bare_s = (median(column) for column in zip(*times, strict=True))
    return round_size / through, round_size / bare_s


def rows() -> list[Row]:
    """The figures for a memory file system and for the disk under the working directory."""
    found = []
    DISK_FILES.mkdir(exist_ok=True)
    for name, parent in (("memory", MEMORY_FILES), ("disk", DISK_FILES)):
        with tempfile.TemporaryDirectory(dir=parent) as directory:
            through, bare = asyncio.run(rates(Path(directory), rounds=5, round_size=8192))
        title = f"creates through the service into LMDB on {name}, {CALLERS} callers"
        found.append(plain(title, through, "bindings/s", reference=bare))
    return found


if __name__ == "__main__":
    print(table(rows()))
