"""Features of metrics: free of their unit, blind to the future, silent on what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.core.forecast.fleet import HOUR_S, history_of, rhythm

from addrcast.core.domain.demand import MetricHistory
from addrcast.core.forecast.features import NEED_FEATURES
from addrcast.core.forecast.metric_features import metric_feature_names, metric_features, metrics_of
from addrcast.core.forecast.need import NeedHistory
from addrcast.core.forecast.pooled import sample_needs

NAMES = ("cpu", "network_rx")


@pytest.fixture
def counts() -> NDArray[np.float32]:
    return rhythm(accounts=6, days=9, seed=3)


@pytest.fixture
def values(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.random.default_rng(4).gamma(2.0, size=(len(NAMES), *counts.shape))
    return (counts * noise).astype(np.float32)


def features(values: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    return metric_features(values, counts, np.ones(len(counts), np.float32), step_s=HOUR_S, lead=1)


def feature(found: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    return found[:, metric_feature_names(NAMES).index(name)]


def test_every_feature_is_named_and_known_over_a_whole_week(
    values: NDArray[np.float32], counts: NDArray[np.float32]
) -> None:
    found = features(values, counts)
    assert found.shape == (len(counts), len(metric_feature_names(NAMES)))
    assert np.isfinite(found).all()
    assert metrics_of(metric_feature_names(NAMES)) == NAMES


def test_the_unit_of_a_metric_does_not_matter(values: NDArray[np.float32], counts: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(features(values, counts), features(values * 1000, counts), rtol=1e-3, atol=1e-3)


def test_a_gap_takes_what_was_known_last(values: NDArray[np.float32], counts: NDArray[np.float32]) -> None:
    gap = values.copy()
    gap[:, :, -4:] = np.nan
    held = values.copy()
    held[:, :, -4:] = values[:, :, -5:-4]
    np.testing.assert_array_equal(features(gap, counts), features(held, counts))
    late = values.copy()
    late[:, :, :4] = np.nan
    held = values.copy()
    held[:, :, :4] = values[:, :, 4:5]
    np.testing.assert_array_equal(features(late, counts), features(held, counts))


def test_an_account_of_which_nothing_is_known_has_no_feature(
    values: NDArray[np.float32], counts: NDArray[np.float32]
) -> None:
    values[1, 2] = np.nan
    found = features(values, counts)
    per_metric = found.shape[1] // len(NAMES)
    assert np.isnan(found[2, per_metric:]).all()
    assert np.isfinite(found[2, :per_metric]).all()
    assert np.isfinite(found[3]).all()
    values[0] = np.nan
    assert np.isnan(features(values, counts)[:, :per_metric]).all()


def test_a_short_history_leaves_unknown_what_it_cannot_say(
    values: NDArray[np.float32], counts: NDArray[np.float32]
) -> None:
    found = features(values[:, :, -30:], counts[:, -30:])
    assert np.isnan(feature(found, "cpu_next_7_d_ago")).all()
    assert np.isfinite(feature(found, "cpu_next_1_d_ago")).all()
    one = features(values[:, :, -1:], counts[:, -1:])
    assert np.isnan(feature(one, "cpu_change_0")).all()
    np.testing.assert_allclose(feature(one, "cpu_over_mean"), 0, atol=1e-6)


def test_what_the_use_asks_for_beyond_the_count_is_told_in_instances(counts: NDArray[np.float32]) -> None:
    use = np.stack([counts, counts]) * 50
    use[0, :, -1] += 50 * 3
    found = features(use, counts)
    np.testing.assert_allclose(feature(found, "cpu_instances_short"), 3, rtol=0.1)
    np.testing.assert_allclose(feature(found, "network_rx_instances_short"), 0, atol=1e-3)


def test_a_forecast_with_metrics_sees_only_what_came_before(
    values: NDArray[np.float32], counts: NDArray[np.float32]
) -> None:
    plain = history_of(counts)
    history = NeedHistory.of(
        counts,
        np.maximum(np.diff(counts, axis=1, prepend=counts[:, :1]), 0),
        start_s=0,
        step_s=HOUR_S,
        lead=1,
        metrics=MetricHistory(tuple("abcdef"), 0, HOUR_S, NAMES, values),
    )
    assert history.feature_names == (*NEED_FEATURES, *metric_feature_names(NAMES))
    before, scale = history.features_at(100)
    np.testing.assert_array_equal(before[:, : len(NEED_FEATURES)], plain.features_at(100)[0])
    np.testing.assert_array_equal(scale, plain.features_at(100)[1])
    values[:, :, 101:] = np.nan
    np.testing.assert_array_equal(before, history.features_at(100)[0])
    sample = sample_needs(history.only(np.array([1, 4])), 150, rows_max=40, seed=0)
    assert sample.names == history.feature_names
    assert sample.features.shape[1] == len(sample.names)
