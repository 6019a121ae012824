"""Log lines of a role: one line each on the error stream, as text or JSON, without secrets."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from addrcast.runtime.settings_table import MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.runtime.settings import LogSection

REPEAT_S = 10.0
REMEMBERED_MAX = 1_000
SECRET_BYTES_MIN = 4
"""A shorter secret is not looked for: it would blot out innocent text."""


class LineFormatter(logging.Formatter):
    """One record, one line; whatever secret text it bears is masked."""

    def __init__(self, role: str, *, form: str, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._role = role
        self._form = form
        self._secrets = [secret for secret in secrets if len(secret) >= SECRET_BYTES_MIN]

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, a traceback folded into it."""
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        for secret in self._secrets:
            message, trace = message.replace(secret, MASK), trace.replace(secret, MASK)
        fields = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "role": self._role,
            "message": message,
        }
        fields |= {"trace": trace} if trace else {}
        if self._form == "json":
            return msgspec.json.encode(fields).decode()
        return " ".join(f"{name}={_quoted(text)}" for name, text in fields.items())


class RepeatFilter(logging.Filter):
    """Lets a message that was written within the last `REPEAT_S` pass no more.

    Errors always pass, and what the process says of itself, which comes and goes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write it."""
        if record.levelno >= logging.ERROR or record.name.startswith(__package__):
            return True
        message = record.getMessage()
        if record.created - self._written.get(message, 0.0) < REPEAT_S:
            return False
        if len(self._written) >= REMEMBERED_MAX:
            self._written.clear()
        self._written[message] = record.created
        return True


def log_to_stderr(role: str, section: LogSection, *, secrets: Sequence[str] = ()) -> None:
    """Have all that is logged in this process written to the error stream."""
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(LineFormatter(role, form=section.format, secrets=secrets))
    to_stderr.addFilter(RepeatFilter())
    root = logging.getLogger()
    root.handlers = [to_stderr]
    root.setLevel(section.level.upper())
    logging.captureWarnings(capture=True)


def _quoted(text: str) -> str:
    if text and not any(letter in text for letter in ' "=\\') and text.isprintable():
        return text
    return msgspec.json.encode(text).decode()
