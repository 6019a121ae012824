"""`addrcast check`, `plan` and `explain` on a store: what they find, and what they say where there is nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.core.reservation.fleet import plan_input
from tests.entrypoints.cli import answer, run
from tests.runtime.site import HOST, RESOURCES

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.adoption import AddressInUse, adopt
from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import acknowledgement_key, host_key, physical_key, record_key
from addrcast.core.domain.record import (
    Acknowledgement,
    AddressState,
    HoldState,
    Host,
    HostState,
    PhysicalHold,
    Record,
)
from addrcast.core.domain.transaction import Delete, Put, Transaction
from addrcast.core.reservation.explanation import explain
from addrcast.core.reservation.plan import plan_for
from addrcast.entrypoints.cli.check import SHOWN_MAX
from addrcast.entrypoints.cli.store import ledger_of
from addrcast.runtime.declare import declare, set_up
from addrcast.runtime.plan_board import PlanBoard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NOW_MS = 1_700_000_000_000
PLAN = plan_for(plan_input([[0, 1, 2], [0, 2, 3]], tier=["basic", "premium"], accounts=["bulk", "gold"]))
IN_USE = [
    AddressInUse(
        line=k, account="gold", logical=f"10.0.0.{k}", physical=f"172.16.0.{k}", host="h1", instance=f"vm-{k}"
    )
    for k in range(1, 4)
]


async def fill(store: LmdbStore) -> None:
    """Three instances of `gold`, and a plan for it and `bulk`; `new` has neither."""
    await set_up(store)
    await declare(store, RESOURCES)
    adoption = adopt(await ledger_of(store), IN_USE, now_ms=NOW_MS)
    for drafts in (adoption.subscriptions, adoption.bindings):
        await store.commit([draft.transaction() for draft in drafts])
    await PlanBoard(store).post(PLAN)


def on_store(folder: Path, act: Callable[[LmdbStore], Awaitable[object]]) -> None:
    async def opened() -> None:
        store = await LmdbStore.open(folder)
        try:
            await act(store)
        finally:
            await store.close()

    asyncio.run(opened())


def put(folder: Path, key: str, value: bytes) -> None:
    on_store(folder, lambda store: store.commit([Transaction((), (Put(key, value),))]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    on_store(tmp_path / "store", fill)
    return tmp_path / "store"


def test_a_sound_store_has_its_records_counted_and_no_violations(folder: Path) -> None:
    assert answer("check", "--store", folder) == {"records": 3, "violations": [], "stuck": []}
    plain = run("check", "--store", folder)
    assert plain.exit_code == 0
    assert plain.stdout.startswith("3 records at revision ")
    assert plain.stdout.endswith(": 0 violations\n")
    assert plain.stderr == ""


def leaked(folder: Path, number: int = 9) -> tuple[str, str]:
    """Hold a physical address for a record that is not there; gives back both keys."""
    physical = f"172.16.1.{number}"
    hold = PhysicalHold(state=HoldState.HELD, account="gold", logical="10.0.0.77", host="h1", since_ms=1)
    put(folder, physical_key(physical), encode(hold))
    return physical_key(physical), record_key("gold", "10.0.0.77")


def test_a_broken_store_ends_with_status_1_and_what_is_broken(folder: Path) -> None:
    keys = leaked(folder)
    found = run("check", "--store", folder, "--json")
    assert found.exit_code == 1
    (violation,) = (one for one in json.loads(found.stdout)["violations"] if one["rule"] == "no leak")
    assert violation["keys"] == list(keys)
    plain = run("check", "--store", folder)
    assert plain.exit_code == 1
    assert f"violation: {violation['what']} [no leak: {', '.join(keys)}]\n" in plain.stdout


def test_a_removed_record_is_missed_by_its_instance_and_its_address(folder: Path) -> None:
    on_store(folder, lambda store: store.commit([Transaction((), (Delete(record_key("gold", "10.0.0.1")),))]))
    found = json.loads(run("check", "--store", folder, "--json").stdout)
    assert found["records"] == 2
    assert {violation["rule"] for violation in found["violations"]} >= {"no leak", "binding"}


@pytest.mark.parametrize("value", [b"garbage", b"", b"{}", b'{"v": 99}'])
def test_a_value_that_cannot_be_read_is_a_violation_like_others(folder: Path, value: bytes) -> None:
    put(folder, record_key("bulk", "10.0.0.200"), value)
    found = run("check", "--store", folder, "--json")
    assert found.exit_code == 1
    told = json.loads(found.stdout)
    assert told["records"] == 3
    assert [(one["rule"], one["keys"]) for one in told["violations"]] == [
        ("readable", [record_key("bulk", "10.0.0.200")])
    ]


def test_many_violations_are_shown_in_part_and_told_in_full_as_json(folder: Path) -> None:
    for number in range(SHOWN_MAX + 2):
        leaked(folder, number)
    plain = run("check", "--store", folder).stdout.splitlines()
    assert len(plain) == 1 + SHOWN_MAX + 1
    total = len(json.loads(run("check", "--store", folder, "--json").stdout)["violations"])
    assert total >= SHOWN_MAX + 2
    assert plain[-1] == f"and {total - SHOWN_MAX} more violations"


def test_what_is_allowed_but_worth_a_look_is_no_violation(folder: Path) -> None:
    put(folder, host_key("h1"), encode(Host(state=HostState.UP, incarnation=3, blocks=("172.16.1.0/24",))))
    result = run("check", "--store", folder, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"records": 3, "violations": [], "stuck": []}
    assert result.stderr.startswith("note: ")


def test_the_plan_stands_beside_what_each_account_holds(folder: Path) -> None:
    bulk, gold, new = answer("plan", "--store", folder)["accounts"]
    assert gold["plan"]["target"] == int(PLAN.target[1])
    assert gold["plan"]["hit_probability"] == pytest.approx(float(PLAN.level[1]), abs=1e-6)
    assert gold["addresses"] == {"reserved": 0, "bound": 3, "preserved": 0, "cooling": 0}
    assert bulk["plan"]["delta"] == int(PLAN.delta[0])
    assert (new["tier"], new["plan"]) == ("standard", None)
    lines = run("plan", "--store", folder).stdout.splitlines()
    assert lines[0].split() == ["account", "tier", "target", "reserved", "bound", "preserved", "cooling", "hit"]
    assert lines[2].split()[:5] == ["gold", "premium", str(PLAN.target[1]), "0", "3"]
    assert lines[3].split() == ["new", "standard", "-", "0", "0", "0", "0", "-"]


def test_an_account_is_explained_by_its_plan_its_addresses_its_pools_and_its_hosts(folder: Path) -> None:
    told = answer("explain", "gold", "--store", folder)
    assert told["plan"] == list(explain(PLAN, "gold"))
    assert told["addresses"]["bound"] == 3
    assert told["pools"]["net"]["bound"] == 3
    assert told["pools"]["net"]["total"] == 256
    assert told["left_out"] == []
    assert len(told["behind"]) == 1
    plain = run("explain", "gold", "--store", folder).stdout
    for line in (*told["plan"], *told["behind"]):
        assert line in plain
    assert "addresses: 0 reserved, 3 bound, 0 preserved, 0 cooling\n" in plain


def test_a_host_that_has_the_newest_record_is_not_behind_whatever_else_was_written_since(folder: Path) -> None:
    async def catch_up(store: LmdbStore) -> None:
        newest = max(entry.revision for entry in (await ledger_of(store)).records("gold").values())
        applied = Acknowledgement(epoch=1, revision=newest, incarnation=HOST.incarnation)
        await store.commit([Transaction((), (Put(acknowledgement_key("h1", "gold"), encode(applied)),))])

    on_store(folder, catch_up)
    assert answer("explain", "gold", "--store", folder)["behind"] == []


def test_what_cools_tells_what_it_waits_for(folder: Path) -> None:
    assert answer("explain", "gold", "--store", folder)["cooling"] == []
    cooling = Record(state=AddressState.COOLING, physical="172.16.0.9", host="h1", pool="net", since_ms=NOW_MS)
    put(folder, record_key("gold", "10.0.0.9"), encode(cooling))
    told = answer("explain", "gold", "--store", folder)
    assert told["cooling"][0] == "1 addresses cool, 0 of them about to be free"
    assert told["cooling"][-1] == "host h1 holds up 1"
    assert "\n".join(told["cooling"]) in run("explain", "gold", "--store", folder).stdout


def test_a_lost_host_is_told_as_left_out(folder: Path) -> None:
    lost = Host(state=HostState.LOST, incarnation=4, blocks=("172.16.0.0/23",))
    put(folder, host_key("h1"), encode(lost))
    told = answer("explain", "gold", "--store", folder)
    assert (told["behind"], told["left_out"]) == ([], ["h1"])
    assert "lost hosts, not waited for: h1\n" in run("explain", "gold", "--store", folder).stdout


def test_an_account_without_a_plan_says_so(folder: Path) -> None:
    told = answer("explain", "new", "--store", folder)
    assert (told["plan_made_ms"], told["plan"]) == (None, [])
    assert run("explain", "new", "--store", folder).stdout.startswith("no plan was made for it yet\n")


def test_an_account_that_is_not_declared_is_told_with_those_that_are(folder: Path) -> None:
    result = run("explain", "silver", "--store", folder)
    assert result.exit_code == 1
    assert "3 accounts are declared: bulk, gold, new" in result.stderr


@pytest.mark.parametrize("command", [("check",), ("plan",), ("explain", "gold")])
def test_a_folder_without_a_store_is_left_as_it_is(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(*command, "--store", tmp_path)
    assert result.exit_code == 1
    assert "it holds no store" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("check",), ("plan",), ("explain", "gold")])
def test_a_file_that_is_no_store_is_told_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1_000)
    result = run(*command, "--store", tmp_path, "--json")
    assert result.exit_code == 1
    assert "it cannot be opened" in json.loads(result.stdout)["message"]


def test_a_plan_that_cannot_be_read_is_named(folder: Path) -> None:
    put(folder, "plan.gold", b"garbage")
    for command in (("plan",), ("explain", "gold")):
        result = run(*command, "--store", folder)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: plan.gold: ")


def test_a_store_is_checked_without_the_libraries_that_forecast(folder: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('numpy', 'polars', 'lightgbm'))\n"
        "from addrcast.entrypoints.cli import main\n"
        f"main(['check', '--json', '--store', {str(folder)!r}])\n"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert json.loads(seen.stdout) == {"records": 3, "violations": [], "stuck": []}
