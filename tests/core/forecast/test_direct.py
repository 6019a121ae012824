"""The direct regression looks at nothing from its origin on, and learns what a season repeats."""

from __future__ import annotations

import numpy as np
import pytest

from addrcast.core.forecast.direct import direct

SEASON, WEEK = 24, 168


def test_an_origin_s_forecast_does_not_depend_on_what_came_after_it() -> None:
    counts = np.random.default_rng(0).poisson(20, (2, 600)).astype(np.float32)
    changed = counts.copy()
    changed[:, 450:] = changed[:, 450:][:, ::-1]  # the mean, which scales the smallest count, stays
    before, after = (direct(c, [400, 450, 600], 48, season=SEASON, week=WEEK) for c in (counts, changed))
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert not np.array_equal(before[:, 2], after[:, 2])


def test_a_week_that_repeats_exactly_is_forecast_exactly() -> None:
    week = np.random.default_rng(1).integers(5, 60, (3, WEEK)).astype(np.float32)
    told = direct(np.tile(week, 5), [5 * WEEK], 60, season=SEASON, week=WEEK)[:, 0]
    np.testing.assert_allclose(told, week[:, :60], rtol=0.02)


def test_a_lasting_error_is_carried_on_as_far_as_it_lasts() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 0.1, (40, 24 * 40))
    drift = np.zeros_like(noise)
    for t in range(1, noise.shape[1]):
        drift[:, t] = 0.95 * drift[:, t - 1] + noise[:, t]
    counts = np.exp(3 + drift).astype(np.float32)
    told = direct(counts[:, :-1], [counts.shape[1] - 1], 1, season=SEASON, week=WEEK)[:, 0, 0]
    miss = np.abs(np.log(told) - np.log(counts[:, -1])).mean()
    assert miss < 0.7 * np.abs(np.log(counts[:, -25]) - np.log(counts[:, -1])).mean()


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_history_too_short_to_fit_has_finite_forecasts(width: int) -> None:
    counts = np.random.default_rng(3).poisson(3, (2, width)).astype(np.float32)
    told = direct(counts, [width - 5, width], 30, season=SEASON, week=WEEK if width > WEEK else SEASON)
    assert np.isfinite(told).all()
    assert (told >= 0).all()
