"""What a run declares, small enough that addresses run out, are taken back, cool and come again all the time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.faults.broken import BROKEN

from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.dataplane.unapplied import Backoff
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind, Tier
from addrcast.runtime.declare import declare, set_up
from addrcast.simulation.world.scarcity import addresses_of

if TYPE_CHECKING:
    from addrcast.ports.store import Store
    from addrcast.runtime.declare import Resource

BROKEN_VARIABLE = "ADDRCAST_FAULTS_BROKEN"
DEADLINE_MS = 3_000
HOSTS = ("h1", "h2", "h3")
RANKS = {"premium": 0, "standard": 1, "basic": 2}
ACCOUNTS = {
    "gold": Account(tier="premium", vni=101, pools=("own", "net")),
    "silver": Account(tier="standard", vni=102, pools=("net",)),
    "bulk": Account(tier="basic", vni=103, pools=("net",)),
    "tiny": Account(tier="basic", vni=104, pools=("own",)),
}
INSTANCES_EACH = 16
INSTANCES = tuple((account, f"i{number}") for account in ACCOUNTS for number in range(INSTANCES_EACH))

LOGICALS = {"own": addresses_of("10.0.0.0", 16), "net": addresses_of("10.1.0.0", 32)}
PHYSICALS = {host: addresses_of(f"192.0.2.{16 * number}", 16) for number, host in enumerate(HOSTS)}
SHARED = frozenset({"net"})

CONTROLLER = ControllerSettings(
    skew_max_ms=50,
    # twice this is a tombstone's life: longer than a stopped leader can keep a transaction to itself
    deadline_max_ms=5_000,
    sweep_every_ms=100,
    round_every_ms=300,
    plan_every_ms=1_500,
    leave_after_ms=8_000,
    batch_max=32,
    retry_ms=200,
)
AGENT = AgentSettings(
    batch_max=8,
    acknowledge_after_ms=150,
    audit_every_ms=4_000,
    confirm_after_ms=150,
    reassure_after_ms=6_000,
    removal_max=3,
    backoff=Backoff(first_ms=50, last_ms=1_000),
)


def resources() -> list[tuple[str, Resource]]:
    """Everything that is declared, in an order in which it can be."""
    tiers = {
        name: Tier(
            rank=rank,
            weight=4.0 - rank,
            service_level=0.9,
            hold_ms=600 - 200 * rank,
            age_limit_ms=4_000,
            cooldown_ms=200,
            headroom=0.0,
        )
        for name, rank in RANKS.items()
    }
    return [
        *tiers.items(),
        ("own", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/28",))),
        ("net", Pool(kind=PoolKind.LOGICAL, prefixes=("10.1.0.0/27",), is_shared=True)),
        ("substrate", Pool(kind=PoolKind.PHYSICAL, prefixes=("192.0.2.0/24",))),
        *(
            (host, Host(state=HostState.REJOINING, incarnation=0, blocks=(f"192.0.2.{16 * number}/28",)))
            for number, host in enumerate(HOSTS)
        ),
        *ACCOUNTS.items(),
    ]


async def found(store: Store) -> None:
    """Set an empty store up."""
    await set_up(store)
    await declare(store, resources())


async def open_store(where: str) -> Store:
    """A store by its endpoints, comma between them; broken as BROKEN_VARIABLE says."""
    store = await EtcdStore.open(where.split(","))
    broken = os.environ.get(BROKEN_VARIABLE, "")
    return BROKEN[broken](store) if broken else store
