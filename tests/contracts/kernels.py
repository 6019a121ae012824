"""The kernel tables that the contract suite runs on, each with the ways in which it is allowed to differ."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.netns import Namespaces

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

    `needs_rights`: over network namespaces. `takes_ipv6_physical`: False where physical addresses are IPv4 only.
    `keeps_apart`: False where an entry without our mark keeps ours, of the same key, from being written.
    """

    name: str
    open: Opener
    needs_rights: bool = True
    takes_ipv6_physical: bool = True
    keeps_apart: bool = True


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


KINDS = (
    KernelKind("model", open_model, needs_rights=False, keeps_apart=False),
    KernelKind("routes", routes_opener("gpe")),
    KernelKind("routes-plain", routes_opener("plain"), takes_ipv6_physical=False),
)


def parameters() -> list[object]:
    """The kinds as parameters of a fixture, marked by the rights that they need."""
    rights = [pytest.mark.net_admin]
    return [pytest.param(kind, id=kind.name, marks=rights if kind.needs_rights else []) for kind in KINDS]
