"""A backtest: each account from its own end, what came against what was told, failures left out and counted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.core.forecast.fleet import HOUR_S, rhythm

from addrcast.core.domain.demand import CountHistory
from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.backtest import Fold, folds, scored, seasonal_error
from addrcast.core.forecast.fleet import fleet_quantiles, spans
from addrcast.core.forecast.naive import seasonal

LEVELS = (0.5, 0.9)


def of(counts: NDArray[np.float32]) -> CountHistory:
    return CountHistory(tuple(f"a{k}" for k in range(len(counts))), 7_200, HOUR_S, counts)


def ragged() -> NDArray[np.float32]:
    counts = rhythm(accounts=4, days=8, seed=6)
    counts[1, -30:] = np.nan
    counts[2] = np.nan
    return counts


def test_accounts_that_end_together_are_forecast_together() -> None:
    found = [(rows.tolist(), ending.steps, ending.accounts) for rows, ending in spans(of(ragged()))]
    assert found == [([0, 2, 3], 192, ("a0", "a2", "a3")), ([1], 162, ("a1",))]


def test_each_account_is_forecast_from_its_own_last_known_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = ragged()
    seen: list[tuple[int, int]] = []
    quantiles, known = fleet_quantiles(
        of(counts), 12, LEVELS, seasonal, on_progress=lambda done, total: seen.append((done, total))
    )
    assert known.tolist() == [192, 162, 192, 192]
    alone = seasonal(CountHistory(("a1",), 7_200, HOUR_S, counts[1:2, :162]), 12, LEVELS)
    np.testing.assert_array_equal(quantiles[1:2], alone)
    assert seen[-1] == (4, 4)
    monkeypatch.setattr("addrcast.core.forecast.fleet.BLOCK_CELLS", 1)
    np.testing.assert_array_equal(fleet_quantiles(of(counts), 12, LEVELS, seasonal)[0], quantiles)


def test_a_fold_knows_nothing_of_what_came() -> None:
    counts = rhythm(accounts=2, days=4, seed=1)
    found = folds(of(counts), 24, origins=9)
    assert [fold.known.steps for fold in found] == [72, 48]
    for fold in found:
        np.testing.assert_array_equal(fold.known.counts, counts[:, : fold.known.steps])
        np.testing.assert_array_equal(fold.came, counts[:, fold.known.steps : fold.known.steps + 24])
    with pytest.raises(Invalid, match="longer history"):
        folds(of(counts), 90, origins=1)


def test_scores_are_in_units_of_the_accounts_own_seasonal_error() -> None:
    known = of(np.array([[0, 4] * 24, [5] * 48, [*range(24), *range(24)]], np.float32))
    assert seasonal_error(known).tolist() == [4, 1, pytest.approx(1 + 22 / 47)]
    known = of(np.array([[0] * 24 + [2] * 24] * 2, np.float32))
    fold = Fold(np.arange(2), known, np.array([[3, 5], [3, 5]], np.float32))
    told = np.array([[[1, 5], [5, 9]], [[3, 3], [5, 5]]], np.float32)
    score = scored([(fold, told)], levels=LEVELS)
    losses = np.array([[0.5 * 2, 0.1 * 2], [0, 0.1 * 4], [0, 0], [0, 0]])
    assert score.pinball == pytest.approx(losses.mean() / 2)
    assert score.coverage == {"0.5": 0.75, "0.9": 1.0}
    assert score.mase == pytest.approx((2 + 0 + 0 + 0) / 4 / 2)
    assert score.failures == 0


def test_failures_are_counted_and_left_out() -> None:
    known = of(np.array([[0] * 24 + [2] * 24] * 2, np.float32))
    fold = Fold(np.arange(2), known, np.array([[3], [3]], np.float32))
    told = np.array([[[3, 3]], [[np.nan, 3]]], np.float32)
    score = scored([(fold, told)], levels=LEVELS)
    assert (score.pinball, score.failures) == (0, 1)
    nothing = scored([(fold, np.full((2, 1, 2), np.inf, np.float32))], levels=LEVELS)
    assert nothing.failures == 2
    assert np.isnan([nothing.pinball, nothing.mase, nothing.coverage["0.5"]]).all()
