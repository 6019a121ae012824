"""`addrcast forecast`: quantiles, changes and resources, printed and as a file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.entrypoints.cli import HOUR_S, START_S, answer, daily, run, write_counts, write_csv

if TYPE_CHECKING:
    from pathlib import Path

FLEET = {name: daily(10, seed=seed) for seed, name in enumerate(("db", "web-1", "web-2"))}
ENGINES = ("seasonal", "last", "linear")


@pytest.fixture(scope="module")
def counts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_counts(tmp_path_factory.mktemp("forecast") / "counts.csv", FLEET)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_account_has_its_count_its_change_and_its_resources(counts_file: Path, engine: str) -> None:
    told = answer("forecast", counts_file, "--engine", engine, "--horizon", "6")
    assert (told["engine"], told["horizon"], told["step_s"]) == (engine, 6, HOUR_S)
    assert [row["account"] for row in told["accounts"]] == list(FLEET)
    for row in told["accounts"]:
        assert row["now"] == FLEET[row["account"]][-1]
        assert row["low"] <= row["delta"] <= row["high"]
        assert row["vcpu"] == pytest.approx(row["peak"], abs=0.01)
        assert row["memory_gib"] == pytest.approx(4 * row["peak"], abs=0.01)
        assert row["network_mbit_s"] == pytest.approx(100 * row["peak"], abs=0.1)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_file_has_every_quantile(counts_file: Path, tmp_path: Path, engine: str) -> None:
    file = tmp_path / "quantiles.parquet"
    answer("forecast", counts_file, "--engine", engine, "--horizon", "5", "--levels", "0.9,0.5", "-o", file)
    frame = pl.read_parquet(file)
    assert frame.schema == {
        "account_id": pl.String,
        "origin": pl.Datetime("us"),
        "step": pl.Int64,
        "level": pl.Float64,
        "value": pl.Float32,
    }
    keys = [(account, step, level) for account in FLEET for step in range(1, 6) for level in (0.5, 0.9)]
    assert frame.select("account_id", "step", "level").rows() == keys
    last = datetime.fromtimestamp(START_S + (len(FLEET["db"]) - 1) * HOUR_S, UTC).replace(tzinfo=None)
    assert frame["origin"].unique().to_list() == [last]
    assert (frame["value"] >= 0).all()
    wide = frame.pivot("level", index=["account_id", "step"], values="value")
    assert (wide["0.5"] <= wide["0.9"]).all()


def test_the_same_history_gives_the_same_answer_byte_for_byte(counts_file: Path) -> None:
    once, again = (run("forecast", counts_file, "--json").stdout for _ in range(2))
    assert once == again


def test_the_size_of_an_instance_says_what_the_peak_asks_of_the_hosts(counts_file: Path) -> None:
    (row,) = answer("forecast", counts_file, "--accounts", "db", "--instance", "vcpu=2,memory_gib=16")["accounts"]
    assert row["vcpu"] == pytest.approx(2 * row["peak"], abs=0.01)
    assert row["memory_gib"] == pytest.approx(16 * row["peak"], abs=0.01)
    assert row["network_mbit_s"] == pytest.approx(100 * row["peak"], abs=0.1)


@pytest.mark.parametrize("text", ["gpu=1", "vcpu=-1", "vcpu", "vcpu=nan", ""])
def test_a_size_that_is_none_is_refused(counts_file: Path, text: str) -> None:
    result = run("forecast", counts_file, "--instance", text)
    assert result.exit_code == 1
    assert "--instance" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("levels", ["x", "0", "1", "0.5,1.5", "nan", ""])
def test_levels_outside_0_and_1_are_refused(counts_file: Path, levels: str) -> None:
    result = run("forecast", counts_file, "--levels", levels)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "levels: " in result.stderr.splitlines()[-1]


def test_a_horizon_that_would_not_fit_is_refused(counts_file: Path) -> None:
    result = run("forecast", counts_file, "--horizon", "1000000000")
    assert result.exit_code == 1
    assert "at most 500,000,000 quantiles" in result.stderr


def test_without_json_a_table_is_printed_and_the_report_goes_to_the_error_stream(counts_file: Path) -> None:
    result = run("forecast", counts_file, "--horizon", "3")
    header, *rows = result.stdout.splitlines()
    assert header.split()[:4] == ["account", "now", "+3", "steps"]
    assert [row.split()[0] for row in rows] == list(FLEET)
    assert result.stderr == "counts: 720 rows, 3 accounts, 240 times 3,600 s apart\n"


def test_a_large_fleet_is_shown_in_part_and_told_in_full_as_json(tmp_path: Path) -> None:
    file = write_counts(tmp_path / "many.csv", {f"a{k:03}": daily(2, seed=k) for k in range(43)})
    lines = run("forecast", file, "--engine", "last").stdout.splitlines()
    assert lines[-1] == "and 3 more accounts; --json has all of them"
    assert len(lines) == 1 + 40 + 1
    assert len(answer("forecast", file, "--engine", "last")["accounts"]) == 43


def test_metrics_are_forecast_through_their_profile(tmp_path: Path) -> None:
    rows = [("a", START_S + k * HOUR_S, 7 * value) for k, value in enumerate(FLEET["db"])]
    file = write_csv(tmp_path / "metrics.csv", ("account_id", "timestamp", "cpu"), rows)
    (row,) = answer("forecast", file, "--profile", "cpu=10")["accounts"]
    assert row["now"] == FLEET["db"][-1]
    without = run("forecast", file)
    assert without.exit_code == 1
    assert "it has metrics only: say with --profile" in without.stderr.splitlines()[-1]
