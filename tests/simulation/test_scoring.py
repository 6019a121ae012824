"""The score, worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from addrcast.core.domain.demand import History
from addrcast.core.domain.errors import Invalid
from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.replay.run import replay
from addrcast.simulation.replay.scoring import Point, Scorer, cooling_steps
from addrcast.simulation.trace import Trace, lead_creates, lead_need, trace_from_history

Counts = Callable[..., History]
Lives = Callable[..., History]


def scored(trace: Trace, idle: list[list[float]], *, cooldown_s: float = 0.0, calls: float = 0.0) -> Point:
    policy = Policy("hand", lambda _: iter(()), cooldown_s=cooldown_s, miss_s=2.0)
    return Scorer(trace).score(policy, Decision("s", np.array(idle, dtype=np.float32), calls))


def test_counts_with_a_lead_of_one(history_of_counts: Counts) -> None:
    # Scored are columns 2, 3, 4 with increases 3, 0, 2 and counts 4, 7, 6.
    trace = trace_from_history(history_of_counts([[1, 4, 4, 7, 6, 8]]), from_fraction=0.4)
    point = scored(trace, [[1, 5, 4]], calls=10)
    assert point.misses == (3 - 1) / 5
    assert point.waste == (1 + 5 + 4) / (4 + 7 + 6)
    assert point.waiting_s == 2.0 * 2 / 5
    assert point.calls_per_instance == 10 / 5


def test_counts_with_a_lead_of_two_score_each_decision_on_its_own_whole_window(history_of_counts: Counts) -> None:
    # Decisions at columns 2, 3, 4 with counts 4, 7, 6. Largest net increases within two steps:
    # 4 -> 7, 6: 3 | 7 -> 6, 8: 1 | 6 -> 8, 9: 3.
    trace = trace_from_history(history_of_counts([[1, 4, 4, 7, 6, 8, 9]]), from_fraction=0.3, lead=2)
    point = scored(trace, [[2, 0, 5]])
    assert point.misses == (1 + 1 + 0) / (3 + 1 + 3)
    assert point.waste == (2 + 0 + 5) / (4 + 7 + 6)


def test_accounts_are_summed_before_the_division(history_of_counts: Counts) -> None:
    trace = trace_from_history(history_of_counts([[9, 9, 10], [1, 1, 10]]), from_fraction=0.5)
    assert scored(trace, [[1], [0]]).misses == 9 / 10
    assert scored(trace, [[1], [0]]).waste == 1 / 10


def test_events_give_gross_creates_less_the_addresses_that_came_back(history_of_lives: Lives) -> None:
    # In the window (10, 20]: 2 die at 12, 3 are born at 14, 1 dies and 2 are born at 16.
    lives = [("a", 0, 12, 2), ("a", 1, 16, 1), ("a", 2, 99, 1), ("a", 14, 99, 3), ("a", 16, 99, 2)]
    trace = trace_from_history(history_of_lives(lives, steps=3, step_s=10), from_fraction=0.5)
    assert lead_creates(trace).tolist() == [[5]]
    # With nothing held 2 of the first 3 find the two that came back, 1 of the last 2 finds the third.
    assert scored(trace, [[0]]).misses == 2 / 5
    assert scored(trace, [[1]]).misses == 1 / 5
    assert scored(trace, [[2]]).misses == 0
    assert scored(trace, [[2]]).waste == 2 / 4


def test_an_address_in_cooldown_serves_nobody_and_lies_idle(history_of_lives: Lives) -> None:
    lives = [("a", 0, 12, 2), ("a", 1, 16, 1), ("a", 2, 99, 1), ("a", 14, 99, 3), ("a", 16, 99, 2)]
    trace = trace_from_history(history_of_lives(lives, steps=3, step_s=10), from_fraction=0.5)
    # After 3 s the first two are back at 15, for the creates at 16; the third is back at 19.
    point = scored(trace, [[0]], cooldown_s=3)
    assert point.misses == 3 / 5
    assert point.waste == pytest.approx(3 * 3 / 10 / 4)


def test_an_address_that_was_cooling_at_the_decision_comes_back_in_its_window(history_of_lives: Lives) -> None:
    lives = [("a", 0, 9, 1), ("a", 1, 99, 1), ("a", 12, 99, 1), ("a", 14, 99, 1)]
    trace = trace_from_history(history_of_lives(lives, steps=3, step_s=10), from_fraction=0.5)
    assert scored(trace, [[0]], cooldown_s=4).misses == 1 / 2
    assert scored(trace, [[0]], cooldown_s=6).misses == 2 / 2
    assert scored(trace, [[0]]).misses == 2 / 2


def test_at_equal_times_deletes_come_before_creates(history_of_lives: Lives) -> None:
    lives = [("a", 0, 15, 1), ("a", 1, 99, 1), ("a", 15, 99, 1)]
    trace = trace_from_history(history_of_lives(lives, steps=3, step_s=10), from_fraction=0.5)
    assert scored(trace, [[0]]).misses == 0
    assert scored(trace, [[0]], cooldown_s=1).misses == 1


def test_events_with_a_lead_of_two_follow_the_stock_through_both_steps(history_of_lives: Lives) -> None:
    # Decisions at 20 and 30. (20, 40]: +3 at 22, -3 at 28, +1 at 35. (30, 50]: +1 at 35, +2 at 45.
    lives = [("a", 0, 99, 5), ("a", 22, 28, 3), ("a", 35, 99, 1), ("a", 45, 99, 2)]
    trace = trace_from_history(history_of_lives(lives, steps=6, step_s=10), from_fraction=0.4, lead=2)
    assert lead_creates(trace).tolist() == [[4, 3]]
    assert lead_need(trace)[:, 4:].tolist() == [[3, 3]]
    # 1 idle at 20 serves one of the three; their addresses then serve the one at 35.
    assert scored(trace, [[1, 3]]).misses == 2 / 7
    assert scored(trace, [[1, 3]]).waste == 4 / 10


def test_cooling_is_counted_for_its_seconds_inside_the_scored_part(history_of_lives: Lives) -> None:
    # The scored part is (20, 40]: 4 s before it, 6 s of ten, 5 s cut off at its end.
    lives = [("a", 0, 16, 1), ("a", 0, 30, 1), ("a", 0, 35, 1), ("a", 0, 99, 1), ("a", 50, 99, 1)]
    trace = trace_from_history(history_of_lives(lives, steps=5, step_s=10), from_fraction=0.5)
    assert cooling_steps(trace, 10) == pytest.approx((6 + 10 + 5) / 10)


def test_counts_cool_from_the_column_that_shows_the_delete(history_of_counts: Counts) -> None:
    trace = trace_from_history(history_of_counts([[9, 9, 7, 7, 6, 6]], step_s=60), from_fraction=0.4)
    assert cooling_steps(trace, 30) == 2 * 30 / 60 + 1 * 30 / 60


def test_without_creates_nothing_is_missed(history_of_counts: Counts) -> None:
    trace = trace_from_history(history_of_counts([[3, 3, 3, 3]]), from_fraction=0.5)
    assert scored(trace, [[0]]).misses == 0


def test_an_empty_scored_part_is_refused(history_of_counts: Counts) -> None:
    trace = trace_from_history(history_of_counts([[3, 3, 0, 0]]), from_fraction=0.5)
    with pytest.raises(Invalid, match="no instance lives"):
        Scorer(trace)


@pytest.mark.parametrize("idle", [[[1, 1]], [[-1]]])
def test_a_decision_of_another_shape_or_below_nothing_is_refused(
    history_of_counts: Counts, idle: list[list[float]]
) -> None:
    trace = trace_from_history(history_of_counts([[3, 3, 4, 4]]), from_fraction=0.5)
    with pytest.raises(Invalid):
        scored(trace, idle)


def test_a_replay_tells_its_progress_and_hands_out_every_decision(history_of_counts: Counts) -> None:
    trace = trace_from_history(history_of_counts([[3, 3, 4, 5]]), from_fraction=0.5)

    def decide(trace: Trace) -> Iterator[Decision]:
        for idle in (0, 1):
            yield Decision(f"w={idle}", np.full(trace.counts[:, trace.decided].shape, idle, dtype=np.float32))

    told: list[tuple[str, int, int]] = []
    handed: list[tuple[str, str]] = []
    result = replay(
        trace,
        [Policy("one", decide), Policy("two", decide, is_reactive=False)],
        on_progress=lambda *state: told.append(state),
        on_decision=lambda name, decision: handed.append((name, decision.setting)),
    )
    assert told == [("one", 0, 2), ("two", 1, 2)]
    assert handed == [("one", "w=0"), ("one", "w=1"), ("two", "w=0"), ("two", "w=1")]
    assert [[point.misses for point in policy.points] for policy in result.policies] == [[1, 0], [1, 0]]
    assert (result.accounts, result.creates) == (1, 1)
