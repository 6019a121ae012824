"""A small store for the tests of steps: pools, hosts and accounts in a ledger, and steps carried out in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import encode
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import (
    AddressState,
    EpochState,
    HoldState,
    Host,
    HostState,
    PhysicalHold,
    PoolAddress,
    Record,
    StoreEpoch,
    Value,
)
from addrcast.core.domain.resource import Account, Pool, PoolKind, Preferences
from addrcast.core.domain.transaction import Change, Event
from addrcast.core.reservation.cutting import ReserveStep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from addrcast.core.reservation.batch import Step

HOUR_MS = 3_600_000


@dataclass
class Cluster:
    """A ledger and the time; every change is a revision of its own."""

    ledger: Ledger = field(default_factory=Ledger)
    now_ms: int = 1_000

    def write(self, values: dict[str, Value | None]) -> None:
        revision = self.ledger.revision + 1
        events = tuple(
            Event(key, None if value is None else encode(value), revision, revision)
            for key, value in values.items()
        )
        self.ledger.apply(Change(revision, events))

    def add_pool(self, name: str, *prefixes: str, is_physical: bool = False, is_shared: bool = False) -> None:
        kind = PoolKind.PHYSICAL if is_physical else PoolKind.LOGICAL
        self.write({keyspace.pool_key(name): Pool(kind=kind, prefixes=prefixes, is_shared=is_shared)})

    def add_host(self, name: str, *blocks: str, state: HostState = HostState.UP, is_draining: bool = False) -> None:
        value = Host(state=state, incarnation=1, blocks=blocks, is_draining=is_draining)
        self.write({keyspace.host_key(name): value})

    def add_account(
        self,
        name: str,
        *pools: str,
        tier: str = "standard",
        quota: int | None = None,
        is_draining: bool = False,
        preferences: Preferences | None = None,
    ) -> None:
        self.write(
            {
                keyspace.account_key(name): Account(
                    tier=tier,
                    vni=1,
                    pools=pools,
                    quota=quota,
                    is_draining=is_draining,
                    preferences=preferences or Preferences(),
                )
            }
        )

    def put(
        self,
        account: str,
        logical: str,
        physical: str,
        host: str,
        pool: str,
        *,
        state: AddressState = AddressState.RESERVED,
    ) -> None:
        is_shared = self.ledger.pool(pool).required.is_shared
        record = Record(
            state=state, physical=physical, host=host, pool=pool, since_ms=self.now_ms, is_shared=is_shared
        )
        hold = PhysicalHold(state=HoldState.HELD, account=account, logical=logical, host=host, since_ms=self.now_ms)
        values: dict[str, Value | None] = {
            keyspace.record_key(account, logical): record,
            keyspace.physical_key(physical): hold,
        }
        if is_shared:
            values[keyspace.pool_address_key(pool, logical)] = PoolAddress(account=account)
        self.write(values)

    def enter(self, account: str, logical: str, state: AddressState) -> None:
        record = self.ledger.record(account, logical).required
        key = keyspace.record_key(account, logical)
        self.write({key: replace(record, state=state, since_ms=self.now_ms)})

    def free(self, account: str, logical: str) -> None:
        record = self.ledger.record(account, logical).required
        values: dict[str, Value | None] = {
            keyspace.record_key(account, logical): None,
            keyspace.physical_key(record.physical): None,
        }
        if record.is_shared:
            values[keyspace.pool_address_key(record.pool, logical)] = None
        self.write(values)

    def carry_out(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, ReserveStep):
                assert self.ledger.record(step.account, step.logical).value is None
                assert self.ledger.physical(step.physical).value is None
                assert self.ledger.pool_address(step.pool, step.logical).value is None
                self.put(step.account, step.logical, step.physical, step.host, step.pool)
            else:
                self.enter(step.account, step.logical, AddressState.COOLING)

    def states(self, account: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.ledger.records(account).values():
            name = entry.required.state.value
            found[name] = found.get(name, 0) + 1
        return found


def open_cluster() -> Cluster:
    """A cluster whose store is open, with nothing in it."""
    cluster = Cluster()
    cluster.write({keyspace.EPOCH: StoreEpoch(epoch=1, state=EpochState.OPEN)})
    return cluster
