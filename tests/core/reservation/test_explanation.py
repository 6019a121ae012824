"""A plan in words and in JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.core.reservation.fleet import CALM, plan_input, pool_columns, tier

from addrcast.core.domain.errors import Invalid
from addrcast.core.reservation.explanation import explain, summary, to_json
from addrcast.core.reservation.plan import plan_for
from addrcast.core.reservation.plan_input import UNLIMITED

TIERS = {"gold": tier(rank=0, weight=4.0, service_level=0.9, headroom=0.0)}


def test_every_number_has_its_line() -> None:
    pools = pool_columns({"name": "shared", "free": 5, "reserved": 1})
    given = plan_input(
        [[4, 12, 20]], levels=[0.5, 0.9, 0.99], tiers=TIERS, tier=["gold"], pools=pools, draws=[[0]],
        preserved=[2], reserved=[1], bound=[8], quota=[18], room=[7], fault=[2],
    )  # fmt: skip
    plan = plan_for(given)
    assert explain(plan, "a0000") == (
        "account a0000, tier gold (rank 0, weight 4): 8 idle",
        "    +12  need at level 0.9, by reorder point, since the forecast is late",
        "     -2  covered by 2 preserved",
        "     -2  over quota: 8 bound and 2 preserved of a quota of 18",
        "     -1  over the room of 7 in its own ranges and preferences",
        "     -1  pool shared is short from rank 0 on, at a price of 0.8088",
        "      6  to hold reserved; 1 now, so +5",
        "     +2  preserved, 0 within their hold",
        "      8  to lie idle",
        "         hit probability 0.7978",
        "         the next address is worth 0.8088, at a price of 0.8088",
    )


def test_a_price_a_kept_surplus_and_a_refusal_are_named() -> None:
    settings = replace(CALM, dead_band=1, shrink_share_max=0.1, small_change=0)
    pools = pool_columns({"name": "dear", "free": 50, "reserved": 12, "holding_price": 2.0})
    given = plan_input(
        [[4, 12, 20], [0, 0, 0]], tiers=TIERS, tier=["gold", "gold"], pools=pools, draws=[[0], [0]],
        reserved=[5, 7], settings=settings,
    )  # fmt: skip
    plan = plan_for(given)
    kept, refused = explain(plan, "a0000"), explain(plan, "a0001")
    assert kept[1:5] == (
        "    +12  need at level 0.9, by forecast",
        "     -8  worth no more than the pools' holding price",
        "     +1  kept though unwanted, round 1 of 3",
        "      5  to hold reserved; 5 now, so +0",
    )
    assert refused[-1] == f"         withheld: {plan.refusals[0]}"


def test_preserved_addresses_beyond_the_need_are_named_kept_or_going_back() -> None:
    settings = replace(CALM, dead_band=2)
    given = plan_input([[4, 4, 4]] * 2, preserved=[9, 6], within_hold=[5, 1], settings=settings)
    plan = plan_for(given)
    assert explain(plan, "a0000")[1:7] == (
        "     +4  need at level 0.95, by forecast",
        "     -4  covered by 9 preserved",
        "      0  to hold reserved; 0 now, so +0",
        "     +9  preserved, 5 within their hold",
        "     -4  preserved beyond covered and past their hold, to go back",
        "      5  to lie idle",
    )
    assert explain(plan, "a0001")[4:6] == (
        "     +6  preserved, 1 within their hold, 2 kept though unwanted, round 1 of 3",
        "      6  to lie idle",
    )


def test_an_account_that_is_not_planned_is_refused() -> None:
    plan = plan_for(plan_input([[1, 2, 3]]))
    for account in ("a00", "zz"):
        with pytest.raises(Invalid, match="one of the plan's 1 accounts"):
            explain(plan, account)


def test_the_summary_adds_up_and_names_the_short_pools() -> None:
    pools = pool_columns({"name": "short", "free": 3}, {"name": "wide", "free": 90})
    plan = plan_for(plan_input([[9, 9, 9]] * 3, tiers=TIERS, tier=["gold"] * 3, pools=pools,
                               draws=[[0], [1], [1]], reserved=[4, 0, 0]))  # fmt: skip
    found = summary(plan)
    assert (found["accounts"], found["wanted"], found["reserved"]) == (3, 27, 21)
    assert (found["grow"], found["shrink"], found["let_go"], found["idle"]) == (18, 1, 0, 21)
    assert [(pool["pool"], pool["reserved"], pool["short_at_rank"]) for pool in found["pools"]] == [  # type: ignore[attr-defined]
        ("short", 3, 0),
        ("wide", 18, None),
    ]


def test_the_json_has_every_account_and_column() -> None:
    plan = plan_for(plan_input([[1, 2, 3]] * 2, quota=[1, UNLIMITED]))
    found = json.loads(to_json(plan))
    assert found["account"] == ["a0000", "a0001"]
    assert found["columns"]["target"] == plan.target.tolist()
    assert found["columns"]["let_go"] == [0, 0]
    assert np.allclose(found["columns"]["level"], plan.level)
