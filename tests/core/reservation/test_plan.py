"""Plans by example: level, price, pool, quota, preference, rank."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.reservation.fleet import plan_input, pool_columns, tier

from addrcast.core.domain.errors import Invalid
from addrcast.core.reservation.plan import Reason, plan_for
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED


def test_unconstrained_the_target_is_the_need_at_the_service_level() -> None:
    tiers = {"half": tier(service_level=0.5), "most": tier(service_level=0.9), "all": tier(service_level=0.99)}
    plan = plan_for(plan_input([[2, 5, 9]] * 3, tiers=tiers, tier=["half", "most", "all"]))
    assert plan.target.tolist() == [2, 5, 9]
    assert plan.reason.tolist() == [Reason.SERVICE_LEVEL] * 3


def test_the_price_of_a_tier_is_where_its_service_level_is_met() -> None:
    plan = plan_for(plan_input([[2.5, 5.5, 9.5]], tiers={"t": tier(weight=3.0, service_level=0.9)}, tier=["t"]))
    assert plan.price[0] == pytest.approx(3.0 * 0.1)
    assert plan.worth[0] <= plan.price[0]
    assert plan.level[0] >= 0.9


def test_preserved_addresses_count_as_supply_and_those_past_their_hold_go_if_they_are_too_many() -> None:
    preserved, within_hold = [0, 3, 8, 8], [0, 3, 0, 7]
    plan = plan_for(plan_input([[2, 5, 9]] * 4, tiers={"t": tier(service_level=0.9)}, tier=["t"] * 4,
                               preserved=preserved, within_hold=within_hold, reserved=[1, 2, 4, 0]))  # fmt: skip
    assert plan.reserved.tolist() == [5, 2, 0, 0]
    assert plan.delta.tolist() == [4, 0, -4, 0]
    assert plan.let_go.tolist() == [0, 0, 3, 1]
    assert plan.target.tolist() == [5, 5, 5, 7]


def test_a_preserved_address_is_held_no_longer_than_it_is_worth_its_price() -> None:
    pools = pool_columns({"name": "p", "free": 100, "holding_price": 1.0})
    plan = plan_for(plan_input([[2, 5, 9]], tiers={"light": tier(weight=2.0, service_level=0.9)}, tier=["light"],
                               preserved=[4], pools=pools, draws=[[0]]))  # fmt: skip
    assert (plan.wanted[0], plan.covered[0], plan.let_go[0], plan.target[0]) == (5, 4, 2, 2)


def test_a_holding_price_above_the_tiers_own_holds_less() -> None:
    pools = pool_columns({"name": "p", "free": 100, "holding_price": 1.0})
    tiers = {"light": tier(weight=2.0, service_level=0.9), "heavy": tier(weight=10.0, service_level=0.9)}
    plan = plan_for(
        plan_input([[2, 5, 9]] * 2, tiers=tiers, tier=["light", "heavy"], pools=pools, draws=[[0], [0]])
    )
    assert plan.reserved.tolist() == [2, 5]
    assert plan.by_price.tolist() == [3, 0]
    assert plan.reason.tolist() == [Reason.HOLDING_PRICE, Reason.SERVICE_LEVEL]
    assert plan.price.tolist() == [1.0, 1.0]


def test_quota_counts_bound_reserved_and_preserved() -> None:
    plan = plan_for(plan_input([[9, 9, 9]] * 3, bound=[4, 12, 0], preserved=[1, 0, 0], quota=[10, 10, UNLIMITED]))
    assert plan.reserved.tolist() == [5, 0, 9]
    assert plan.by_quota.tolist() == [3, 9, 0]
    assert plan.reason.tolist() == [Reason.QUOTA, Reason.QUOTA, Reason.SERVICE_LEVEL]


def test_an_account_holds_no_more_than_its_own_ranges_have_room_for() -> None:
    plan = plan_for(plan_input([[9, 9, 9]] * 2, room=[3, 0]))
    assert plan.reserved.tolist() == [3, 0]
    assert plan.reason.tolist() == [Reason.PREFERENCE] * 2


def test_a_scarce_pool_serves_ranks_in_order() -> None:
    pools = pool_columns({"name": "p", "free": 10, "total": 10})
    tiers = {
        "late": tier(rank=2, weight=100.0, headroom=0.0),
        "first": tier(rank=0, weight=1.0, headroom=0.0),
        "second": tier(rank=1, weight=10.0, headroom=0.0),
    }
    plan = plan_for(
        plan_input([[6, 6, 6]] * 3, tiers=tiers, tier=["late", "first", "second"], pools=pools, draws=[[0]] * 3)
    )
    assert plan.reserved.tolist() == [0, 6, 4]
    assert plan.reason.tolist() == [Reason.POOL, Reason.SERVICE_LEVEL, Reason.POOL]
    assert plan.pool_rank.tolist() == [1]
    assert plan.pool_price[0] == pytest.approx(plan.worth[2])
    assert plan.pool_reserved.tolist() == [10]


def test_within_a_rank_the_most_valuable_units_win() -> None:
    pools = pool_columns({"name": "p", "free": 6, "total": 6})
    tiers = {"t": tier(headroom=0.0)}
    plan = plan_for(plan_input([[1, 2, 3], [4, 8, 12]], tiers=tiers, tier=["t", "t"], pools=pools, draws=[[0]] * 2))
    assert plan.reserved.tolist() == [1, 5]
    assert max(plan.worth) <= plan.pool_price[0] + 1e-6


def test_equal_worth_goes_by_account_id() -> None:
    pools = pool_columns({"name": "p", "free": 5, "total": 5})
    tiers = {"t": tier(headroom=0.0)}
    plan = plan_for(plan_input([[2, 2, 2]] * 4, tiers=tiers, tier=["t"] * 4, pools=pools, draws=[[0]] * 4))
    assert plan.reserved.tolist() == [2, 1, 1, 1]


def test_each_rank_leaves_its_headroom_to_dynamic_allocation() -> None:
    pools = pool_columns({"name": "p", "free": 100, "total": 100})
    tiers = {"first": tier(rank=0, headroom=0.02), "late": tier(rank=1, headroom=0.10)}
    wide = [[200, 200, 200]]
    alone = plan_for(plan_input(wide, tiers=tiers, tier=["late"], pools=pools, draws=[[0]]))
    assert alone.reserved.tolist() == [90]
    premium = plan_for(plan_input(wide, tiers=tiers, tier=["first"], pools=pools, draws=[[0]]))
    assert premium.reserved.tolist() == [98]


def test_a_lower_rank_never_fills_the_headroom_of_a_higher_one() -> None:
    pools = pool_columns({"name": "p", "free": 100, "total": 100})
    tiers = {"first": tier(rank=0, headroom=0.2), "late": tier(rank=1, headroom=0.0)}
    plan = plan_for(
        plan_input([[200, 200, 200]] * 2, tiers=tiers, tier=["first", "late"], pools=pools, draws=[[0]] * 2)
    )
    assert plan.reserved.tolist() == [80, 0]


def test_cooling_addresses_count_as_coming_so_that_a_give_back_causes_no_other() -> None:
    tiers = {"t": tier(headroom=0.1)}
    before = pool_columns({"name": "p", "free": 0, "reserved": 50, "total": 100})
    plan = plan_for(plan_input([[60, 60, 60]], tiers=tiers, tier=["t"], pools=before, draws=[[0]], reserved=[50]))
    assert plan.reserved.tolist() == [40]
    after = pool_columns({"name": "p", "free": 0, "reserved": 40, "cooling": 10, "total": 100})
    plan = plan_for(plan_input([[60, 60, 60]], tiers=tiers, tier=["t"], pools=after, draws=[[0]], reserved=[40]))
    assert plan.delta.tolist() == [0]


def test_an_account_turned_away_by_one_pool_leaves_the_other_to_its_peers() -> None:
    # both share `logical`; only the first draws on the full `blocks`, so the second gets all of `logical`
    pools = pool_columns({"name": "logical", "free": 4, "total": 4}, {"name": "blocks", "free": 1, "total": 1})
    tiers = {"t": tier(headroom=0.0)}
    plan = plan_for(
        plan_input([[9, 9, 9], [4, 4, 4]], tiers=tiers, tier=["t", "t"], pools=pools, draws=[[0, 1], [0, NO_POOL]])
    )
    assert plan.reserved.tolist() == [1, 3]
    assert plan.pool_reserved.tolist() == [4, 1]
    assert plan.stopped_by.tolist() == [1, 0]


def test_a_fallback_is_marked() -> None:
    plan = plan_for(plan_input([[1, 2, 3]] * 2, fault=[0, 2]))
    assert plan.reason.tolist() == [Reason.SERVICE_LEVEL, Reason.SERVICE_LEVEL | Reason.FALLBACK]


def test_a_plan_bears_its_revision_and_expires() -> None:
    plan = plan_for(plan_input([[1, 2, 3]]))
    assert (plan.revision, plan.expires_ms) == (7, 1_000 + 600_000)


def test_a_plan_for_no_accounts_is_empty() -> None:
    plan = plan_for(plan_input([], pools=pool_columns({"name": "p", "free": 3})))
    assert plan.target.shape == (0,)
    assert plan.pool_rank.tolist() == [-1]


@pytest.mark.parametrize("accounts", [("b", "a"), ("a", "a")])
def test_accounts_out_of_order_are_refused(accounts: tuple[str, str]) -> None:
    with pytest.raises(Invalid, match="rise strictly"):
        plan_input([[1, 2, 3]] * 2, accounts=accounts)


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(Invalid, match="bound"):
        plan_input([[1, 2, 3]], bound=[1, 2])


def test_a_tier_pool_or_draw_that_is_not_there_is_refused() -> None:
    good = plan_input([[1, 2, 3]])
    fields = {name: getattr(good, name) for name in good.__slots__}
    for change, message in (
        ({"tier": np.array([7], dtype=np.int16)}, "tier"),
        ({"draws": np.array([[3]], dtype=np.int32)}, "draws"),
        ({"draws": np.array([3], dtype=np.int32)}, "pools drawn on"),
        ({"need": np.zeros((1, 2), dtype=np.float32)}, "need"),
        ({"tiers": (("odd", tier(service_level=1.0)),), "tier": np.array([0], dtype=np.int16)}, "tier odd"),
    ):
        with pytest.raises(Invalid, match=message):
            type(good)(**(fields | change))


def test_a_pool_drawn_on_twice_is_refused() -> None:
    pools = pool_columns({"name": "p", "free": 3})
    with pytest.raises(Invalid, match="a pool twice"):
        plan_input([[1, 2, 3]], pools=pools, draws=[[0, 0]])
