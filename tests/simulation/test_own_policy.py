"""Our policy in the replay: it holds when the need is near, and sees nothing that has not come yet."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.core.forecast.fleet import rhythm

from addrcast.adapters.forecasters.gbm import GbmFitter
from addrcast.simulation.policies.own import addrcast_policy
from addrcast.simulation.trace import Trace

QUICK = addrcast_policy(GbmFitter(trees=15, bags_max=1))


def trace_of(counts: NDArray[np.float32], *, scored_from: int, lead: int = 1) -> Trace:
    rises = np.diff(counts, axis=1, prepend=counts[:, :1])
    up, down = np.maximum(rises, 0), np.maximum(-rises, 0)
    accounts = tuple(f"a{k}" for k in range(len(counts)))
    return Trace(accounts, 0, 3_600, counts, up, down, up, scored_from, lead)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return trace_of(rhythm(accounts=8, days=30, seed=0), scored_from=600)


def misses_at(trace: Trace, idle: NDArray[np.float32]) -> tuple[float, float]:
    need = trace.need[:, trace.scored_from + 1 :]
    return float(np.maximum(need - idle, 0).sum() / need.sum()), float(idle.mean())


def test_misses_on_a_rhythm_are_far_fewer_than_a_static_reserves_of_the_same_size(trace: Trace) -> None:
    shape = trace.need[:, trace.scored_from + 1 :].shape
    static = [misses_at(trace, np.full(shape, w, np.float32)) for w in range(41)]
    ours = [misses_at(trace, decision.idle) for decision in QUICK.decide(trace)]
    for misses, idle in ours:
        if 1 <= idle <= 4:
            assert misses < 0.6 * np.interp(idle, [w for _, w in static], [m for m, _ in static])
    assert sum(1 <= idle <= 4 for _, idle in ours) >= 3


def test_settings_go_from_nothing_to_more_idle_in_whole_addresses(trace: Trace) -> None:
    decisions = list(QUICK.decide(trace))
    assert not decisions[0].idle.any()
    for less, more in pairwise(decisions):
        assert (less.idle <= more.idle).all()
        np.testing.assert_array_equal(more.idle, np.rint(more.idle))
    assert len({decision.setting for decision in decisions}) == len(decisions)


def test_a_decision_does_not_change_with_what_comes_after_it(trace: Trace) -> None:
    column = 660
    counts = trace.counts.copy()
    counts[:, column + 1 :] = 77
    other = trace_of(counts, scored_from=trace.scored_from)
    for one, two in zip(QUICK.decide(trace), QUICK.decide(other), strict=True):
        seen = column + 1 - trace.scored_from
        np.testing.assert_array_equal(one.idle[:, :seen], two.idle[:, :seen])


def test_the_same_trace_gives_the_same_decisions(trace: Trace) -> None:
    small = replace(trace, scored_from=700)
    for one, two in zip(QUICK.decide(small), QUICK.decide(small), strict=True):
        assert one.setting == two.setting
        assert one.idle.tobytes() == two.idle.tobytes()


@pytest.mark.parametrize("level", [0, 7])
@pytest.mark.parametrize(("columns", "scored_from", "lead"), [(30, 24, 1), (30, 3, 2), (4, 1, 1), (9, 3, 3)])
def test_tiny_and_constant_traces_are_decided(level: int, columns: int, scored_from: int, lead: int) -> None:
    trace = trace_of(np.full((1, columns), level, np.float32), scored_from=scored_from, lead=lead)
    for decision in QUICK.decide(trace):
        assert decision.idle.shape == (1, columns - scored_from - lead)
        assert not decision.idle.any()
