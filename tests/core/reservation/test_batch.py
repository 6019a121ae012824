"""Steps cut from a plan against the ledger: who first, where to, never past what there is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.core.reservation.cluster import HOUR_MS, Cluster, open_cluster
from tests.core.reservation.fleet import CALM, plan_input, pool_columns

from addrcast.core.domain import keyspace
from addrcast.core.domain.errors import Invalid, Stale
from addrcast.core.domain.record import AddressState, HostState, Subscription
from addrcast.core.domain.resource import DEFAULT_TIERS, Preferences
from addrcast.core.reservation.batch import Batch, batch_of
from addrcast.core.reservation.cutting import GiveBackStep, ReserveStep
from addrcast.core.reservation.plan import Plan, plan_for
from addrcast.core.reservation.surplus import Why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from addrcast.core.reservation.plan_input import PoolColumns


@pytest.fixture
def cluster() -> Cluster:
    """One account with a range of its own, two hosts with 16 physical addresses each."""
    cluster = open_cluster()
    cluster.add_pool("own", "10.0.0.0/24")
    cluster.add_pool("blocks", "192.168.0.0/24", is_physical=True)
    cluster.add_host("h1", "192.168.0.0/28")
    cluster.add_host("h2", "192.168.0.16/28")
    cluster.add_account("a", "own")
    return cluster


def planned(
    targets: Mapping[str, int],
    *,
    tiers: Sequence[str] | None = None,
    reserved: Sequence[int] | None = None,
    preserved: Sequence[int] | None = None,
    within_hold: Sequence[int] | None = None,
    pools: PoolColumns | None = None,
    draws: Sequence[Sequence[int]] | None = None,
) -> Plan:
    """A plan that wants `targets` reserved, though the pools may have less when it is carried out."""
    needs = [[float(target)] * 3 for target in targets.values()]
    given = plan_input(
        needs, accounts=list(targets), tier=tiers, reserved=reserved or [0] * len(needs),
        preserved=preserved or [0] * len(needs), within_hold=within_hold or [0] * len(needs),
        pools=pools, draws=draws,
        settings=replace(CALM, ttl_ms=10**12),
    )  # fmt: skip
    return plan_for(given)


def cut(
    cluster: Cluster, plan: Plan, *, batch_max: int = 1_000, position: int = 0, **creates: dict[str, int]
) -> Batch:
    return batch_of(
        plan, cluster.ledger, recent_creates=creates, now_ms=cluster.now_ms, batch_max=batch_max, position=position
    )


def test_what_is_lacking_is_reserved_where_the_creates_are(cluster: Cluster) -> None:
    batch = cut(cluster, planned({"a": 8}), a={"h1": 30, "h2": 10})
    cluster.carry_out(batch.steps)
    assert cluster.ledger.places("a")[AddressState.RESERVED, "h1"] == 6
    assert cluster.ledger.places("a")[AddressState.RESERVED, "h2"] == 2
    assert batch.next_position is None
    assert batch.steps[0] == ReserveStep("a", "own", "10.0.0.0", "192.168.0.0", "h1")


def test_a_plan_that_was_carried_out_asks_for_nothing_more(cluster: Cluster) -> None:
    plan = planned({"a": 8})
    cluster.carry_out(cut(cluster, plan).steps)
    assert cut(cluster, plan).steps == ()


def test_batches_are_bounded_and_go_on_where_the_last_one_ended(cluster: Cluster) -> None:
    plan = planned({"a": 7})
    sizes, position = [], 0
    while True:
        batch = cut(cluster, plan, batch_max=3, position=position)
        sizes.append(len(batch.steps))
        cluster.carry_out(batch.steps)
        if batch.next_position is None:
            break
        position = batch.next_position
    assert sizes == [3, 3, 1]
    assert cluster.states("a") == {"reserved": 7}


def test_a_batch_that_was_lost_is_cut_again(cluster: Cluster) -> None:
    plan = planned({"a": 7})
    assert cut(cluster, plan, batch_max=3).steps == cut(cluster, plan, batch_max=3).steps


def test_an_expired_plan_is_not_carried_out(cluster: Cluster) -> None:
    plan = planned({"a": 1})
    cluster.now_ms = plan.expires_ms
    with pytest.raises(Stale, match="plan again"):
        cut(cluster, plan)


def test_a_batch_without_room_is_refused(cluster: Cluster) -> None:
    with pytest.raises(Invalid, match="batch_max"):
        cut(cluster, planned({"a": 1}), batch_max=0)


def test_premium_is_served_first_and_gives_back_last(cluster: Cluster) -> None:
    cluster.add_account("b", "own", tier="premium")
    grow = planned({"a": 2, "b": 2}, tiers=["standard", "premium"])
    batch = cut(cluster, grow)
    assert [step.account for step in batch.steps] == ["b", "b", "a", "a"]
    cluster.carry_out(batch.steps)
    shrink = planned({"a": 0, "b": 0}, tiers=["standard", "premium"], reserved=[2, 2])
    steps = cut(cluster, shrink).steps
    assert [step.account for step in steps] == ["a", "a", "b", "b"]
    assert all(isinstance(step, GiveBackStep) and step.why is Why.RESERVED for step in steps)


def test_a_refused_shrink_gives_nothing_back_unless_forced(cluster: Cluster) -> None:
    cluster.carry_out(cut(cluster, planned({"a": 4})).steps)
    given = replace(planned({"a": 0}, reserved=[4]).given,
                    settings=replace(CALM, shrink_share_max=0.3, small_change=0))  # fmt: skip
    plan = plan_for(given)
    assert cut(cluster, plan).steps == ()
    forced = batch_of(plan, cluster.ledger, recent_creates={}, now_ms=cluster.now_ms, batch_max=9, is_forced=True)
    assert len(forced.steps) == 4


def test_no_step_takes_what_the_rank_has_to_leave_free_now(cluster: Cluster) -> None:
    # the plan counts 200 as coming; now 32 are free, of which standard leaves 5 % of 40
    cluster.add_pool("shared", "10.1.0.0/27", is_shared=True)
    cluster.add_account("a", "shared")
    cluster.add_account("b", "shared")
    pools = pool_columns({"name": "shared", "free": 32, "cooling": 200, "total": 40}, {"name": "gone", "free": 90})
    plan = planned({"a": 20, "b": 20}, pools=pools, draws=[[0], [0]])
    assert plan.reserved.tolist() == [20, 20]
    batch = cut(cluster, plan)
    assert Counter(step.account for step in batch.steps) == {"a": 20, "b": 10}
    vanished = planned({"a": 20, "b": 20}, pools=pools, draws=[[1], [-1]])
    assert {step.account for step in cut(cluster, vanished).steps} == {"b"}


def test_the_physical_pool_bounds_the_steps_too(cluster: Cluster) -> None:
    pools = pool_columns({"name": "blocks", "free": 256, "total": 256})
    plan = planned({"a": 30}, pools=pools, draws=[[0]])
    # 32 lie on hosts, and standard leaves 5 % of 256, so 13
    assert len(cut(cluster, plan).steps) == 19
    cluster.add_host("h2", "192.168.0.16/28", state=HostState.LOST)
    assert len(cut(cluster, plan).steps) == 3


def test_no_step_takes_an_account_past_its_quota(cluster: Cluster) -> None:
    cluster.add_account("a", "own", quota=5)
    cluster.put("a", "10.0.0.9", "192.168.0.9", "h1", "own", state=AddressState.BOUND)
    cluster.put("a", "10.0.0.8", "192.168.0.8", "h1", "own", state=AddressState.PRESERVED)
    assert len(cut(cluster, planned({"a": 8})).steps) == 3


def test_no_step_is_cut_for_more_than_the_hosts_have(cluster: Cluster) -> None:
    batch = cut(cluster, planned({"a": 100}))
    assert len(batch.steps) == 32
    assert len({step.physical for step in batch.steps if isinstance(step, ReserveStep)}) == 32


def test_no_step_is_cut_where_there_is_no_host_or_pool() -> None:
    cluster = open_cluster()
    cluster.add_account("a", "nowhere")
    assert cut(cluster, planned({"a": 3})).steps == ()
    cluster.add_pool("nowhere", "10.0.0.0/24")
    assert cut(cluster, planned({"a": 3})).steps == ()


def test_an_account_that_is_not_declared_is_left_alone(cluster: Cluster) -> None:
    cluster.put("gone", "10.0.0.9", "192.168.0.9", "h1", "own")
    assert cut(cluster, planned({"gone": 3})).steps == ()


def test_a_draining_account_gets_no_steps(cluster: Cluster) -> None:
    plan = planned({"a": 3})
    cluster.carry_out(cut(cluster, plan, batch_max=1).steps)
    cluster.add_account("a", "own", is_draining=True)
    assert cut(cluster, plan).steps == ()


def test_a_reservation_is_replaced_before_it_ages_and_once(cluster: Cluster) -> None:
    plan = planned({"a": 2})
    cluster.carry_out(cut(cluster, plan).steps)
    cluster.now_ms += DEFAULT_TIERS["standard"].age_limit_ms * 9 // 10 - 1
    assert cut(cluster, plan).steps == ()
    cluster.now_ms += 1
    cluster.carry_out(cut(cluster, plan).steps)
    assert cluster.states("a") == {"reserved": 4}
    assert cut(cluster, plan).steps == ()


def test_an_aged_reservation_on_a_full_host_is_replaced_once_it_has_cooled() -> None:
    cluster = open_cluster()
    cluster.add_pool("own", "10.0.0.0/24")
    cluster.add_pool("blocks", "192.168.0.0/24", is_physical=True)
    cluster.add_host("h1", "192.168.0.0/31")
    cluster.add_account("a", "own")
    plan = planned({"a": 2})
    cluster.carry_out(cut(cluster, plan).steps)
    cluster.now_ms += DEFAULT_TIERS["standard"].age_limit_ms
    assert cut(cluster, plan).steps == ()
    old = [entry.key.removeprefix("network_address.a.") for entry in cluster.ledger.records("a").values()]
    for logical in old:
        cluster.free("a", logical)
    assert [type(step) for step in cut(cluster, plan).steps] == [ReserveStep] * 2


def test_reservations_of_a_lost_host_are_replaced_and_those_of_a_returning_one_wait(cluster: Cluster) -> None:
    plan = planned({"a": 2})
    cluster.carry_out(cut(cluster, plan, a={"h2": 1}).steps)
    cluster.add_host("h2", "192.168.0.16/28", state=HostState.REJOINING)
    assert cut(cluster, plan, a={"h2": 1}).steps == ()
    cluster.add_host("h2", "192.168.0.16/28", state=HostState.LOST)
    cluster.carry_out(cut(cluster, plan, a={"h2": 1}).steps)
    assert cluster.ledger.places("a")[AddressState.RESERVED, "h1"] == 2
    assert cluster.states("a") == {"reserved": 4}
    assert cut(cluster, plan, a={"h2": 1}).steps == ()


@pytest.mark.parametrize("state", [HostState.UP, HostState.REJOINING])
def test_reservations_of_a_draining_host_are_replaced_even_while_it_rejoins(
    cluster: Cluster, state: HostState
) -> None:
    plan = planned({"a": 2})
    cluster.carry_out(cut(cluster, plan, a={"h2": 1}).steps)
    cluster.add_host("h2", "192.168.0.16/28", state=state, is_draining=True)
    cluster.carry_out(cut(cluster, plan, a={"h2": 1}).steps)
    assert cluster.ledger.places("a")[AddressState.RESERVED, "h1"] == 2


def test_preserved_beyond_the_need_goes_oldest_first_and_nothing_within_its_hold(cluster: Cluster) -> None:
    hold_ms = DEFAULT_TIERS["standard"].hold_ms
    for index in (3, 1, 2, 4):
        cluster.put("a", f"10.0.0.{index}", f"192.168.0.{index}", "h1", "own", state=AddressState.PRESERVED)
        cluster.now_ms += hold_ms // 4
    plan = planned({"a": 1}, preserved=[4])
    assert cut(cluster, plan).steps == (GiveBackStep("a", "10.0.0.3", Why.PRESERVED),)
    cluster.now_ms += hold_ms
    steps = cut(cluster, plan).steps
    assert [step.logical for step in steps] == ["10.0.0.3", "10.0.0.1", "10.0.0.2"]
    cluster.carry_out(steps)
    assert cut(cluster, plan).steps == ()


def test_what_was_released_since_the_plan_adds_nothing_where_it_lets_go_of_nothing(cluster: Cluster) -> None:
    cluster.put("a", "10.0.0.9", "192.168.0.9", "h1", "own", state=AddressState.PRESERVED)
    cluster.now_ms += HOUR_MS
    assert cut(cluster, planned({"a": 0})).steps == ()


def test_reservations_go_back_before_preserved_addresses(cluster: Cluster) -> None:
    cluster.put("a", "10.0.0.1", "192.168.0.1", "h1", "own", state=AddressState.PRESERVED)
    cluster.put("a", "10.0.0.2", "192.168.0.2", "h1", "own")
    cluster.now_ms += HOUR_MS
    assert cut(cluster, planned({"a": 1}, preserved=[1], reserved=[1])).steps == (
        GiveBackStep("a", "10.0.0.2", Why.RESERVED),
    )
    assert cut(cluster, planned({"a": 0}, preserved=[1], reserved=[1])).steps == (
        GiveBackStep("a", "10.0.0.2", Why.RESERVED),
        GiveBackStep("a", "10.0.0.1", Why.PRESERVED),
    )


def test_hosts_that_mirror_the_account_come_before_strangers(cluster: Cluster) -> None:
    for index in range(3, 40):
        cluster.add_host(f"h{index}", f"192.168.0.{32 + 4 * index}/30")
    cluster.write({keyspace.subscription_key("h20", "a"): Subscription()})
    assert {step.host for step in cut(cluster, planned({"a": 4})).steps if isinstance(step, ReserveStep)} == {"h20"}


def test_a_host_counts_once_whatever_speaks_for_it(cluster: Cluster) -> None:
    cluster.write({keyspace.subscription_key(host, "a"): Subscription() for host in ("h1", "h2")})
    steps = cut(cluster, planned({"a": 40}), a={"h1": 1}).steps
    assert Counter(step.host for step in steps if isinstance(step, ReserveStep)) == {"h1": 16, "h2": 16}


def test_preferred_prefixes_hosts_and_neighbours_are_followed(cluster: Cluster) -> None:
    wish = Preferences(prefixes=("10.0.0.64/27",), is_contiguous=True, hosts=("h2",))
    cluster.add_account("a", "own", preferences=wish)
    cluster.put("a", "10.0.0.66", "192.168.0.200", "h9", "own", state=AddressState.BOUND)
    steps = cut(cluster, planned({"a": 4})).steps
    assert [step.logical for step in steps] == ["10.0.0.67", "10.0.0.68", "10.0.0.69", "10.0.0.70"]
    assert {step.host for step in steps if isinstance(step, ReserveStep)} == {"h2"}


def test_without_a_row_of_neighbours_single_addresses_are_taken(cluster: Cluster) -> None:
    cluster.add_pool("tiny", "10.5.0.0/29")
    cluster.add_account("a", "tiny", "own", preferences=Preferences(is_contiguous=True))
    cluster.put("a", "10.5.0.3", "192.168.0.200", "h9", "tiny", state=AddressState.BOUND)
    steps = cut(cluster, planned({"a": 8})).steps
    assert [step.logical for step in steps if step.logical.startswith("10.5")] == [
        f"10.5.0.{last}" for last in (0, 1, 2, 4, 5, 6, 7)
    ]
    assert steps[-1].logical == "10.0.0.0"


def test_a_row_that_another_account_took_in_the_same_batch_is_found_in_the_next(cluster: Cluster) -> None:
    cluster.add_pool("shared", "10.1.0.0/24", is_shared=True)
    for name in ("a", "b"):
        cluster.add_account(name, "shared", preferences=Preferences(is_contiguous=True))
    plan = planned({"a": 3, "b": 3})
    first = cut(cluster, plan)
    assert {step.account for step in first.steps} == {"a"}
    cluster.carry_out(first.steps)
    assert [step.logical for step in cut(cluster, plan).steps] == ["10.1.0.3", "10.1.0.4", "10.1.0.5"]


def test_accounts_that_share_a_pool_never_get_the_same_address(cluster: Cluster) -> None:
    cluster.add_pool("shared", "10.1.0.0/24", is_shared=True)
    names = [f"s{index}" for index in range(6)]
    for name in names:
        cluster.add_account(name, "shared")
    steps = cut(cluster, planned(dict.fromkeys(names, 5))).steps
    assert len({step.logical for step in steps}) == 30
    cluster.carry_out(steps)


def test_a_target_holds_in_each_family_and_the_quota_is_shared() -> None:
    cluster = open_cluster()
    cluster.add_pool("four", "10.0.0.0/24")
    cluster.add_pool("six", "2001:db8::/64")
    cluster.add_pool("blocks4", "192.168.0.0/24", is_physical=True)
    cluster.add_pool("blocks6", "fd00::/64", is_physical=True)
    cluster.add_host("h1", "192.168.0.0/28", "fd00::/120")
    cluster.add_account("a", "four", "six")
    cluster.add_account("b", "four", "six", quota=5)
    steps = cut(cluster, planned({"a": 3, "b": 3})).steps
    assert Counter((step.account, step.pool) for step in steps if isinstance(step, ReserveStep)) == {
        ("a", "four"): 3, ("a", "six"): 3, ("b", "four"): 2, ("b", "six"): 2,
    }  # fmt: skip
    cluster.carry_out(steps)
    gone = cut(cluster, planned({"a": 1}, reserved=[3])).steps
    assert Counter("::" in step.logical for step in gone) == {True: 2, False: 2}


def test_replicas_with_different_offsets_do_not_race(cluster: Cluster) -> None:
    plan = planned({"a": 4})
    found = [
        batch_of(plan, cluster.ledger, recent_creates={}, now_ms=HOUR_MS, batch_max=9, offset=offset).steps
        for offset in (0, 7)
    ]
    assert not {step.logical for step in found[0]} & {step.logical for step in found[1]}
