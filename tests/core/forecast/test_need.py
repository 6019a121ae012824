"""The need forecaster: what it is fitted on, what it answers, and that it cannot look ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.core.forecast.fleet import fit_constant, history_of, rhythm

from addrcast.core.forecast.need import NEED_LEVELS, need_quantiles
from addrcast.core.forecast.pooled import fit_need, sample_needs
from addrcast.core.forecast.regime import TAIL_LEVELS


def test_a_models_answers_become_ascending_addresses_between_nothing_and_the_cap() -> None:
    raw = np.array([[-1, 2, 1, 9]], np.float32)
    scale, cap = np.array([2], np.float32), np.array([15], np.float32)
    assert need_quantiles(raw, scale, cap).tolist() == [[0, 4, 4, 15]]


def test_a_sample_is_bounded_and_repeats_with_its_seed() -> None:
    history = history_of(rhythm(accounts=8, days=10, seed=0))
    sample = sample_needs(history, 200, rows_max=400, seed=3)
    assert sample.labels.shape == (400,)
    again = sample_needs(history, 200, rows_max=400, seed=3)
    np.testing.assert_array_equal(sample.features, again.features)
    assert not np.array_equal(sample.labels, sample_needs(history, 200, rows_max=400, seed=4).labels)


def test_more_accounts_than_rows_are_sampled_too() -> None:
    history = history_of(rhythm(accounts=30, days=4, seed=0))
    assert sample_needs(history, 90, rows_max=10, seed=0).labels.shape == (10,)


@pytest.mark.parametrize("lead", [1, 3])
def test_nothing_at_or_after_the_end_is_fitted_on_or_foretold_from(lead: int) -> None:
    counts = rhythm(accounts=5, days=20, seed=1)
    until, column = 300, 350
    changed = counts.copy()
    changed[:, column + 1 :] = 999
    before = fit_need(history_of(counts[:, :until], lead=lead), until, fit_constant, seed=0)
    told = before.quantiles(history_of(counts, lead=lead), [column])
    np.testing.assert_array_equal(told, before.quantiles(history_of(changed, lead=lead), [column]))
    changed[:, until:] = 999
    after = fit_need(history_of(changed, lead=lead), until, fit_constant, seed=0)
    np.testing.assert_array_equal(told, after.quantiles(history_of(counts, lead=lead), [column]))


@given(
    accounts=st.integers(1, 4),
    width=st.integers(3, 60),
    level=st.sampled_from([0.0, 1.0, 50.0]),
    seed=st.integers(0, 99),
    lead=st.integers(1, 2),
)
def test_quantiles_of_any_fleet_ascend_and_are_finite(
    accounts: int, width: int, level: float, seed: int, lead: int
) -> None:
    counts = np.random.default_rng(seed).poisson(level, (accounts, width)).astype(np.float32)
    history = history_of(counts, lead=lead)
    for until in {lead, max(lead, width // 2), width - lead}:
        forecaster = fit_need(history, until, fit_constant, seed=0)
        columns = list(range(until, width - lead))
        if not columns:
            continue
        quantiles = forecaster.quantiles(history, columns)
        assert quantiles.shape == (accounts, len(columns), len(forecaster.levels))
        assert np.isfinite(quantiles).all()
        assert (quantiles >= 0).all()
        assert (np.diff(quantiles, axis=2) >= 0).all()


def test_the_levels_ascend_from_the_models_first_to_the_last_of_the_tail() -> None:
    levels = fit_need(history_of(rhythm(accounts=3, days=10, seed=2)), 200, fit_constant, seed=0).levels
    assert list(levels) == sorted(set(levels))
    assert levels[0] == pytest.approx(NEED_LEVELS[0])
    assert levels[-1] == TAIL_LEVELS[-1]
    assert len(levels) == 2 * len(NEED_LEVELS) - 1 + len(TAIL_LEVELS)


def covered(counts: NDArray[np.float32]) -> float:
    history = history_of(counts)
    forecaster = fit_need(history, 400, fit_constant, seed=0)
    columns = list(range(400, counts.shape[1] - 1))
    place = int(np.argmin(np.abs(np.asarray(forecaster.levels) - 0.98)))
    told = forecaster.quantiles(history, columns)[..., place]
    return float((history.needs[:, 401:] <= told).mean())


def test_a_quantile_covers_its_share_of_needs_on_a_steady_fleet() -> None:
    counts = np.random.default_rng(5).poisson(20, (40, 700)).astype(np.float32)
    assert covered(counts) == pytest.approx(0.98, abs=0.01)
