"""Opens a store together with the roles and users of the cluster that it lies in."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import Invalid
from addrcast.runtime.access import NAME, AccessKeeper
from addrcast.runtime.open_store import open_store
from addrcast.runtime.store_address import StoreKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from addrcast.runtime.open_store import StoreOptions
    from addrcast.runtime.store_address import StoreAddress


def name_for(root: str) -> str:
    """How the names of a store's roles begin: stores that share a cluster must not share roles."""
    return "-".join((NAME, *root.split("/"))) if root else NAME


@asynccontextmanager
async def opened_keeper(
    where: StoreAddress, options: StoreOptions, *, name: str = "", with_users: bool = False
) -> AsyncIterator[AccessKeeper]:
    """The keeper of a store's roles, as a user with etcd's role `root`. Raises Invalid, Denied, Unavailable."""
    if where.kind is not StoreKind.ETCD:
        way_out = "roles are kept in etcd only; `addrcast policy` prints rules for Consul"
        raise Invalid("--store", str(where), way_out)
    store = await open_store(where, options)
    try:
        from addrcast.adapters.stores.etcd_auth import EtcdAuth  # noqa: PLC0415 - a library that is an extra
        from addrcast.adapters.stores.etcd_member import Tls  # noqa: PLC0415

        authority = await EtcdAuth.open(
            where.endpoints,
            tls=Tls(*options.pem_files) if options.has_tls else None,
            credentials=(options.user, options.password) if options.user else None,
            root=f"{where.root}/" if where.root else "",
        )
        try:
            yield AccessKeeper(store, authority, name=name or name_for(where.root), with_users=with_users)
        finally:
            await authority.close()
    finally:
        await store.close()
