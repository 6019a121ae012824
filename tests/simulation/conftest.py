"""Small traces of counts and of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from addrcast.core.domain.demand import CountHistory, EventLog, History, ReadReport, counts_from_events
from addrcast.simulation.trace import Trace, trace_from_history

REPORT = ReadReport(layout="test", rows=0, accounts=0, start_s=0, step_s=1, steps=0)
Lives = Iterable[tuple[str, float, float, int]]


def _history_of_counts(rows: list[list[float]], step_s: int = 3600) -> History:
    accounts = tuple(f"a{row:02d}" for row in range(len(rows)))
    return History(CountHistory(accounts, 0, step_s, np.array(rows, dtype=np.float32)), None, None, REPORT)


def _history_of_lives(lives: Lives, *, steps: int, step_s: int = 3600) -> History:
    """A history of (account, created, deleted, size) rows."""
    rows = sorted(lives, key=lambda row: row[1])
    accounts = tuple(sorted({row[0] for row in rows}))
    log = EventLog(
        accounts,
        np.array([accounts.index(row[0]) for row in rows], dtype=np.int32),
        np.array([row[1] for row in rows], dtype=np.float64),
        np.array([row[2] for row in rows], dtype=np.float64),
        np.array([row[3] for row in rows], dtype=np.int64),
    )
    counts = counts_from_events(log, start_s=0, step_s=step_s, steps=steps)
    return History(CountHistory(accounts, 0, step_s, counts), log, None, REPORT)


@pytest.fixture(scope="session")
def history_of_counts() -> Callable[..., History]:
    return _history_of_counts


@pytest.fixture(scope="session")
def history_of_lives() -> Callable[..., History]:
    return _history_of_lives


@pytest.fixture(scope="session")
def random_counts() -> Callable[..., Trace]:
    """Walks of several accounts with a daily wave, jumps and quiet times; `changed_from` redraws the end."""

    def trace(seed: int = 1, *, lead: int = 1, columns: int = 260, changed_from: int | None = None) -> Trace:
        dice = np.random.default_rng(seed)
        wave = 6 * (1 + np.sin(np.arange(columns) * 2 * np.pi / 24))
        walks = dice.poisson(0.3, (5, columns)) * dice.integers(-8, 9, (5, columns))
        counts = np.maximum(np.cumsum(walks, axis=1) + wave, 0).round()
        if changed_from is not None:
            counts[:, changed_from:] = dice.integers(0, 90, (5, columns - changed_from))
        return trace_from_history(_history_of_counts(counts.tolist()), lead=lead)

    return trace


@pytest.fixture(scope="session")
def random_lives() -> Callable[..., Trace]:
    """Lives of several accounts that begin in bursts; `changed_from` redraws what happens after that column."""

    def trace(seed: int = 1, *, lead: int = 1, columns: int = 130, changed_from: int | None = None) -> Trace:
        dice = np.random.default_rng(seed)
        end_s = (columns - 1) * 3600
        lives = _draw_lives(dice, 0, end_s, rows=160)
        if changed_from is not None:
            cut_s = changed_from * 3600
            before = [row for row in lives if row[1] <= cut_s]
            lives = [
                (name, born, died if died <= cut_s else end_s - 1.0, size) for name, born, died, size in before
            ]
            lives += _draw_lives(dice, cut_s + 1, end_s, rows=90)
        return trace_from_history(_history_of_lives(lives, steps=columns), lead=lead)

    return trace


def _draw_lives(
    dice: np.random.Generator, first_s: int, end_s: int, *, rows: int
) -> list[tuple[str, float, float, int]]:
    born = dice.integers(first_s // 600, end_s // 600, rows) * 600 + first_s % 600
    ages = dice.integers(0, 90, rows) * 600
    sizes = dice.choice([1, 1, 1, 2, 16], rows)
    names = dice.choice(["a00", "a01", "a02"], rows)
    return [
        (str(name), float(start), float(start + age), int(size))
        for name, start, age, size in zip(names, born, ages, sizes, strict=True)
    ]
