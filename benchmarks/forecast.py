"""Accounts forecast per CPU second, by engine: levels a day ahead, and the need of the next step."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from addrcast.adapters.forecasters.gbm import GbmFitter
from addrcast.core.domain.demand import CountHistory
from addrcast.core.forecast.engines import LEVEL_ENGINES
from addrcast.core.forecast.need import NeedHistory
from addrcast.core.forecast.pooled import fit_need
from benchmarks.row import Row, plain, table

ACCOUNTS = 400
HOURS = 24 * 28
HORIZON = 24
LEVELS = (0.5, 0.8, 0.9, 0.95)


def fleet(accounts: int, *, seed: int = 0) -> CountHistory:
    """Accounts with a daily cycle, noise and steps, of very different sizes; hourly, four weeks."""
    dice = np.random.default_rng(seed)
    size = np.exp(dice.normal(2.5, 1.0, (accounts, 1)))
    hours = np.arange(HOURS)
    cycle = 1 + 0.4 * np.sin(2 * np.pi * (hours + dice.integers(0, 24, (accounts, 1))) / 24)
    steps = np.cumsum(dice.normal(0, 0.1, (accounts, HOURS)) * (dice.random((accounts, HOURS)) < 0.02), axis=1)
    noise = dice.gamma(20, 1 / 20, (accounts, HOURS))
    counts = np.rint(np.maximum(size * (cycle + steps) * noise, 0)).astype(np.float32)
    return CountHistory(tuple(f"a{number:06d}" for number in range(accounts)), 1_700_000_400, 3600, counts)


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one call, after one to warm up."""
    work()
    begin = time.process_time()
    work()
    return time.process_time() - begin


def rows() -> list[Row]:
    """The figures."""
    history = fleet(ACCOUNTS)
    found = [
        plain(
            f"forecast: {name}, {HORIZON} steps, {len(LEVELS)} levels",
            ACCOUNTS / cpu_s(partial(engine, history, HORIZON, LEVELS)),
            "accounts/CPU s",
        )
        for name, engine in LEVEL_ENGINES.items()
    ]
    increases = np.maximum(np.diff(history.counts, axis=1, prepend=history.counts[:, :1]), 0)
    needs = NeedHistory.of(history.counts, increases, start_s=history.start_s, step_s=history.step_s, lead=1)
    begin = time.process_time()
    forecaster = fit_need(needs, HOURS, GbmFitter(), seed=0)
    fit_s = time.process_time() - begin
    applied = ACCOUNTS / cpu_s(lambda: forecaster.quantiles(needs, [HOURS - 1]))
    levels = len(forecaster.levels)
    return [
        *found,
        plain(f"forecast: need of the next step, {levels} levels", applied, "accounts/CPU s"),
        plain("forecast: fit of the pooled need model, any number of accounts", fit_s, "CPU s"),
    ]


if __name__ == "__main__":
    print(table(rows()))
