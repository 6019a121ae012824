"""Network namespaces for tests, under a prefix of their own, all removed in the end."""

from __future__ import annotations

import os
import shlex
import subprocess
from itertools import count
from typing import TYPE_CHECKING, Self

from addrcast.adapters.kernel.namespace import RUN_DIRECTORY, create, remove

if TYPE_CHECKING:
    from pathlib import Path

_serials = count(1)


class Namespaces:
    """The namespaces of one test. Names are without the prefix; a kernel table may add more under it."""

    def __init__(self) -> None:
        self.prefix = f"at{os.getpid()}x{next(_serials)}-"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if RUN_DIRECTORY.is_dir():
            for path in RUN_DIRECTORY.glob(f"{self.prefix}*"):
                remove(path)

    def path(self, name: str) -> Path:
        return RUN_DIRECTORY / f"{self.prefix}{name}"

    def add(self, name: str) -> Path:
        """An empty namespace with its loopback up."""
        create(self.path(name))
        self.ip(name, "link set lo up")
        return self.path(name)

    def run(self, name: str, command: str) -> str:
        """What a command says inside a namespace. Raises CalledProcessError."""
        return subprocess.run(
            ["nsenter", f"--net={self.path(name)}", *shlex.split(command)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def ip(self, name: str, command: str) -> str:
        """The same of iproute2's `ip`."""
        return self.run(name, f"ip {command}")
