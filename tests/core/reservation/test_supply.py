"""What a plan reads from the ledger."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.reservation.cluster import HOUR_MS, Cluster, open_cluster

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import DEFAULT_TIERS
from addrcast.core.reservation.batch import batch_of
from addrcast.core.reservation.plan import Plan, plan_for
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED, PlanInput, PlanSettings
from addrcast.core.reservation.policy import Fault, ServedNeed
from addrcast.core.reservation.supply import Round, plan_input_of

LEVELS = np.array([0.5, 0.9])
BOUND, PRESERVED, COOLING = AddressState.BOUND, AddressState.PRESERVED, AddressState.COOLING


@pytest.fixture
def cluster() -> Cluster:
    cluster = open_cluster()
    cluster.add_pool("blocks", "192.168.0.0/25", is_physical=True)
    cluster.add_pool("more", "192.168.0.128/25", is_physical=True)
    cluster.add_pool("blocks6", "fd00::/64", is_physical=True)
    cluster.add_pool("own", "10.0.0.0/28")
    cluster.add_pool("shared", "10.1.0.0/28", is_shared=True)
    cluster.add_pool("wide", "10.2.0.0/24", is_shared=True)
    cluster.add_pool("six", "2001:db8::/64", is_shared=True)
    cluster.add_host("h1", "192.168.0.0/25", "fd00::/96")
    return cluster


def read(cluster: Cluster, *accounts: str, lead_ms: int = 0, round_: Round | None = None) -> PlanInput:
    need = np.arange(2 * len(accounts), dtype=np.float32).reshape(len(accounts), 2)
    served = ServedNeed(need, np.full(len(accounts), Fault.LATE, dtype=np.uint8))
    round_ = round_ or Round(cluster.now_ms, lead_ms)
    return plan_input_of(cluster.ledger, accounts, LEVELS, served, round_)


def test_supply_is_counted_by_state(cluster: Cluster) -> None:
    cluster.add_account("a", "own", tier="basic", quota=9)
    states = [BOUND, BOUND, BOUND, PRESERVED, PRESERVED, AddressState.RESERVED, COOLING]
    for index, state in enumerate(states):
        cluster.put("a", f"10.0.0.{index}", f"192.168.0.{index}", "h1", "own", state=state)
    found = read(cluster, "a")
    assert [found.bound[0], found.preserved[0], found.reserved[0], found.quota[0]] == [3, 2, 1, 9]
    assert found.room.tolist() == [16 - 6]
    assert found.tiers[found.tier[0]] == ("basic", DEFAULT_TIERS["basic"])
    assert (found.revision, found.now_ms, found.fault[0]) == (cluster.ledger.revision, cluster.now_ms, Fault.LATE)


def test_what_is_not_preserved_for_the_whole_window_is_no_supply(cluster: Cluster) -> None:
    cluster.add_account("a", "own")
    for index in range(3):
        cluster.put("a", f"10.0.0.{index}", f"192.168.0.{index}", "h1", "own", state=PRESERVED)
        cluster.now_ms += HOUR_MS
    # they age after 24 h, so after 3 h the oldest has 21 h left
    assert read(cluster, "a", lead_ms=21 * HOUR_MS - 1).preserved.tolist() == [3]
    assert read(cluster, "a", lead_ms=21 * HOUR_MS).preserved.tolist() == [2]
    assert read(cluster, "a", lead_ms=24 * HOUR_MS).preserved.tolist() == [0]


def test_within_its_hold_is_what_was_released_a_short_while_ago(cluster: Cluster) -> None:
    cluster.add_account("a", "own")
    hold_ms = DEFAULT_TIERS["standard"].hold_ms
    for index in range(3):
        cluster.put("a", f"10.0.0.{index}", f"192.168.0.{index}", "h1", "own", state=PRESERVED)
        cluster.now_ms += hold_ms // 2
    assert read(cluster, "a").within_hold.tolist() == [1]
    cluster.now_ms -= 1
    assert read(cluster, "a").within_hold.tolist() == [2]
    assert read(cluster, "a", lead_ms=24 * HOUR_MS).within_hold.tolist() == [0]


def test_a_reservation_about_to_be_replaced_is_no_supply(cluster: Cluster) -> None:
    cluster.add_account("a", "own")
    cluster.put("a", "10.0.0.1", "192.168.0.1", "h1", "own")
    tier, ttl_ms = DEFAULT_TIERS["standard"], PlanSettings().ttl_ms
    cluster.now_ms += tier.age_limit_ms - ttl_ms - 1
    assert read(cluster, "a").reserved.tolist() == [1]
    cluster.now_ms += 1
    assert read(cluster, "a").reserved.tolist() == [0]
    brief = PlanSettings(ttl_ms=tier.age_limit_ms)
    cluster.now_ms -= tier.age_limit_ms // 10 - ttl_ms + 1
    assert read(cluster, "a", round_=Round(cluster.now_ms, 0, settings=brief)).reserved.tolist() == [1]


def test_shared_pools_and_all_blocks_of_a_family_are_competed_for(cluster: Cluster) -> None:
    cluster.add_account("a", "own")
    cluster.add_account("b", "shared")
    cluster.put("b", "10.1.0.1", "192.168.0.1", "h1", "shared")
    found = read(cluster, "a", "b", round_=Round(0, 0, holding_prices={"more": 0.5}))
    assert found.pools.names == ("shared", "six", "wide", "blocks+more", "blocks6")
    assert found.draws.tolist() == [[NO_POOL, 3, NO_POOL, NO_POOL], [0, 3, NO_POOL, NO_POOL]]
    # of the blocks half are on no host, so they are not there
    assert found.pools.total[[0, 3]].tolist() == [16, 128]
    assert found.pools.free[[0, 3]].tolist() == [15, 127]
    assert found.pools.reserved[[0, 3]].tolist() == [1, 1]
    assert found.room.tolist() == [16, UNLIMITED]
    assert found.pools.holding_price.tolist() == [0, 0, 0, 0.5, 0]


def test_an_ipv6_pool_without_end_fits_the_columns(cluster: Cluster) -> None:
    cluster.add_host("h2", "fd00::1:0:0:0/80")
    assert read(cluster).pools.total[[1, 4]].tolist() == [1 << 48, 1 << 48]


def test_of_several_pools_the_first_with_an_address_left_is_drawn_on(cluster: Cluster) -> None:
    cluster.add_account("a", "shared", "wide", "undeclared")
    assert read(cluster, "a").draws[0, 0] == 0
    for index in range(16):
        cluster.put("x", f"10.1.0.{index}", f"192.168.0.{index}", "h1", "shared")
    assert read(cluster, "a").draws[0, 0] == 2
    cluster.add_account("a", "shared")
    assert read(cluster, "a").draws[0, 0] == 0


def test_an_instance_takes_an_address_of_each_family(cluster: Cluster) -> None:
    cluster.add_account("a", "own", "six", quota=9)
    cluster.put("a", "10.0.0.1", "192.168.0.1", "h1", "own", state=BOUND)
    cluster.put("a", "10.0.0.2", "192.168.0.2", "h1", "own", state=PRESERVED)
    cluster.put("a", "2001:db8::1", "fd00::1", "h1", "six")
    found = read(cluster, "a")
    assert [found.bound[0], found.preserved[0], found.reserved[0], found.quota[0]] == [1, 0, 1, 4]
    assert found.draws.tolist() == [[NO_POOL, 3, 1, 4]]


def test_a_draining_account_and_one_without_pools_have_room_for_none(cluster: Cluster) -> None:
    cluster.add_account("a", "own", is_draining=True)
    cluster.add_account("b", "undeclared")
    found = read(cluster, "a", "b")
    assert found.room.tolist() == [0, 0]
    assert found.draws[1].tolist() == [NO_POOL] * 4


def test_accounts_that_are_gone_are_left_out_with_their_need(cluster: Cluster) -> None:
    cluster.add_account("b", "own")
    found = read(cluster, "a", "b")
    assert found.accounts == ("b",)
    assert found.need.tolist() == [[2, 3]]


def test_a_tier_that_means_nothing_is_refused(cluster: Cluster) -> None:
    cluster.add_account("a", "own", tier="golden")
    with pytest.raises(Invalid, match="golden"):
        read(cluster, "a")


def test_unwanted_rounds_go_on_from_the_plan_before(cluster: Cluster) -> None:
    cluster.add_account("b", "own")
    cluster.put("b", "10.0.0.1", "192.168.0.1", "h1", "own")
    idle = ServedNeed(np.zeros((1, 2), dtype=np.float32), np.zeros(1, dtype=np.uint8))
    plan = None
    seen = []
    for _ in range(3):
        given = plan_input_of(cluster.ledger, ("b",), LEVELS, idle, Round(cluster.now_ms, 0, previous=plan))
        plan = plan_for(given)
        seen.append((plan.unwanted_rounds.tolist(), plan.delta.tolist()))
    assert seen == [([1], [0]), ([2], [0]), ([3], [-1])]


def test_a_fall_that_was_refused_is_refused_until_somebody_looks(cluster: Cluster) -> None:
    cluster.add_account("b", "own")
    settings = PlanSettings(small_change=1, unwanted_rounds_max=1, dead_band=0, dead_band_share=0)
    for index in range(4):
        cluster.put("b", f"10.0.0.{index}", f"192.168.0.{index}", "h1", "own")
    plan = None
    seen = []
    for need in (4.0, 0.0, 0.0):
        served = ServedNeed(np.full((1, 2), need, dtype=np.float32), np.zeros(1, dtype=np.uint8))
        round_ = Round(cluster.now_ms, 0, previous=plan, settings=settings)
        plan = plan_for(plan_input_of(cluster.ledger, ("b",), LEVELS, served, round_))
        seen.append((plan.given.wanted_before.tolist(), len(plan.refusals), plan.allowed_delta().tolist()))
    assert seen == [([UNLIMITED], 0, [0]), ([4], 1, [0]), ([4], 1, [0])]


def test_the_first_plan_from_nothing_is_never_refused_nor_are_its_leftovers(cluster: Cluster) -> None:
    names = tuple(f"w{index:02d}" for index in range(40))
    for name in names:
        cluster.add_account(name, "wide", tier="premium")
    served = ServedNeed(np.full((40, 2), 4, dtype=np.float32), np.zeros(40, dtype=np.uint8))

    def planned(previous: Plan | None) -> Plan:
        return plan_for(plan_input_of(cluster.ledger, names, LEVELS, served, Round(cluster.now_ms, 0, previous)))

    plan = planned(None)
    batch = batch_of(plan, cluster.ledger, recent_creates={}, now_ms=cluster.now_ms, batch_max=1)
    assert int(plan.allowed_delta().sum()) > 64, "more than half of the blocks"
    cluster.carry_out(batch.steps)
    assert planned(plan).refusals == ()
    # with something reserved and no plan before, nobody can tell a first plan from one that grew out of hand
    assert [refusal.limit for refusal in planned(None).refusals] == ["grow_share_max"]


def test_a_store_without_pools_has_a_plan_of_nothing() -> None:
    cluster = open_cluster()
    cluster.add_account("a", "own")
    assert plan_for(read(cluster, "a")).reserved.tolist() == [0]


def test_a_plan_read_from_the_ledger_is_carried_out_in_it(cluster: Cluster) -> None:
    cluster.add_account("a", "own", "six", tier="premium")
    cluster.add_account("b", "wide")
    need = ServedNeed(np.array([[2, 4], [3, 6]], dtype=np.float32), np.zeros(2, dtype=np.uint8))
    plan = plan_for(plan_input_of(cluster.ledger, ("a", "b"), LEVELS, need, Round(cluster.now_ms, 0)))
    batch = batch_of(plan, cluster.ledger, recent_creates={}, now_ms=cluster.now_ms, batch_max=99)
    cluster.carry_out(batch.steps)
    again = read(cluster, "a", "b")
    assert again.reserved.tolist() == plan.reserved.tolist() == plan.target.tolist()
    assert plan.target.tolist() == [6, 7]
