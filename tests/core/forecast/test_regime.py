"""When a reactive rule takes an account over from the model, and how the tail goes on."""

from __future__ import annotations

import numpy as np

from addrcast.core.forecast.regime import (
    MODEL,
    OWN_QUANTILE,
    TAIL_LEVELS,
    Tail,
    choose_rules,
    choose_tail,
    day_columns,
    reactive_quantiles,
    served,
    tail_quantiles,
)

LEVELS = (0.5, 0.9)


def test_the_rules_are_the_own_quantile_and_the_maxima_of_windows() -> None:
    counts = np.array([[9, 1, 4, 2, 3, 3]], np.float32)
    needs = np.array([[0, 0, 3, 0, 1, 0]], np.float32)
    rules = reactive_quantiles(counts, needs, LEVELS, step_s=3_600)
    assert rules[0].tolist() == [[0, 3]]
    assert rules[1].tolist() == [[0, 0]]  # the maximum of two columns
    assert rules[2].tolist() == [[1, 1]]  # of four
    assert rules[-1].tolist() == [[6, 6]]  # of all two weeks


def rules_for(gain: float, *, happened: int = 50, days: int = 8) -> list[list[int]]:
    """The rules chosen where the first reactive rule is nearer to every need by `gain` addresses."""
    noise = np.random.default_rng(0).normal(scale=0.3, size=(1, 24 * days)).astype(np.float32)
    needs = np.full((1, 24 * days), 10, np.float32)
    model = np.repeat((needs + 2)[..., None], 2, axis=2)
    reactive = np.repeat((needs + 2 - gain + noise)[..., None], 2, axis=2)[None]
    chosen = choose_rules(
        needs, model=model, reactive=reactive, levels=LEVELS, block=24, happened=np.array([happened])
    )
    return [[int(rule) for rule in row] for row in chosen]


def test_a_rule_that_is_clearly_better_takes_over() -> None:
    assert rules_for(1.8) == [[OWN_QUANTILE, OWN_QUANTILE]]


def test_the_model_stays_where_the_gain_is_within_the_noise() -> None:
    assert rules_for(0.0) == [[MODEL, MODEL]]


def test_a_quiet_stretch_is_no_evidence() -> None:
    assert rules_for(1.8, happened=19) == [[MODEL, MODEL]]


def test_a_few_days_are_no_evidence() -> None:
    assert rules_for(1.8, days=3) == [[MODEL, MODEL]]


def test_quantiles_still_ascend_where_a_rule_serves_one_level() -> None:
    model = np.array([[[1, 5, 6]]], np.float32)
    reactive = np.array([[[[7, 8, 9]]]], np.float32)
    assert served(model, reactive, np.array([[1, 0, 0]], np.int8)).tolist() == [[[7, 7, 7]]]
    assert served(model, reactive, np.array([[0, 1, 0]], np.int8)).tolist() == [[[1, 8, 8]]]


def test_a_day_has_as_many_checked_columns_as_the_stride_leaves() -> None:
    assert [day_columns(3_600, 1), day_columns(3_600, 4), day_columns(86_400, 3)] == [24, 6, 1]


def test_the_own_tail_passes_the_accounts_largest_need_and_the_fleets_goes_no_lower_than_the_model() -> None:
    top, own = np.array([4, 9], np.float32), np.array([8, 2], np.float32)
    fleet = np.arange(5, 5 + len(TAIL_LEVELS)).astype(np.float32)
    assert tail_quantiles(Tail.OWN, top, own, fleet + 5).tolist() == [
        [5, 6, 7, 8, 9, 10, 11, 12],
        [9, 9, 9, 9, 9, 10, 11, 12],
    ]
    assert tail_quantiles(Tail.FLEET, top, own, fleet).tolist() == [
        [5, 6, 7, 8, 9, 10, 11, 12],
        [9, 9, 9, 9, 9, 10, 11, 12],
    ]


def test_rare_launches_anywhere_call_for_the_fleets_tail_and_a_rhythm_for_the_accounts_own() -> None:
    rng = np.random.default_rng(1)
    fleet = np.full(len(TAIL_LEVELS), 30, np.float32)
    nothing = np.zeros((50, 400), np.float32)
    launches = np.where(rng.random(nothing.shape) < 0.01, np.float32(30), np.float32(0))
    assert choose_tail(launches, top=nothing, own_largest=nothing, fleet=fleet) is Tail.FLEET
    waves = np.where(rng.random(nothing.shape) < 0.01, np.float32(4), np.float32(0))
    assert choose_tail(waves, top=nothing, own_largest=nothing + 4, fleet=fleet) is Tail.OWN
