"""Anyone's second score from the trace and the decisions file alone gives the same figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.adapters.demand.decisions import DecisionFile
from addrcast.core.domain.demand import History
from addrcast.simulation.policies.catalogue import PEERS
from addrcast.simulation.policies.policy import Decision, Policy
from addrcast.simulation.replay.run import replay
from addrcast.simulation.replay.scoring import Scorer
from addrcast.simulation.trace import Trace, trace_from_history

Rows = Mapping[tuple[str, int], float]


def second_score_of_counts(
    counts: Mapping[str, list[float]], decisions: Rows, *, step_s: int, lead: int
) -> tuple[float, float]:
    """Misses and waste of counts without cooldown: the rules of docs/replay.md in plain loops."""
    missed = creates = idle_steps = bound = 0.0
    for (account, time_s), idle in decisions.items():
        column = time_s // step_s
        now, coming = counts[account][column], counts[account][column + 1 : column + lead + 1]
        need = max(0, max(coming) - now)
        missed += max(0, need - idle)
        creates += need
        idle_steps += idle
        bound += now
    return missed / max(creates, 1), idle_steps / bound


def second_score_of_lives(
    lives: Iterable[tuple[str, float, float, int]], decisions: Rows, *, step_s: int, lead: int, cooldown_s: float
) -> tuple[float, float]:
    """Misses and waste of events: every address of every window is taken and given back one by one."""
    rows = list(lives)
    first_s, last_s = min(time for _, time in decisions), max(time for _, time in decisions) + step_s
    cooled_s = sum(
        size * max(0.0, min(died + cooldown_s, last_s) - max(died, first_s))
        for _, _, died, size in rows
        if died < last_s
    )
    missed = creates = bound = 0
    for (account, time_s), idle in decisions.items():
        until_s = time_s + lead * step_s
        own = [row for row in rows if row[0] == account]
        moments = [
            (died + cooldown_s, 0, size) for _, _, died, size in own if time_s < died + cooldown_s <= until_s
        ]
        moments += [(born, 1, size) for _, born, _, size in own if time_s < born <= until_s]
        ready = idle
        for _, is_create, size in sorted(moments):
            for _ in range(size):
                if not is_create:
                    ready += 1
                elif ready >= 1:
                    ready -= 1
                else:
                    missed += 1
                creates += is_create
        bound += sum(size for _, born, died, size in own if born <= time_s < died)
    waste = (sum(decisions.values()) + cooled_s / step_s) / bound
    return missed / max(creates, 1), waste


def decisions_of(trace: Trace, idle: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Rows:
    times = trace.times_s()[trace.decided]
    return {
        (account, int(time)): float(idle[row, column])
        for row, account in enumerate(trace.accounts)
        for column, time in enumerate(times)
    }


LIVES = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 46), st.integers(0, 30), st.integers(1, 4)).map(
        lambda row: (row[0], float(row[1]), float(row[1] + row[2]), row[3])
    ),
    max_size=25,
)


@given(
    lives=LIVES,
    lead=st.integers(1, 3),
    cooldown_s=st.sampled_from([0.0, 1.0, 3.0, 4.0, 11.0]),
    seed=st.integers(0, 2**16),
)
def test_the_score_of_events_is_that_of_single_addresses(
    history_of_lives: Callable[..., History],
    lives: list[tuple[str, float, float, int]],
    lead: int,
    cooldown_s: float,
    seed: int,
) -> None:
    # One account lives on throughout, so that waste has a unit.
    lives = [*lives, ("c", 0.0, 99.0, 1)]
    trace = trace_from_history(history_of_lives(lives, steps=12, step_s=4), from_fraction=0.5, lead=lead)
    shape = trace.counts[:, trace.decided].shape
    idle = np.random.default_rng(seed).integers(0, 5, shape).astype(np.float32)
    policy = Policy("drawn", lambda _: iter(()), cooldown_s=cooldown_s)
    point = Scorer(trace).score(policy, Decision("s", idle))
    second = second_score_of_lives(lives, decisions_of(trace, idle), step_s=4, lead=lead, cooldown_s=cooldown_s)
    assert (point.misses, point.waste) == pytest.approx(second)


@given(
    rows=st.lists(st.lists(st.integers(0, 9), min_size=9, max_size=9), min_size=1, max_size=3),
    lead=st.integers(1, 3),
)
def test_the_score_of_counts_is_that_of_plain_loops(
    history_of_counts: Callable[..., History], rows: list[list[int]], lead: int
) -> None:
    rows = [*rows, [1] * 9]
    trace = trace_from_history(history_of_counts(rows, step_s=60), from_fraction=0.5, lead=lead)
    idle = np.random.default_rng(lead).integers(0, 5, trace.counts[:, trace.decided].shape).astype(np.float32)
    point = Scorer(trace).score(Policy("drawn", lambda _: iter(())), Decision("s", idle))
    counts = {account: [float(count) for count in row] for account, row in zip(trace.accounts, rows, strict=True)}
    second = second_score_of_counts(counts, decisions_of(trace, idle), step_s=60, lead=lead)
    assert (point.misses, point.waste) == pytest.approx(second)


@pytest.mark.parametrize("lead", [1, 3])
def test_the_decisions_file_scores_as_the_replay_did(
    tmp_path: Path, random_lives: Callable[..., Trace], lead: int
) -> None:
    trace = random_lives(lead=lead)
    assert trace.events is not None
    chosen = [replace(policy, decide=_thinned(policy)) for policy in PEERS]
    path = tmp_path / "decisions.parquet"
    with DecisionFile(path, accounts=trace.accounts, times_s=trace.times_s()[trace.decided]) as file:
        result = replay(trace, chosen, on_decision=lambda name, made: file.add(name, made.setting, made.idle))
    log = trace.events
    names = [log.accounts[row] for row in log.account]
    lives = list(zip(names, log.created_s.tolist(), log.deleted_s.tolist(), log.sizes.tolist(), strict=True))
    rows = pl.read_parquet(path).with_columns(pl.col("timestamp").dt.epoch("s"))
    points = {(policy.name, point.setting): point for policy in result.policies for point in policy.points}
    cooldown = {policy.name: policy.cooldown_s for policy in PEERS}
    seen: Counter[str] = Counter()
    for (name, setting), group in rows.group_by("policy", "setting"):
        decisions = {(row[2], row[3]): row[4] for row in group.iter_rows()}
        second = second_score_of_lives(lives, decisions, step_s=3600, lead=lead, cooldown_s=cooldown[str(name)])
        point = points.pop((str(name), str(setting)))
        assert (point.misses, point.waste) == pytest.approx(second, rel=1e-6)
        seen[str(name)] += 1
    assert not points
    assert set(seen) == set(cooldown)


def _thinned(policy: Policy) -> Callable[[Trace], Iterator[Decision]]:
    """Every 40th setting: the second score is slow."""
    return lambda trace: (decision for number, decision in enumerate(policy.decide(trace)) if number % 40 == 3)


def test_rows_keep_their_order_over_the_parts_of_a_file(tmp_path: Path) -> None:
    times_s = np.array([0, 3600], dtype=np.int64)
    with DecisionFile(tmp_path / "d", accounts=["a", "b"], times_s=times_s, rows_of_a_part=5) as file:
        for setting in range(7):
            file.add("p", f"s{setting}", np.full((2, 2), setting, dtype=np.float32))
    rows = pl.read_parquet(tmp_path / "d")
    assert rows["setting"].to_list() == [f"s{setting}" for setting in range(7) for _ in range(4)]
    assert rows["account_id"].to_list() == ["a", "a", "b", "b"] * 7
    assert rows["timestamp"].dt.epoch("s").to_list() == [0, 3600] * 14
    assert rows["idle"].to_list() == [setting for setting in range(7) for _ in range(4)]


def test_a_replay_that_fails_leaves_no_decisions_file(tmp_path: Path) -> None:
    path = tmp_path / "decisions.parquet"

    def interrupted() -> None:
        with DecisionFile(path, accounts=["a"], times_s=np.array([0], dtype=np.int64)) as file:
            file.add("p", "s", np.zeros((1, 1), dtype=np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
