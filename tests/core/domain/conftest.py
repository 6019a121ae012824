"""Keys of a store in a dictionary, and a small sound world of two accounts on two hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import encode
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import (
    Acknowledgement,
    AddressState,
    HoldState,
    Host,
    HostState,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    PoolAddress,
    Record,
    StoreEpoch,
    Subscription,
    Value,
)
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Change, Event, KeyValue, Put

if TYPE_CHECKING:
    from addrcast.core.domain.transitions import Draft


class Keys:
    """A store without a server: every write has a revision of its own and is kept as a change."""

    def __init__(self) -> None:
        self.revision = 0
        self.items: dict[str, KeyValue] = {}
        self.changes: list[Change] = []

    def write_all(self, values: dict[str, Value | None]) -> Change:
        self.revision += 1
        events = []
        for key, value in values.items():
            before = self.items.pop(key, None)
            created = before.create_revision if before is not None and value is not None else self.revision
            if value is not None:
                self.items[key] = KeyValue(key, encode(value), created, self.revision)
                events.append(Event(key, encode(value), created, self.revision))
            else:
                events.append(Event(key, None, 0, self.revision))
        self.changes.append(Change(self.revision, tuple(events)))
        return self.changes[-1]

    def put(self, key: str, value: Value) -> Change:
        return self.write_all({key: value})

    def remove(self, key: str) -> Change:
        return self.write_all({key: None})

    def commit(self, draft: Draft) -> bool:
        """Carry out a draft if its compares hold."""
        transaction = draft.transaction()
        for compare in transaction.compares:
            item = self.items.get(compare.key)
            if (item.mod_revision if item is not None else 0) != compare.revision:
                return False
        assert len({write.key for write in transaction.writes}) == len(transaction.writes)
        self.write_all(
            {write.key: value for write, (_, value) in zip(transaction.writes, draft.writes, strict=True)}
        )
        assert all(
            self.items[write.key].value == write.value for write in transaction.writes if isinstance(write, Put)
        )
        return True

    def ledger(self) -> Ledger:
        return Ledger.from_items(self.items.values(), self.revision)

    def record(
        self,
        account: str,
        logical: str,
        state: AddressState,
        *,
        physical: str,
        host: str = "h1",
        pool: str = "vpc",
        instance: str = "",
        attempt: int = 0,
        is_shared: bool = False,
    ) -> str:
        """Write R, P, and where they belong Q and I, as the transactions would; gives back the key of R."""
        key = keyspace.record_key(account, logical)
        values: dict[str, Value | None] = {
            key: Record(
                state=state,
                physical=physical,
                host=host,
                pool=pool,
                since_ms=1,
                instance=instance,
                attempt=attempt,
                is_shared=is_shared,
            ),
            keyspace.physical_key(physical): PhysicalHold(
                state=HoldState.HELD, account=account, logical=logical, host=host, since_ms=1
            ),
        }
        if is_shared:
            values[keyspace.pool_address_key(pool, logical)] = PoolAddress(account=account)
        if state is AddressState.BOUND:
            values[keyspace.instance_key(account, instance)] = InstanceEntry(
                state=InstanceState.BOUND, attempt=attempt, since_ms=1, addresses=(logical,)
            )
        self.write_all(values)
        return key


@pytest.fixture
def keys() -> Keys:
    """Pools vpc (of each account), vpc6, net (shared) and wire (physical); hosts h1, h2; accounts a, b."""
    made = Keys()
    made.put(keyspace.EPOCH, StoreEpoch(epoch=1))
    made.put("pool.vpc", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/28",), exclusions=("10.0.0.0/32",)))
    made.put("pool.vpc6", Pool(kind=PoolKind.LOGICAL, prefixes=("fd00::/64",)))
    made.put("pool.net", Pool(kind=PoolKind.LOGICAL, prefixes=("172.16.0.0/30",), is_shared=True))
    made.put("pool.wire", Pool(kind=PoolKind.PHYSICAL, prefixes=("100.64.0.0/24",)))
    made.put("host.h1", Host(state=HostState.UP, incarnation=1, blocks=("100.64.0.0/28",)))
    made.put("host.h2", Host(state=HostState.UP, incarnation=1, blocks=("100.64.0.16/28",)))
    made.put("account.a", Account(tier="premium", vni=1, pools=("vpc", "vpc6", "net")))
    made.put("account.b", Account(tier="basic", vni=2, pools=("vpc", "net")))
    for host in ("h1", "h2"):
        for account in ("a", "b"):
            made.put(keyspace.subscription_key(host, account), Subscription())
            made.put(
                keyspace.acknowledgement_key(host, account), Acknowledgement(epoch=1, revision=1, incarnation=1)
            )
    return made
