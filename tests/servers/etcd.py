"""etcd on this machine: single nodes, and clusters of several on loopback."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.process import Server, binary, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# an election of one node on loopback needs no second; --unsafe-no-fsync is for tests that kill no machine
QUICK = ("--heartbeat-interval=20", "--election-timeout=200", "--unsafe-no-fsync")


@dataclass(frozen=True, slots=True)
class Etcd:
    """A running member: where its clients connect (`host:port`), and its process."""

    name: str
    endpoint: str
    server: Server
    scheme: str = "http"

    def is_healthy(self) -> bool:
        """Whether it has a leader and serves; members that want TLS are only asked for their port."""
        try:
            with urllib.request.urlopen(f"http://{self.endpoint}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def etcd_node(directory: Path, *, flags: Sequence[str] = QUICK) -> Iterator[Etcd]:
    """An empty single node, ready, without TLS; its data lies under `directory`."""
    with etcd_cluster(directory, size=1, flags=flags) as (node,):
        yield node


@contextmanager
def etcd_cluster(directory: Path, *, size: int = 3, flags: Sequence[str] = QUICK) -> Iterator[tuple[Etcd, ...]]:
    """An empty cluster on loopback, every member ready."""
    ports = free_ports(2 * size)
    clients, peers = ports[:size], ports[size:]
    initial = ",".join(f"m{index}=http://127.0.0.1:{port}" for index, port in enumerate(peers))
    directory.mkdir(parents=True, exist_ok=True)
    members = tuple(
        Etcd(
            f"m{index}",
            f"127.0.0.1:{client}",
            Server(
                [
                    binary("etcd"),
                    f"--name=m{index}",
                    f"--data-dir={directory}/m{index}",
                    f"--listen-client-urls=http://127.0.0.1:{client}",
                    f"--advertise-client-urls=http://127.0.0.1:{client}",
                    f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-cluster={initial}",
                    "--log-level=warn",
                    *flags,
                ],
                log=directory / f"m{index}.log",
            ),
        )
        for index, (client, peer) in enumerate(zip(clients, peers, strict=True))
    )
    try:
        for member in members:
            member.server.start()
        for member in members:
            member.server.wait_until(member.is_healthy)
        yield members
    finally:
        for member in members:
            member.server.stop()
