"""The file of a unix socket: where it lies by default, who may open it, and that no living one is pushed aside."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addrcast.runtime.settings import SocketSection

PATH_BYTES_MAX = 107
SYSTEM_FOLDER = Path("/run/addrcast")


def default_socket(name: str, environ: Mapping[str, str]) -> Path:
    """Where the socket of that name lies unless it is set."""
    if os.geteuid() == 0:
        return SYSTEM_FOLDER / name
    if folder := environ.get("XDG_RUNTIME_DIR"):
        return Path(folder) / "addrcast" / name
    return Path.home() / ".local" / "state" / "addrcast" / name


class SocketFile:
    """A socket at a path, bound but not listening yet, and held by a lock beside it until `close`.

    A file that a killed process left is replaced. Raises Invalid where somebody listens there, or where the path,
    the folder or the group cannot be.
    """

    def __init__(self, path: Path, section: SocketSection) -> None:
        self.path = path
        if len(os.fsencode(path)) > PATH_BYTES_MAX:
            raise Invalid("socket.path", str(path), f"a unix socket's path has at most {PATH_BYTES_MAX} bytes")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Invalid("socket.path", str(path), f"it cannot be made there: {error.strerror}") from None
        try:
            self._take_lock()
            self.socket = self._bound(section)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Remove the file and let others have the path."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.socket.close()
        os.close(self._lock)

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._taken() from None

    def _taken(self) -> Invalid:
        return Invalid("socket.path", str(self.path), "another process serves there; stop it or set another path")

    def _bound(self, section: SocketSection) -> socket.socket:
        self._clear()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # nobody may open it for a moment before its mode is set
        before = os.umask(0o177)
        try:
            bound.bind(str(self.path))
        except OSError as error:
            bound.close()
            raise Invalid("socket.path", str(self.path), f"it cannot be bound: {error.strerror}") from None
        finally:
            os.umask(before)
        if section.group:
            self._give(section.group)
        self.path.chmod(int(section.mode, 8))
        return bound

    def _clear(self) -> None:
        """Remove what a killed process left."""
        if not self.path.exists():
            return
        if not self.path.is_socket():
            raise Invalid(
                "socket.path", str(self.path), "a file that is no socket is there; move it or set another"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.setblocking(False)
            try:
                trial.connect(str(self.path))
            except (ConnectionRefusedError, FileNotFoundError):
                pass
            except OSError:
                raise self._taken() from None
            else:
                raise self._taken()
        self.path.unlink(missing_ok=True)

    def _give(self, group: str) -> None:
        try:
            os.chown(self.path, -1, grp.getgrnam(group).gr_gid)
        except KeyError:
            raise Invalid("socket.group", group, "there is no such group") from None
        except PermissionError:
            raise Invalid("socket.group", group, "this user is not in it") from None
