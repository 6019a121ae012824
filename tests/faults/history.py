"""What a run leaves behind, as lines of JSON: who asked what when, what hosts wrote, what watchers saw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

OK = "ok"
UNKNOWN = frozenset({"OutcomeUnknown", "Cancelled"})
"""Outcomes after which nobody can say whether it happened."""


def now_ns() -> int:
    """This machine's monotonic clock, one for all processes."""
    return time.monotonic_ns()


class PlacedAt(msgspec.Struct, frozen=True, array_like=True):
    """One address of an answer."""

    logical: str
    physical: str
    host: str


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a client, from its invocation to its completion.

    `request` names it in what it writes, and no other call. `outcome` is `ok` or the error's class. `is_change`
    is what the answer says: this call did it.
    """

    process: str
    request: str
    call: str
    account: str
    instance: str
    attempt: int | None
    begun_ns: int
    ended_ns: int
    outcome: str = OK
    said: str = ""
    host: str = ""
    revision: int = 0
    got_attempt: int = 0
    addresses: tuple[PlacedAt, ...] = ()
    is_change: bool = False
    how: str = ""


class Put(msgspec.Struct, frozen=True, array_like=True):
    """One event as a watcher was told of it; `value` None is a removal."""

    key: str
    value: str | None
    created: int
    modified: int


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole revision as it came to a watcher.

    With `begins`, a watch (again) from after `revision`; with `gap`, compaction took what came after the last one,
    and `begins` is the snapshot's.
    """

    at_ns: int
    revision: int
    events: tuple[Put, ...] = ()
    begins: bool = False
    gap: bool = False


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """A scan of everything at one revision: (key, create and mod revision, value)."""

    at_ns: int
    revision: int
    items: tuple[tuple[str, int, int, str], ...]


class Mapped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A host's table has changed: `physical` empty is a removed entry, `logical` too the whole account's."""

    at_ns: int
    host: str
    vni: int
    logical: str = ""
    physical: str = ""


class Struck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fault, from the first thing done for it to when it was mended."""

    kind: str
    begun_ns: int
    ended_ns: int
    what: str = ""


class Trouble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of the store that failed, below the service that made it."""

    at_ns: int
    call: str
    error: str
    said: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan granted, by account: its rank, addresses wanted, granted, and held back for want of room."""

    at_ns: int
    revision: int
    rows: tuple[tuple[str, int, int, int, int], ...]


class Lines(Generic[T]):
    """A file of one kind of lines, appended to by one process; a line is whole or not there."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._encoder = msgspec.json.Encoder()

    def write(self, line: T) -> None:
        self._file.write(self._encoder.encode(line) + b"\n")

    def close(self) -> None:
        self._file.close()


def lines_of(kind: type[T], path: Path) -> Iterator[T]:
    """The lines of a file, in order; one that was cut off by a kill is the last and left out."""
    decoder: Any = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)
