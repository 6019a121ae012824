"""Need curves: from quantiles to the units worth holding, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.domain.errors import Invalid
from addrcast.core.reservation.curve import curves_of, depth_of

LEVELS = np.array([0.5, 0.9, 0.99])


def counts(need: list[float], level: float) -> int:
    curves = curves_of(LEVELS, np.array([need], dtype=np.float32))
    return int(curves.counts(np.array([depth_of(level)]), np.array([0]))[0])


def chance(need: list[float], unit: int) -> float:
    curves = curves_of(LEVELS, np.array([need], dtype=np.float32))
    return float(np.exp(-curves.unit_depths(np.array([0]), np.array([unit], dtype=np.int32))[0]))


@pytest.mark.parametrize(("level", "count"), [(0.5, 2), (0.9, 5), (0.99, 9)])
def test_at_a_given_level_the_count_is_the_quantile(level: float, count: int) -> None:
    assert counts([2, 5, 9], level) == count


def test_a_quantile_between_two_numbers_goes_to_the_nearest() -> None:
    assert counts([0.4, 2.6, 9.0], 0.5) == 0
    assert counts([0.4, 2.6, 9.0], 0.9) == 3


def test_past_the_highest_level_the_tail_is_exponential() -> None:
    # 0.9 to 0.99 is a tenth of the chance for 4 more, so the next tenth costs 4 more again
    assert counts([2, 5, 9], 0.999) == 13
    assert chance([2.5, 5.5, 9.5], 14) == pytest.approx(0.001)


def test_below_the_lowest_level_the_need_rises_from_zero() -> None:
    assert counts([4, 4, 4], 1 - 0.5**0.5) == 2


def test_a_need_that_never_rises_is_worth_nothing_beyond_it() -> None:
    assert chance([3, 3, 3], 4) == 0
    assert counts([0, 0, 0], 0.999999) == 0
    assert chance([0, 0, 0], 1) == 0


def test_a_quantile_in_a_flat_stretch_has_the_chance_of_its_end() -> None:
    assert chance([2.5, 2.5, 6.5], 3) == pytest.approx(0.1)


def test_crossing_and_negative_quantiles_are_lifted() -> None:
    assert counts([4, 3, -1], 0.99) == 4
    assert counts([-3, -2, -1], 0.99) == 0


@pytest.mark.parametrize("levels", [[0.5, 0.5, 0.9], [0.9, 0.5, 0.99], [0.0, 0.5, 0.9], [0.1, 0.5, 1.0]])
def test_levels_that_do_not_rise_between_0_and_1_are_refused(levels: list[float]) -> None:
    with pytest.raises(Invalid, match="rise strictly"):
        curves_of(np.array(levels), np.zeros((1, 3), dtype=np.float32))


def test_needs_that_do_not_match_the_levels_are_refused() -> None:
    with pytest.raises(Invalid, match="shape"):
        curves_of(LEVELS, np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(Invalid, match="shape"):
        curves_of(np.array([]), np.zeros((1, 0), dtype=np.float32))


def test_a_need_that_is_not_finite_is_refused_with_the_way_out() -> None:
    with pytest.raises(Invalid, match="reorder point"):
        curves_of(LEVELS, np.array([[1, np.nan, 2]], dtype=np.float32))


@given(
    st.lists(st.floats(0, 1e5, width=32), min_size=3, max_size=3),
    st.integers(1, 1000),
    st.floats(0.001, 0.99999),
)
def test_a_unit_is_counted_at_a_level_exactly_when_it_lies_within_it(
    need: list[float], unit: int, level: float
) -> None:
    curves = curves_of(LEVELS, np.array([need], dtype=np.float32))
    depth = float(curves.unit_depths(np.array([0]), np.array([unit], dtype=np.int32))[0])
    if abs(depth - depth_of(level)) > 1e-6:
        assert (counts(need, level) >= unit) == (depth < depth_of(level))


@given(st.lists(st.floats(0, 1e5, width=32), min_size=3, max_size=3))
def test_no_unit_is_worth_more_than_the_one_before(need: list[float]) -> None:
    curves = curves_of(LEVELS, np.array([need], dtype=np.float32))
    units = np.arange(1, 200, dtype=np.int32)
    depths = curves.unit_depths(np.zeros(len(units), dtype=np.intp), units)
    assert np.all(depths[1:] >= depths[:-1])
