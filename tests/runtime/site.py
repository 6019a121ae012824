"""What the tests of the runtime declare: a shared pool, a substrate, one host, accounts of all tiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.runtime.view import PREFIXES, scan_all
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import Result, Transaction
    from addrcast.runtime.declare import Resource

POOL = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24",), is_shared=True)
SUBSTRATE = Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/22",))
HOST = Host(state=HostState.UP, incarnation=3, blocks=("172.16.0.0/23",))

RESOURCES: list[tuple[str, Resource]] = [
    ("net", POOL),
    ("substrate", SUBSTRATE),
    ("h1", HOST),
    ("bulk", Account(tier="basic", vni=1, pools=("net",))),
    ("gold", Account(tier="premium", vni=2, pools=("net",))),
    ("new", Account(tier="standard", vni=3, pools=("net",))),
]


class CountingStore(MemoryStore):
    """The memory store, with the transactions it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.committed: list[Transaction] = []

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        self.committed += transactions
        return await super().commit(transactions)


async def ledger_of(store: MemoryStore) -> Ledger:
    revision, items = await scan_all(store, PREFIXES)
    return Ledger.from_items(items, revision)
