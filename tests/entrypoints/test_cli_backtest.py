"""`addrcast backtest`: each engine's score, printed and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.entrypoints.cli import HOUR_S, START_S, answer, daily, run, write_counts, write_csv

from addrcast.core.forecast.engines import LEVEL_ENGINES

if TYPE_CHECKING:
    from pathlib import Path

FLEET = {name: daily(12, seed=seed) for seed, name in enumerate(("db", "web-1", "web-2"))}


@pytest.fixture(scope="module")
def counts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_counts(tmp_path_factory.mktemp("backtest") / "counts.csv", FLEET)


def test_every_engine_has_its_score(counts_file: Path) -> None:
    told = answer("backtest", counts_file, "--horizon", "12", "--origins", "4")
    assert (told["horizon"], told["origins"]) == (12, 4)
    assert list(told["engines"]) == list(LEVEL_ENGINES)
    for score in told["engines"].values():
        assert list(score["coverage"]) == ["0.5", "0.8", "0.9", "0.95"]
        assert score["failures"] == 0
        assert score["cpu_s_per_series"] >= 0
    engines = told["engines"]
    assert engines["linear"]["pinball"] < engines["last"]["pinball"]
    assert engines["linear"]["mase"] < engines["last"]["mase"]


def test_chosen_engines_are_printed_in_the_order_asked_for(counts_file: Path) -> None:
    lines = run("backtest", counts_file, "--engines", "last,seasonal").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["engine", "last", "seasonal"]


def test_accounts_that_end_early_are_scored_at_their_own_end(tmp_path: Path) -> None:
    rows = [("a", START_S + k * HOUR_S, count) for k, count in enumerate(FLEET["db"])]
    rows += [("b", START_S + k * HOUR_S, count) for k, count in enumerate(FLEET["web-1"][:200])]
    file = write_csv(tmp_path / "ragged.csv", ("account_id", "timestamp", "instances"), rows)
    told = answer("backtest", file, "--engines", "seasonal", "--origins", "2")
    assert told["engines"]["seasonal"]["failures"] == 0
    assert told["engines"]["seasonal"]["pinball"] > 0


def test_what_cannot_be_is_refused(counts_file: Path) -> None:
    assert "choose one of" in run("backtest", counts_file, "--engines", "oracle").stderr
    assert "longer history" in run("backtest", counts_file, "--horizon", "900").stderr
