"""Whether a role is ready, and what it waits for: told to the log, to a file, and to systemd."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


class Readiness:
    """A role is ready once it has started, while it waits for nothing, until it stops.

    `waits` are what it waits for, in words, by who waits.
    """

    def __init__(self, ready_file: str, environ: Mapping[str, str]) -> None:
        self._file = Path(ready_file) if ready_file else None
        self._notify_socket = environ.get("NOTIFY_SOCKET", "")
        self._was_ready = False
        self._was_told = False
        self.is_started = False
        self.is_stopping = False
        self.waits: dict[str, str] = {}

    @property
    def is_ready(self) -> bool:
        """Whether it does now what it is there for."""
        return self.is_started and not self.waits and not self.is_stopping

    def wait(self, who: str, what: str) -> None:
        """Somebody waits for something."""
        if self.waits.get(who) != what:
            self.waits[who] = what
            self._tell()

    def go_on(self, who: str) -> None:
        """Somebody waits no more."""
        if self.waits.pop(who, None) is not None:
            self._tell()

    def started(self) -> None:
        """The start is over; who still waits says so."""
        self.is_started = True
        self._tell()

    def stopping(self) -> None:
        """The role is asked to stop."""
        self.is_stopping = True
        self._tell()

    def _tell(self) -> None:
        if self.is_ready != self._was_ready:
            self._was_ready = self.is_ready
            if not self.is_stopping:
                log.info("ready" if self.is_ready else "not ready: waits for %s", *self._words())
            self._mark()
        words = (
            "stops" if self.is_stopping else "ready" if self.is_ready else f"waits for {'; '.join(self._words())}"
        )
        lines = [f"STATUS={words}"]
        # systemd waits for the end of the start; what is waited for after that is in the status
        if self.is_started and not self._was_told:
            self._was_told = True
            lines.append("READY=1")
        if self.is_stopping:
            lines.append("STOPPING=1")
        self._notify("\n".join(lines))

    def _words(self) -> list[str]:
        return ["; ".join(self.waits.values())] if self.waits else []

    def _mark(self) -> None:
        """Make or remove the file."""
        if self._file is None:
            return
        try:
            if self.is_ready:
                self._file.write_text(f"{os.getpid()}\n")
            else:
                self._file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the ready file %s: %s", self._file, error.strerror)

    def _notify(self, lines: str) -> None:
        """Source: sd_notify(3): one datagram of lines; a leading @ stands for the abstract namespace."""
        if not self._notify_socket:
            return
        address = self._notify_socket
        address = f"\0{address[1:]}" if address.startswith("@") else address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagrams:
            datagrams.sendto(lines.encode(), address)
