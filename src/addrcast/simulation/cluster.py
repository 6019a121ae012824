"""A model cluster at one moment: a store, hosts, and the operations that change addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.controller.territory import Territory
from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import EPOCH, account_key, election_key, host_alive_key, host_key, pool_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import (
    AddressState,
    Attached,
    EpochState,
    Host,
    HostState,
    InstanceState,
    Outcome,
    StoreEpoch,
)
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction
from addrcast.core.domain.transitions import FreeAddress, end_of_hold, preempt, release, reserve
from addrcast.core.domain.transitions_create import Claim, Move, bind, create, dynamic, rebind
from addrcast.core.domain.transitions_host import idle, leave, subscribe
from addrcast.simulation.control import ModelController
from addrcast.simulation.hosts import ModelHost
from addrcast.simulation.store import ModelStore

if TYPE_CHECKING:
    from addrcast.core.agent.settings import AgentSettings
    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.domain.record import Value
    from addrcast.core.domain.transitions import Draft

LOGICAL_POOL = "logical"
PHYSICAL_POOL = "physical"
ELECTION = "controller"


def attached_on(ledger: Ledger, host: str) -> dict[str, tuple[Attached, ...]]:
    """What a host has attached if it is what is bound on it, by account."""
    found = {
        account: tuple(
            Attached(logical, record.required.physical, record.required.instance, record.required.attempt)
            for logical, record in sorted(ledger.records(account).items())
            if record.required.state is AddressState.BOUND and record.required.host == host
        )
        for account in ledger.accounts_with_records()
    }
    return {account: attached for account, attached in found.items() if attached}


class ModelCluster:
    """Plain calls that read the store as it stands and commit one transaction; each answers whether it succeeded.

    Every account has 10.0.0.0/24 as a range of its own. The n-th host has a physical block at 172.16.n.0, of
    `block_bits`.
    """

    def __init__(self, *, settings: AgentSettings | None = None, block_bits: int = 28) -> None:
        self.store = ModelStore()
        self.hosts: dict[str, ModelHost] = {}
        self.now_ms = 1_000_000
        self._settings = settings
        self._block_bits = block_bits
        self.put(EPOCH, StoreEpoch(epoch=1))
        self.put(pool_key(LOGICAL_POOL), Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24",)))
        self.put(pool_key(PHYSICAL_POOL), Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/16",)))
        self.store.commit([Transaction((), (Put(election_key(ELECTION), b"leader"),))])

    @property
    def fence(self) -> Compare:
        """What a leader compares."""
        return Compare(election_key(ELECTION), self.store.read([election_key(ELECTION)]).items[0].mod_revision)

    def ledger(self) -> Ledger:
        """Everything in the store, as it stands."""
        return Ledger.from_items(self.store.scan("").items, self.store.revision)

    def put(self, key: str, value: Value) -> None:
        """Write a value, whatever stands there."""
        self.store.commit([Transaction((), (Put(key, encode(value)),))])

    def commit(self, draft: Draft) -> bool:
        """Commit a transition."""
        return self.store.commit([draft.transaction()])[0].is_success

    def add_host(self, name: str) -> ModelHost:
        """Declare a host, with a block of its own, and give it a sign of life."""
        block = f"172.16.{len(self.hosts) + 1}.0/{self._block_bits}"
        self.put(host_key(name), Host(state=HostState.UP, incarnation=0, blocks=(block,)))
        self.hosts[name] = ModelHost(name, self.store, settings=self._settings)
        self.set_alive(name)
        return self.hosts[name]

    def set_alive(self, name: str) -> None:
        """The host's leased key is there."""
        self.store.commit([Transaction((), (Put(host_alive_key(name), b""),))])

    def add_account(self, name: str, *, vni: int) -> None:
        """Declare an account."""
        self.put(account_key(name), Account(tier="basic", vni=vni, pools=(LOGICAL_POOL,)))

    def subscribe(self, host: str, account: str) -> bool:
        """A host shall mirror an account."""
        ledger = self.ledger()
        return self.commit(subscribe(ledger.epoch, ledger.subscription(host, account)))

    def set_silent(self, name: str) -> None:
        """The host's lease is over."""
        self.store.commit([Transaction((), (Delete(host_alive_key(name)),))])

    def restore(self) -> None:
        """What follows a restore from a backup: another epoch, closed; hosts have what is bound on them."""
        ledger = self.ledger()
        for host in self.hosts.values():
            host.attach(attached_on(ledger, host.name), self.now_ms)
        epoch = self.ledger().epoch.required.epoch + 1
        self.put(EPOCH, StoreEpoch(epoch=epoch, state=EpochState.CLOSED))

    def controller(
        self, settings: ControllerSettings | None = None, *, territory: Territory | None = None
    ) -> ModelController:
        """A controller that leads all there is, or only a territory."""
        return ModelController(self.store, territory or Territory.whole(self.fence), settings=settings)

    def leave(self, host: str, account: str) -> bool:
        """A host shall leave an account of which nothing lies on it."""
        ledger = self.ledger()
        if not self.commit(idle(ledger.epoch, ledger.subscription(host, account))):
            return False
        return self.commit(leave(ledger.epoch, self.ledger().subscription(host, account)))

    def free(self, account: str, host: str) -> FreeAddress:
        """The first free pair of an account on a host."""
        ledger = self.ledger()
        logical = next(ledger.free_logicals(account, LOGICAL_POOL))
        physical = next(ledger.free_physicals(host))
        return FreeAddress(
            record=ledger.record(account, logical),
            hold=ledger.physical(physical),
            pool=ledger.pool(LOGICAL_POOL),
            host=ledger.host(host),
            account=ledger.account(account),
        )

    def reserve(self, account: str, host: str) -> str:
        """Hold the first free pair of a host ready; answers with the logical address."""
        free = self.free(account, host)
        ledger = self.ledger()
        subscription = ledger.subscription(host, account)
        if subscription.value is None or not subscription.value.stands:
            self.subscribe(host, account)
            subscription = self.ledger().subscription(host, account)
        self.commit(reserve(ledger.epoch, free, subscription, fence=self.fence, now_ms=self.now_ms))
        return free.record.key.rpartition(f"{account}.")[2]

    def create(self, account: str, instance: str, host: str, *, logical: str | None = None) -> bool:
        """Bind an instance on a host: to an address held ready for it (which moves there), or to a free one."""
        return self.commit(self.create_draft(account, instance, host, logical=logical))

    def create_draft(self, account: str, instance: str, host: str, *, logical: str | None = None) -> Draft:
        """What `create` commits, as it is decided now."""
        ledger = self.ledger()
        claim = Claim(account=account, instance=instance, attempt=0, now_ms=self.now_ms)
        if logical is None:
            step = dynamic(self.free(account, host), claim)
        elif (record := ledger.record(account, logical)).required.host == host:
            step = bind(record, claim, Outcome.SHADOW)
        else:
            old, new = ledger.physical(record.required.physical), ledger.physical(next(ledger.free_physicals(host)))
            step = rebind(record, Move(old=old, new=new, host=ledger.host(host)), claim, Outcome.REBOUND)
        entry, subscription = ledger.instance(account, instance), ledger.subscription(host, account)
        return create(ledger.epoch, entry, claim, [step], subscription=subscription)

    def delete(self, account: str, instance: str) -> bool:
        """Release an instance."""
        ledger = self.ledger()
        entry = ledger.instance(account, instance)
        if entry.value is None or entry.value.state is not InstanceState.BOUND:
            return False
        records = [ledger.record(account, logical) for logical in entry.value.addresses]
        return self.commit(release(ledger.epoch, entry, records, attempt=0, now_ms=self.now_ms))

    def cool(self, account: str, logical: str) -> bool:
        """Take back an idle address."""
        ledger = self.ledger()
        return self.commit(preempt(ledger.epoch, ledger.record(account, logical), now_ms=self.now_ms))

    def end_hold(self, account: str, logical: str) -> bool:
        """Give up a preserved address."""
        ledger = self.ledger()
        record = ledger.record(account, logical)
        return self.commit(end_of_hold(ledger.epoch, record, fence=self.fence, now_ms=self.now_ms))
