"""A model cluster at one moment: a store, hosts, and the operations that change addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import EPOCH, account_key, election_key, host_alive_key, host_key, pool_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import Host, HostState, InstanceState, Outcome, StoreEpoch
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.core.domain.transitions import FreeAddress, end_of_hold, preempt, release, reserve
from addrcast.core.domain.transitions_create import Claim, bind, create, dynamic
from addrcast.core.domain.transitions_host import leave, subscribe
from addrcast.simulation.hosts import ModelHost
from addrcast.simulation.store import ModelStore

if TYPE_CHECKING:
    from addrcast.core.agent.settings import AgentSettings
    from addrcast.core.domain.record import Value
    from addrcast.core.domain.transitions import Draft

LOGICAL_POOL = "logical"
PHYSICAL_POOL = "physical"
ELECTION = "controller"


class ModelCluster:
    """Plain calls that read the store as it stands and commit one transaction; each answers whether it succeeded.

    Accounts share one set of logical ranges (10.0.0.0/24, each its own), and host `h1`, `h2` ... have the physical
    blocks 172.16.1.0/28, 172.16.2.0/28 ...
    """

    def __init__(self, *, settings: AgentSettings | None = None) -> None:
        self.store = ModelStore()
        self.hosts: dict[str, ModelHost] = {}
        self.now_ms = 1_000_000
        self._settings = settings
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
        block = f"172.16.{len(self.hosts) + 1}.0/28"
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

    def leave(self, host: str, account: str) -> bool:
        """A host shall leave an account."""
        ledger = self.ledger()
        return self.commit(leave(ledger.epoch, ledger.subscription(host, account)))

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
        )

    def reserve(self, account: str, host: str) -> str:
        """Hold the first free pair of a host ready; answers with the logical address."""
        free = self.free(account, host)
        self.commit(reserve(self.ledger().epoch, free, fence=self.fence, now_ms=self.now_ms))
        return free.record.key.rpartition(f"{account}.")[2]

    def create(self, account: str, instance: str, host: str, *, logical: str | None = None) -> bool:
        """Bind an instance: to an address held ready for it, or to a free one."""
        ledger = self.ledger()
        claim = Claim(account=account, instance=instance, attempt=0, now_ms=self.now_ms)
        if logical is None:
            step = dynamic(self.free(account, host), claim)
        else:
            step = bind(ledger.record(account, logical), claim, Outcome.SHADOW)
        subscription = ledger.subscription(host, account)
        return self.commit(
            create(
                ledger.epoch,
                ledger.instance(account, instance),
                claim,
                [step],
                subscription=None if subscription else subscription,
            )
        )

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
