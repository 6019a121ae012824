"""A watcher that is none of ours: etcdctl, following every key there is from the first revision on."""

from __future__ import annotations

import asyncio
import subprocess
from base64 import b64decode
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from tests.servers.process import binary

from addrcast.core.domain.transaction import Change, Event
from addrcast.runtime.view import PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LINE_BYTES_MAX = 64 << 20


class _KeyValue(msgspec.Struct):
    key: str
    mod_revision: int
    create_revision: int = 0
    value: str = ""


class _Event(msgspec.Struct):
    kv: _KeyValue
    type: int = 0


class _Response(msgspec.Struct, rename="pascal"):
    events: list[_Event] | None = None


_DECODER: Any = msgspec.json.Decoder(_Response)


class Witness:
    """Writes down what etcdctl prints; `revision` is the newest that it has told whole, `ours` of our keys."""

    def __init__(self, endpoints: Sequence[str], path: Path) -> None:
        self.revision = 0
        self.ours = 0
        self.starts = 0
        self._path = path
        self._words = [
            str(binary("etcdctl")),
            f"--endpoints={','.join(endpoints)}",
            "--keepalive-time=1s",
            "--keepalive-timeout=1s",
            "watch",
            "",
            "--prefix",
            "--write-out=json",
        ]
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        with self._path.open("wb") as file, self._path.with_suffix(".log").open("wb") as log:
            while True:
                self.starts += 1
                process = await asyncio.create_subprocess_exec(
                    *self._words,
                    f"--rev={self.revision + 1}",
                    stdout=subprocess.PIPE,
                    stderr=log,
                    limit=LINE_BYTES_MAX,
                )
                try:
                    assert process.stdout is not None
                    async for line in process.stdout:
                        self._take(line)
                        file.write(line)
                        file.flush()
                except BaseException:
                    process.kill()
                    raise
                finally:
                    await process.wait()
                await asyncio.sleep(0.2)

    def _take(self, line: bytes) -> None:
        for event in _DECODER.decode(line).events or ():
            self.revision = event.kv.mod_revision
            if b64decode(event.kv.key).decode().startswith(PREFIXES):
                self.ours = event.kv.mod_revision


def changes_of(path: Path) -> Iterator[Change]:
    """What a witness wrote down, as whole revisions; a revision that it was told of twice is there twice."""
    revision = 0
    events: list[Event] = []
    with path.open("rb") as file:
        for line in file:
            for told in _DECODER.decode(line).events or ():
                if told.kv.mod_revision != revision and events:
                    yield Change(revision, tuple(events))
                    events = []
                revision = told.kv.mod_revision
                events.append(_event(told))
    if events:
        yield Change(revision, tuple(events))


def _event(told: _Event) -> Event:
    key = b64decode(told.kv.key).decode()
    if told.type == 1:
        return Event(key, None, 0, told.kv.mod_revision)
    return Event(key, b64decode(told.kv.value), told.kv.create_revision, told.kv.mod_revision)
