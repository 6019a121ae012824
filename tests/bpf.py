"""The `bpf` backend for tests: whether it may be used here, and hosts that are removed with all of their pins."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from tests.netns import Namespaces

from addrcast.adapters.kernel import bpf_pins, bpf_syscall
from addrcast.adapters.kernel.attach import Interface
from addrcast.adapters.kernel.bpf import BpfKernel
from addrcast.adapters.kernel.bpf_settings import FILE_SYSTEM, BpfSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@cache
def lacks() -> str:
    """Why the backend cannot be used here; empty where it can."""
    try:
        os.close(bpf_syscall.create_map("probe", bpf_syscall.MapShape(bpf_syscall.BPF_MAP_TYPE_HASH, 4, 4, 1, 0)))
        bpf_pins.mount(FILE_SYSTEM)
    except OSError as error:
        return f"bpf needs root or CAP_BPF outside of user namespaces: {error}"
    return ""


@asynccontextmanager
async def opened(settings: BpfSettings) -> AsyncIterator[BpfKernel]:
    """A table over what is there; the pins stay."""
    kernel = await BpfKernel.open(settings)
    try:
        yield kernel
    finally:
        await kernel.close()


@dataclass(slots=True)
class BpfCloud:
    """Hosts 1 and 2: host n delivers what is sent to 172.31.n.0/24 and fd00:31:n::/64."""

    names: Namespaces
    settings: dict[int, BpfSettings]
    kernels: dict[int, BpfKernel] = field(default_factory=dict)

    async def instance(self, name: str, *, host: int, vni: int, logicals: tuple[str, ...]) -> Path:
        """An instance, as an empty namespace with an interface in an account of a host."""
        namespace = self.names.add(name)
        kernel = self.kernels[host]
        await kernel.ensure_account(vni)
        await kernel.attach(vni, Interface(logicals, namespace))
        return namespace


def join_hosts(names: Namespaces) -> None:
    """Make the namespaces host1 and host2, and the substrate between them."""
    for host in (1, 2):
        names.add(f"host{host}")
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
    for host in (1, 2):
        while "state UP" not in names.ip(f"host{host}", "link show cable"):
            pass


@asynccontextmanager
async def two_bpf_hosts(*, is_ipv6: bool = False) -> AsyncIterator[BpfCloud]:
    with Namespaces() as names:
        join_hosts(names)
        settings = {
            host: BpfSettings(
                prefix=f"{names.prefix}{host}",
                substrate=names.path(f"host{host}"),
                is_substrate_ipv6=is_ipv6,
                entries_max=1 << 12,
                poll_s=0.05,
            )
            for host in (1, 2)
        }
        cloud = BpfCloud(names, settings)
        try:
            for host, each in settings.items():
                cloud.kernels[host] = await BpfKernel.open(each)
            yield cloud
        finally:
            for kernel in cloud.kernels.values():
                await kernel.close()
            for each in settings.values():
                shutil.rmtree(each.pins, ignore_errors=True)
