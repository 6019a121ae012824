"""How watchers learn that the embedded store has changed, by this process or by another one."""

from __future__ import annotations

import asyncio
import ctypes
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S = 0.2
_POLL_BLIND_S = 0.01
_IN_MODIFY = 2
_IN_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class ChangeSignal:
    """Wakes the watchers of this process after each commit, whoever made it.

    A writer rings by writing one byte to the file `bell` once its commit can be seen; the data file itself changes
    a moment too early. inotify reports the ring to every process; a slow poll covers a writer that died in between,
    and a quick one a kernel that has no inotify instance left.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "bell"
        self._bell = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._listener_count = 0
        self._inotify = -1
        self._poll: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """Tell every process that a commit can be seen; from any thread."""
        with suppress(OSError):  # a full disk must not make a commit look undone; the poll will find it
            os.pwrite(self._bell, b"\0", 0)

    def next(self) -> asyncio.Event:
        """Set when a commit may have followed; take it before reading, wait for it after."""
        return self._event

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Events come while at least one watcher is inside."""
        if self._listener_count == 0:
            self._start()
        self._listener_count += 1
        try:
            yield
        finally:
            self._listener_count -= 1
            if self._listener_count == 0:
                self._stop()

    def close(self) -> None:
        """Wake everyone a last time and close the bell; the writing thread must have ended."""
        self._stop()
        self._wake()
        os.close(self._bell)

    def _start(self) -> None:
        self._inotify = _watch_file(self._path)
        if self._inotify >= 0:
            self._loop.add_reader(self._inotify, self._rung)
        self._look_again()

    def _stop(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if self._inotify >= 0:
            self._loop.remove_reader(self._inotify)
            os.close(self._inotify)
            self._inotify = -1

    def _rung(self) -> None:
        os.read(self._inotify, 4096)
        self._wake()

    def _look_again(self) -> None:
        self._wake()
        pause_s = _POLL_S if self._inotify >= 0 else _POLL_BLIND_S
        self._poll = self._loop.call_later(pause_s, self._look_again)

    def _wake(self) -> None:
        self._event.set()
        self._event = asyncio.Event()


def _watch_file(path: Path) -> int:
    """An inotify descriptor that becomes readable when the file is written to, or -1 where there is none."""
    libc = ctypes.CDLL(None)
    descriptor = int(libc.inotify_init1(_IN_FLAGS))
    if descriptor >= 0 and libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(descriptor)
        return -1
    return descriptor
