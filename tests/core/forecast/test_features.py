"""Features against a twin that loops over one account at a time, and against looking ahead."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from addrcast.core.forecast.features import (
    NEED_FEATURES,
    lead_needs,
    need_features,
    need_scale,
    window_steps,
)

HOUR_S = 3_600
NOW_S = 1_700_000_000


def history(*, accounts: int, width: int, lead: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.uniform(0, 30, (accounts, 1)), (accounts, width)).astype(np.float32)
    rises = np.maximum(np.diff(counts, axis=1, prepend=counts[:, :1]), 0)
    inside = (rises + rng.integers(0, 3, rises.shape)).astype(np.float32)
    return counts, lead_needs(counts, inside, lead)


def twin(counts: list[float], needs: list[float], *, lead: int) -> dict[str, float]:
    """Some features of one account on an hourly grid, written as their names read."""
    width, now = len(counts), counts[-1]
    changes = [counts[t] - counts[t - lead] for t in range(lead, width)]
    mean_square = max(sum(c * c for c in changes) / max(1, len(changes)), sum(n * n for n in needs) / width)
    scale = max(0.25, math.sqrt(mean_square))
    steps = [b - a for a, b in pairwise(counts)]
    found = {
        "log_scale": math.log(scale),
        "log_now": math.log1p(now),
        "now": now / scale,
        "need_share": sum(n > 0 for n in needs) / width,
        "since_need": math.log1p(next((k for k in range(width) if needs[-1 - k] > 0), width)),
        "since_change": math.log1p(next((k for k in range(width - 1) if steps[-1 - k] != 0), width - 1)),
        "need_maximum_6_steps": max(needs[-6:]) / scale,
        "need_quantile_1.0": max(needs) / scale,
        "need_quantile_0.5": sorted(needs)[min(width - 1, width // 2)] / scale,
    }
    for k in range(6):
        found[f"increase_{k}"] = steps[-1 - k] / scale if k < len(steps) else math.nan
    for name, span in (("3_steps", 3), ("24_h", 24), ("336_h", 336)):
        window = counts[-span:]
        found[f"maximum_{name}"] = (max(window) - now) / scale
        found[f"mean_{name}"] = (sum(window) / len(window) - now) / scale
        found[f"minimum_{name}"] = (min(window) - now) / scale
    for k in range(1, 8):
        start = width - 1 - 24 * k
        known = start >= 0
        found[f"level_{k}_d_ago"] = (max(counts[start + 1 : start + lead + 1]) - now) / scale if known else math.nan
        found[f"need_{k}_d_ago"] = needs[start + lead] / scale if known else math.nan
    weights = [math.exp(-3 * abs(counts[t] - now) / scale) for t in range(width - lead)]
    followed = [needs[t + lead] for t in range(width - lead)]
    weighted = sum(w * n for w, n in zip(weights, followed, strict=True))
    found["need_mean_alike_level"] = weighted / (sum(weights) + 1e-6) / scale if weights else math.nan
    return found


@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 10_000))
def test_features_are_what_a_loop_over_one_account_finds(width: int, lead: int, seed: int) -> None:
    counts, needs = history(accounts=3, width=width, lead=lead, seed=seed)
    features, scale = need_features(counts, needs, now_s=NOW_S, step_s=HOUR_S, lead=lead)
    assert features.shape == (3, len(NEED_FEATURES))
    for account in range(3):
        expected = twin(counts[account].tolist(), needs[account].tolist(), lead=lead)
        got = {name: float(features[account, NEED_FEATURES.index(name)]) for name in expected}
        assert got == pytest.approx(expected, rel=1e-3, abs=1e-3, nan_ok=True)
        assert math.exp(got["log_scale"]) == pytest.approx(float(scale[account]), rel=1e-5)


@pytest.mark.parametrize("step_s", [300, 3_600, 86_400])
@pytest.mark.parametrize("width", [1, 2, 5, 60])
@pytest.mark.parametrize("lead", [1, 3])
def test_any_step_and_any_length_of_history_has_features(step_s: int, width: int, lead: int) -> None:
    counts, needs = history(accounts=2, width=width, lead=lead, seed=1)
    features, scale = need_features(counts, needs, now_s=NOW_S, step_s=step_s, lead=lead)
    assert not np.isinf(features).any()
    assert (scale > 0).all()


def test_features_do_not_depend_on_the_unit_of_the_count_but_for_its_size() -> None:
    counts, needs = history(accounts=4, width=336, lead=1, seed=2)
    small, scale = need_features(counts, needs, now_s=NOW_S, step_s=HOUR_S, lead=1)
    large, scale_large = need_features(8 * counts, 8 * needs, now_s=NOW_S, step_s=HOUR_S, lead=1)
    np.testing.assert_allclose(scale_large, 8 * scale, rtol=1e-5)
    free = [k for k, name in enumerate(NEED_FEATURES) if not name.startswith(("log_", "variation"))]
    np.testing.assert_allclose(large[:, free], small[:, free], rtol=1e-3, atol=1e-4)


def test_an_account_that_never_changed_has_the_smallest_scale() -> None:
    counts = np.full((1, 10), 7, np.float32)
    assert need_scale(counts, np.zeros_like(counts), 1).tolist() == [0.25]


def test_the_need_of_a_lead_window_is_its_largest_net_increase() -> None:
    counts = np.array([[5, 9, 4, 4, 6]], np.float32)
    inside = np.array([[0, 4, 1, 3, 2]], np.float32)
    assert lead_needs(counts, inside, 1).tolist() == [[0, 4, 1, 3, 2]]
    # (0, 2]: up to 9, and once more by 1 from there; (2, 4]: 3 inside the first step, 2 on 4 in the second.
    assert lead_needs(counts, inside, 2).tolist() == [[0, 0, 5, 1, 3]]
    assert lead_needs(counts, inside, 5).tolist() == [[0, 0, 0, 0, 0]]


def test_the_window_is_two_weeks_or_48_columns() -> None:
    assert [window_steps(s) for s in (300, 3_600, 86_400)] == [4_032, 336, 48]
