"""A real etcd that denies what no role allows, with a user for each role, for tests of who may do what."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tests.servers.etcd import QUICK, Etcd, etcd_node

from addrcast.adapters.stores.etcd_auth import EtcdAuth
from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.runtime.access import AccessKeeper
from addrcast.runtime.declare import declare, set_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from addrcast.core.domain.access import Rights
    from addrcast.runtime.declare import Resource

ROOT, PASSWORD = "root", "correct horse"
# names that begin alike, so that a right to one that were a right to the other would show
HOSTS, ACCOUNTS = ("h1", "h10"), ("a", "ab", "b")
SERVICES = ("api", "controller", "operator")


@contextmanager
def guarded_etcd(directory: Path) -> Iterator[Etcd]:
    """A node with authentication on and nobody in it but root."""
    with etcd_node(directory, flags=(*QUICK, "--bcrypt-cost=4")) as node:
        asyncio.run(_close_the_door(node))
        yield node


async def _close_the_door(node: Etcd) -> None:
    auth = await EtcdAuth.open([node.endpoint])
    await auth.add_role(ROOT)
    await auth.add_user(ROOT, [ROOT], password=PASSWORD)
    await auth.enable()
    await auth.close()


class Guarded:
    """One store under a root of its own in a guarded etcd; `as_user` opens it as somebody."""

    def __init__(self, node: Etcd, root: str, stack: AsyncExitStack) -> None:
        self.node = node
        self.root = root
        self._stack = stack
        self.auth: EtcdAuth
        self.admin: EtcdStore
        self.keeper: AccessKeeper

    async def as_user(self, user: str, *, password: str = PASSWORD, root: str | None = None) -> EtcdStore:
        name = user if user == ROOT else f"{self.root}{user}"
        root = self.root if root is None else root
        store = await EtcdStore.open([self.node.endpoint], credentials=(name, password), root=root)
        self._stack.push_async_callback(store.close)
        return store

    async def rights(self, host: str) -> Rights:
        found = await self.auth.rights(self.keeper.host_role(host))
        assert found is not None
        return found

    async def begin(self) -> None:
        self.auth = await EtcdAuth.open([self.node.endpoint], credentials=(ROOT, PASSWORD), root=self.root)
        self._stack.push_async_callback(self.auth.close)
        self.admin = await self.as_user(ROOT)
        name = self.root.rstrip("/")
        self.keeper = AccessKeeper(self.admin, self.auth, name=name)
        await set_up(self.admin)
        await declare(self.admin, resources())
        await self.keeper.set_up()
        await self.keeper.keep()
        for service in SERVICES:
            await self.auth.add_user(f"{self.root}{service}", [f"{name}-{service}"], password=PASSWORD)
        for host in HOSTS:
            await self.auth.add_user(f"{self.root}{host}", [self.keeper.host_role(host)], password=PASSWORD)


def resources() -> list[tuple[str, Resource]]:
    return [
        ("net", Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24",))),
        ("substrate", Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/16",))),
        *(
            (host, Host(state=HostState.REJOINING, incarnation=0, blocks=(f"172.16.{number}.0/24",)))
            for number, host in enumerate(HOSTS)
        ),
        *(
            (account, Account(tier="basic", vni=number, pools=("net",)))
            for number, account in enumerate(ACCOUNTS, 7)
        ),
    ]


@asynccontextmanager
async def guarded_store(node: Etcd, root: str) -> AsyncIterator[Guarded]:
    """A store that is set up: hosts h1 and h10, accounts a, ab and b, a user for each role."""
    async with AsyncExitStack() as stack:
        guarded = Guarded(node, root, stack)
        await guarded.begin()
        yield guarded
