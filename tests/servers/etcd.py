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
    """A running member: where its clients connect (`host:port`), its process, and where it tells its health.

    `health` is empty where it does so at the same port.
    """

    name: str
    endpoint: str
    server: Server
    health: str = ""

    def is_healthy(self) -> bool:
        """Whether it has a leader and serves."""
        try:
            with urllib.request.urlopen(f"http://{self.health or self.endpoint}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except (urllib.error.URLError, OSError):
            return False

    def leads(self) -> bool:
        """Whether it is the leader."""
        with urllib.request.urlopen(f"http://{self.health or self.endpoint}/metrics", timeout=5) as answer:
            return b"\netcd_server_is_leader 1\n" in answer.read()


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The files of a server's own certificate; with `client_ca`, clients must show one that is signed by it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def flags(self) -> list[str]:
        flags = [f"--cert-file={self.certificate}", f"--key-file={self.key}"]
        if self.client_ca is not None:
            flags += ["--client-cert-auth", f"--trusted-ca-file={self.client_ca}"]
        return flags


@contextmanager
def etcd_node(directory: Path, *, flags: Sequence[str] = QUICK, tls: ServerTls | None = None) -> Iterator[Etcd]:
    """An empty single node, ready; its data lies under `directory`."""
    with etcd_cluster(directory, size=1, flags=flags, tls=tls) as (node,):
        yield node


@contextmanager
def etcd_cluster(
    directory: Path, *, size: int = 3, flags: Sequence[str] = QUICK, tls: ServerTls | None = None
) -> Iterator[tuple[Etcd, ...]]:
    """An empty cluster on loopback, every member ready; its peers talk without TLS."""
    ports = free_ports(3 * size)
    clients, peers, metrics = ports[:size], ports[size : 2 * size], ports[2 * size :]
    scheme = "https" if tls else "http"
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
                    f"--listen-client-urls={scheme}://127.0.0.1:{client}",
                    f"--advertise-client-urls={scheme}://127.0.0.1:{client}",
                    f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-cluster={initial}",
                    "--log-level=warn",
                    *flags,
                    *((*tls.flags(), f"--listen-metrics-urls=http://127.0.0.1:{metric}") if tls else ()),
                ],
                log=directory / f"m{index}.log",
            ),
            f"127.0.0.1:{metric}" if tls else "",
        )
        for index, (client, peer, metric) in enumerate(zip(clients, peers, metrics, strict=True))
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
