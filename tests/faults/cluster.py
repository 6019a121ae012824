"""Three etcd members, each in a namespace and on a disk of its own, and what can be done to them."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from tests.faults.gateway import Gateway, Refused, Status
from tests.servers.namespaces import Cabin, run
from tests.servers.process import Server, binary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SIZE = 3
QUOTA_BYTES = 32 << 20
# files of the log, of 64 MB each, are set aside ahead and only thrown away twice a minute
DISK_BYTES = 1 << 30
FLAGS = (
    # etcd's own defaults, stated since the figures depend on them
    "--heartbeat-interval=100",
    "--election-timeout=1000",
    f"--quota-backend-bytes={QUOTA_BYTES}",
    # soon enough that a member that comes back is sometimes sent a snapshot
    "--snapshot-count=2000",
    "--max-wals=2",
    "--max-snapshots=2",
    "--log-level=warn",
)


class Member:
    """One member: its cabin, its disk, its process."""

    def __init__(self, cabin: Cabin, directory: Path, cluster: str) -> None:
        self.cabin = cabin
        self.endpoint = f"{cabin.client_address}:2379"
        self.gateway = Gateway(self.endpoint)
        self._disk = directory / cabin.name
        self._filler = self._disk / "filler"
        self.server = Server(
            cabin.command(
                [
                    binary("etcd"),
                    f"--name={cabin.name}",
                    f"--data-dir={self._disk}/data",
                    f"--listen-client-urls=http://{self.endpoint}",
                    f"--advertise-client-urls=http://{self.endpoint}",
                    f"--listen-peer-urls=http://{cabin.peer_address}:2380",
                    f"--initial-advertise-peer-urls=http://{cabin.peer_address}:2380",
                    f"--initial-cluster={cluster}",
                    *FLAGS,
                ]
            ),
            log=directory / f"{cabin.name}.log",
        )

    @property
    def name(self) -> str:
        return self.cabin.name

    def make(self) -> None:
        """Its namespace and an empty disk."""
        self.cabin.make()
        self._disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self._disk)

    def remove(self) -> None:
        """End it, and take away what `make` made."""
        self.server.kill()
        run("umount", self._disk)
        self.cabin.remove()

    def status(self) -> Status | None:
        """What it says of itself, None where it does not answer."""
        try:
            return self.gateway.status()
        except Refused:
            return None

    @property
    def is_serving(self) -> bool:
        """Whether it answers, and knows a leader."""
        status = self.status()
        return status is not None and status.leader != "0"

    def fill_disk(self) -> None:
        """Take all that is free on its disk."""
        block = bytes(1 << 20)
        with suppress(OSError), self._filler.open("ab", buffering=0) as filler:
            while filler.write(block):
                pass

    def free_disk(self) -> None:
        """Give back what `fill_disk` took."""
        self._filler.unlink(missing_ok=True)

    def ensure_running(self) -> None:
        """Start it where it has ended."""
        if not self.server.is_running:
            self.server.start()

    def pause(self) -> None:
        self.server.send(signal.SIGSTOP)

    def proceed(self) -> None:
        self.server.send(signal.SIGCONT)


class Cluster:
    """The members, and which of them leads."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(member.endpoint for member in self.members)

    def leader(self, *, within_s: float = 10.0) -> Member:
        """Who leads in the newest term that a member tells of. Raises RuntimeError where nobody does."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            told = [(member, member.status()) for member in self.members]
            leading = [
                (status.term, member.name, member)
                for member, status in told
                if status is not None and status.leader == status.member
            ]
            if leading:
                return max(leading)[2]
            time.sleep(0.05)
        raise RuntimeError("no member leads")

    def await_serving(self, *, within_s: float = 30.0) -> None:
        """Wait until every member serves. Raises RuntimeError with the end of its log where one does not."""
        for member in self.members:
            member.server.wait_until(partial(_serves, member), within_s=within_s)

    def mend(self) -> None:
        """Whatever was done to them is undone."""
        for member in self.members:
            member.cabin.mend()
            member.free_disk()
            member.proceed()
            member.ensure_running()


def _serves(member: Member) -> bool:
    return member.is_serving


@contextmanager
def cluster_in(directory: Path) -> Iterator[Cluster]:
    """An empty cluster of three, every member serving; inside the namespaces of a run only."""
    cabins = [Cabin(number) for number in range(SIZE)]
    initial = ",".join(f"{cabin.name}=http://{cabin.peer_address}:2380" for cabin in cabins)
    cluster = Cluster([Member(cabin, directory, initial) for cabin in cabins])
    for member in cluster.members:
        member.make()
    try:
        for member in cluster.members:
            member.server.start()
        cluster.await_serving()
        yield cluster
    finally:
        for member in cluster.members:
            member.remove()
