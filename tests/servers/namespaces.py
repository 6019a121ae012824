"""Network namespaces for servers: one each, on two switches, so that its clients or its peers can be cut off.

Everything happens inside namespaces of one run (network, mounts, processes; users, where the caller is not root).
When the run ends, however it ends, the kernel takes all of it away, so nothing is ever left over.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "fault"
CLIENTS, PEERS = "10.91.0", "10.92.0"
# the kernel ends the whole run with the process that began it
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
TRIAL = (
    "mount -t tmpfs tmpfs /run && mkdir /run/netns && ip netns add trial && "
    "ip link add trial type bridge && ip link add left type veth peer name right netns trial && "
    "nsenter --net=/run/netns/trial true"
)


def unshare_words() -> list[str]:
    """The words that begin a command in namespaces of its own."""
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [UNSHARE[0], *users, *UNSHARE[1:]]


def why_not() -> str:
    """Why namespaces cannot be had here; empty where they can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    try:
        trial = subprocess.run(
            [*unshare_words(), "sh", "-c", TRIAL], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        return f"network namespaces cannot be made: {fault}"
    return "" if trial.returncode == 0 else f"network namespaces cannot be made: {trial.stderr.strip()}"


def run(*words: str | Path) -> None:
    """Run a command. Raises RuntimeError with what it said where it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def prepare() -> Path:
    """Inside the namespaces of a run: a place in memory for data, and the two switches. Returns that place."""
    # not over /run's own mounts: this mount is seen by nobody else
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for place in ("/run/netns", "/run/faults"):
        Path(place).mkdir()
    run("ip", "link", "set", "lo", "up")
    for switch, address in ((f"{PREFIX}c", f"{CLIENTS}.1/24"), (f"{PREFIX}p", f"{PEERS}.1/24")):
        run("ip", "link", "add", switch, "type", "bridge", "forward_delay", "0")
        run("ip", "address", "add", address, "dev", switch)
        run("ip", "link", "set", switch, "up")
    return Path("/run/faults")


@dataclass(frozen=True, slots=True)
class Cabin:
    """The namespace of one server, with a cable to the clients' switch and one to its peers'."""

    number: int

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.number}"

    @property
    def client_address(self) -> str:
        return f"{CLIENTS}.{10 + self.number}"

    @property
    def peer_address(self) -> str:
        return f"{PEERS}.{10 + self.number}"

    def make(self) -> None:
        """Make the namespace and plug in both cables."""
        run("ip", "netns", "add", self.name)
        inside = ("ip", "-n", self.name)
        run(*inside, "link", "set", "lo", "up")
        for letter, address in (("c", self.client_address), ("p", self.peer_address)):
            cable = self._cable(letter)
            run("ip", "link", "add", cable, "type", "veth", "peer", "name", f"eth{letter}", "netns", self.name)
            run("ip", "link", "set", cable, "master", f"{PREFIX}{letter}", "up")
            run(*inside, "address", "add", f"{address}/24", "dev", f"eth{letter}")
            run(*inside, "link", "set", f"eth{letter}", "up")

    def remove(self) -> None:
        """Take namespace and cables away; a namespace itself may take a while to go, its cables' names may not."""
        for letter in "cp":
            run("ip", "link", "delete", self._cable(letter))
        run("ip", "netns", "delete", self.name)

    def command(self, words: Sequence[str | Path]) -> list[str]:
        """A command that runs in here; its process id is the server's own."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *(str(word) for word in words)]

    def cut_peers(self) -> None:
        """No packet to or from its peers; its clients still reach it."""
        run("ip", "link", "set", self._cable("p"), "down")

    def cut_all(self) -> None:
        """No packet to or from anybody."""
        self.cut_peers()
        run("ip", "link", "set", self._cable("c"), "down")

    def mend(self) -> None:
        """Both cables are plugged in again."""
        for letter in "cp":
            run("ip", "link", "set", self._cable(letter), "up")

    def _cable(self, letter: str) -> str:
        return f"{PREFIX}{self.number}{letter}"
