"""Coverage: what conformal offsets promise, on data that keeps their assumption and on data that drifts."""

from __future__ import annotations

import numpy as np
import pytest

from addrcast.core.forecast.calibration import (
    adapted_levels,
    at_positions,
    conformal_offsets,
    error_quantiles,
    horizon_buckets,
    level_positions,
)
from addrcast.core.forecast.scoring import pinball

LEVELS = (0.5, 0.8, 0.9)


def test_buckets_cover_every_step_once() -> None:
    for horizon in (1, 2, 24, 200):
        steps = [h for bucket in horizon_buckets(horizon) for h in range(bucket.start, bucket.stop)]
        assert steps == list(range(horizon))


def test_an_offset_is_the_order_statistic_of_split_conformal_prediction() -> None:
    errors = np.arange(1, 10, dtype=np.float32)[None]
    # k = ceil(10 * level): the 5th, 8th and 9th of nine; with more asked for than seen, the largest.
    assert error_quantiles(errors, LEVELS).tolist() == [[5, 8, 9]]
    assert error_quantiles(errors[:, :2], LEVELS).tolist() == [[2, 2, 2]]
    assert error_quantiles(errors[:, :0], LEVELS).tolist() == [[0, 0, 0]]


def test_the_next_error_is_covered_at_least_as_often_as_promised() -> None:
    errors = np.random.default_rng(0).exponential(size=(4_000, 20)).astype(np.float32)
    offsets = error_quantiles(errors[:, :-1], LEVELS)
    coverage = (errors[:, -1:] <= offsets).mean(axis=0)
    for covered, level in zip(coverage, LEVELS, strict=True):
        assert level - 0.02 <= covered <= level + 1 / 20 + 0.02


def test_steps_of_a_bucket_share_their_offset_and_no_origins_mean_none() -> None:
    errors = np.random.default_rng(1).normal(size=(2, 30, 6)).astype(np.float32)
    offsets = conformal_offsets(errors, LEVELS)
    assert offsets.shape == (2, 6, 3)
    np.testing.assert_array_equal(offsets[:, 1], offsets[:, 2])
    np.testing.assert_array_equal(offsets[:, 3], offsets[:, 5])
    assert not np.array_equal(offsets[:, 0], offsets[:, 5])
    assert not conformal_offsets(errors[:, :0], LEVELS).any()


def test_adaptive_levels_keep_the_long_run_coverage_when_errors_grow() -> None:
    rng = np.random.default_rng(2)
    level, covered = np.full((1, 1), 0.9, np.float32), []
    past = rng.normal(size=500)
    for step in range(4_000):
        error = rng.normal() * (1 + step / 1_000)
        hit = np.array([[bool(error <= np.quantile(past, level[0, 0]))]])
        covered.append(bool(hit[0, 0]))
        level = adapted_levels(level, covered=hit, levels=[0.9], rate=0.02)
    assert np.mean(covered) < 0.95
    frozen = rng.normal(size=4_000) * (1 + np.arange(4_000) / 1_000) <= np.quantile(past, 0.9)
    assert abs(np.mean(covered) - 0.9) < abs(frozen.mean() - 0.9)


def test_a_level_falls_after_a_cover_and_rises_after_a_miss() -> None:
    now = np.full((2, 1), 0.9, np.float32)
    then = adapted_levels(now, covered=np.array([[True], [False]]), levels=[0.9], rate=0.1)
    assert then[:, 0].tolist() == pytest.approx([0.89, 0.99])


def test_pinball_prices_a_miss_and_an_idle_address() -> None:
    loss = pinball(np.array([5], np.float32), np.array([[3, 9]], np.float32), (0.9, 0.9))
    assert loss[0].tolist() == pytest.approx([0.9 * 2, 0.1 * 4])


def test_a_level_that_covered_too_little_moves_up_to_where_its_share_was_covered() -> None:
    positions = level_positions(np.array([0.6, 0.75, 0.85], np.float32), (0.5, 0.8, 0.9))
    assert positions.tolist() == pytest.approx([0, 1.5, 2])
    quantiles = np.array([[2, 4, 8]], np.float32)
    np.testing.assert_allclose(at_positions(quantiles, positions), [[2, 6, 8]], rtol=1e-5)
