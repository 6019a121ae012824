"""`addrcast backup`, `restore`, `migrate`, `epoch` and `upgrade` on embedded stores."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.entrypoints.cli import answer, run
from tests.integration.moved import fill

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import EPOCH, attachments_key, host_alive_key, host_report_key
from addrcast.core.domain.record import Attached, Attachments, EpochState, HostReport, StoreEpoch, Value
from addrcast.core.domain.transaction import Put, Transaction

STORED = Path(__file__).parents[1] / "core" / "domain" / "store_v1.json"


def put(store: Path, *puts: Put) -> None:
    async def go() -> None:
        opened = await LmdbStore.open(store)
        await opened.commit([Transaction((), (each,)) for each in puts])
        await opened.close()

    asyncio.run(go())


def put_value(store: Path, key: str, value: Value) -> None:
    put(store, Put(key, encode(value)))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    async def go() -> None:
        opened = await LmdbStore.open(tmp_path / "store")
        await fill(opened)
        await opened.close()

    asyncio.run(go())
    return tmp_path / "store"


def failure(*args: str | Path) -> str:
    result = run(*args)
    assert result.exit_code != 0
    return result.stderr


def test_a_store_is_backed_up_verified_and_restored(store: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "nightly", tmp_path / "other"
    made = answer("backup", "--store", store, "-o", file, "--compress")
    assert answer("backup", "verify", file) == made
    assert "whole" in run("backup", "verify", file).stdout
    restored = answer("restore", file, "--store", other, "--above-epoch", "3")
    assert restored == {"keys": made["keys"] - 1, "epoch": 4}
    shown = answer("epoch", "--store", other)
    assert (shown["epoch"], shown["state"], shown["silent"]) == (4, "closed", ["h1", "h2"])
    assert "0 violations" in run("check", "--store", other).stdout
    assert "not empty" in failure("restore", file, "--store", other)


def test_a_damaged_backup_is_refused_before_the_store_is_touched(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "b"
    assert "keys of" in run("backup", "--store", store, "-o", file).stdout
    file.write_bytes(file.read_bytes()[:-20])
    assert "cut off" in failure("restore", file, "--store", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_backup_says_what_it_lacks(store: Path, tmp_path: Path) -> None:
    assert "Missing option" in failure("backup", "--store", store)
    assert "'verify FILE' is" in failure("backup", "look", "at")
    assert "holds no store" in failure("backup", "--store", tmp_path, "-o", tmp_path / "b")
    assert "store address" in failure("restore", STORED, "--store", "ftp://x")


def test_a_store_moves_and_the_old_one_stays_frozen(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    moved = answer("migrate", "--from", store, "--to", other)
    assert moved["epoch"] == 2
    assert "0 violations" in run("check", "--store", other).stdout
    assert f"is frozen, moves to embedded:{other}" in run("epoch", "--store", store).stdout
    assert "moved there already" in failure("migrate", "--from", store, "--to", other)
    assert "two stores would give" in failure("migrate", "--from", store, "--abort")
    assert answer("migrate", "--from", store, "--abort", "--force")["state"] == "open"
    assert "not frozen" in failure("migrate", "--from", store, "--abort")
    assert "Missing option '--to'" in failure("migrate", "--from", store)


def test_what_a_closed_store_waits_for_is_shown_and_an_operator_may_speak_for_hosts(store: Path) -> None:
    assert "only a closed store waits" in failure("epoch", "--store", store, "--accept", "h1")
    put_value(store, EPOCH, StoreEpoch(epoch=2, state=EpochState.CLOSED))
    put_value(store, host_report_key("h1"), HostReport(epoch=2, incarnation=1, is_known=False))
    shown = answer("epoch", "--store", store)
    assert (shown["unheard"], shown["silent"], shown["unknowing"]) == (["h1", "h2"], ["h2"], ["h1"])
    assert "no host of this name" in failure("epoch", "--store", store, "--accept", "h9")
    assert answer("epoch", "--store", store, "--accept", "h1")["accepted"] == ["h1"]
    text = run("epoch", "--store", store, "--accept-all").stdout
    assert "accepted: h1\naccepted: h2\n" in text


def test_an_attachment_that_cannot_be_taken_over_is_shown(store: Path) -> None:
    put_value(store, EPOCH, StoreEpoch(epoch=2, state=EpochState.CLOSED))
    for host, accounts in (("h1", 1), ("h2", 0)):
        put_value(
            store, host_report_key(host), HostReport(epoch=2, incarnation=1, is_known=True, accounts=accounts)
        )
    attached = tuple(Attached("10.0.0.77", "", f"i-{number}", 0) for number in range(30))
    put_value(store, attachments_key("h1", "late"), Attachments(epoch=2, incarnation=1, attached=attached))
    text = run("epoch", "--store", store).stdout
    assert "cannot be taken over: i-0 of account late on host h1: account late is not declared" in text
    assert "cannot be taken over: and 10 more" in text


def test_a_store_of_the_former_schema_is_switched_once_its_hosts_are_new(tmp_path: Path) -> None:
    items = json.loads(STORED.read_text())["items"]
    store = tmp_path / "first"
    kept = [Put(key, value.encode()) for key, value, _, _ in items if not key.startswith("host_applied.")]
    put(store, *kept)
    assert "0 violations" in run("check", "--store", store).stdout
    assert "written in version 1" in run("epoch", "--store", store).stdout
    assert "h1, h2" in failure("upgrade", "--store", store)
    put(store, Put(host_alive_key("h1"), b"2"), Put(host_alive_key("h2"), b"2"))
    assert answer("upgrade", "--store", store) == {"before": 1, "after": 2}
    assert "already" in run("upgrade", "--store", store).stdout
    assert "0 violations" in run("check", "--store", store).stdout


def test_a_switch_can_be_forced_and_a_store_that_was_never_set_up_has_none(tmp_path: Path) -> None:
    store = tmp_path / "first"
    put(store, Put("other", b"x"))
    assert "never set up" in failure("upgrade", "--store", store)
    assert "never set up" in failure("epoch", "--store", store)
    put(store, Put(EPOCH, encode(StoreEpoch(v=1, epoch=1))), Put(host_alive_key("h1"), b""))
    assert "is in 2 from here on" in run("upgrade", "--store", store, "--force").stdout
