"""The controller carries out plans, a bounded batch at a time."""

from __future__ import annotations

import msgspec
import numpy as np
from tests.core.controller.site import World

from addrcast.core.controller.machine import ControllerMachine
from addrcast.core.controller.messages import Away, Commit, Duty, PlanFailed, PlanMade, RequestPlan, Tick
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.controller.territory import Territory
from addrcast.core.domain.keyspace import host_key, pool_key
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import HOUR_MS, Pool, PoolKind
from addrcast.core.reservation.plan import Plan, plan_for
from addrcast.core.reservation.plan_input import PlanSettings
from addrcast.core.reservation.policy import ServedNeed
from addrcast.core.reservation.supply import Round, plan_input_of
from addrcast.simulation.cluster import LOGICAL_POOL

CALM = PlanSettings()


class Planned:
    """A world whose controller gets plans: account a shall hold as many addresses ready as it is told."""

    def __init__(self, *, batch_max: int = 128) -> None:
        self.world = World(ControllerSettings(batch_max=batch_max))
        self.cluster = self.world.cluster
        self.machine = ControllerMachine(Territory.whole(self.cluster.fence), self.world.settings)
        self.control = self.world.control
        self.control.machine = self.machine

    def plan(self, want: int, settings: PlanSettings) -> Plan:
        need = np.full((1, 2), want, dtype=np.float32)
        served = ServedNeed(need, np.zeros(1, dtype=np.uint8))
        levels = np.array([0.5, 0.99])
        round_ = Round(now_ms=self.cluster.now_ms, lead_ms=60_000, settings=settings)
        return plan_for(plan_input_of(self.cluster.ledger(), ("a",), levels, served, round_))

    def carry_out(self, want: int, *, is_forced: bool = False, settings: PlanSettings = CALM) -> None:
        """Answer the request for a plan that is due."""
        self.cluster.now_ms += self.world.settings.plan_every_ms
        self.world.settle_hosts()
        self.control.catch_up()
        effects = self.machine.step(Tick(), self.control.ledger, self.cluster.now_ms)
        (request,) = [effect for effect in effects if isinstance(effect, RequestPlan)]
        self.control.asked += [effect for effect in effects if isinstance(effect, Commit)]
        made = PlanMade(request, self.plan(want, settings), {}, is_forced=is_forced)
        self.control.give(made, self.cluster.now_ms)

    def reserved(self) -> int:
        return len(self.cluster.ledger().in_state("a", AddressState.RESERVED))


def test_a_plan_is_carried_out_in_bounded_batches() -> None:
    planned = Planned(batch_max=3)
    planned.carry_out(8)
    assert [len(commit.drafts) for commit in planned.control.asked if commit.duty is Duty.PLAN] == [3]
    planned.control.settle(planned.cluster.now_ms)
    assert planned.reserved() == 8


def test_the_host_of_a_reservation_is_subscribed_before_it() -> None:
    planned = Planned()
    planned.cluster.add_host("h3")
    for name in ("h1", "h2"):
        host = planned.cluster.ledger().host(name).required
        planned.cluster.put(host_key(name), msgspec.structs.replace(host, is_draining=True))
    planned.carry_out(2)
    assert planned.world.asked(Duty.PLAN)[0] == "host_account.h3.a"
    planned.control.settle(planned.cluster.now_ms)
    assert planned.reserved() == 2
    assert "h3" in planned.cluster.ledger().subscriptions("a")


def test_what_a_plan_does_not_want_goes_back() -> None:
    planned = Planned()
    planned.carry_out(8)
    planned.control.settle(planned.cluster.now_ms)
    planned.carry_out(2, is_forced=True)
    planned.control.settle(planned.cluster.now_ms)
    assert planned.reserved() == 2


def test_a_reservation_of_a_shared_pool_claims_it_for_its_account() -> None:
    planned = Planned()
    pool = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24",), is_shared=True)
    planned.cluster.put(pool_key(LOGICAL_POOL), pool)
    planned.carry_out(1)
    planned.control.settle(planned.cluster.now_ms)
    assert planned.cluster.ledger().pool_address(LOGICAL_POOL, "10.0.0.0").required.account == "a"


def test_refusals_of_a_plan_are_reported() -> None:
    planned = Planned()
    planned.carry_out(1)
    planned.control.settle(planned.cluster.now_ms)
    planned.carry_out(8, settings=PlanSettings(small_change=1, grow_share_max=0.01))
    planned.control.settle(planned.cluster.now_ms)
    assert planned.reserved() == 1
    assert any("grow_share_max" in report for report in planned.control.reports)


def test_a_plan_that_loses_a_step_waits_for_the_ledger_and_goes_on() -> None:
    planned = Planned(batch_max=2)
    planned.carry_out(4)
    planned.cluster.create("a", "i1", "h1")  # takes the first address the plan wanted
    commit = next(commit for commit in planned.control.asked if commit.duty is Duty.PLAN)
    planned.control.carry_out(planned.control.asked.index(commit))
    planned.control.give(planned.control.answers.pop(), planned.cluster.now_ms)
    assert planned.world.asked(Duty.PLAN) == []
    planned.control.settle(planned.cluster.now_ms)
    assert planned.reserved() == 4


def test_a_plan_that_expires_is_given_up_and_reported() -> None:
    planned = Planned(batch_max=2)
    planned.carry_out(4)
    planned.cluster.now_ms += HOUR_MS // 2
    planned.control.settle(planned.cluster.now_ms)
    assert any("expired" in report for report in planned.control.reports)
    assert planned.reserved() == 2


def test_a_plan_that_comes_late_or_not_at_all_leaves_the_other_duties_alone() -> None:
    world = World()
    logical = world.cluster.reserve("a", "h1")
    world.look()
    (first,) = world.control.plan_requests
    world.control.give(PlanFailed(RequestPlan(99), "of another term"), world.cluster.now_ms)
    world.control.give(PlanFailed(first, "the forecast is late"), world.cluster.now_ms)
    assert world.control.reports[-1] == "no plan: the forecast is late"
    planned = Planned()
    planned.control.give(PlanMade(RequestPlan(99), planned.plan(3, CALM), {}), planned.cluster.now_ms)
    assert planned.reserved() == 0
    world.cluster.cool("a", logical)
    world.pass_ms(1_000)
    assert world.state(logical) is None


def test_a_lost_commit_of_a_plan_frees_its_duty() -> None:
    planned = Planned()
    planned.carry_out(1)
    commit = next(commit for commit in planned.control.asked if commit.duty is Duty.PLAN)
    planned.control.asked.remove(commit)
    planned.control.give(Away(commit), planned.cluster.now_ms)
    planned.carry_out(1)
    planned.control.settle(planned.cluster.now_ms)
    assert planned.reserved() == 1
