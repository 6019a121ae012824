"""Opens the store that an address names; the library of a server's client is loaded only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from addrcast.adapters.stores.lmdb_store import KEEP_REVISIONS, LmdbStore
from addrcast.core.domain.errors import Invalid
from addrcast.runtime.store_address import StoreAddress, StoreKind, parse_store_address

if TYPE_CHECKING:
    from addrcast.ports.store import Store

DEADLINE_MS = 1_000


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is opened, besides its address. The embedded one needs `keep_revisions` alone.

    `ca_file`, `cert_file` and `key_file` are PEM files for TLS; `user` and `password` are etcd's, `token` is
    Consul's. A request is given up after `deadline_ms`. Secrets are in no `repr`.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    user: str = ""
    password: str = ""
    token: str = ""
    deadline_ms: int = DEADLINE_MS
    keep_revisions: int = KEEP_REVISIONS

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown |= {name: "***" for name in ("password", "token") if shown[name]}
        return f"StoreOptions({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def has_tls(self) -> bool:
        """Whether any file for TLS is named."""
        return bool(self.ca_file or self.cert_file or self.key_file)


async def open_store(address: str | StoreAddress, options: StoreOptions | None = None) -> Store:
    """The store at an address, open; the caller closes it.

    A folder or `embedded:FOLDER` is an embedded store, made where there is none; `etcd://HOST:PORT,...[/ROOT]` and
    `consul://HOST:PORT[/ROOT]` are servers. Raises Invalid for an address that names no store, or where a library
    is missing; Unavailable where the servers do not answer.
    """
    where = parse_store_address(address) if isinstance(address, str) else address
    options = options or StoreOptions()
    if where.kind is StoreKind.EMBEDDED:
        return await LmdbStore.open(where.folder, keep_revisions=options.keep_revisions)
    if where.kind is StoreKind.ETCD:
        return await _open_etcd(where, options)
    return await _open_consul(where, options)


async def _open_etcd(where: StoreAddress, options: StoreOptions) -> Store:
    adapter = _adapter("etcd_store", where)
    store: Store = await adapter.EtcdStore.open(
        where.endpoints,
        tls=_tls(adapter, options),
        credentials=(options.user, options.password) if options.user else None,
        root=where.root,
        deadline_ms=options.deadline_ms,
    )
    return store


async def _open_consul(where: StoreAddress, options: StoreOptions) -> Store:
    adapter = _adapter("consul_store", where)
    store: Store = await adapter.ConsulStore.open(
        where.endpoints[0], token=options.token or None, root=where.root, tls=_tls(adapter, options)
    )
    return store


def _tls(adapter: Any, options: StoreOptions) -> Any:
    if not options.has_tls:
        return None
    return adapter.Tls(ca_file=options.ca_file, cert_file=options.cert_file, key_file=options.key_file)


def _adapter(name: str, where: StoreAddress) -> Any:
    try:
        return import_module(f"addrcast.adapters.stores.{name}")
    except ModuleNotFoundError as missing:
        way_out = f"{missing.name} is not installed: pip install 'addrcast[{where.kind.value}]'"
        raise Invalid("store address", str(where), way_out) from None
