"""What holds for every policy that a replay compares, and what each of the textbook's does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from addrcast.core.domain.demand import History
from addrcast.simulation.policies.catalogue import PEERS
from addrcast.simulation.policies.cilium import CILIUM
from addrcast.simulation.policies.fixed import PROPORTIONAL, STATIC
from addrcast.simulation.policies.oracle import ORACLE
from addrcast.simulation.policies.past_increases import LAST_VALUE, MEAN_SIGMA, OWN_QUANTILE
from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.policies.preservation import PRESERVATION
from addrcast.simulation.policies.reorder_point import REORDER_POINT
from addrcast.simulation.policies.rolling import rolling_maximum, rolling_mean
from addrcast.simulation.policies.seasonal import SEASONAL_NAIVE
from addrcast.simulation.replay.scoring import Scorer
from addrcast.simulation.trace import Trace, lead_need, trace_from_history

Traces = Callable[..., Trace]
SEEING = [policy for policy in PEERS if policy is not ORACLE]
named = pytest.mark.parametrize("policy", PEERS, ids=lambda policy: policy.name)


def decisions(policy: Policy, trace: Trace) -> dict[str, Decision]:
    made = list(policy.decide(trace))
    settings = {decision.setting: decision for decision in made}
    assert len(settings) == len(made), "every setting has its own name"
    return settings


@pytest.mark.parametrize("policy", SEEING, ids=lambda policy: policy.name)
@pytest.mark.parametrize("lead", [1, 3])
def test_what_comes_later_changes_no_decision(
    policy: Policy, lead: int, random_counts: Traces, random_lives: Traces
) -> None:
    for traces in (random_counts, random_lives):
        trace = traces(lead=lead)
        now = trace.scored_from + (trace.decided.stop - trace.decided.start) // 2
        other = traces(lead=lead, changed_from=now + 1 if traces is random_counts else now)
        np.testing.assert_array_equal(trace.counts[:, : now + 1], other.counts[:, : now + 1])
        assert not np.array_equal(trace.counts, other.counts)
        seen = slice(0, now + 1 - trace.scored_from)
        later = decisions(policy, other)
        for setting, decision in decisions(policy, trace).items():
            np.testing.assert_array_equal(decision.idle[:, seen], later[setting].idle[:, seen], err_msg=setting)


@named
def test_decisions_are_whole_addresses_for_every_account_and_step(policy: Policy, random_lives: Traces) -> None:
    trace = random_lives(lead=2)
    for decision in policy.decide(trace):
        assert decision.idle.shape == trace.counts[:, trace.decided].shape
        assert decision.idle.dtype == np.float32
        assert (decision.idle >= 0).all()
        np.testing.assert_array_equal(decision.idle, np.rint(decision.idle))
        assert decision.calls >= 0


@named
def test_the_same_trace_gives_the_same_decisions(policy: Policy, random_counts: Traces) -> None:
    once, again = decisions(policy, random_counts()), decisions(policy, random_counts())
    assert list(once) == list(again)
    for setting, decision in once.items():
        assert decision.idle.tobytes() == again[setting].idle.tobytes()
        assert decision.calls == again[setting].calls


@named
def test_more_idle_never_misses_more(policy: Policy, random_lives: Traces) -> None:
    trace = random_lives(lead=2)
    scorer = Scorer(trace)
    for decision in list(policy.decide(trace))[::17]:
        point = scorer.score(policy, decision)
        more = scorer.score(policy, Decision("more", decision.idle + 1))
        assert more.misses <= point.misses
        assert more.waste > point.waste


@pytest.mark.parametrize("lead", [1, 4])
def test_the_oracle_misses_nothing(lead: int, random_counts: Traces, random_lives: Traces) -> None:
    for trace in (random_counts(lead=lead), random_lives(lead=lead)):
        points = {made.setting: Scorer(trace).score(ORACLE, made) for made in ORACLE.decide(trace)}
        assert points["scale=1"].misses == 0
        assert 0 < points["scale=0.5"].misses < points["scale=0"].misses


def test_the_shrinking_part_of_a_fleet_is_reserved_by_nobody_but_preservation(
    history_of_counts: Callable[..., History],
) -> None:
    trace = trace_from_history(history_of_counts([[9, 9, 9, 5, 5, 5, 5, 5, 5]]), from_fraction=0.5)
    held = decisions(PRESERVATION, trace)
    assert held["hold=0h"].idle.tolist() == [[0, 0, 0, 0]]
    assert held["hold=2h"].idle.tolist() == [[4, 0, 0, 0]]
    assert held["hold=4h"].idle.tolist() == [[4, 4, 4, 0]]


def test_holds_shorter_than_a_step_are_not_told_apart(history_of_counts: Callable[..., History]) -> None:
    hourly = trace_from_history(history_of_counts([[1.0] * 9]))
    minutes = trace_from_history(history_of_counts([[1.0] * 9], step_s=300))
    assert "hold=0.25h" in decisions(PRESERVATION, minutes)
    assert list(decisions(PRESERVATION, hourly))[:3] == ["hold=0h", "hold=1h", "hold=2h"]


def test_a_quantile_is_a_need_that_was_seen(history_of_counts: Callable[..., History]) -> None:
    # Needs before the first decision, at column 8: 1 2 3 4 0 0 0 0.
    trace = trace_from_history(history_of_counts([[0, 1, 3, 6, 10, 10, 10, 10, 10, 10]]), from_fraction=0.85)
    made = decisions(OWN_QUANTILE, trace)
    assert [made[f"q={q}"].idle.item() for q in ("0.5", "0.55", "0.65", "0.8", "0.9", "1")] == [0, 1, 2, 3, 4, 4]


def test_mean_and_sigma_of_the_needs(history_of_counts: Callable[..., History]) -> None:
    # Needs 4 0 4 0 4 0 4 0: mean 2, deviation 2.
    counts = [0, 4, 4, 8, 8, 12, 12, 16, 16, 16]
    trace = trace_from_history(history_of_counts([counts]), from_fraction=0.85)
    made = decisions(MEAN_SIGMA, trace)
    assert [made[f"k={k}"].idle.item() for k in ("-1", "0", "1.5", "4")] == [0, 2, 5, 10]


def test_the_last_value_is_the_need_of_the_window_that_just_ended(
    history_of_counts: Callable[..., History],
) -> None:
    trace = trace_from_history(history_of_counts([[1, 1, 4, 9, 9]]), from_fraction=0.5)
    assert decisions(LAST_VALUE, trace)["factor=2 extra=1"].idle.tolist() == [[7, 11]]


def test_a_static_and_a_proportional_reserve(history_of_counts: Callable[..., History]) -> None:
    trace = trace_from_history(history_of_counts([[8, 8, 8, 4, 8]]), from_fraction=0.5)
    assert decisions(STATIC, trace)["w=3"].idle.tolist() == [[3, 3]]
    assert decisions(PROPORTIONAL, trace)["share=0.5"].idle.tolist() == [[4, 2]]


def test_the_reorder_point_restocks_in_lots_and_gives_back_above_them(
    history_of_counts: Callable[..., History],
) -> None:
    # Mean increases per hour at columns 4..7: 2/5, 5/6, 5/7, 5/8; a safety of 4 gives thresholds 2, 4, 3, 3.
    trace = trace_from_history(history_of_counts([[9, 11, 11, 11, 11, 14, 4, 4, 4]]), from_fraction=0.5)
    made = decisions(REORDER_POINT, trace)
    assert made["window=14d safety=4 lot=0"].idle.tolist() == [[2, 4, 3, 3]]
    # Lots of 8: one at column 1, of which 2 were missing: 6. At column 5 3 go, 3 is below 4: one more. At column 6
    # 10 come back to 11, of which 3 + 8 stay.
    assert made["window=14d safety=4 lot=8"].idle.tolist() == [[6, 11, 11, 11]]
    assert made["window=14d safety=4 lot=8"].calls == 2


def test_the_seasonal_forecast_is_what_came_a_day_ago(history_of_counts: Callable[..., History]) -> None:
    day = [5.0] * 12 + [7.0] * 12
    trace = trace_from_history(history_of_counts([day * 2]), from_fraction=0.5)
    made = decisions(SEASONAL_NAIVE, trace)
    increase_hour = 36 - 1 - trace.scored_from
    for setting in ("need of last day factor=1 extra=0", "level of last day factor=1 extra=0"):
        assert np.flatnonzero(made[setting].idle[0]).tolist() == [increase_hour]
        assert made[setting].idle[0, increase_hour] == 2
    assert not made["need of last week factor=4 extra=0"].idle.any()


def test_a_lead_longer_than_the_season_goes_back_to_windows_that_are_over(
    random_counts: Traces,
) -> None:
    trace = random_counts(lead=30, columns=260)
    made = decisions(SEASONAL_NAIVE, trace)["need of last day factor=1 extra=0"]
    back = lead_need(trace)[:, trace.scored_from + 30 - 48 : trace.decided.stop + 30 - 48]
    np.testing.assert_array_equal(made.idle, back)


def test_cilium_without_release_never_gives_back(random_counts: Traces) -> None:
    trace = random_counts()
    for setting, decision in decisions(CILIUM, trace).items():
        attached = decision.idle + trace.counts[:, trace.decided]
        if setting.endswith("release=off"):
            assert (np.diff(attached, axis=1) >= 0).all()


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 50])
def test_rolling_windows_are_those_of_plain_loops(width: int) -> None:
    values = np.random.default_rng(width).integers(0, 50, (3, 20)).astype(np.float32)
    windows = [[row[max(0, end - width) : end] for end in range(1, 21)] for row in values]
    assert rolling_maximum(values, width).tolist() == [[seen.max() for seen in row] for row in windows]
    np.testing.assert_allclose(rolling_mean(values, width), [[seen.mean() for seen in row] for row in windows])
