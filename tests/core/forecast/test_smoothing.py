"""Exponential smoothing: it follows day and week, sees nothing ahead, and forecasts alike from any origin."""

from __future__ import annotations

import numpy as np
from tests.core.forecast.fleet import rhythm

from addrcast.core.forecast.smoothing import SMOOTHINGS, smoothed

DAY, WEEK = 24, 168


def test_a_day_and_a_week_that_repeat_are_continued_by_every_set_of_rates() -> None:
    hours = np.arange(WEEK * 6)
    counts = 20 + 10 * (hours % DAY < 8) + 15 * (hours % WEEK < DAY)
    found = smoothed(counts[None, :-WEEK].astype(np.float32), [len(hours) - WEEK], WEEK, season=DAY, week=WEEK)
    errors = np.abs(found[:, 0, 0] - counts[-WEEK:]).mean(axis=1)
    assert (errors < 0.15 * counts.mean()).all()
    assert errors.min() < 0.02 * counts.mean()


def test_an_origin_gives_what_a_history_that_ends_there_gives() -> None:
    counts = rhythm(accounts=3, days=20, seed=8)
    whole = smoothed(counts, [300, 400], 12, season=DAY, week=WEEK)
    assert whole.shape == (len(SMOOTHINGS), 3, 2, 12)
    cut = smoothed(counts[:, :400], [400], 12, season=DAY, week=WEEK)
    # the count's mean over the history sets how small a count is told from none
    np.testing.assert_allclose(whole[:, :, 1:], cut, rtol=0.02, atol=0.05)


def test_a_lasting_error_fades_step_by_step() -> None:
    counts = np.full((1, WEEK), 10, np.float32)
    counts[0, -1] = 20
    (lasting,) = (place for place, rates in enumerate(SMOOTHINGS) if rates.memory)
    found = smoothed(counts, [WEEK], 5, season=DAY, week=WEEK)[lasting, 0, 0]
    assert found[0] > 13
    assert (np.diff(found) < 0).all()


def test_a_count_of_nothing_stays_nothing() -> None:
    found = smoothed(np.zeros((2, 60), np.float32), [60], 30, season=DAY, week=DAY)
    np.testing.assert_allclose(found, 0, atol=1e-6)
