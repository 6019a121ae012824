"""Two hosts for tests, each a namespace with its kernel tables, joined by a cable that is the substrate."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.netns import Namespaces

from addrcast.adapters.kernel.attach import Interface
from addrcast.adapters.kernel.routes import RoutesKernel
from addrcast.adapters.kernel.routes_settings import RoutesSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from addrcast.adapters.kernel.routes_settings import Variant


@dataclass(slots=True)
class Cloud:
    """Hosts 1 and 2: host n delivers what is sent to 172.31.n.0/24 and fd00:31:n::/64."""

    names: Namespaces
    settings: dict[int, RoutesSettings]
    kernels: dict[int, RoutesKernel] = field(default_factory=dict)

    def host(self, host: int) -> Path:
        return self.names.path(f"host{host}")

    def account(self, host: int, vni: int) -> str:
        """The name of an account's namespace on a host, for `names.run`."""
        return f"{host}-{vni}"

    async def instance(self, name: str, *, host: int, vni: int, logicals: tuple[str, ...]) -> Path:
        """An instance, as an empty namespace with an interface in an account of a host."""
        namespace = self.names.add(name)
        kernel = self.kernels[host]
        await kernel.ensure_account(vni)
        await kernel.attach(vni, Interface(logicals, namespace))
        return namespace


@asynccontextmanager
async def two_hosts(variant: Variant = "gpe", *, is_ipv6: bool = False) -> AsyncIterator[Cloud]:
    with Namespaces() as names:
        settings = {}
        for host in (1, 2):
            path = names.add(f"host{host}")
            settings[host] = RoutesSettings(
                prefix=f"{names.prefix}{host}-", substrate=path, variant=variant, is_substrate_ipv6=is_ipv6
            )
        names.ip("host1", f"link add cable type veth peer name cable netns {names.prefix}host2")
        for host, other in ((1, 2), (2, 1)):
            name = f"host{host}"
            names.ip(name, f"addr add 192.168.7.{host}/24 dev cable")
            names.ip(name, f"addr add fd00:7::{host}/64 dev cable nodad")
            names.ip(name, "link set cable up")
            names.ip(name, f"route add local 172.31.{host}.0/24 dev lo")
            names.ip(name, f"route add 172.31.{other}.0/24 via 192.168.7.{other}")
            names.ip(name, f"route add local fd00:31:{host}::/64 dev lo")
            names.ip(name, f"route add fd00:31:{other}::/64 via fd00:7::{other}")
        while any("state UP" not in names.ip(f"host{host}", "link show cable") for host in (1, 2)):
            time.sleep(0.005)  # noqa: ASYNC251
        cloud = Cloud(names, settings)
        try:
            for host, each in settings.items():
                cloud.kernels[host] = await RoutesKernel.open(each)
            yield cloud
        finally:
            for kernel in cloud.kernels.values():
                await kernel.close()
