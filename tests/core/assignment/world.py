"""A small world on the model store: what operators declare, what a controller does, replicas that assign."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from addrcast.core.assignment.answer import Created, Deleted
from addrcast.core.assignment.assigner import Assigner, Child, Pending, Reply
from addrcast.core.assignment.request import CreateRequest, DeleteRequest, Request, Want
from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import AddrcastError
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import EpochState, Host, HostState, Record, StoreEpoch, Value
from addrcast.core.domain.resource import Account, Pool, PoolKind, Preferences
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction
from addrcast.core.domain.transitions import (
    Draft,
    FreeAddress,
    end_of_cooling,
    end_of_old_physical,
    preempt,
    reserve,
)
from addrcast.core.domain.transitions_host import subscribe
from addrcast.simulation.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from addrcast.core.domain.transaction import Result

NOW = 1_000_000
DEADLINE = NOW + 30_000
FENCE = Compare(keyspace.election_key("controller"), 0)


class World:
    """A store with one epoch; the controller's part is played by `reserve`, `cool` and `free_cooled`."""

    def __init__(self) -> None:
        self.store = ModelStore()
        self.put(keyspace.EPOCH, StoreEpoch(epoch=1))

    def put(self, key: str, value: Value) -> None:
        self.store.commit([Transaction((), (Put(key, encode(value)),))])

    def delete(self, key: str) -> None:
        self.store.commit([Transaction((), (Delete(key),))])

    def close(self, state: EpochState = EpochState.CLOSED) -> None:
        self.put(keyspace.EPOCH, StoreEpoch(epoch=2, state=state))

    def pool(
        self,
        name: str,
        *prefixes: str,
        kind: PoolKind = PoolKind.LOGICAL,
        exclusions: tuple[str, ...] = (),
        draining: tuple[str, ...] = (),
        is_shared: bool = False,
    ) -> None:
        pool = Pool(kind=kind, prefixes=prefixes, exclusions=exclusions, draining=draining, is_shared=is_shared)
        self.put(keyspace.pool_key(name), pool)

    def account(
        self,
        name: str,
        *,
        tier: str = "standard",
        pools: tuple[str, ...] = ("p",),
        quota: int | None = None,
        hosts: tuple[str, ...] = (),
        prefixes: tuple[str, ...] = (),
        is_draining: bool = False,
    ) -> None:
        account = Account(
            tier=tier,
            vni=crc32(name.encode()) % (1 << 24),
            pools=pools,
            quota=quota,
            preferences=Preferences(hosts=hosts, prefixes=prefixes),
            is_draining=is_draining,
        )
        self.put(keyspace.account_key(name), account)

    def host(self, name: str, *blocks: str, state: HostState = HostState.UP, is_draining: bool = False) -> None:
        value = Host(state=state, incarnation=1, blocks=blocks, is_draining=is_draining)
        self.put(keyspace.host_key(name), value)

    def ledger(self) -> Ledger:
        page = self.store.scan("")
        return Ledger.from_items(page.items, page.revision)

    def commit(self, draft: Draft) -> bool:
        return self.store.commit([draft.transaction()])[0].is_success

    def reserve(self, account: str, host: str, *, pool: str = "p", logical: str = "") -> str:
        """Hold one more address ready for an account on a host; its logical address."""
        ledger = self.ledger()
        logical = logical or ledger.free_logical(account, pool) or ""
        physical = ledger.free_physical(host)
        assert logical
        assert physical
        shared = ledger.pool(pool).required.is_shared
        free = FreeAddress(
            ledger.record(account, logical),
            ledger.physical(physical),
            ledger.pool(pool),
            ledger.host(host),
            ledger.account(account),
            ledger.pool_address(pool, logical) if shared else None,
        )
        subscription = ledger.subscription(host, account)
        if not subscription:
            assert self.commit(subscribe(ledger.epoch, subscription))
            subscription = self.ledger().subscription(host, account)
        assert self.commit(reserve(ledger.epoch, free, subscription, fence=FENCE, now_ms=NOW))
        return logical

    def cool(self, account: str, logical: str) -> None:
        """Begin to cool an idle address, as when a plan does not want it any more."""
        ledger = self.ledger()
        assert self.commit(preempt(ledger.epoch, ledger.record(account, logical), now_ms=NOW))

    def free_cooled(self) -> int:
        """End all cooling, as when every host has acknowledged and the time is over; how many came free."""
        ledger = self.ledger()
        drafts = [end_of_cooling(ledger.epoch, entry) for entry in ledger.cooling_records()]
        drafts += [end_of_old_physical(ledger.epoch, entry) for entry in ledger.cooling_physicals()]
        return sum(self.commit(draft) for draft in drafts)

    def record(self, account: str, logical: str) -> Record:
        return self.ledger().record(account, logical).required

    def states(self, account: str) -> dict[str, str]:
        return {logical: entry.required.state.value for logical, entry in self.ledger().records(account).items()}

    def check(self) -> None:
        assert violations(self.ledger()) == []


class Replica:
    """An assigner with a view of its own, which follows the store only when told to."""

    def __init__(self, world: World, *, offset: int = 0, group_max: int = 64) -> None:
        self.world = world
        self.assigner = Assigner(world.ledger(), offset=offset, group_max=group_max)

    def sync(self, limit: int | None = None) -> None:
        """Take in the next changes of the store, all of them by default."""
        ledger, newest = self.assigner.ledger, self.world.store.revision
        up_to = newest if limit is None else min(newest, ledger.revision + limit)
        for change in self.world.store.changes(("",), after_revision=ledger.revision, up_to=up_to):
            ledger.apply(change)
        self.assigner.moved()

    def begin(self, now_ms: int = NOW) -> tuple[list[Child], list[Reply]]:
        """Decide on what is queued, looking where that is asked for; the group to commit."""
        turn = self.assigner.turn(now_ms)
        if turn.looking:
            self.sync()
            self.assigner.looked(turn.looking)
        return turn.children, turn.replies

    def commit(self, children: Sequence[Child]) -> list[Result]:
        return self.world.store.commit([child.draft.transaction() for child in children])

    def run(self, now_ms: int = NOW) -> list[Reply]:
        """Go on until nothing is queued; what waits for addresses goes on waiting."""
        replies: list[Reply] = []
        while self.assigner.queued:
            children, given = self.begin(now_ms)
            replies += given
            if children:
                replies += self.assigner.settle(children, self.commit(children))
        return replies

    def submit(self, *requests: Request) -> list[Pending]:
        pendings = [Pending(request) for request in requests]
        for pending in pendings:
            self.assigner.submit(pending)
        return pendings

    def ask(self, *requests: Request, now_ms: int = NOW) -> list[Created | Deleted | AddrcastError | None]:
        """The answers by request; None where one still waits."""
        pendings = self.submit(*requests)
        answers = {id(reply.pending): reply.answer for reply in self.run(now_ms)}
        return [answers.get(id(pending)) for pending in pendings]

    def create(self, request: CreateRequest, now_ms: int = NOW) -> Created:
        answer = self.ask(request, now_ms=now_ms)[0]
        assert isinstance(answer, Created), answer
        return answer

    def remove(self, request: DeleteRequest, now_ms: int = NOW) -> Deleted:
        answer = self.ask(request, now_ms=now_ms)[0]
        assert isinstance(answer, Deleted), answer
        return answer

    def refused(self, request: Request, now_ms: int = NOW) -> AddrcastError:
        answer = self.ask(request, now_ms=now_ms)[0]
        assert isinstance(answer, AddrcastError), answer
        return answer


def create(
    account: str,
    instance: str,
    host: str = "",
    *,
    wants: Iterable[Want] = (Want(),),
    attempt: int = 0,
    deadline_ms: int = DEADLINE,
    request: str = "",
) -> CreateRequest:
    return CreateRequest(
        account=account,
        instance=instance,
        host=host,
        wants=tuple(wants),
        attempt=attempt,
        deadline_ms=deadline_ms,
        request=request,
    )


def delete(
    account: str, instance: str, attempt: int | None = None, *, deadline_ms: int = DEADLINE, request: str = ""
) -> DeleteRequest:
    return DeleteRequest(
        account=account, instance=instance, attempt=attempt, deadline_ms=deadline_ms, request=request
    )


def small_world() -> World:
    """Accounts with address ranges of their own, two hosts with four and two physical addresses."""
    world = World()
    world.pool("p", "10.0.0.0/28")
    world.pool("six", "2001:db8::/124")
    world.pool("substrate", "192.0.2.0/24", kind=PoolKind.PHYSICAL)
    world.account("acme", pools=("p", "six"))
    world.account("beta", tier="basic")
    world.account("prime", tier="premium")
    world.account("other")
    world.host("h1", "192.0.2.0/30")
    world.host("h2", "192.0.2.8/31")
    return world


def outcomes(answer: Created) -> list[str]:
    return [address.outcome.value for address in answer.addresses]
