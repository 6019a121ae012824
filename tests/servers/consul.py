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

SESSION_MS_MIN = 200  # Consul's own 10 s would make every test of a lease as long


@dataclass(frozen=True, slots=True)
class Consul:
    """A running server: where its clients connect (`host:port`), and its process."""

    address: str
    server: Server
    scheme: str = "http"
    token: str = ""

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
    http, server, serf = free_ports(3)
    ports = {"http": http, "server": server, "serf_lan": serf, "serf_wan": -1, "dns": -1, "grpc": -1}
    more = dict(settings or {})
    more["ports"] = ports | more.get("ports", {})
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "consul.json"
    file.write_text(
        json.dumps(
            {
                "bind_addr": "127.0.0.1",
                "client_addr": "127.0.0.1",
                "session_ttl_min": f"{SESSION_MS_MIN}ms",
                "log_level": "warn",
                "disable_update_check": True,
                # one node on loopback needs no seconds to elect itself
                "performance": {"raft_multiplier": 1},
                **({"server": True, "bootstrap": True, "data_dir": f"{directory}/data"} if is_kept else {}),
                **more,
            }
        )
    )
    command: list[str | Path] = [binary("consul"), "agent", *([] if is_kept else ["-dev"]), f"-config-file={file}"]
    consul = Consul(f"127.0.0.1:{http}", Server(command, log=directory / "consul.log"), token=token)
    try:
        consul.server.start()
        consul.server.wait_until(consul.is_healthy)
        yield consul
    finally:
        consul.server.stop()


@cache
def shared_consul() -> Consul:
    """A server for all tests of this process that keep to a root of their own; it ends with the process."""
    ending = ExitStack()
    atexit.register(ending.close)
    return ending.enter_context(consul_server(Path(ending.enter_context(tempfile.TemporaryDirectory()))))
