"""Replicas that race on one store with old views, lost replies and late messages, judged by a naive reader."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.core.assignment.world import DEADLINE, Replica, World, create, delete

from addrcast.core.assignment.answer import Created, Deleted
from addrcast.core.assignment.request import Want
from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import decode
from addrcast.core.domain.errors import Conflict
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.record import InstanceEntry, InstanceState, PhysicalHold, Record
from addrcast.core.domain.resource import PoolKind
from addrcast.core.domain.transaction import Compare, Transaction
from addrcast.core.domain.transitions import end_of_tombstone

if TYPE_CHECKING:
    from random import Random

    from addrcast.core.assignment.assigner import Child, Reply
    from addrcast.core.domain.transaction import Change, Result

ACCOUNTS = ("acme", "beta", "prime")
HOSTS = ("h1", "h2")
INSTANCES = tuple(f"i-{number}" for number in range(4))

# the only ways of a record, a physical address and an instance; free is None
RECORD_WAYS = {
    (None, "reserved"),
    (None, "bound"),
    ("reserved", "bound"),
    ("reserved", "cooling"),
    ("bound", "preserved"),
    ("preserved", "bound"),
    ("preserved", "cooling"),
    ("cooling", "bound"),
    ("cooling", None),
}
HOLD_WAYS = {(None, "held"), ("held", "cooling"), ("held", None), ("cooling", None)}


@dataclass
class Reader:
    """The naive twin: reads the store's log and knows nothing but which step may follow which."""

    records: dict[str, Record] = field(default_factory=dict)
    holds: dict[str, PhysicalHold] = field(default_factory=dict)
    instances: dict[str, InstanceEntry] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def read(self, change: Change) -> None:
        for event in change.events:
            kind = keyspace.parts_of(event.key).kind if event.key != keyspace.EPOCH else event.key
            value = None if event.value is None else decode(event.key, event.value)
            if kind == keyspace.RECORDS:
                self._record(event.key, value)
            elif kind == keyspace.PHYSICALS:
                self._hold(event.key, value)
            elif kind == keyspace.INSTANCES:
                self._instance(event.key, value)
        self._owners(change.revision)

    def _record(self, key: str, value: object) -> None:
        before = self.records.pop(key, None)
        if isinstance(value, Record):
            self.records[key] = value
        way = (before and before.state.value, value.state.value if isinstance(value, Record) else None)
        is_again = way == ("bound", "bound")
        if is_again and isinstance(value, Record) and before is not None:
            if before.instance != value.instance or before.attempt >= value.attempt:
                self.faults.append(f"{key} went from {before.instance} to {value.instance}")
        elif way not in RECORD_WAYS:
            self.faults.append(f"{key} went {way[0]} -> {way[1]}")
        if isinstance(value, Record) and before is not None and value.since_ms < before.since_ms:
            self.faults.append(f"{key} was stamped back")

    def _hold(self, key: str, value: object) -> None:
        before = self.holds.pop(key, None)
        if isinstance(value, PhysicalHold):
            self.holds[key] = value
        way = (before and before.state.value, value.state.value if isinstance(value, PhysicalHold) else None)
        if way not in HOLD_WAYS:
            self.faults.append(f"{key} went {way[0]} -> {way[1]}")

    def _instance(self, key: str, value: object) -> None:
        before = self.instances.pop(key, None)
        if not isinstance(value, InstanceEntry):
            return
        self.instances[key] = value
        if before is not None and _rank(value) <= _rank(before):
            self.faults.append(f"{key} went from attempt {before.attempt} to {value.attempt}")

    def _owners(self, revision: int) -> None:
        owners = Counter(record.physical for record in self.records.values())
        shared = Counter(key.split(".", 2)[2] for key, record in self.records.items() if record.is_shared)
        for address, count in (owners + shared).items():
            if max(owners[address], shared[address]) > 1:
                self.faults.append(f"revision {revision}: {address} has {count} owners")
        addresses = [
            keyspace.record_key(keyspace.parts_of(key).first, logical)
            for key, instance in self.instances.items()
            for logical in instance.addresses
        ]
        bound = [key for key, record in self.records.items() if record.state.value == "bound"]
        if sorted(addresses) != sorted(bound):
            self.faults.append(f"revision {revision}: instances have {addresses}, bound are {bound}")


def _rank(instance: InstanceEntry) -> tuple[int, bool]:
    return instance.attempt, instance.state is InstanceState.TOMBSTONE


class Race:
    """Two or more replicas, a controller, and everything that may happen between a request and its answer."""

    def __init__(self, *, is_shared: bool = False, replicas: int = 2, drop: str = "") -> None:
        self.world = World()
        self.world.pool("p", "10.0.0.0/29", is_shared=is_shared)
        self.world.pool("substrate", "192.0.2.0/24", kind=PoolKind.PHYSICAL)
        for account, tier in zip(ACCOUNTS, ("standard", "basic", "premium"), strict=True):
            self.world.account(account, tier=tier)
        self.world.host("h1", "192.0.2.0/30")
        self.world.host("h2", "192.0.2.8/31")
        self.replicas = [Replica(self.world, offset=number * 3, group_max=4) for number in range(replicas)]
        self.in_flight: list[tuple[Replica, list[Child]]] = []
        self.late: list[list[Transaction]] = []
        self.replies: list[Reply] = []
        self.asked = 0
        self.now_ms = DEADLINE - 30_000
        self.reader = Reader()
        self._read = 0
        self._drop = drop

    def create(self, replica: int, account: str, instance: str, *, host: str, attempt: int, count: int) -> None:
        self.asked += 1
        wants = [Want()] * count
        request = create(account, instance, host, wants=wants, attempt=attempt, request=f"r-{self.asked}")
        self.replicas[replica].submit(request)

    def delete(self, replica: int, account: str, instance: str, *, attempt: int | None) -> None:
        self.asked += 1
        self.replicas[replica].submit(delete(account, instance, attempt, request=f"r-{self.asked}"))

    def begin(self, replica: int) -> None:
        """A replica decides on what is queued; its group is on its way from now on."""
        one = self.replicas[replica]
        children, replies = one.begin(self.now_ms)
        self._take(replies)
        if children:
            self.in_flight.append((one, children))

    def arrive(self, number: int) -> None:
        """A group is carried out and its reply comes back."""
        one, children = self.in_flight.pop(number)
        self._take(one.assigner.settle(children, self._commit(transactions_of(children))))

    def lose_reply(self, number: int, *, when: str) -> None:
        """The reply of a group is lost: after it was carried out, before, or it will land some time later."""
        one, children = self.in_flight.pop(number)
        transactions = transactions_of(children)
        if when == "after":
            self._commit(transactions)
        elif when == "later":
            self.late.append(transactions)
        page = self.world.store.read(one.assigner.unknown(children))
        one.assigner.read_back(children, page)

    def land(self) -> None:
        """A group whose sender has long given it up arrives after all."""
        if self.late:
            self._commit(self.late.pop(0))

    def sync(self, replica: int, limit: int | None = None) -> None:
        self.replicas[replica].sync(limit)

    def reserve(self, account: str, host: str) -> None:
        ledger = self.world.ledger()
        if ledger.free_physical(host) and ledger.free_logical(account, "p"):
            self.world.reserve(account, host)
            self._follow()

    def cool(self, account: str) -> None:
        for logical, state in self.world.states(account).items():
            if state in {"reserved", "preserved"}:
                self.world.cool(account, logical)
                self._follow()
                return

    def free_cooled(self) -> None:
        self.world.free_cooled()
        self._follow()

    def end_tombstones(self) -> None:
        """All tombstones end; only when no message of their instances can be on its way any more."""
        if self.in_flight or self.late or any(one.assigner.queued for one in self.replicas):
            return
        ledger = self.world.ledger()
        for stone in ledger.tombstones():
            self.world.commit(end_of_tombstone(ledger.epoch, stone))
        self._follow()

    def calm(self) -> None:
        """Faults end: every message arrives, every view follows, what cools comes free."""
        while self.late:
            self.land()
        for _ in range(40):
            while self.in_flight:
                self.arrive(0)
            self.free_cooled()
            for number in range(len(self.replicas)):
                self.sync(number)
                self.begin(number)
        for one in self.replicas:
            self._take(one.assigner.expire(DEADLINE))

    def faults(self) -> list[str]:
        return self.reader.faults + [str(finding) for finding in violations(self.world.ledger())]

    def _commit(self, transactions: list[Transaction]) -> list[Result]:
        results = []
        for one in transactions:
            results += self.world.store.commit([self._blinded(one)])
        self._follow()
        return results

    def _blinded(self, transaction: Transaction) -> Transaction:
        """The transaction with every compare of the dropped kind made true."""
        if not self._drop:
            return transaction
        keys = [compare.key for compare in transaction.compares]
        stands = {item.key: item.mod_revision for item in self.world.store.read(keys).items}
        compares = [
            Compare(compare.key, stands.get(compare.key, 0)) if compare.key.startswith(self._drop) else compare
            for compare in transaction.compares
        ]
        return Transaction(tuple(compares), transaction.writes)

    def _follow(self) -> None:
        newest = self.world.store.revision
        for change in self.world.store.changes(("",), after_revision=self._read, up_to=newest):
            self.reader.read(change)
        self._read = newest

    def _take(self, replies: list[Reply]) -> None:
        for reply in replies:
            self.replies.append(reply)
            self.reader.faults += untrue(self.world, reply)


def transactions_of(children: list[Child]) -> list[Transaction]:
    return [child.draft.transaction() for child in children]


def untrue(world: World, reply: Reply) -> list[str]:
    """What an answer says that the store did not hold at its revision."""
    answer = reply.answer
    if isinstance(answer, Conflict):
        return [str(answer)]
    if not isinstance(answer, Created | Deleted):
        return []
    key = keyspace.instance_key(answer.account, answer.instance)
    instance = at(world, key, answer.revision)
    if isinstance(answer, Deleted):
        is_gone = not isinstance(instance, InstanceEntry) or instance.state is InstanceState.TOMBSTONE
        is_older = isinstance(instance, InstanceEntry) and (reply.pending.request.attempt or 0) < instance.attempt
        return [] if is_gone or is_older else [f"{key} is not gone at {answer.revision}"]
    faults = []
    for address in answer.addresses:
        record = at(world, keyspace.record_key(answer.account, address.logical), answer.revision)
        said = (answer.instance, answer.attempt, address.physical, address.host)
        stood = isinstance(record, Record) and (record.instance, record.attempt, record.physical, record.host)
        if stood != said:
            faults.append(f"{answer} is not what stood at {answer.revision}")
    return faults


def at(world: World, key: str, revision: int) -> object:
    page = world.store.scan(key, revision=revision)
    return next((decode(key, item.value) for item in page.items if item.key == key), None)


def random_race(random: Random, *, steps: int = 120, drop: str = "") -> Race:
    """A race with a mix of faults that is drawn first: with every fault always on, some would hide others."""
    race = Race(is_shared=random.random() < 0.3, drop=drop)
    weights = {name: random.choice((0, 1, 4)) for name in ("after", "before", "later", "stale")}
    for _ in range(steps):
        number, account = random.randrange(2), random.choice(ACCOUNTS)
        instance = random.choice(INSTANCES)
        act = random.random()
        if act < 0.3:
            host = random.choice(("", *HOSTS))
            attempt, count = random.randrange(3), random.choice((1, 1, 2))
            race.create(number, account, instance, host=host, attempt=attempt, count=count)
        elif act < 0.45:
            race.delete(number, account, instance, attempt=random.choice((None, 0, 1, 2)))
        elif act < 0.65:
            race.begin(number)
        elif act < 0.85 and race.in_flight:
            which = random.randrange(len(race.in_flight))
            how = random.choices(
                ("arrive", "after", "before", "later"),
                (6, weights["after"], weights["before"], weights["later"]),
            )[0]
            race.arrive(which) if how == "arrive" else race.lose_reply(which, when=how)
        elif act < 0.9:
            race.sync(number, random.choice((1, 3, None)) if weights["stale"] else None)
        else:
            tend(race, random.randrange(5), account, random.choice(HOSTS))
    race.calm()
    return race


def tend(race: Race, number: int, account: str, host: str) -> None:
    """One of the things that a controller does, or time."""
    if number == 0:
        race.reserve(account, host)
    elif number == 1:
        race.cool(account)
    else:
        (race.free_cooled, race.land, race.end_tombstones)[number - 2]()
