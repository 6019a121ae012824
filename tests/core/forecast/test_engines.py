"""Every level engine keeps the contract of its function type; each does what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.core.forecast.fleet import rhythm

from addrcast.core.domain.demand import CountHistory
from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.delta import delta_from
from addrcast.core.forecast.engine import CAP, season_steps
from addrcast.core.forecast.engines import LEVEL_ENGINES, level_engine
from addrcast.core.forecast.mixture import mixing_weights
from addrcast.core.forecast.scoring import pinball

LEVELS = (0.1, 0.5, 0.8, 0.9)
ENGINES = pytest.mark.parametrize("name", sorted(LEVEL_ENGINES))


def of(counts: NDArray[np.float32], *, step_s: int = 3_600) -> CountHistory:
    return CountHistory(tuple(f"a{k}" for k in range(len(counts))), 0, step_s, counts)


@ENGINES
@pytest.mark.parametrize("width", [1, 2, 30, 90, 400])
@pytest.mark.parametrize("step_s", [300, 3_600, 86_400])
def test_an_engine_answers_for_any_length_and_step(name: str, width: int, step_s: int) -> None:
    counts = np.random.default_rng(width).poisson([[0], [3], [40]], (3, width)).astype(np.float32)
    quantiles = level_engine(name)(of(counts, step_s=step_s), 9, LEVELS)
    assert quantiles.shape == (3, 9, len(LEVELS))
    assert quantiles.dtype == np.float32
    assert (quantiles >= 0).all()
    assert (np.diff(quantiles, axis=2) >= 0).all()
    assert (quantiles <= CAP * counts.max(axis=1)[:, None, None]).all()


@ENGINES
def test_an_engine_fills_gaps_and_keeps_a_constant_count(name: str) -> None:
    counts = np.full((2, 200), 6, np.float32)
    counts[0, 50:70] = np.nan
    np.testing.assert_allclose(level_engine(name)(of(counts), 12, LEVELS), 6, atol=0.01)


@ENGINES
def test_an_engine_gives_the_same_twice(name: str) -> None:
    history = of(rhythm(accounts=3, days=20, seed=1))
    np.testing.assert_array_equal(level_engine(name)(history, 24, LEVELS), level_engine(name)(history, 24, LEVELS))


def loss_of(name: str, counts: NDArray[np.float32], horizon: int) -> tuple[float, NDArray[np.float64]]:
    quantiles = level_engine(name)(of(counts[:, :-horizon]), horizon, LEVELS)
    actual = counts[:, -horizon:]
    return float(pinball(actual, quantiles, LEVELS).mean()), (actual[..., None] <= quantiles).mean(axis=(0, 1))


def test_the_mixture_beats_both_naive_engines_on_a_daily_wave_and_covers() -> None:
    rng = np.random.default_rng(3)
    wave = 30 + 20 * np.sin(2 * np.pi * (np.arange(24 * 30) + rng.integers(0, 24, (60, 1))) / 24)
    counts = rng.poisson(wave).astype(np.float32)
    losses = {name: loss_of(name, counts, 24)[0] for name in LEVEL_ENGINES}
    assert losses["linear"] < 0.9 * losses["seasonal"] < losses["last"]
    np.testing.assert_allclose(loss_of("linear", counts, 24)[1], LEVELS, atol=0.05)


def test_a_long_horizon_repeats_the_newest_known_season() -> None:
    counts = np.tile(np.arange(24, dtype=np.float32), 6)[None]
    median = level_engine("seasonal")(of(counts), 60, [0.5])[0, :, 0]
    np.testing.assert_array_equal(median, np.tile(np.arange(24), 3)[:60])


def test_a_season_is_a_day_or_for_daily_steps_a_week() -> None:
    assert [season_steps(s) for s in (300, 3_600, 86_400, 7 * 86_400)] == [288, 24, 7, 1]


def test_weights_sum_to_one_and_follow_the_losses() -> None:
    weights = mixing_weights(np.array([[1, 0, 5], [2, 0, 5], [1, 3, 5]], np.float32))
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-6)
    assert weights[0, 0] == weights[2, 0] > weights[1, 0]
    np.testing.assert_allclose(weights[:, 1], [0.5, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("width", "horizon", "levels"),
    [(0, 1, (0.5,)), (5, 0, (0.5,)), (5, 1, ()), (5, 1, (0.9, 0.5)), (5, 1, (0.5, 1.0)), (5, 1, (0.5, 0.5))],
)
@ENGINES
def test_an_engine_refuses_what_cannot_be_answered(
    name: str, width: int, horizon: int, levels: tuple[float, ...]
) -> None:
    with pytest.raises(Invalid):
        level_engine(name)(of(np.ones((1, width), np.float32)), horizon, levels)


def test_an_unknown_engine_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(Invalid, match="seasonal, last, linear"):
        level_engine("oracle")


def test_a_delta_is_the_change_from_now_with_its_interval() -> None:
    quantiles = np.array([[[8, 10, 14]]], np.float32)
    delta = delta_from(quantiles, (0.1, 0.5, 0.9), now=np.array([9], np.float32))
    assert (delta.low.tolist(), delta.expected.tolist(), delta.high.tolist()) == ([[-1]], [[1]], [[5]])
    narrow = delta_from(quantiles, (0.1, 0.5, 0.9), now=np.array([9], np.float32), confidence=0.4)
    assert (narrow.low.tolist(), narrow.high.tolist()) == ([[pytest.approx(0)]], [[pytest.approx(3)]])


def test_a_delta_needs_levels_as_far_out_as_its_interval() -> None:
    for levels, quantiles in (((0.5, 0.9), 2), ((0.1, 0.5), 2), ((0.5,), 1)):
        with pytest.raises(Invalid, match="needs levels from"):
            delta_from(np.zeros((1, 1, quantiles), np.float32), levels, now=np.zeros(1, np.float32))
