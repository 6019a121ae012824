"""Calls to a role's process over its socket: where that is, and one call on it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from addrcast.runtime.local_call_client import LocalClient
from addrcast.runtime.local_call_socket import default_socket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

SOCKET_VARIABLE = "ADDRCAST_SOCKET_PATH"

socket_path = click.option(
    "--socket",
    "socket",
    type=click.Path(),
    help=f"Socket of the process (else ${SOCKET_VARIABLE}, else as it is by default).",
)
timeout = click.option(
    "--timeout",
    "timeout_ms",
    type=click.IntRange(1),
    default=5_000,
    show_default=True,
    metavar="MS",
    help="Longest wait.",
)


def with_client(socket: str | None, ask: Callable[[LocalClient], Awaitable[T]], *, name: str = "api.sock") -> T:
    """What `ask` is told over a socket. Raises the errors of the domain."""
    path = Path(socket or os.environ.get(SOCKET_VARIABLE) or default_socket(name, os.environ))

    async def run() -> T:
        async with LocalClient(path) as client:
            return await ask(client)

    return asyncio.run(run())


def deadline_ms(timeout_ms: int) -> int:
    """The time, by this machine's clock, that is so far away."""
    return time.time_ns() // 1_000_000 + timeout_ms
