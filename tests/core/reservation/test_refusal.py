"""Bulk changes past a named limit are refused unless forced."""

from __future__ import annotations

from dataclasses import replace

from tests.core.reservation.fleet import CALM, plan_input, pool_columns

from addrcast.core.reservation.plan import Plan, Reason, plan_for
from addrcast.core.reservation.plan_input import PlanSettings

NONE = [0.0, 0.0, 0.0]
MUCH = [90.0, 90.0, 90.0]
LIMITED = replace(CALM, shrink_share_max=0.3, grow_share_max=0.5)


def test_a_plan_that_shrinks_too_much_is_refused_but_still_grows() -> None:
    plan = plan_for(plan_input([NONE, MUCH], reserved=[100, 60], settings=LIMITED))
    assert [refusal.limit for refusal in plan.refusals] == ["shrink_share_max"]
    assert "gives back 100 addresses at once, 62% of 160; at most 30% is allowed; force" in str(plan.refusals[0])
    assert plan.delta.tolist() == [-100, 30]
    assert plan.allowed_delta().tolist() == [0, 30]
    assert (plan.reason & Reason.REFUSED != 0).tolist() == [True, False]


def test_what_is_preserved_counts_as_idle_and_is_withheld_too() -> None:
    def planned(preserved: int) -> Plan:
        return plan_for(plan_input([NONE, MUCH], preserved=[preserved, 250], within_hold=[0, 250],
                                   reserved=[40, 0], settings=LIMITED))  # fmt: skip

    assert planned(60).refusals == ()
    plan = planned(100)
    assert "gives back 140 addresses at once, 36% of 390" in str(plan.refusals[0])
    assert plan.allowed_let_go().tolist() == [0, 0]
    assert plan.allowed_let_go(is_forced=True).tolist() == [100, 0]
    assert plan.allowed_delta().tolist() == [0, 0]


def test_what_customers_gave_up_goes_back_in_any_number() -> None:
    given = plan_input([NONE, MUCH], preserved=[200, 90], wanted_before=[0, 90], settings=LIMITED)
    plan = plan_for(given)
    assert plan.refusals == ()
    assert plan.allowed_let_go().tolist() == [200, 0]


def test_only_the_fall_of_what_is_wanted_counts_as_a_shrink() -> None:
    plan = plan_for(plan_input([NONE, MUCH], preserved=[200, 90], wanted_before=[80, 90], settings=LIMITED))
    assert "gives back 80 addresses at once, 47% of 170" in str(plan.refusals[0])
    assert plan.allowed_let_go().tolist() == [0, 0]


def test_a_forced_plan_is_carried_out_whole() -> None:
    plan = plan_for(plan_input([NONE, MUCH], reserved=[100, 60], settings=LIMITED))
    assert plan.allowed_delta(is_forced=True).tolist() == [-100, 30]


def test_a_plan_that_takes_too_much_of_a_pool_is_refused_for_that_pool() -> None:
    pools = pool_columns({"name": "small", "free": 150}, {"name": "large", "free": 1000})
    plan = plan_for(plan_input([MUCH, MUCH, NONE], pools=pools, draws=[[0], [1], [0]], reserved=[0, 0, 20],
                               settings=LIMITED))  # fmt: skip
    assert [refusal.limit for refusal in plan.refusals] == ["grow_share_max"]
    assert "takes from pool small 90 addresses at once, 60% of 150; at most 50%" in str(plan.refusals[0])
    assert plan.allowed_delta().tolist() == [0, 90, -20]


def test_what_was_approved_before_and_is_still_being_reserved_is_no_news() -> None:
    pools = pool_columns({"name": "small", "free": 180, "reserved": 20})

    def refused(approved: int) -> list[str]:
        given = plan_input(
            [MUCH, MUCH], pools=pools, draws=[[0]] * 2, reserved=[20, 0], approved=[approved, 0], settings=LIMITED
        )
        return [str(refusal) for refusal in plan_for(given).refusals]

    assert refused(80) == []
    assert "takes from pool small 101 addresses at once" in refused(79)[0]


def test_only_those_who_take_more_than_was_approved_are_withheld() -> None:
    pools = pool_columns({"name": "small", "free": 150})
    plan = plan_for(plan_input([[30.0] * 3, MUCH], pools=pools, draws=[[0]] * 2, approved=[30, 0],
                               settings=LIMITED))  # fmt: skip
    assert plan.allowed_delta().tolist() == [30, 0]


def test_a_limit_on_what_is_not_there_yet_is_said_in_words() -> None:
    settings = PlanSettings(grow_share_max=0.0, small_change=0)
    pools = pool_columns({"name": "p", "cooling": 5, "total": 0})
    plan = plan_for(plan_input([MUCH], pools=pools, draws=[[0]], settings=settings))
    assert "5 addresses at once, nothing there before" in str(plan.refusals[0])


def test_a_change_of_few_addresses_is_never_refused() -> None:
    plan = plan_for(plan_input([NONE], reserved=[64], settings=LIMITED))
    assert plan.refusals == ()
    assert plan.allowed_delta().tolist() == [-64]
