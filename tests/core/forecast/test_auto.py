"""`auto` follows the engine that lost least, bounds what costs much by accounts, and does without what failed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from addrcast.core.domain.demand import CountHistory
from addrcast.core.forecast.auto import Auto
from addrcast.core.forecast.engine import or_else
from addrcast.core.forecast.naive import last, seasonal

WAVE = np.tile(np.arange(24, dtype=np.float32), 10)
JUMPS = np.repeat(np.random.default_rng(0).integers(5, 50, 10), 24).astype(np.float32)
FLEET = CountHistory(("jumps", "wave"), 0, 3_600, np.stack([JUMPS, WAVE]))
CHEAP = {"seasonal": seasonal, "last": last}


def absent(history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
    return np.full((len(history.accounts), horizon, len(levels)), np.nan, np.float32)


def test_each_account_gets_what_lost_least_on_it() -> None:
    told = Auto(CHEAP, {})(FLEET, 24, (0.5, 0.9))
    np.testing.assert_allclose(told[1, :, 0], WAVE[:24], atol=0.1)
    assert abs(told[0, 0, 0] - JUMPS[-1]) <= 2


def test_costly_engines_see_no_more_accounts_than_allowed_and_those_the_cheap_ones_miss_most() -> None:
    asked = []

    def costly(history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
        asked.append(history.accounts)
        return last(history, horizon, levels)

    Auto(CHEAP, {"costly": costly}, 1)(FLEET, 24, (0.5,))
    assert set(asked) == {("jumps",)}


def test_an_engine_without_an_answer_has_no_part_in_the_mixture() -> None:
    with_it = Auto(CHEAP, {"absent": absent}, 2)(FLEET, 24, (0.5, 0.9))
    np.testing.assert_array_equal(with_it, Auto(CHEAP, {})(FLEET, 24, (0.5, 0.9)))


def test_what_has_no_answer_is_served_by_the_fallback_and_told() -> None:
    served, fallen = or_else(absent(FLEET, 3, (0.5,)), last, FLEET, 3, (0.5,))
    np.testing.assert_array_equal(served, last(FLEET, 3, (0.5,)))
    assert fallen.tolist() == [True, True]
    assert or_else(served, last, FLEET, 3, (0.5,))[1].tolist() == [False, False]
