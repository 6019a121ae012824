"""The kernel tables that the contract suite runs on, each with the ways in which it is allowed to differ."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from shutil import rmtree
from socket import inet_aton
from typing import TYPE_CHECKING, Protocol

import pytest
from tests import bpf
from tests.netns import Namespaces

from addrcast.adapters.kernel import bpf_syscall
from addrcast.adapters.kernel.bpf_entries import key_of
from addrcast.adapters.kernel.bpf_map import HashMap
from addrcast.adapters.kernel.bpf_settings import BpfSettings
from addrcast.adapters.kernel.routes import RoutesKernel
from addrcast.adapters.kernel.routes_settings import RoutesSettings
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from addrcast.adapters.kernel.routes_settings import Variant
    from addrcast.core.dataplane.table import TableKey
    from addrcast.ports.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Opened:
    """A table at work. `again` opens it a second time, as an agent does that was killed and is back.

    `flush` has something else than the agent remove the entries of an account; `plant` writes an entry without
    our mark, and `is_planted` says whether that is still there.
    """

    kernel: Kernel
    again: Callable[[], AbstractAsyncContextManager[Kernel]]
    flush: Callable[[int], None]
    plant: Callable[[TableKey], None]
    is_planted: Callable[[TableKey], bool]


class Opener(Protocol):
    def __call__(self) -> AbstractAsyncContextManager[Opened]: ...


@dataclass(frozen=True, slots=True)
class KernelKind:
    """How to open an empty table, and what it declares to do otherwise than the others.

    `needs_rights`: over network namespaces. `lacks`: why it cannot be opened here; empty where it can.
    `takes_ipv6_physical`: False where physical addresses are IPv4 only. `keeps_apart`: False where an entry without
    our mark keeps ours, of the same key, from being written.
    """

    name: str
    open: Opener
    needs_rights: bool = True
    takes_ipv6_physical: bool = True
    keeps_apart: bool = True
    lacks: str = ""


@asynccontextmanager
async def open_model() -> AsyncIterator[Opened]:
    kernel = ModelKernel()

    @asynccontextmanager
    async def again() -> AsyncIterator[Kernel]:
        yield ModelKernel(kernel.table)

    def plant(key: TableKey) -> None:
        kernel.table.foreign[key] = "172.31.0.99"

    yield Opened(kernel, again, lambda vni: kernel.flush_links(), plant, kernel.table.foreign.__contains__)


def routes_opener(variant: Variant) -> Opener:
    @asynccontextmanager
    async def open_routes() -> AsyncIterator[Opened]:
        with Namespaces() as names:
            settings = RoutesSettings(prefix=names.prefix, substrate=names.add("host"), variant=variant)

            @asynccontextmanager
            async def again() -> AsyncIterator[Kernel]:
                kernel = await RoutesKernel.open(settings)
                try:
                    yield kernel
                finally:
                    await kernel.close()

            def flush(vni: int) -> None:
                names.ip(f"{vni}", "link set tunnel down")
                names.ip(f"{vni}", "link set tunnel up")

            def plant(key: TableKey) -> None:
                names.ip(f"{key.vni}", f"route add {key.logical} dev lo proto static")

            def is_planted(key: TableKey) -> bool:
                return "proto static" in names.ip(f"{key.vni}", f"route show {key.logical} metric 0")

            async with again() as kernel:
                yield Opened(kernel, again, flush, plant, is_planted)

    return open_routes


@asynccontextmanager
async def open_bpf() -> AsyncIterator[Opened]:
    with Namespaces() as names:
        settings = BpfSettings(prefix=names.prefix, substrate=names.add("host"), entries_max=1 << 16, poll_s=0.02)
        entries, strangers = (settings.pins / "maps" / name for name in ("entries", "strangers"))

        def flush(vni: int) -> None:
            there = HashMap(bpf_syscall.get_pinned(str(entries)))
            keys = there.read().keys
            own = [
                keys[at : at + 20]
                for at in range(0, len(keys), 20)
                if keys[at : at + 3] == vni.to_bytes(3, "little")
            ]
            there.erase(bytearray().join(own))
            there.close()

        def plant(key: TableKey) -> None:
            stranger = bpf_syscall.create_map("strangers", bpf_syscall.MapShape(1, 20, 20, 8, 1))
            bpf_syscall.pin(stranger, str(strangers))
            bpf_syscall.update(stranger, key_of(key.vni, inet_aton(key.logical)), bytes(20))

        def is_planted(key: TableKey) -> bool:
            there = bpf_syscall.get_pinned(str(strangers))
            return bpf_syscall.look_up(there, key_of(key.vni, inet_aton(key.logical)), 20) is not None

        try:
            async with bpf.opened(settings) as kernel:
                yield Opened(kernel, lambda: bpf.opened(settings), flush, plant, is_planted)
        finally:
            rmtree(settings.pins)


KINDS = (
    KernelKind("model", open_model, needs_rights=False, keeps_apart=False),
    KernelKind("routes", routes_opener("gpe")),
    KernelKind("routes-plain", routes_opener("plain"), takes_ipv6_physical=False),
    KernelKind("bpf", open_bpf, lacks=bpf.lacks()),
)


def parameters() -> list[object]:
    """The kinds as parameters of a fixture, marked by the rights that they need."""
    return [pytest.param(kind, id=kind.name, marks=_marks(kind)) for kind in KINDS]


def _marks(kind: KernelKind) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.net_admin] if kind.needs_rights else []
    return [*marks, pytest.mark.skip(reason=kind.lacks)] if kind.lacks else marks
