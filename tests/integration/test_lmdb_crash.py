"""kill -9 of writing processes in a loop: nothing acknowledged is lost, nothing is half done, log and table agree.

ADDRCAST_KILLS sets the number of rounds (6).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from addrcast.adapters.stores.lmdb_store import LmdbStore

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import Change

ROUNDS = int(os.environ.get("ADDRCAST_KILLS", "6"))
ROOT = Path(__file__).resolve().parents[2]
WRITER = "tests.integration.lmdb_writer_process"

Promises = dict[str, tuple[int, int]]
"""writer -> the last number and revision that it was promised"""


def start(directory: Path, process: str, *, keep_revisions: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", WRITER, str(directory), process, str(keep_revisions)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def killed_after(writers: list[subprocess.Popen[bytes]], pause_s: float) -> Promises:
    """Let every writer come to its first promise, then kill all at once; what they were promised."""
    promises: Promises = {}
    first_lines = [writer.stdout.readline() for writer in writers if writer.stdout]
    time.sleep(pause_s)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    rests = [writer.communicate()[0] for writer in writers]
    for line in b"".join([*first_lines, *rests]).decode().splitlines():
        name, number, revision = line.split()
        promises[name] = int(number), int(revision)
    assert all(writer.returncode == -signal.SIGKILL for writer in writers)
    return promises


async def changes_after(store: LmdbStore, revision: int, *, until: int) -> list[Change]:
    seen: list[Change] = []
    async with asyncio.timeout(30), aclosing(store.watch([""], after_revision=revision)) as changes:
        while (seen[-1].revision if seen else revision) < until:
            seen.append(await anext(changes))
    return seen


async def check_whole(store: LmdbStore, promises: Promises) -> None:
    state = {item.key: item for item in (await store.scan("")).items}
    for writer, (number, revision) in promises.items():
        left, right = state[f"left.{writer}"], state[f"right.{writer}"]
        own = [item for key, item in state.items() if key.startswith(f"own.{writer}.")]
        assert left.value == right.value == own[0].value
        assert left.mod_revision == right.mod_revision == own[0].mod_revision
        assert len(own) == 1
        # at most the one transaction on its way may have happened without its promise
        assert int(left.value) - number in {0, 1}
        assert (left.mod_revision == revision) if int(left.value) == number else (left.mod_revision > revision)


async def check_log(store: LmdbStore, since: int) -> None:
    """Replaying the log over the state at `since` gives the table, and no revision is missing."""
    page = await store.scan("")
    replayed = {item.key: (item.value, item.mod_revision) for item in (await store.scan("", revision=since)).items}
    changes = await changes_after(store, since, until=page.revision)
    assert [each.revision for each in changes] == list(range(since + 1, page.revision + 1))
    for each in changes:
        for event in each.events:
            if event.value is None:
                del replayed[event.key]
            else:
                replayed[event.key] = event.value, event.mod_revision
    assert replayed == {item.key: (item.value, item.mod_revision) for item in page.items}


@pytest.mark.parametrize("processes", [1, 3])
async def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path, processes: int) -> None:
    promises: Promises = {}
    dice = random.Random(processes)
    since = 0
    for _ in range(max(1, ROUNDS // processes)):
        writers = [start(tmp_path, f"p{number}", keep_revisions=10**6) for number in range(processes)]
        promises |= killed_after(writers, dice.uniform(0.0, 0.3))
        assert len(promises) >= processes
        store = await LmdbStore.open(tmp_path)
        await check_whole(store, promises)
        await check_log(store, since)
        since = (await store.read([])).revision
        await store.close()
    assert sum(number for number, _ in promises.values()) <= since


async def test_a_store_that_trims_its_log_survives_as_well(tmp_path: Path) -> None:
    promises: Promises = {}
    for _ in range(max(1, ROUNDS // 3)):
        promises |= killed_after([start(tmp_path, "p", keep_revisions=50)], 0.2)
        store = await LmdbStore.open(tmp_path, keep_revisions=50)
        await check_whole(store, promises)
        newest = (await store.read([])).revision
        await check_log(store, max(0, newest - 50))
        await store.close()


async def changes_of_both(store: LmdbStore, *, until: int) -> list[Change]:
    """What a watch shows up to a revision, and on until both processes have written."""
    changes: list[Change] = []
    async with aclosing(store.watch([""], after_revision=0)) as watch:
        async for each in watch:
            changes += [each] if each.events else []
            if each.revision >= until and len({one.events[0].key.split("-")[0] for one in changes}) > 1:
                return changes
    raise AssertionError("the watch ended")


async def test_a_watch_sees_what_other_processes_write(tmp_path: Path) -> None:
    store = await LmdbStore.open(tmp_path, map_bytes=1 << 18)
    watch = asyncio.create_task(changes_of_both(store, until=600))
    writers = [start(tmp_path, f"p{number}", keep_revisions=10**6) for number in range(2)]
    try:
        async with asyncio.timeout(60):
            changes = await watch
    finally:
        promises = await asyncio.to_thread(killed_after, writers, 0.0)
    assert [each.revision for each in changes] == list(range(1, changes[-1].revision + 1))
    assert {each.events[0].key.split("-")[0] for each in changes} == {"left.p0", "left.p1"}
    await check_whole(store, promises)
    await check_log(store, 0)
    await store.close()
