"""`addrcast apply`, `drain`, `remove` and `adopt`: what they say, what they change, what they refuse."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.entrypoints.cli import answer, run, write_csv

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import removal_key
from addrcast.entrypoints.cli.adopt import SHOWN_MAX
from addrcast.entrypoints.cli.store import ledger_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from addrcast.core.domain.ledger import Ledger

DECLARED = """
[tiers.silver]
rank = 1
weight = 3.0
service_level = 0.9
hold_ms = 600000
age_limit_ms = 86400000
cooldown_ms = 30000
headroom = 0.05

[tiers.basic]
cooldown_ms = 60000

[pools.vpc]
kind = "logical"
prefixes = ["10.0.0.0/16", "10.1.0.0/16"]
exclusions = ["10.0.0.0/30"]

[pools.wire]
kind = "physical"
prefixes = ["100.64.0.0/16"]

[hosts.h1]
blocks = ["100.64.1.0/24"]

[hosts.h2]
blocks = ["100.64.2.0/24"]
is_draining = true

[accounts.acme]
tier = "silver"
vni = 7
pools = ["vpc"]
quota = 500
preferences = { prefixes = ["10.0.16.0/20"], hosts = ["h1"] }

[accounts.bob]
tier = "basic"
vni = 8
pools = ["vpc"]
"""
IN_USE = [("acme", "10.0.0.9", "100.64.1.9", "vm-1"), ("acme", "10.0.0.10", "100.64.1.10", "vm-2")]
HEADER = ("account", "logical", "physical", "instance")


def on_store(folder: Path, act: Callable[[LmdbStore], Awaitable[Any]]) -> Any:
    async def opened() -> Any:
        store = await LmdbStore.open(folder)
        try:
            return await act(store)
        finally:
            await store.close()

    return asyncio.run(opened())


def ledger(folder: Path) -> Ledger:
    found: Ledger = on_store(folder, ledger_of)
    return found


async def nothing(_: LmdbStore) -> None:
    """An empty store."""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    on_store(tmp_path / "store", nothing)
    run("apply", write(tmp_path / "cloud.toml", DECLARED), "--store", tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def used(folder: Path, tmp_path: Path) -> Path:
    """The same store with two instances of acme on h1."""
    found = run("adopt", write_csv(tmp_path / "in-use.csv", HEADER, IN_USE), "--store", folder)
    assert found.stdout == "2 instances are adopted, 0 addresses were there already\n"
    return folder


def test_a_file_is_applied_once_and_then_as_it_stands(tmp_path: Path) -> None:
    on_store(tmp_path / "store", nothing)
    file = write(tmp_path / "cloud.toml", DECLARED)
    first = run("apply", file, "--store", tmp_path / "store")
    assert first.exit_code == 0, first.output
    assert "+ account acme\n" in first.stdout
    assert '    prefixes = ["10.0.0.0/16","10.1.0.0/16"]\n' in first.stdout
    assert "    cooldown_ms: 30000 -> 60000\n" in first.stdout
    assert first.stderr == "8 of 8 resources changed\n"
    again = run("apply", file, "--store", tmp_path / "store")
    assert (again.stdout, again.stderr) == ("", "0 of 8 resources changed\n")
    found = ledger(tmp_path / "store")
    assert violations(found) == []
    assert (found.host("h1").required.takes_use, found.host("h2").required.is_draining) == (False, True)
    assert found.account("acme").required.preferences.hosts == ("h1",)


def test_a_dry_run_tells_the_changes_and_makes_none(folder: Path, tmp_path: Path) -> None:
    file = write(
        tmp_path / "cloud.json", '{"accounts": {"bob": {"tier": "basic", "vni": 8, "pools": ["vpc"], "quota": 3}}}'
    )
    before = ledger(folder).revision
    found = answer("apply", file, "--store", folder, "--dry-run")
    change = {"kind": "account", "name": "bob", "is_new": False, "fields": {"quota": [None, 3]}}
    assert found == {"changes": [change], "is_applied": False}
    assert run("apply", file, "--store", folder, "--dry-run").stderr == "1 of 1 resources would change\n"
    assert ledger(folder).revision == before
    assert answer("apply", file, "--store", folder)["is_applied"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pools.vpc]\nkind = 'logical'\n", "pools"),
        ("[pools.vpc]\nkind = 'wooden'\nprefixes = []\n", "pools"),
        ("[hosts.h1]\nblocks = ['100.64.1.0/24']\ncolour = 'red'\n", "colour"),
        ("[vpcs.a]\n", "vpcs"),
        ("[tiers.gold]\nrank = 0\n", "tiers.gold: .* weight, service_level"),
        ("[pools\n", "cloud.toml"),
        ("[accounts.carl]\ntier = 'basic'\nvni = 7\npools = ['vpc']\n", "account acme has it"),
        ("[accounts.acme]\ntier = 'basic'\nvni = 9\npools = ['vpc']\n", "for as long as it lives"),
        ("[hosts.h3]\nblocks = ['100.64.1.0/25']\n", "it overlaps 100.64.1.0/24 of h1"),
        ("[pools.vpc]\nkind = 'logical'\nprefixes = ['10.0.0.0/16']\n", "it must drain before it can go"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_and_changes_nothing(
    folder: Path, tmp_path: Path, text: str, said: str
) -> None:
    before = ledger(folder).revision
    found = run("apply", write(tmp_path / "cloud.toml", text), "--store", folder)
    assert found.exit_code == 1
    assert re.search(said, found.stderr), found.stderr
    assert ledger(folder).revision == before


def test_what_drains_is_told_with_what_is_left_of_it(used: Path) -> None:
    found = run("drain", "account", "acme", "--store", used)
    assert found.stdout == "account acme drains; left of it: bound 2, of acme 2; hosts h1\n"
    assert run("drain", "account", "acme", "--store", used, "--undo").stdout.startswith(
        "account acme takes use again"
    )
    assert answer("drain", "pool", "vpc", "--prefix", "10.1.0.0/16", "--store", used)["addresses"] == {}
    assert ledger(used).pool("vpc").required.draining == ("10.1.0.0/16",)
    again = run("drain", "pool", "vpc", "--prefix", "10.1.0.0/16", "--store", used)
    assert again.stdout == "10.1.0.0/16 of pool vpc drains; left of it: nothing\n"
    assert run("drain", "host", "h1", "--store", used).stdout == "host h1 drains; left of it: bound 2, of acme 2\n"


def test_what_has_instances_is_removed_only_by_force_or_when_they_are_gone(used: Path) -> None:
    refused = run("remove", "account", "acme", "--store", used)
    assert refused.exit_code == 1
    assert (
        "2 addresses are bound, of acme 2; delete their instances: --drain waits, --force takes" in refused.stderr
    )
    assert run("remove", "account", "acme", "--store", used, "--drain").exit_code == 0
    found = answer("remove", "account", "acme", "--store", used, "--force")
    left = {"acme": {"bound": 2}}
    assert found == {"kind": "account", "name": "acme", "addresses": left, "hosts": ["h1"], "is_gone": False}
    assert ledger(used).removal("account", "acme").required.is_forced


ENDING = """
import asyncio, sys
from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.transaction import Delete, Transaction

async def end(folder, key):
    store = await LmdbStore.open(folder)
    for _ in range(400):
        if (await store.read([key])).items:
            await store.commit([Transaction((), (Delete(key),))])
            break
        await asyncio.sleep(0.05)
    await store.close()

asyncio.run(end(*sys.argv[1:]))
"""


def test_a_removal_that_is_waited_for_tells_what_is_left_until_it_is_gone(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDING, str(folder), removal_key("account", "bob")]):
        found = run("remove", "account", "bob", "--store", folder, "--wait")
    assert found.stdout == "account bob is gone\n"
    assert found.stderr in ("", "left of it: nothing\n")


def test_options_that_do_not_fit_are_refused(folder: Path) -> None:
    wrong = run("remove", "host", "h1", "--store", folder, "--drain")
    assert wrong.exit_code == 2
    assert "addrcast drain host" in wrong.stderr
    assert (
        "only pools have prefixes" in run("drain", "host", "h1", "--prefix", "10.0.0.0/8", "--store", folder).stderr
    )


def test_lines_at_fault_are_told_and_nothing_is_adopted_unless_in_part(folder: Path, tmp_path: Path) -> None:
    rows = [*IN_USE, ("acme", "10.9.0.1", "100.64.1.11", "vm-3"), ("carl", "10.0.0.12", "100.64.1.12", "vm-4")]
    file = write_csv(tmp_path / "in-use.csv", HEADER, rows)
    found = run("adopt", file, "--store", folder)
    assert found.exit_code == 1
    assert found.stdout == "0 instances are adopted, 0 addresses were there already\n"
    assert (
        "line 4, logical: '10.9.0.1' is not valid: it lies in no pool of account acme; grow one first\n"
        in found.stderr
    )
    assert "line 5, account: 'carl'" in found.stderr
    partly = run("adopt", file, "--store", folder, "--partial", "--json")
    assert partly.exit_code == 1
    told = json.loads(partly.stdout)
    assert (told["instances"], [fault["line"] for fault in told["faults"]]) == (2, [4, 5])
    dry = run("adopt", file, "--store", folder, "--dry-run")
    assert dry.stdout == "0 instances could be adopted, 2 addresses were there already\n"


def test_of_many_lines_at_fault_the_first_are_shown(folder: Path, tmp_path: Path) -> None:
    rows = [("acme", f"10.9.{n >> 8}.{n & 255}", "100.64.1.11", f"vm-{n}") for n in range(SHOWN_MAX + 3)]
    found = run("adopt", write_csv(tmp_path / "in-use.csv", HEADER, rows), "--store", folder)
    assert "and 3 more lines at fault\n" in found.stderr
