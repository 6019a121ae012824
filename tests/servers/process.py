"""A server as a child process: found in .servers/bin, started, waited for, killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BIN = Path(__file__).parents[2] / ".servers" / "bin"
START_S = 30.0
STOP_S = 10.0


def binary(name: str) -> Path:
    """Where a server lies. Raises FileNotFoundError where `tools/servers.sh` has not put it yet."""
    path = BIN / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run tools/servers.sh")
    return path


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens on now; another process may take one before it is used."""
    sockets = [socket.create_server((address, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Server:
    """One child process and its log. `command` is kept, so that a killed server can be started again."""

    def __init__(self, command: Sequence[str | Path], *, log: Path) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process, which is killed with this one's end only if `stop` is called."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_until(self, is_ready: Callable[[], bool], *, within_s: float = START_S) -> None:
        """Wait for readiness. Raises RuntimeError with the end of the log where it does not come."""
        end = time.monotonic() + within_s
        while not is_ready():
            if not self.is_running or time.monotonic() > end:
                raise RuntimeError(f"{self.command[0]} is not ready: {self.log_end()}")
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """Signal the process: SIGKILL, SIGSTOP, SIGCONT."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        self._end(signal.SIGKILL)

    def stop(self, *, within_s: float = STOP_S) -> None:
        """Ask it to end; kill it where it does not. Nothing where it does not run."""
        self._end(signal.SIGTERM, within_s)

    def log_end(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def _end(self, number: signal.Signals, within_s: float = STOP_S) -> None:
        if self._process is None:
            return
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
