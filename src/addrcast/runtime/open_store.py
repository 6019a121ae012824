"""Opens the store that an address names; the library of a server's client is loaded only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from addrcast.adapters.stores.lmdb_store import KEEP_REVISIONS, LmdbStore
from addrcast.core.domain.errors import Invalid
from addrcast.runtime.store_address import StoreAddress, StoreKind, parse_store_address

if TYPE_CHECKING:
    from addrcast.ports.store import Store

ETCD_DEADLINE_MS, CONSUL_DEADLINE_MS = 1_000, 5_000
SECRET = {"secret": True}
"""Marks a field that is shown nowhere."""


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is opened, besides its address; the embedded one needs `keep_revisions` alone.

    Secrets are in no `repr`.
    """

    user: Annotated[
        str, Meta(description="etcd's user; empty where it is told by the certificate, or not at all")
    ] = ""
    password: Annotated[str, Meta(description="its password", extra=SECRET)] = ""
    token: Annotated[str, Meta(description="Consul's token", extra=SECRET)] = ""
    tls: Annotated[bool, Meta(description="speak TLS to servers; files named for it mean the same")] = False
    ca_file: Annotated[str, Meta(description="PEM file of the authority that signs the servers' certificates")] = ""
    cert_file: Annotated[str, Meta(description="PEM file of the own certificate")] = ""
    key_file: Annotated[str, Meta(description="PEM file of its key")] = ""
    deadline_ms: Annotated[
        int,
        Meta(
            description="after how long a request to a server is given up; 0: 1 s for etcd, 5 s for Consul",
            ge=0,
            le=60_000,
        ),
    ] = 0
    keep_revisions: Annotated[
        int, Meta(description="how far back a watch of the embedded store can resume", ge=1_000)
    ] = KEEP_REVISIONS

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown |= {name: "***" for name in ("password", "token") if shown[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def has_tls(self) -> bool:
        """Whether servers are spoken to over TLS."""
        return self.tls or any(self.pem_files)

    @property
    def pem_files(self) -> tuple[str, str, str]:
        """The files of authority, certificate and key; each may be empty."""
        return (self.ca_file, self.cert_file, self.key_file)


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
    try:
        from addrcast.adapters.stores.etcd_store import EtcdStore, Tls  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise _lack(where, missing) from None
    return await EtcdStore.open(
        where.endpoints,
        tls=Tls(*options.pem_files) if options.has_tls else None,
        credentials=(options.user, options.password) if options.user else None,
        root=f"{where.root}/" if where.root else "",
        deadline_ms=options.deadline_ms or ETCD_DEADLINE_MS,
    )


async def _open_consul(where: StoreAddress, options: StoreOptions) -> Store:
    try:
        from addrcast.adapters.stores.consul_http import Tls  # noqa: PLC0415
        from addrcast.adapters.stores.consul_store import ROOT, ConsulStore  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise _lack(where, missing) from None
    return await ConsulStore.open(
        where.endpoints[0],
        token=options.token,
        root=where.root or ROOT,
        tls=Tls(*options.pem_files) if options.has_tls else None,
        deadline_ms=options.deadline_ms or CONSUL_DEADLINE_MS,
    )


def _lack(where: StoreAddress, missing: ModuleNotFoundError) -> Invalid:
    way_out = f"{missing.name} is not installed: pip install 'addrcast[{where.kind.value}]'"
    return Invalid("store address", str(where), way_out)
