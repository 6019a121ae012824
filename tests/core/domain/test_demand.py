from __future__ import annotations

import json

import numpy as np
import pytest

from addrcast.core.domain.demand import CountHistory, MetricHistory, ReadReport, WorkloadProfile, fill_gaps
from addrcast.core.domain.errors import Invalid

NAN = np.nan


def history(*rows: list[float]) -> CountHistory:
    accounts = tuple(f"account-{number}" for number in range(len(rows)))
    return CountHistory(accounts, 7200, 3600, np.array(rows, dtype=np.float32))


def test_the_grid_gives_its_times() -> None:
    counts = history([1, 2, 3])
    assert counts.steps == 3
    assert counts.times_s().tolist() == [7200, 10800, 14400]


def test_counts_of_another_shape_than_their_accounts_are_invalid() -> None:
    with pytest.raises(Invalid, match=r"shape \(2, times\)"):
        CountHistory(("a", "b"), 0, 60, np.zeros((1, 4), dtype=np.float32))


def test_a_step_of_nothing_is_invalid() -> None:
    with pytest.raises(Invalid, match="at least one second"):
        CountHistory(("a",), 0, 0, np.zeros((1, 4), dtype=np.float32))


def test_a_gap_takes_the_count_before_it_and_a_leading_gap_the_first_known() -> None:
    filled = fill_gaps(history([NAN, NAN, 3, NAN, 5, NAN], [NAN] * 6, [1, 2, 3, 4, 5, 6]))
    assert filled.counts.tolist() == [[3, 3, 3, 3, 5, 5], [0] * 6, [1, 2, 3, 4, 5, 6]]
    assert (filled.start_s, filled.step_s) == (7200, 3600)
    assert filled.counts.dtype == np.float32


def test_counts_without_gaps_stay_the_same_object() -> None:
    counts = history([1, 2])
    assert fill_gaps(counts) is counts


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ({"capacity": {"cpu": 0.0}}, "capacity of cpu"),
        ({"capacity": {"cpu": float("inf")}}, "capacity of cpu"),
        ({"capacity": {"cpu": float("nan")}}, "capacity of cpu"),
        ({"capacity": {}, "target_utilisation": 0.0}, "target_utilisation"),
        ({"capacity": {}, "target_utilisation": 1.1}, "target_utilisation"),
        ({"capacity": {}, "minimum": -1}, "minimum"),
        ({"capacity": {}, "minimum": 3, "maximum": 2}, "maximum"),
    ],
)
def test_a_profile_out_of_range_names_the_field(profile: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        WorkloadProfile(**profile)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_report_mentions_only_what_occurred() -> None:
    assert ReadReport("counts", 1200, 3, start_s=0, step_s=3600, steps=400).lines() == [
        "counts: 1,200 rows, 3 accounts, 400 times 3,600 s apart"
    ]


def test_a_report_tells_everything_that_occurred_to_people_and_to_programs() -> None:
    report = ReadReport(
        "metrics",
        10,
        2,
        start_s=0,
        step_s=60,
        steps=5,
        gaps=1,
        fleet_gaps=2,
        duplicates=3,
        disorder=4,
        off_grid=5,
        aggregated=6,
        other_steps=((15, 1),),
        ignored=(("no value", 7),),
        notes=("metrics: cpu",),
    )
    assert report.lines()[1:] == [
        "1 values absent from the grid",
        "2 times without a value from any account",
        "3 rows replaced by a later row of the same account and time",
        "4 rows out of order, sorted",
        "5 rows off the grid, moved to its nearest time",
        "6 rows of a finer step, merged",
        "1 accounts have runs 15 s apart",
        "7 rows ignored: no value",
        "metrics: cpu",
    ]
    told = json.loads(json.dumps(report.as_dict()))
    assert told["other_steps"] == [{"step_s": 15, "accounts": 1}]
    assert told["ignored"] == [{"reason": "no value", "rows": 7}]
    assert told["notes"] == ["metrics: cpu"]
    assert told["aggregated"] == 6


def test_metrics_of_another_file_are_put_beside_the_counts() -> None:
    counts = CountHistory(("a", "b", "c"), 1_000, 100, np.ones((3, 4), np.float32))
    values = np.arange(10, dtype=np.float32).reshape(1, 2, 5)
    found = MetricHistory(("b", "z"), 900, 100, ("cpu",), values).beside(counts)
    assert (found.accounts, found.start_s, found.names) == (counts.accounts, 1_000, ("cpu",))
    np.testing.assert_array_equal(found.values[0, 1], [1, 2, 3, 4])
    assert np.isnan(found.values[0, [0, 2]]).all()
    late = MetricHistory(("b",), 1_200, 100, ("cpu",), values[:, :1]).beside(counts)
    np.testing.assert_array_equal(late.values[0, 1], [np.nan, np.nan, 0, 1])
    never = MetricHistory(("b",), 9_000, 100, ("cpu",), values[:, :1]).beside(counts)
    assert np.isnan(never.values).all()


@pytest.mark.parametrize(("start_s", "step_s"), [(1_050, 100), (1_000, 50)])
def test_metrics_at_other_times_than_the_counts_are_refused(start_s: int, step_s: int) -> None:
    counts = CountHistory(("a",), 1_000, 100, np.ones((1, 4), np.float32))
    metrics = MetricHistory(("a",), start_s, step_s, ("cpu",), np.ones((1, 1, 4), np.float32))
    with pytest.raises(Invalid, match="every 100 s"):
        metrics.beside(counts)
