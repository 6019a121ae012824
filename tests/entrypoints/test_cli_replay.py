"""`addrcast replay`: what it prints, writes and accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from tests.entrypoints.cli import EVENTS, HOUR_S, START_S, answer, daily, run, write_counts, write_csv
from tests.entrypoints.page import Page

from addrcast.simulation.policies.catalogue import PEERS

if TYPE_CHECKING:
    from pathlib import Path

FLEET = {name: daily(5, seed=seed) for seed, name in enumerate(("web-1", "web-2", "db"))}


@pytest.fixture(scope="module")
def counts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_counts(tmp_path_factory.mktemp("replay") / "counts.csv", FLEET)


@pytest.fixture(scope="module")
def replayed(counts_file: Path) -> Any:
    return answer("replay", counts_file)


def events(path: Path, header: tuple[str, ...] = EVENTS) -> Path:
    rng = np.random.default_rng(5)
    rows = [
        (f"a{k % 2}", f"i{k}", START_S + 300 * k, START_S + 300 * k + int(life))
        for k, life in enumerate(rng.integers(600, 20_000, 300))
    ]
    return write_csv(path, header, rows)


def creates_of(counts: dict[str, list[int]], *, scored: float = 0.8) -> int:
    total = 0
    for values in counts.values():
        first = int(np.ceil(scored * (len(values) - 1) - 1e-9))
        total += int(np.maximum(np.diff(values[first:]), 0).sum())
    return total


def test_the_json_has_every_policy_with_its_points_and_the_misses_at_each_waste(replayed: Any) -> None:
    assert list(replayed) == ["accounts", "creates", "policies", "misses_at_waste"]
    assert (replayed["accounts"], replayed["creates"]) == (3, creates_of(FLEET))
    names = [policy["name"] for policy in replayed["policies"]]
    assert names == ["addrcast", *(peer.name for peer in PEERS)]
    for policy in replayed["policies"]:
        assert policy["points"]
        for point in policy["points"]:
            assert list(point) == ["setting", "misses", "waste", "calls_per_instance", "waiting_s"]
            assert 0 <= point["misses"] <= 1
            assert point["waste"] >= 0
    levels = ["0.02", "0.05", "0.1", "0.2", "0.3", "0.5", "0.75", "1.0"]
    assert list(replayed["misses_at_waste"]) == levels
    for reached in replayed["misses_at_waste"].values():
        assert list(reached) == names
    assert replayed["misses_at_waste"]["1.0"]["oracle"] == 0


def test_ours_has_a_point_for_each_level(replayed: Any) -> None:
    (ours,) = [policy for policy in replayed["policies"] if policy["name"] == "addrcast"]
    assert all(point["setting"].startswith("level=") for point in ours["points"])
    assert len({point["setting"] for point in ours["points"]}) == len(ours["points"]) > 10


def test_the_same_trace_gives_the_same_answer_byte_for_byte(counts_file: Path) -> None:
    once, again = (run("replay", counts_file, "--accounts", "db", "--json").stdout for _ in range(2))
    assert once == again


def test_without_json_a_table_is_printed_and_the_report_goes_to_the_error_stream(counts_file: Path) -> None:
    result = run("replay", counts_file, "--accounts", "db")
    assert result.stdout.startswith("1 accounts, ")
    assert "\naws_warm_ip" in result.stdout
    assert "\nours / best *" in result.stdout
    assert "counts: 360 rows, 1 accounts, 120 times 3,600 s apart" in result.stderr
    assert "240 rows ignored: account does not match db" in result.stderr


def test_accounts_may_be_chosen_by_name_and_by_what_they_are(counts_file: Path, tmp_path: Path) -> None:
    assert answer("replay", counts_file, "--accounts", "web-*")["accounts"] == 2
    mixed = write_counts(tmp_path / "mixed.csv", {**FLEET, "flat": [9] * 120, "small": [0, 1] * 60})
    assert answer("replay", mixed, "--min-deviation", "0.4")["accounts"] == 4
    assert answer("replay", mixed, "--min-mean", "5", "--min-deviation", "0.6")["accounts"] == 3
    nobody = run("replay", mixed, "--min-mean", "1000")
    assert nobody.exit_code == 1
    assert "none of the 5 accounts is left" in nobody.stderr


def test_scoring_starts_where_it_is_told_to(counts_file: Path, replayed: Any) -> None:
    late = answer("replay", counts_file, "--from", "0.9")
    assert late["creates"] == creates_of(FLEET, scored=0.9) < replayed["creates"]


def test_a_longer_lead_judges_a_create_once_for_each_decision_that_covers_it(
    counts_file: Path, replayed: Any
) -> None:
    assert answer("replay", counts_file, "--lead", "4")["creates"] > replayed["creates"]


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    file = write_counts(tmp_path / "short.csv", {"a": daily(2, seed=3)})
    one, two = (run("replay", file, "--json", "--threads", threads, fit=None) for threads in ("1", "2"))
    assert one.exit_code == 0
    assert one.stdout == two.stdout


@pytest.mark.parametrize("step_s", [3_600, 900])
def test_events_are_scored_by_their_gross_creates_on_the_step_asked_for(tmp_path: Path, step_s: int) -> None:
    file = events(tmp_path / "events.csv")
    log = pl.read_csv(file)
    created, deleted = log["created"].to_numpy(), log["deleted"].to_numpy()
    first, last = created.min() // step_s, max(created.max(), deleted.max()) // step_s
    scored_s = (first + np.ceil(0.8 * (last - first))) * step_s
    creates = np.count_nonzero((created > scored_s) & (created <= last * step_s))
    replayed = answer("replay", file, "--step", str(step_s))
    assert (replayed["accounts"], replayed["creates"]) == (2, creates)


def test_any_layout_can_be_mapped(tmp_path: Path) -> None:
    strange = events(tmp_path / "strange.csv", ("who", "what", "from", "to"))
    mapped = answer("replay", strange, "--columns", "account_id=who,instance_id=what,created=from,deleted=to")
    assert mapped == answer("replay", events(tmp_path / "plain.csv"))


def test_a_profile_turns_metrics_into_instances(tmp_path: Path) -> None:
    values = daily(3, seed=4)
    rows = [("a", START_S + k * HOUR_S, 7 * value, 1) for k, value in enumerate(values)]
    metrics = write_csv(tmp_path / "metrics.csv", ("account_id", "timestamp", "cpu", "memory"), rows)
    profiled = answer("replay", metrics, "--profile", "cpu=10,memory=1000,target=0.7,min=1")
    assert profiled == answer("replay", write_counts(tmp_path / "counts.csv", {"a": values}))
    without = run("replay", metrics)
    assert without.exit_code == 1
    assert "workload profile" in without.stderr.splitlines()[-1]


def test_metrics_of_the_same_accounts_change_what_ours_holds_and_nothing_else(
    counts_file: Path, replayed: Any, tmp_path: Path
) -> None:
    rows = [
        (name, START_S + HOUR_S * k, 3.0 * count + k % 5) for name in FLEET for k, count in enumerate(FLEET[name])
    ]
    metrics = write_csv(tmp_path / "cpu.csv", ("account_id", "timestamp", "cpu"), rows)
    found = answer("replay", counts_file, "--metrics", metrics)
    ours, *others = found["policies"]
    assert others == replayed["policies"][1:]
    assert ours != replayed["policies"][0]
    refused = run("replay", metrics, "--profile", "cpu=3", "--metrics", counts_file)
    assert refused.exit_code == 1
    assert "columns of metrics" in refused.stderr


def test_the_page_of_curves_is_whole_and_loads_nothing(counts_file: Path, tmp_path: Path) -> None:
    result = run("replay", counts_file, "-o", tmp_path / "new" / "folder", "--json")
    file = tmp_path / "new" / "folder" / "replay.html"
    assert f"curves: {file}" in result.stderr
    text = file.read_text()
    page = Page(text)
    assert (page.open, page.loads) == ([], [])
    assert "Replay of counts.csv" in text
    assert "addrcast" in text


def test_the_decisions_give_the_same_figures_when_they_are_scored_again(
    counts_file: Path, tmp_path: Path, replayed: Any
) -> None:
    file = tmp_path / "decisions.parquet"
    answer("replay", counts_file, "--decisions", file)
    decisions = pl.read_parquet(file)
    assert decisions.columns == ["policy", "setting", "account_id", "timestamp", "idle"]
    counts = (
        pl.read_csv(counts_file)
        .sort("account_id", "timestamp")
        .with_columns(
            timestamp=pl.from_epoch("timestamp").cast(pl.Datetime("us")),
            need=(pl.col("instances").shift(-1).over("account_id") - pl.col("instances")).clip(0),
        )
    )
    scored = (
        decisions.join(counts, on=["account_id", "timestamp"])
        .group_by("policy", "setting")
        .agg(
            misses=(pl.col("need") - pl.col("idle")).clip(0).sum() / pl.col("need").sum(),
            waste=pl.col("idle").sum() / pl.col("instances").sum(),
        )
    )
    again = {(policy, setting): (misses, waste) for policy, setting, misses, waste in scored.iter_rows()}
    told = {
        (policy["name"], point["setting"]): (point["misses"], point["waste"])
        for policy in replayed["policies"]
        if not policy["name"].startswith("aws_")  # their released addresses cool, which the file does not hold
        for point in policy["points"]
    }
    assert len(told) > 900
    for key, figures in told.items():
        assert again[key] == pytest.approx(figures, abs=1e-6)
