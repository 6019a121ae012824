"""Small surpluses are kept for some rounds; growth is never damped."""

from __future__ import annotations

from tests.core.reservation.fleet import plan_input, pool_columns, tier

from addrcast.core.reservation.plan import Reason, plan_for
from addrcast.core.reservation.plan_input import PlanSettings

DAMPED = PlanSettings(dead_band=2, dead_band_share=0.1, unwanted_rounds_max=3, shrink_share_max=1.0)
NEED_4 = [4.0, 4.0, 4.0]


def test_a_small_surplus_is_kept_and_a_large_one_is_not() -> None:
    plan = plan_for(plan_input([NEED_4] * 3, reserved=[6, 7, 5], settings=DAMPED))
    assert plan.reserved.tolist() == [6, 4, 5]
    assert plan.kept.tolist() == [2, 0, 1]
    assert plan.unwanted_rounds.tolist() == [1, 1, 1]
    assert (plan.reason & Reason.HYSTERESIS != 0).tolist() == [True, False, True]


def test_the_dead_band_grows_with_what_is_reserved() -> None:
    plan = plan_for(plan_input([[50, 50, 50]] * 2, reserved=[55, 57], settings=DAMPED))
    assert plan.reserved.tolist() == [55, 50]


def test_a_surplus_goes_back_once_it_was_unwanted_for_enough_rounds() -> None:
    held, rounds, seen = [5], [0], []
    for _ in range(4):
        plan = plan_for(plan_input([NEED_4], reserved=held, unwanted_rounds=rounds, settings=DAMPED))
        held, rounds = plan.reserved.tolist(), plan.unwanted_rounds.tolist()
        seen.append(held[0])
    assert seen == [5, 5, 4, 4]
    assert rounds == [0]


def test_reserved_and_preserved_surplus_have_one_band_and_one_count_of_rounds() -> None:
    preserved = [5, 6, 5, 5]
    plan = plan_for(plan_input([NEED_4] * 4, reserved=[1, 1, 0, 0], preserved=preserved, within_hold=[0, 0, 5, 0],
                               unwanted_rounds=[0, 0, 0, 2], settings=DAMPED))  # fmt: skip
    assert plan.let_go.tolist() == [0, 2, 0, 1]
    assert plan.reserved.tolist() == [1, 0, 0, 0]
    assert plan.unwanted_rounds.tolist() == [1, 1, 0, 3]
    assert (plan.reason & Reason.HYSTERESIS != 0).tolist() == [True, False, False, False]


def test_a_preserved_surplus_is_not_kept_where_a_pool_has_turned_someone_away() -> None:
    def let_go(free: int) -> list[int]:
        pools = pool_columns({"name": "p", "free": free})
        tiers = {"t": tier(headroom=0.0)}
        given = plan_input([NEED_4] * 3, tiers=tiers, tier=["t"] * 3, pools=pools, draws=[[0], [0], [-1]],
                           preserved=[5, 0, 5], settings=DAMPED)  # fmt: skip
        found: list[int] = plan_for(given).let_go.tolist()
        return found

    assert let_go(4) == [0, 0, 0]
    assert let_go(3) == [1, 0, 0]


def test_a_target_that_goes_up_and_down_moves_nothing() -> None:
    held, rounds = [5], [0]
    for need in [4.0, 5.0] * 6:
        plan = plan_for(plan_input([[need] * 3], reserved=held, unwanted_rounds=rounds, settings=DAMPED))
        held, rounds = plan.reserved.tolist(), plan.unwanted_rounds.tolist()
        assert plan.delta.tolist() == [0]


def test_growth_is_not_damped() -> None:
    plan = plan_for(plan_input([NEED_4], reserved=[3], settings=DAMPED))
    assert plan.delta.tolist() == [1]


def test_a_surplus_is_not_kept_beyond_quota_or_room() -> None:
    plan = plan_for(plan_input([NEED_4] * 2, reserved=[6, 6], bound=[5, 0], quota=[10, 99], room=[99, 4],
                               settings=DAMPED))  # fmt: skip
    assert plan.reserved.tolist() == [5, 4]


def test_a_surplus_is_kept_only_in_room_that_nobody_asks_for_best_rank_first() -> None:
    tiers = {"first": tier(rank=0, headroom=0.0), "late": tier(rank=1, headroom=0.0)}
    pools = pool_columns({"name": "p", "free": 3, "reserved": 18})
    given = plan_input(
        [NEED_4] * 5,
        tiers=tiers,
        tier=["late", "late", "first", "first", "first"],
        pools=pools,
        draws=[[0]] * 4 + [[-1]],
        reserved=[6, 6, 5, 1, 5],
        settings=DAMPED,
    )
    plan = plan_for(given)
    # 21 to be had, 16 wanted: 5 are left, of which premium's surplus takes 1, the next 2 and 2 by account
    assert plan.reserved.tolist() == [6, 6, 5, 4, 5]
    scarce = pool_columns({"name": "p", "free": 0, "reserved": 18})
    plan = plan_for(plan_input([NEED_4] * 5, tiers=tiers, tier=["late", "late", "first", "first", "first"],
                               pools=scarce, draws=[[0]] * 4 + [[-1]], reserved=[6, 6, 5, 1, 5],
                               settings=DAMPED))  # fmt: skip
    assert plan.reserved.tolist() == [5, 4, 5, 4, 5]
