"""Worker processes: a task that fails, hangs or kills its worker costs only its own answer; engines out of them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from addrcast.adapters.forecasters import by_name
from addrcast.adapters.forecasters.by_name import EngineSettings, opened_engine
from addrcast.adapters.forecasters.pool import Failure, SeriesPool
from addrcast.adapters.forecasters.pool_engine import PoolEngine, Series, Told
from addrcast.core.domain.demand import CountHistory
from addrcast.core.domain.errors import Invalid, Unavailable


@dataclass(frozen=True)
class Odd:
    """Does what its task says."""

    module: str = "json"

    def __call__(self, task: Any) -> str:
        if task == "raise":
            raise ValueError("no such order")
        if task == "hang":
            time.sleep(600)
        if task == "die":
            os._exit(1)
        return f"{task} {os.environ['OMP_NUM_THREADS']}"


@dataclass(frozen=True)
class Repeat:
    """The last value again; absurd for a count that ends at 1, no number for one that ends at 2."""

    module: str = "json"

    def __call__(self, task: Any) -> Told:
        series: Series = task
        end = float(series.counts[-1])
        now = {1.0: 1e9, 2.0: float("nan")}.get(end, end)
        past = [np.full(series.horizon, series.counts[origin - 1]) for origin in series.origins]
        return Told(np.stack(past), np.full(series.horizon, now, np.float32))


def test_a_task_that_fails_hangs_or_kills_its_worker_costs_only_its_own_answer() -> None:
    pool = SeriesPool(Odd(), workers=1, task_s=2.0, total_s=120.0)
    try:
        told = pool.answers(["a", "raise", "die", "hang", "b"])
    finally:
        pool.close()
    assert (told[0], told[4]) == ("a 1", "b 1")
    assert [one.reason for one in told[1:4]] == ["ValueError: no such order", "its process died", "longer than 2 s"]


def test_what_is_not_begun_in_the_time_of_all_is_a_failure() -> None:
    pool = SeriesPool(Odd(), workers=1, task_s=600.0, total_s=0.01)
    told = pool.answers(["a", "b"])
    pool.close()
    assert all(isinstance(one, Failure) for one in told)


def test_workers_that_cannot_load_their_library_are_told_once() -> None:
    pool = SeriesPool(Odd("no_such_library"), workers=1, task_s=1.0, total_s=120.0)
    with pytest.raises(Unavailable, match="no_such_library"):
        pool.answers(["a"])


def test_an_engine_of_the_pool_marks_absurd_answers_and_conformalises_the_others() -> None:
    counts = np.random.default_rng(0).poisson(9, (4, 24 * 12)).astype(np.float32)
    counts[:, -1] = [9, 1, 2, 9]
    counts[3] = 5
    why: dict[str, str] = {}
    pool = SeriesPool(Repeat(), workers=1, task_s=60.0, total_s=120.0)
    try:
        engine = PoolEngine(pool, 7, 1_000, why.__setitem__)
        told = engine(CountHistory(tuple("abcd"), 0, 3_600, counts), 24, (0.1, 0.5, 0.9))
    finally:
        pool.close()
    assert why == {"b": "beyond 2 times the largest count", "c": "no number"}
    assert np.isnan(told[1:3]).all()
    assert (told[0, :, 0] < told[0, :, 2]).all()
    np.testing.assert_allclose(told[3], 5)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_name, "find_spec", lambda name: None)
    for name, settings in (("arima", None), ("prophet", None), ("auto", EngineSettings(costly_accounts=1))):
        with pytest.raises(Invalid, match=r"pip install 'addrcast\["), opened_engine(name, settings):
            pass


@pytest.mark.parametrize(("name", "library"), [("arima", "statsforecast"), ("prophet", "prophet")])
def test_the_engine_of_an_extra_follows_a_daily_wave(name: str, library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install 'addrcast[{name}]'")
    hours = np.arange(24 * 15)
    counts = 40 + 20 * np.sin(2 * np.pi * hours / 24) + np.random.default_rng(1).normal(0, 1, len(hours))
    history = CountHistory(("a",), 0, 3_600, counts[None, :-24].astype(np.float32))
    with opened_engine(name) as engine:
        told = engine(history, 24, (0.05, 0.5, 0.95))
    assert np.abs(told[0, :, 1] - counts[-24:]).mean() < 4
    assert ((told[0, :, 0] <= counts[-24:]) & (counts[-24:] <= told[0, :, 2])).mean() > 0.6
