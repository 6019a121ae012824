"""Consul on this machine: single servers, as a development agent or with data that outlive a kill."""

from __future__ import annotations

import atexit
import json
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.process import Server, binary, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SESSION_MS_MIN = 300  # Consul's own 10 s would make every test of a lease as long


@dataclass(frozen=True, slots=True)
class Consul:
    """A running server: where its clients connect (`host:port`), and its process."""

    address: str
    server: Server
    scheme: str = "http"
    token: str = ""
    peer: str = ""  # where the other servers find it

    def leader(self) -> str:
        """The `peer` of the server that leads; empty where none does."""
        with urllib.request.urlopen(f"http://{self.address}/v1/status/leader", timeout=5) as answer:
            leader: str = json.load(answer)
            return leader

    def is_healthy(self) -> bool:
        """Whether it leads and has entered itself, so that it takes sessions."""
        request = urllib.request.Request(
            f"http://{self.address}/v1/catalog/nodes?consistent", headers={"X-Consul-Token": self.token}
        )
        try:
            with urllib.request.urlopen(request, timeout=1) as answer:  # noqa: S310
                return b'"Node"' in answer.read()
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def consul_server(
    directory: Path, *, is_kept: bool = False, settings: Mapping[str, Any] | None = None, token: str = ""
) -> Iterator[Consul]:
    """An empty single server, ready. One that `is_kept` has its data on disk, to be killed and started again."""
    stays = {"server": True, "bootstrap": True, "data_dir": f"{directory}/data"}
    http, server, serf = free_ports(3)
    file = _configured(directory, (http, server, serf), (stays if is_kept else {}) | dict(settings or {}))
    command: list[str | Path] = [binary("consul"), "agent", *([] if is_kept else ["-dev"]), f"-config-file={file}"]
    consul = Consul(f"127.0.0.1:{http}", Server(command, log=directory / "consul.log"), token=token)
    try:
        consul.server.start()
        consul.server.wait_until(consul.is_healthy)
        yield consul
    finally:
        consul.server.stop()


@contextmanager
def consul_cluster(directory: Path, *, size: int = 3) -> Iterator[tuple[Consul, ...]]:
    """An empty cluster on loopback with its data on disk, every server ready."""
    ports = free_ports(3 * size)
    joined = [f"127.0.0.1:{serf}" for serf in ports[2::3]]
    servers = []
    for index in range(size):
        http, server, serf = ports[3 * index : 3 * index + 3]
        place = directory / f"c{index}"
        settings = {"server": True, "bootstrap_expect": size, "retry_join": joined, "retry_interval": "1s"}
        settings |= {"data_dir": f"{place}/data", "node_name": f"c{index}"}
        file = _configured(place, (http, server, serf), settings)
        command: list[str | Path] = [binary("consul"), "agent", f"-config-file={file}"]
        started = Server(command, log=place / "consul.log")
        servers.append(Consul(f"127.0.0.1:{http}", started, peer=f"127.0.0.1:{server}"))
    try:
        for each in servers:
            each.server.start()
        for each in servers:
            each.server.wait_until(each.is_healthy)
        yield tuple(servers)
    finally:
        for each in servers:
            each.server.stop()


def _configured(directory: Path, ports: tuple[int, int, int], settings: Mapping[str, Any]) -> Path:
    """The file of a server's settings, written."""
    http, server, serf = ports
    used = {"http": http, "server": server, "serf_lan": serf, "serf_wan": -1, "dns": -1, "grpc": -1}
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "consul.json"
    common = {
        "bind_addr": "127.0.0.1",
        "client_addr": "127.0.0.1",
        "session_ttl_min": f"{SESSION_MS_MIN}ms",
        "log_level": "warn",
        "disable_update_check": True,
        # on loopback an election needs no seconds
        "performance": {"raft_multiplier": 1},
    }
    file.write_text(json.dumps(common | dict(settings) | {"ports": used | settings.get("ports", {})}))
    return file


@cache
def shared_consul() -> Consul:
    """A server for all tests of this process that keep to a root of their own; it ends with the process."""
    ending = ExitStack()
    atexit.register(ending.close)
    return ending.enter_context(consul_server(Path(ending.enter_context(tempfile.TemporaryDirectory()))))
