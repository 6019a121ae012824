"""The process that writes down what the store does: watchers from the first revision on, and scans."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.history import Lines, Put, Scanned, Seen, now_ns
from tests.faults.processes import answer, log_to_stderr, orders
from tests.faults.site import open_store

from addrcast.core.domain.errors import Unavailable
from addrcast.ports.store import Compacted
from addrcast.runtime.view import PREFIXES, scan_all

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import Change
    from addrcast.ports.store import Store

WATCHERS = ("watcher-0", "watcher-1", "slow")
WHOLE = WATCHERS[:2]
"""Those that are never behind when the store forgets, so that they see every revision."""

SCAN_EVERY_S = 1.5
RETRY_S = 0.1


class Watcher:
    """Follows the store from after revision 0; while it is `held`, it takes nothing in."""

    def __init__(self, name: str, store: Store, directory: Path) -> None:
        self.revision = 0
        self.resumes = -1
        self.gaps = 0
        self._store = store
        self._lines: Lines[Seen] = Lines(directory / f"{name}.changes")
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    def hold(self) -> None:
        self._goes_on.clear()

    def release(self) -> None:
        self._goes_on.set()

    async def follow(self) -> None:
        """Watch until cancelled, again from the last revision whenever the watch ends."""
        while True:
            self.resumes += 1
            self._lines.write(Seen(at_ns=now_ns(), revision=self.revision, begins=True))
            try:
                watch = self._store.watch(PREFIXES, after_revision=self.revision)
                async with aclosing(watch) as changes:
                    async for change in changes:
                        self._take(change)
                        await self._goes_on.wait()
            except Compacted as gone:
                await self._snapshot(gone)
            except Unavailable:
                await asyncio.sleep(RETRY_S)

    def _take(self, change: Change) -> None:
        events = tuple(
            Put(
                each.key,
                None if each.value is None else each.value.decode(),
                each.create_revision,
                each.mod_revision,
            )
            for each in change.events
        )
        self.revision = change.revision
        self._lines.write(Seen(at_ns=now_ns(), revision=change.revision, events=events))

    async def _snapshot(self, gone: Compacted) -> None:
        """Go on from where the store is now, as a view does, and say so."""
        self.gaps += 1
        with suppress(Unavailable, Compacted):
            revision, _ = await scan_all(self._store, PREFIXES)
            self._lines.write(Seen(at_ns=now_ns(), revision=gone.oldest, gap=True))
            self.revision = max(self.revision, revision)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


async def scan(store: Store, directory: Path) -> None:
    """Scan everything again and again."""
    lines: Lines[Scanned] = Lines(directory / "scans")
    while True:
        await asyncio.sleep(SCAN_EVERY_S)
        with suppress(Unavailable, Compacted):
            await scan_once(store, lines)


async def scan_once(store: Store, lines: Lines[Scanned]) -> int:
    revision, items = await scan_all(store, PREFIXES)
    told = tuple((item.key, item.create_revision, item.mod_revision, item.value.decode()) for item in items)
    lines.write(Scanned(at_ns=now_ns(), revision=revision, items=told))
    return revision


async def main(_name: str, where: str, directory: str, _seed: str) -> None:
    log_to_stderr()
    place = Path(directory)
    stores = [await open_store(where) for _ in range(len(WATCHERS) + 1)]
    watchers = {name: Watcher(name, store, place) for name, store in zip(WATCHERS, stores, strict=False)}
    tasks = [asyncio.create_task(watcher.follow()) for watcher in watchers.values()]
    tasks.append(asyncio.create_task(scan(stores[-1], place)))
    answer()
    last: Lines[Scanned] = Lines(place / "scans")
    async for order in orders():
        match order:
            case "hold":
                watchers["slow"].hold()
                answer()
            case "release":
                watchers["slow"].release()
                answer()
            case "seen":
                answer(str(min(watchers[name].revision for name in WHOLE)))
            case "scan":
                answer(str(await scan_once(stores[-1], last)))
            case "all-seen":
                answer(str(min(watcher.revision for watcher in watchers.values())))
            case "stop":
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                for store in stores:
                    await store.close()
                told = [f"{name}={each.resumes}/{each.gaps}" for name, each in watchers.items()]
                bugs = [repr(one) for one in ended if not isinstance(one, asyncio.CancelledError)]
                answer(" ".join([*told, *bugs]))
                return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
