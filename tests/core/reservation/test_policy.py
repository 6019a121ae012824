"""The reorder point, and the faults for which it serves."""

from __future__ import annotations

import numpy as np
import pytest

from addrcast.core.domain.errors import Invalid
from addrcast.core.reservation.policy import Fault, reorder_need, served_need

LEVELS = np.array([0.5, 0.9, 0.975])


def need(creates: list[float], lead_steps: float) -> list[float]:
    array = np.array([creates], dtype=np.float32)
    row: list[float] = reorder_need(array, LEVELS, lead_steps=lead_steps)[0].tolist()
    return row


def test_at_the_median_it_is_average_rate_times_latency() -> None:
    assert need([1, 3, 2, 2], 3.0)[0] == pytest.approx(6.0)


def test_the_safety_factor_is_the_normal_quantile_of_the_level() -> None:
    middle, _, high = need([0, 8, 0, 8], 4.0)
    assert middle == pytest.approx(16)
    assert (high - middle) / (4 * 4**0.5) == pytest.approx(1.95996, abs=1e-4)


def test_the_spread_is_at_least_that_of_poisson_arrivals() -> None:
    middle, _, high = need([4, 4, 4, 4], 1.0)
    assert (high - middle) / 2 == pytest.approx(1.95996, abs=1e-4)


def test_steps_that_are_not_known_count_neither_way() -> None:
    assert need([2, np.nan, 4, np.nan], 1.0) == need([2, 4], 1.0)


def test_an_account_of_which_nothing_is_known_needs_nothing() -> None:
    assert need([np.nan, np.nan], 1.0) == [0, 0, 0]


def test_no_quantile_is_negative() -> None:
    array = np.array([[0, 0, 0, 1]], dtype=np.float32)
    assert reorder_need(array, np.array([0.01]), lead_steps=1.0).tolist() == [[0]]


def test_a_latency_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="lead_steps"):
        need([1], 0.0)


def test_a_forecast_that_is_missing_late_or_absurd_gives_way() -> None:
    forecast = np.array(
        [[1, 2, 3], [1, np.nan, 3], [1, 2, np.inf], [1, 2, 3], [-1, 2, 3], [1, 2, 300]], dtype=np.float32
    )
    served = served_need(
        forecast,
        np.full_like(forecast, 7),
        age_ms=np.array([10, 10, 10, 11, 10, 10]),
        age_max_ms=10,
        ceiling=np.full(6, 20, dtype=np.float32),
    )
    assert served.fault.tolist() == [
        Fault.NONE, Fault.MISSING, Fault.MISSING, Fault.LATE, Fault.ABSURD, Fault.ABSURD
    ]  # fmt: skip
    assert served.need[0].tolist() == [1, 2, 3]
    assert np.all(served.need[1:] == 7)
