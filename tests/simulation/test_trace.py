"""From a history to the trace that is replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from addrcast.core.domain.demand import History, MetricHistory
from addrcast.core.domain.errors import Invalid
from addrcast.simulation.trace import lead_need, trace_from_history

Counts = Callable[..., History]
Lives = Callable[..., History]
NAN = float("nan")


def test_counts_become_net_changes_without_gaps(history_of_counts: Counts) -> None:
    trace = trace_from_history(history_of_counts([[2, 5, NAN, 4, 7]]), from_fraction=0.5)
    assert trace.counts.tolist() == [[2, 5, 5, 4, 7]]
    assert trace.creates.tolist() == [[0, 3, 0, 0, 3]]
    assert trace.deletes.tolist() == [[0, 0, 0, 1, 0]]
    assert trace.need.tolist() == trace.creates.tolist()
    assert trace.times_s().tolist() == [0, 3600, 7200, 10800, 14400]


def test_events_become_gross_creates_and_the_need_inside_each_window(history_of_lives: Lives) -> None:
    lives = [("a", -np.inf, 15, 4), ("a", 12, 13, 2), ("a", 18, np.inf, 1)]
    trace = trace_from_history(history_of_lives(lives, steps=4, step_s=10), from_fraction=0.5)
    assert trace.counts.tolist() == [[4, 4, 1, 1]]
    assert trace.creates.tolist() == [[0, 0, 3, 0]]
    assert trace.deletes.tolist() == [[0, 0, 6, 0]]
    assert trace.need.tolist() == [[0, 0, 2, 0]]


def test_events_can_go_on_another_grid_and_counts_can_not(
    history_of_counts: Counts, history_of_lives: Lives
) -> None:
    lives = [("a", 0, 99, 1), ("a", 12, 17, 1)]
    trace = trace_from_history(history_of_lives(lives, steps=4, step_s=10), step_s=5, from_fraction=0.5)
    assert (trace.step_s, trace.counts.tolist()) == (5, [[1, 1, 1, 2, 1, 1, 1]])
    with pytest.raises(Invalid, match="step"):
        trace_from_history(history_of_counts([[1, 1, 1]]), step_s=60)
    with pytest.raises(Invalid, match="step"):
        trace_from_history(history_of_lives(lives, steps=4, step_s=10), step_s=0)


@pytest.mark.parametrize(("columns", "first"), [(11, 8), (12, 9), (2184, 1747), (2001, 1600)])
def test_scoring_starts_at_the_first_time_after_four_fifths(
    history_of_counts: Counts, columns: int, first: int
) -> None:
    assert trace_from_history(history_of_counts([[1] * columns])).scored_from == first


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"accounts_glob": "a0[01]"}, ("a00", "a01")),
        ({"min_mean": 4.0}, ("a01", "a02")),
        ({"min_deviation": 0.5}, ("a00", "a02")),
        ({"min_mean": 4.0, "min_deviation": 0.5, "accounts_glob": "*"}, ("a02",)),
    ],
)
def test_accounts_are_chosen_by_name_mean_and_deviation(
    history_of_counts: Counts, chosen: dict[str, Any], left: tuple[str, ...]
) -> None:
    trace = trace_from_history(
        history_of_counts([[0, 2, 0, 2], [9, 9, 9, 9], [3, 5, 3, 5]]), from_fraction=0.5, **chosen
    )
    assert trace.accounts == left
    assert trace.counts.shape == (len(left), 4)


def test_the_events_of_accounts_left_out_go_too(history_of_lives: Lives) -> None:
    lives = [("a", 0, 99, 1), ("b", 1, 99, 5), ("a", 12, 17, 2), ("c", 13, 99, 7)]
    history = history_of_lives(lives, steps=4, step_s=10)
    assert history.events is not None
    history = replace(history, events=replace(history.events, instances=("w", "x", "y", "z")))
    trace = trace_from_history(history, accounts_glob="[bc]", from_fraction=0.5)
    assert trace.events is not None
    assert trace.events.accounts == ("b", "c")
    assert trace.events.account.tolist() == [0, 1]
    assert trace.events.sizes.tolist() == [5, 7]
    assert trace.events.instances == ("x", "z")


def test_metrics_follow_the_accounts_where_their_grid_is_the_counts_own(history_of_counts: Counts) -> None:
    history = history_of_counts([[1] * 4, [2] * 4, [3] * 4])
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    metrics = MetricHistory(("a00", "a01", "a02"), 0, 3600, ("cpu",), values)
    trace = trace_from_history(replace(history, metrics=metrics), accounts_glob="a0[02]", from_fraction=0.5)
    assert trace.metrics is not None
    assert trace.metrics.accounts == ("a00", "a02")
    assert trace.metrics.values.tolist() == values[:, [0, 2]].tolist()
    for other in (replace(metrics, step_s=60), replace(metrics, values=values[:, :, :3])):
        assert trace_from_history(replace(history, metrics=other), from_fraction=0.5).metrics is None


def test_a_history_that_cannot_be_replayed_says_why(history_of_counts: Counts) -> None:
    history = history_of_counts([[1, 2, 3, 4, 5]])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"accounts_glob": "b*"}, "none of the 1 accounts"),
        ({"from_fraction": 1.0}, "fraction"),
        ({"lead": 0}, "at least one step"),
        ({"lead": 3}, "longer history"),
    ]
    for asked, why in wrong:
        with pytest.raises(Invalid, match=why):
            trace_from_history(history, **({"from_fraction": 0.5} | asked))
    with pytest.raises(Invalid, match="workload profile"):
        trace_from_history(replace(history, counts=None))


def test_the_need_of_a_longer_window_is_its_highest_rise_over_its_start(history_of_counts: Counts) -> None:
    trace = trace_from_history(history_of_counts([[3, 5, 4, 6, 2, 2, 9]]), from_fraction=0.5, lead=2)
    assert lead_need(trace).tolist() == [[0, 0, 2, 1, 2, 0, 7]]
