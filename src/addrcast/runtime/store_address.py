"""Where a store is: the text that names one, and what may stand in it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import Enum

from addrcast.core.domain.errors import Invalid

FIELD = "store address"
FORMS = "a folder, embedded:FOLDER, etcd://HOST:PORT,HOST:PORT[/ROOT] or consul://HOST:PORT[/ROOT] is expected"
PORTS = {"etcd": 2379, "consul": 8500}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ENDPOINT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_ROOT = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*")


class StoreKind(Enum):
    """The stores that an address can name."""

    EMBEDDED = "embedded"
    ETCD = "etcd"
    CONSUL = "consul"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store by its address: the folder of an embedded one, or the endpoints of servers and the root of its keys.

    `endpoints` are `host:port` in the order given; `root` is empty where all of a server's keys are this store's.
    """

    kind: StoreKind
    folder: str = ""
    endpoints: tuple[str, ...] = ()
    root: str = ""

    def __str__(self) -> str:
        if self.kind is StoreKind.EMBEDDED:
            return f"embedded:{self.folder}"
        return f"{self.kind.value}://{','.join(self.endpoints)}{'/' if self.root else ''}{self.root}"


def parse_store_address(text: str) -> StoreAddress:
    """Read the address of a store. Raises Invalid."""
    if found := _SCHEME.fullmatch(text):
        scheme, rest = found[1].lower(), found[2]
        if scheme in PORTS:
            return _servers(text, StoreKind(scheme), rest)
        near = difflib.get_close_matches(scheme, PORTS, n=1)
        raise Invalid(FIELD, text[:200], f"did you mean {near[0]}://? {FORMS}" if near else FORMS)
    folder = text.removeprefix("embedded:")
    if not folder or "\0" in folder:
        raise Invalid(FIELD, text[:200], FORMS)
    return StoreAddress(StoreKind.EMBEDDED, folder=folder)


def _servers(text: str, kind: StoreKind, rest: str) -> StoreAddress:
    if "@" in rest:
        # the text itself would show the password
        raise Invalid(
            FIELD, f"{kind.value}://…@…", "no user or password in an address: see the settings store.user ff."
        )
    hosts, slash, root = rest.partition("/")
    endpoints = tuple(_endpoint(text, host, PORTS[kind.value]) for host in hosts.split(","))
    if kind is StoreKind.CONSUL and len(endpoints) > 1:
        raise Invalid(FIELD, text[:200], "Consul is reached by one agent, best the one of this machine")
    root = root.rstrip("/")
    if slash and root and not _ROOT.fullmatch(root):
        raise Invalid(FIELD, text[:200], "a root is words of A-Z a-z 0-9 _ . - joined by slashes")
    return StoreAddress(kind, endpoints=endpoints, root=root)


def _endpoint(text: str, host: str, port: int) -> str:
    named = (
        host if re.search(r":\d+$", host) and (host.startswith("[") or host.count(":") == 1) else f"{host}:{port}"
    )
    found = _ENDPOINT.fullmatch(named)
    if found is None or not 0 < int(found[1]) < 65_536:
        raise Invalid(FIELD, text[:200], f"{host!r} is no HOST:PORT; {FORMS}")
    return named
