"""Counts and window sums of events, beside a twin that plays the events one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.domain.demand import EventLog, counts_from_events, window_sums


@dataclass(frozen=True)
class Row:
    account: int
    created_s: float
    deleted_s: float
    size: int


def log_of(rows: list[Row], accounts: int = 3) -> EventLog:
    rows = sorted(rows, key=lambda row: row.created_s)
    return EventLog(
        tuple(f"account-{number}" for number in range(accounts)),
        np.array([row.account for row in rows], dtype=np.int32),
        np.array([row.created_s for row in rows], dtype=np.float64),
        np.array([row.deleted_s for row in rows], dtype=np.float64),
        np.array([row.size for row in rows], dtype=np.int64),
    )


def played(rows: list[Row], account: int, *, after_s: float, until_s: float) -> tuple[int, int, int]:
    """Creates, deletes and need of `(after_s, until_s]`, deletes before creates at equal times."""
    mine = [row for row in rows if row.account == account]
    moves = [(row.deleted_s, -row.size) for row in mine] + [(row.created_s, row.size) for row in mine]
    creates = deletes = level = need = 0
    for _, size in sorted(move for move in moves if after_s < move[0] <= until_s):
        creates += max(size, 0)
        deletes += max(-size, 0)
        level += size
        need = max(need, level)
    return creates, deletes, need


@st.composite
def lifetimes(draw: st.DrawFn) -> Row:
    # Few different times, so that many events share one and many stand exactly on the grid.
    times = st.integers(-4, 40).map(lambda half: half / 2)
    created = draw(st.just(-math.inf) | times)
    later = [created + length for length in (0, 0.5, 1, 3, 10) if math.isfinite(created)]
    deleted = draw(st.sampled_from([*later, math.inf]) if later else st.just(math.inf) | times)
    return Row(draw(st.integers(0, 2)), created, deleted, draw(st.integers(1, 5)))


GRID = {"start_s": 2, "step_s": 3, "steps": 5}


@given(st.lists(lifetimes(), max_size=30))
def test_window_sums_are_those_of_the_events_played_one_by_one(rows: list[Row]) -> None:
    sums = window_sums(log_of(rows), **GRID)
    for account in range(3):
        for column in range(GRID["steps"]):
            until_s = GRID["start_s"] + column * GRID["step_s"]
            expected = played(rows, account, after_s=until_s - GRID["step_s"], until_s=until_s)
            assert tuple(part[account, column] for part in sums) == expected


@given(st.lists(lifetimes(), max_size=30))
def test_counts_are_the_instances_alive_at_each_time(rows: list[Row]) -> None:
    counts = counts_from_events(log_of(rows), **GRID)
    for account in range(3):
        for column in range(GRID["steps"]):
            now = GRID["start_s"] + column * GRID["step_s"]
            alive = [row.size for row in rows if row.account == account and row.created_s <= now < row.deleted_s]
            assert counts[account, column] == sum(alive)


@given(st.lists(lifetimes(), max_size=30))
def test_counts_change_by_creates_less_deletes(rows: list[Row]) -> None:
    creates, deletes, need = window_sums(log_of(rows), **GRID)
    change = np.diff(counts_from_events(log_of(rows), **GRID), axis=1)
    assert np.array_equal(change, (creates - deletes)[:, 1:])
    assert (need <= creates).all()
    assert (need[:, 1:] >= change).all()


@pytest.mark.parametrize(
    ("rows", "need"),
    [
        pytest.param([Row(0, 0.0, 5.0, 2), Row(0, 5.0, 9.0, 2)], 0, id="a successor needs nothing new"),
        pytest.param([Row(0, 0.0, 5.0, 2), Row(0, 4.0, 9.0, 2)], 2, id="one that overlaps does"),
        pytest.param([Row(0, 5.0, 5.0, 7)], 0, id="one without length needs nothing"),
        pytest.param([Row(0, 3.0, 4.0, 3), Row(0, 6.0, math.inf, 2)], 3, id="the highest point counts"),
        pytest.param([Row(0, -math.inf, 4.0, 3), Row(0, 5.0, math.inf, 2)], 0, id="over the start, not the lowest"),
    ],
)
def test_need_is_the_largest_net_increase_inside_the_window(rows: list[Row], need: int) -> None:
    _, _, needs = window_sums(log_of(rows, 1), start_s=2, step_s=8, steps=2)
    assert needs[0, 1] == need
