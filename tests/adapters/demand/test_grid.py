"""Rows that are not regular: order, duplicates, gaps, jitter, changes of step, resampling."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.adapters.demand import grid as grids
from addrcast.adapters.demand.history import read_history
from addrcast.core.domain.demand import CountHistory, History, MetricHistory
from addrcast.core.domain.errors import Invalid

HOUR_S = 3600
NAN = np.nan

Rows = list[tuple[str, int, object]]


def read(folder: Path, rows: Rows, *, value: str = "instances", step_s: int | None = None) -> History:
    path = folder / "history.csv"
    path.write_text(f"account_id,timestamp,{value}\n" + "".join(f"{a},{t},{v}\n" for a, t, v in rows))
    return read_history(path, step_s=step_s)


def counts_of(history: History) -> CountHistory:
    assert history.counts is not None
    return history.counts


def metrics_of(history: History) -> MetricHistory:
    assert history.metrics is not None
    return history.metrics


def hourly(*values: object, account: str = "a", start_s: int = 0) -> Rows:
    return [(account, start_s + hour * HOUR_S, value) for hour, value in enumerate(values)]


def test_accounts_stand_in_ascending_order_of_their_ids(tmp_path: Path) -> None:
    counts = counts_of(read(tmp_path, [*hourly(1, 2, account="10"), *hourly(3, 4, account="9"), *hourly(5, 6)]))
    assert counts.accounts == ("10", "9", "a")
    assert counts.counts.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert counts.counts.dtype == np.float32


def test_a_gap_is_unknown_and_reported(tmp_path: Path) -> None:
    rows = hourly(1, 2, 3, 4, 5)
    history = read(tmp_path, [*rows[:1], *rows[2:3], *rows[4:], *hourly(7, "", 8, account="b"), *rows[4:]])
    assert np.array_equal(counts_of(history).counts, [[1, NAN, 3, NAN, 5], [7, NAN, 8, NAN, NAN]], equal_nan=True)
    report = history.report
    assert (report.gaps, report.fleet_gaps, report.duplicates) == (5, 2, 1)
    assert "1 rows have no value" in report.notes


def test_of_two_rows_of_one_time_the_later_counts(tmp_path: Path) -> None:
    history = read(tmp_path, [("a", 0, 1), ("a", HOUR_S, 5), ("a", 0, 9), ("a", 0, 4)])
    assert counts_of(history).counts.tolist() == [[4, 5]]
    assert (history.report.duplicates, history.report.disorder) == (2, 1)


def test_rows_by_time_and_not_by_account_are_in_order(tmp_path: Path) -> None:
    history = read(tmp_path, [("b", 0, 1), ("a", 0, 2), ("b", HOUR_S, 3), ("a", HOUR_S, 4)])
    assert counts_of(history).counts.tolist() == [[2, 4], [1, 3]]
    assert history.report.disorder == 0


def test_the_grid_keeps_its_phase(tmp_path: Path) -> None:
    counts = counts_of(read(tmp_path, hourly(1, 2, 3, start_s=HOUR_S + 3)))
    assert (counts.start_s, counts.step_s, counts.steps) == (HOUR_S + 3, HOUR_S, 3)


def test_a_late_row_goes_to_the_nearest_time(tmp_path: Path) -> None:
    rows = hourly(*range(1, 13))
    rows[2] = ("a", 2 * HOUR_S + 7, 3)
    rows[4] = ("a", 4 * HOUR_S - 60, 5)
    history = read(tmp_path, rows)
    assert counts_of(history).counts.tolist() == [[*range(1, 13)]]
    assert history.report.off_grid == 2


def test_a_row_between_two_times_goes_to_the_later_one(tmp_path: Path) -> None:
    history = read(tmp_path, [*hourly(1, 2, 3), ("a", 4 * HOUR_S - HOUR_S // 2, 9), *hourly(1, 2, 3, account="b")])
    assert counts_of(history).counts.tolist()[0][4:] == [9]


def test_a_count_of_a_finer_run_is_not_seen_before_its_time(tmp_path: Path) -> None:
    finer: Rows = [("a", 2 * HOUR_S + minute * 60, 10 + minute) for minute in range(10, 70, 10)]
    history = read(tmp_path, [*hourly(1, 2, 3), *finer, *hourly(*range(8), account="b")])
    assert np.array_equal(counts_of(history).counts[0], [1, 2, 3, 70, NAN, NAN, NAN, NAN], equal_nan=True)
    assert history.report.aggregated == 5
    assert history.report.other_steps == ((600, 1),)
    assert history.report.off_grid == 0


def test_metrics_of_a_finer_run_are_averaged(tmp_path: Path) -> None:
    rows = [*hourly(1.0, 2.0), ("a", 5400, 4.0), ("a", 7200, 6.0), *hourly(*[0.5] * 5, account="b")]
    metrics = metrics_of(read(tmp_path, rows, value="cpu"))
    assert metrics.names == ("cpu",)
    assert np.array_equal(metrics.values[0, 0], [1, 2, 5, NAN, NAN], equal_nan=True)


def test_a_mean_leaves_out_what_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("account_id,timestamp,cpu,memory\na,0,1,2\na,60,3,\na,120,,\na,180,,4\n")
    metrics = metrics_of(read_history(path, step_s=120))
    assert metrics.names == ("cpu", "memory")
    assert np.array_equal(metrics.values[:, 0], [[1, 3, NAN], [2, NAN, 4]], equal_nan=True)


def test_resampling_puts_the_last_count_before_each_time_there(tmp_path: Path) -> None:
    rows: Rows = [("a", 300 * step, step) for step in range(1, 26)]
    counts = counts_of(read(tmp_path, rows, step_s=HOUR_S))
    assert (counts.start_s, counts.step_s) == (HOUR_S, HOUR_S)
    assert counts.counts.tolist() == [[12, 24, 25]]


def test_resampling_keeps_the_phase(tmp_path: Path) -> None:
    counts = counts_of(read(tmp_path, hourly(*range(50), start_s=3), step_s=24 * HOUR_S))
    assert counts.start_s == 3
    assert counts.counts.tolist() == [[0, 24, 48, 49]]


def test_a_finer_step_than_the_rows_leaves_gaps(tmp_path: Path) -> None:
    counts = counts_of(read(tmp_path, hourly(1, 2), step_s=HOUR_S // 2))
    assert np.array_equal(counts.counts, [[1, NAN, 2]], equal_nan=True)


def test_a_second_step_that_lasts_is_reported(tmp_path: Path) -> None:
    slow: Rows = [("a", 7200 + 2 * HOUR_S * step, step) for step in range(5)]
    history = read(tmp_path, [*hourly(1, 2), *slow, *hourly(*range(12), account="b")])
    assert history.report.other_steps == ((2 * HOUR_S, 1),)
    assert counts_of(history).step_s == HOUR_S


def test_times_without_a_main_step_follow_the_step_asked_for(tmp_path: Path) -> None:
    times = [0, 3590, 7215, 10799, 14408, 17990]
    history = read(tmp_path, [("a", time, time) for time in times], step_s=HOUR_S)
    counts = counts_of(history)
    assert (counts.start_s, counts.steps) == (0, 6)
    assert counts.counts.tolist() == [times]
    assert any(note.startswith("no main step") for note in history.report.notes)


def test_accounts_that_share_no_phase_stand_on_full_steps(tmp_path: Path) -> None:
    rows = [*hourly(1, 2), *hourly(3, 4, account="b", start_s=420), *hourly(5, 6, account="c", start_s=1260)]
    counts = counts_of(read(tmp_path, rows))
    assert counts.start_s == 0
    assert counts.counts.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_single_time_is_an_hour(tmp_path: Path) -> None:
    history = read(tmp_path, [("a", 1_714_564_800, 4), ("b", 1_714_564_800, 5)])
    assert (history.report.step_s, history.report.steps) == (HOUR_S, 1)


def test_small_whole_numbers_in_a_row_are_steps_of_an_hour(tmp_path: Path) -> None:
    history = read(tmp_path, [("a", step, step) for step in range(5, 25) if step != 9])
    assert (history.report.start_s, history.report.step_s, history.report.steps) == (0, HOUR_S, 20)
    assert "timestamp numbers steps of 3,600 s, the first at 0" in history.report.notes


def test_steps_last_as_long_as_asked_for(tmp_path: Path) -> None:
    counts = counts_of(read(tmp_path, [("a", step, step) for step in range(3)], step_s=300))
    assert counts.times_s().tolist() == [0, 300, 600]


def test_a_stray_time_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "CELLS_MAX", 1_000)
    with pytest.raises(Invalid, match=r"1 accounts x 1,002 times.*at most 1,000 cells"):
        read(tmp_path, [*hourly(1, 2, 3), ("a", 1_001 * HOUR_S, 4)])


def test_a_step_below_a_second_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="at least one second"):
        read(tmp_path, hourly(1), step_s=0)


@given(
    st.lists(st.lists(st.none() | st.integers(0, 99), min_size=8, max_size=8), min_size=1, max_size=4),
    st.integers(0, 2**32),
)
def test_the_order_of_rows_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[int | None]], seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    rows: Rows = [("always", hour * HOUR_S, 1) for hour in range(8)]
    for number, counts in enumerate(table):
        rows += [(f"vm{number}", hour * HOUR_S, count) for hour, count in enumerate(counts) if count is not None]
    expected = counts_of(read(folder, rows))
    for account, row in zip(expected.accounts[1:], expected.counts[1:].tolist(), strict=True):
        assert [None if np.isnan(count) else count for count in row] == table[int(account[2:])]
    random.Random(seed).shuffle(rows)
    shuffled = counts_of(read(folder, rows))
    assert shuffled.accounts == expected.accounts
    assert np.array_equal(shuffled.counts, expected.counts, equal_nan=True)
