"""The controller's duties on small clusters: what ends, what is repaired, what goes back, what a plan asks for."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from addrcast.core.controller.epoch import unheard
from addrcast.core.controller.machine import ControllerMachine
from addrcast.core.controller.messages import (
    Away,
    Commit,
    Committed,
    CoolingOverridden,
    Duty,
    LedgerChanged,
    PlanFailed,
    PlanMade,
    RequestPlan,
    Tick,
)
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.keyspace import (
    account_key,
    host_key,
    instance_key,
    pool_key,
    record_key,
    subscription_key,
    tier_key,
)
from addrcast.core.domain.record import (
    AddressState,
    EpochState,
    HostState,
    InstanceEntry,
    InstanceState,
)
from addrcast.core.domain.resource import HOUR_MS, Account, Pool, PoolKind, Tier
from addrcast.core.domain.transaction import Delete, Transaction
from addrcast.core.propagation.audience import LostHosts
from addrcast.core.reservation.plan import Plan, plan_for
from addrcast.core.reservation.plan_input import PlanSettings
from addrcast.core.reservation.policy import ServedNeed
from addrcast.core.reservation.supply import Round, plan_input_of
from addrcast.simulation.cluster import LOGICAL_POOL, ModelCluster
from addrcast.simulation.control import ModelController

SETTINGS = ControllerSettings(skew_max_ms=500, host_lost_ms=10_000, deadline_max_ms=2_000)
BRISK = Tier(
    rank=2,
    weight=1,
    service_level=0.8,
    hold_ms=60_000,
    age_limit_ms=HOUR_MS,
    cooldown_ms=1_000,
    headroom=0,
)

CALM = PlanSettings()


def removal(key: str) -> Transaction:
    return Transaction((), (Delete(key),))


class World:
    """Two hosts that mirror account a, and a controller; `pass_ms` lets all of them work."""

    def __init__(self, settings: ControllerSettings = SETTINGS, *, hosts: int = 2) -> None:
        self.cluster = ModelCluster()
        self.cluster.put(tier_key("basic"), BRISK)
        self.cluster.add_account("a", vni=7)
        for number in range(1, hosts + 1):
            self.cluster.add_host(f"h{number}").start(self.cluster.now_ms)
            self.cluster.subscribe(f"h{number}", "a")
        self.settle_hosts()
        self.settings = settings
        self.control: ModelController = self.cluster.controller(settings)

    def settle_hosts(self) -> None:
        for host in self.cluster.hosts.values():
            host.settle(self.cluster.now_ms)

    def pass_ms(self, passed_ms: int, *, step_ms: int = 250) -> None:
        for _ in range(0, passed_ms, step_ms):
            self.cluster.now_ms += step_ms
            self.settle_hosts()
            self.control.settle(self.cluster.now_ms)

    def mirrors(self, account: str = "a") -> dict[str, str]:
        found = self.cluster.ledger().subscriptions(account).items()
        values = {host: entry.required for host, entry in found}
        return {
            host: "leaving" if value.is_leaving else "idle" if value.is_idle else "stands"
            for host, value in values.items()
        }

    def asked(self, duty: Duty) -> list[str]:
        """The keys that the commits under way write first."""
        return [str(d.writes[0][0].key) for c in self.control.asked if c.duty is duty for d in c.drafts]

    def look(self) -> None:
        self.control.catch_up()
        self.control.give(Tick(), self.cluster.now_ms)

    def state(self, logical: str, account: str = "a") -> AddressState | None:
        value = self.cluster.ledger().record(account, logical).value
        return None if value is None else value.state


def test_an_address_comes_free_when_its_hosts_and_its_least_time_allow() -> None:
    world = World()
    world.cluster.create("a", "i1", "h1")
    world.cluster.delete("a", "i1")
    world.cluster.end_hold("a", "10.0.0.0")
    world.pass_ms(1_250)
    assert world.state("10.0.0.0") is AddressState.COOLING
    world.pass_ms(500)
    assert world.state("10.0.0.0") is None


def test_cooling_that_was_learnt_ahead_of_the_watch_is_not_judged_yet() -> None:
    world = World()
    logical = world.cluster.reserve("a", "h1")
    world.pass_ms(2_000)
    before = world.control.ledger.revision
    world.cluster.cool("a", logical)
    world.settle_hosts()
    acknowledged = world.cluster.store.revision
    record = world.cluster.ledger().record("a", logical)
    world.control.ledger.learn([record], record.revision)
    learnt = [world.cluster.ledger().acknowledgement(host, "a") for host in ("h1", "h2")]
    world.control.ledger.learn(learnt, acknowledged)
    world.cluster.now_ms += 1_000
    world.control.give(LedgerChanged(), world.cluster.now_ms)
    assert world.control.ledger.revision == before
    assert world.asked(Duty.COOLING) == []
    world.control.catch_up()
    world.cluster.now_ms += 1_000
    world.control.give(LedgerChanged(), world.cluster.now_ms)
    assert world.asked(Duty.COOLING) == [record.key]


def test_a_physical_learnt_ahead_of_the_watch_is_not_judged_yet() -> None:
    world = World()
    logical = world.cluster.reserve("a", "h1")
    world.pass_ms(2_000)
    world.cluster.create("a", "i1", "h2", logical=logical)
    hold = world.cluster.ledger().physical("172.16.1.0")
    world.control.ledger.learn([hold], hold.revision)
    world.cluster.now_ms += 60_000
    world.control.give(Tick(), world.cluster.now_ms)
    assert world.asked(Duty.COOLING) == []
    world.settle_hosts()
    world.pass_ms(500)
    assert not world.cluster.ledger().physical("172.16.1.0")


def test_an_account_that_is_not_declared_any_more_cools_for_the_longest_time_there_is() -> None:
    world = World()
    world.cluster.put(tier_key("slow"), msgspec.structs.replace(BRISK, cooldown_ms=90_000))
    world.cluster.create("a", "i1", "h1")
    world.cluster.delete("a", "i1")
    world.cluster.end_hold("a", "10.0.0.0")
    world.pass_ms(1_000)
    world.cluster.put(account_key("a"), Account(tier="unknown", vni=7, pools=(LOGICAL_POOL,)))
    world.pass_ms(60_000, step_ms=1_000)
    assert world.state("10.0.0.0") is AddressState.COOLING
    world.pass_ms(32_000, step_ms=1_000)
    assert world.state("10.0.0.0") is None


def test_an_operator_ends_a_cooling_that_a_host_holds_up() -> None:
    world = World()
    logical = world.cluster.reserve("a", "h1")
    world.cluster.hosts["h2"].kill()
    world.pass_ms(1_000)
    world.cluster.cool("a", logical)
    world.pass_ms(5_000)
    assert world.state(logical) is AddressState.COOLING
    world.control.give(CoolingOverridden(frozenset({record_key("a", logical)})), world.cluster.now_ms)
    world.pass_ms(500)
    assert world.state(logical) is None
    assert world.control.machine.overridden == frozenset()


def test_a_stamp_from_the_future_is_capped_and_reported() -> None:
    world = World()
    world.cluster.create("a", "i1", "h1")
    world.cluster.now_ms += HOUR_MS
    world.cluster.delete("a", "i1")
    world.cluster.end_hold("a", "10.0.0.0")
    world.cluster.now_ms -= HOUR_MS
    world.pass_ms(1_000)
    assert "2 stamps lie in the future: a writer's clock is ahead" in world.control.reports
    world.pass_ms(6_000)
    assert world.state("10.0.0.0") is None
    assert not world.cluster.ledger().instance("a", "i1")
    assert len(world.control.machine.stamps) == 0


def test_a_tombstone_outlives_every_late_message() -> None:
    world = World()
    world.cluster.create("a", "i1", "h1")
    world.cluster.delete("a", "i1")
    world.pass_ms(world.settings.tombstone_ms - 250)
    assert world.cluster.ledger().instance("a", "i1")
    world.pass_ms(500)
    assert not world.cluster.ledger().instance("a", "i1")


def test_a_stamp_from_the_future_does_not_hold_up_the_tombstones_after_it() -> None:
    world = World()
    for name, ahead_ms in (("early", HOUR_MS), ("late", 0)):
        stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=0, since_ms=world.cluster.now_ms + ahead_ms)
        world.cluster.put(instance_key("a", name), stone)
    world.cluster.now_ms += world.settings.tombstone_ms
    world.look()
    assert world.asked(Duty.TOMBSTONES) == [instance_key("a", "late")]


def test_a_host_without_a_sign_of_life_is_given_up_after_its_time() -> None:
    world = World()
    world.cluster.set_silent("h2")
    world.cluster.hosts["h2"].kill()
    world.pass_ms(9_000)
    assert world.cluster.ledger().host("h2").required.state is HostState.UP
    world.pass_ms(2_000)
    lost = world.cluster.ledger().host("h2").required
    assert (lost.state, lost.incarnation) == (HostState.LOST, 2)
    assert world.cluster.ledger().host("h1").required.state is HostState.UP


def test_a_host_that_shows_itself_is_not_given_up() -> None:
    world = World()
    world.cluster.set_silent("h2")
    world.pass_ms(8_000)
    world.cluster.set_alive("h2")
    world.pass_ms(1_000)
    world.cluster.set_silent("h2")
    world.pass_ms(8_000)
    assert world.cluster.ledger().host("h2").required.state is HostState.UP


def test_a_host_that_just_came_back_gets_the_whole_time_anew() -> None:
    world = World()
    world.cluster.set_silent("h2")
    world.pass_ms(8_000)
    world.cluster.hosts["h2"].start(world.cluster.now_ms)
    world.pass_ms(8_000)
    assert world.cluster.ledger().host("h2").required.state is HostState.UP


def test_a_lost_host_is_waited_for_where_a_receiver_does_not_check() -> None:
    settings = ControllerSettings(skew_max_ms=0, host_lost_ms=1_000, lost_hosts=LostHosts.WAITED_FOR)
    world = World(settings)
    logical = world.cluster.reserve("a", "h1")
    world.pass_ms(500)
    world.cluster.set_silent("h2")
    world.cluster.hosts["h2"].kill()
    world.cluster.cool("a", logical)
    world.pass_ms(5_000)
    assert world.cluster.ledger().host("h2").required.state is HostState.LOST
    assert world.state(logical) is AddressState.COOLING
    world.cluster.set_alive("h2")
    world.cluster.hosts["h2"].start(world.cluster.now_ms)
    world.pass_ms(1_000)
    assert world.state(logical) is None


def test_a_closed_store_opens_when_every_host_was_heard() -> None:
    world = World()
    world.cluster.hosts["h2"].is_cut_off = True
    world.cluster.restore()
    world.pass_ms(2_000)
    ledger = world.cluster.ledger()
    assert ledger.epoch.required.state is EpochState.CLOSED
    assert {wait.host for wait in unheard(ledger)} == {"h2"}
    world.cluster.hosts["h2"].is_cut_off = False
    world.pass_ms(2_000)
    assert world.cluster.ledger().epoch.required.state is EpochState.OPEN


def test_a_host_that_the_restored_store_says_mirrors_nothing_is_heard_too() -> None:
    world = World()
    world.cluster.add_host("h3")
    world.cluster.restore()
    world.pass_ms(2_000)
    assert [wait.host for wait in unheard(world.cluster.ledger())] == ["h3"]
    assert world.cluster.ledger().epoch.required.state is EpochState.CLOSED
    world.cluster.hosts["h3"].start(world.cluster.now_ms)
    world.pass_ms(2_000)
    assert world.cluster.ledger().epoch.required.state is EpochState.OPEN


def test_a_lost_host_keeps_a_restored_store_closed_where_it_is_waited_for() -> None:
    world = World(replace(SETTINGS, lost_hosts=LostHosts.WAITED_FOR))
    world.cluster.set_silent("h2")
    world.cluster.hosts["h2"].kill()
    world.cluster.restore()
    world.pass_ms(15_000)
    assert world.cluster.ledger().host("h2").required.state is HostState.LOST
    assert world.cluster.ledger().epoch.required.state is EpochState.CLOSED


def test_no_plan_is_made_while_the_store_is_closed() -> None:
    world = World()
    world.cluster.hosts["h2"].is_cut_off = True
    world.cluster.restore()
    world.cluster.now_ms += SETTINGS.plan_every_ms
    world.settle_hosts()
    world.control.catch_up()
    effects = world.control.machine.step(Tick(), world.control.ledger, world.cluster.now_ms)
    assert not any(isinstance(effect, RequestPlan) for effect in effects)
    assert world.control.machine.deadline_ms(world.cluster.now_ms) > world.cluster.now_ms


def test_a_host_with_addresses_of_an_account_is_made_to_mirror_it() -> None:
    world = World(hosts=1)
    world.cluster.add_host("h2")
    logical = world.cluster.reserve("a", "h2")
    world.cluster.store.commit([removal(subscription_key("h2", "a"))])
    world.cluster.subscribe("h1", "b")
    world.pass_ms(5_500)
    assert world.state(logical) is AddressState.RESERVED
    assert sorted(world.cluster.ledger().subscriptions("a")) == ["h1", "h2"]


def test_a_subscription_that_is_being_left_is_renewed_where_it_is_needed() -> None:
    world = World()
    world.cluster.reserve("a", "h1")
    world.settle_hosts()
    world.cluster.hosts["h1"].kill()
    world.cluster.leave("h1", "a")
    world.pass_ms(5_500)
    assert world.cluster.ledger().subscription("h1", "a").required.is_leaving is False


def test_addresses_on_a_host_that_is_not_declared_are_not_subscribed_for() -> None:
    world = World(hosts=1)
    world.cluster.add_host("h2")
    world.cluster.reserve("a", "h2")
    world.cluster.store.commit([removal(key) for key in (subscription_key("h2", "a"), host_key("h2"))])
    world.look()
    assert world.asked(Duty.SUBSCRIPTIONS) == []


def test_what_lies_idle_past_its_age_limit_goes_back_the_oldest_first() -> None:
    world = World()
    old = world.cluster.reserve("a", "h1")
    world.cluster.now_ms += HOUR_MS - 1_000
    young = world.cluster.reserve("a", "h1")
    world.cluster.create("a", "i1", "h1")
    world.cluster.delete("a", "i1")
    world.cluster.now_ms += 1_000
    world.look()
    assert world.asked(Duty.GIVING_BACK) == [record_key("a", old)]
    world.control.settle(world.cluster.now_ms)
    assert world.state(young) is AddressState.RESERVED
    world.cluster.now_ms += HOUR_MS - 1_000
    world.look()
    assert world.asked(Duty.GIVING_BACK) == [record_key("a", young), record_key("a", "10.0.0.2")]


def test_a_reservation_whose_stamp_is_ahead_does_not_hide_the_ones_after_it() -> None:
    world = World()
    world.cluster.now_ms += 2 * HOUR_MS
    ahead = world.cluster.reserve("a", "h1")
    world.cluster.now_ms -= 2 * HOUR_MS
    behind = world.cluster.reserve("a", "h1")
    world.look()
    world.control.settle(world.cluster.now_ms)
    world.cluster.now_ms += HOUR_MS
    world.look()
    assert world.asked(Duty.GIVING_BACK) == [record_key("a", ahead), record_key("a", behind)]


LEAVING = replace(SETTINGS, leave_after_ms=8_000, round_every_ms=500)


def test_a_host_leaves_an_account_of_which_it_has_had_nothing_for_long_and_is_waited_for_no_more() -> None:
    world = World(LEAVING)
    world.cluster.reserve("a", "h1")
    logical = world.cluster.reserve("a", "h1")
    world.pass_ms(7_500)
    assert world.mirrors() == {"h1": "stands", "h2": "stands"}
    world.cluster.hosts["h2"].is_cut_off = True
    world.pass_ms(1_500)
    assert world.mirrors() == {"h1": "stands", "h2": "idle"}
    world.pass_ms(1_500)
    assert world.mirrors() == {"h1": "stands", "h2": "leaving"}
    world.cluster.hosts["h2"].is_cut_off = False
    world.pass_ms(1_000)
    assert world.mirrors() == {"h1": "stands"}
    world.cluster.hosts["h2"].is_cut_off = True
    world.cluster.cool("a", logical)
    world.pass_ms(1_500)
    assert world.state(logical) is None


def test_what_is_placed_on_an_idle_host_keeps_it_and_its_time_begins_anew() -> None:
    world = World(LEAVING)
    world.pass_ms(9_000)
    assert world.mirrors() == {"h1": "idle", "h2": "idle"}
    assert world.cluster.create("a", "i1", "h1")
    world.pass_ms(3_000)
    assert world.mirrors() == {"h1": "stands"}
    world.cluster.delete("a", "i1")
    world.cluster.end_hold("a", "10.0.0.0")
    world.pass_ms(8_000)
    assert world.mirrors() == {"h1": "stands"}
    world.pass_ms(5_000)
    assert world.mirrors() == {}


def test_a_create_decided_before_the_host_was_marked_idle_loses_its_compare() -> None:
    world = World(LEAVING)
    late = world.cluster.create_draft("a", "i1", "h1")
    world.pass_ms(9_000)
    assert not world.cluster.commit(late)


def test_an_idle_mark_that_was_learnt_ahead_of_the_watch_is_not_acted_on() -> None:
    world = World(LEAVING)
    world.pass_ms(8_000)
    world.cluster.now_ms += 1_250
    world.look()
    assert world.asked(Duty.LEAVING) == ["host_account.h1.a", "host_account.h2.a"]
    assert world.cluster.create("a", "i1", "h1")
    while world.control.asked:
        world.control.carry_out()
    for answer in list(world.control.answers):
        world.control.give(answer, world.cluster.now_ms)
    assert world.mirrors()["h1"] == "idle"
    world.cluster.now_ms += 2_000
    world.control.give(Tick(), world.cluster.now_ms)
    assert world.asked(Duty.LEAVING) == []
    world.pass_ms(1_500)
    assert world.mirrors() == {"h1": "stands"}


@pytest.mark.parametrize("what", ["account", "undeclared", "host", "rejoining host", "lost host", "prefix"])
def test_what_drains_gives_back_its_idle_addresses_and_keeps_the_bound_ones(what: str) -> None:
    world = World(hosts=1)
    cluster = world.cluster
    cluster.add_host("h2")
    cluster.add_account("b", vni=8)
    kept = cluster.reserve("b", "h2")
    reserved = cluster.reserve("a", "h1")
    for name in ("i1", "i2"):
        cluster.create("a", name, "h1")
    cluster.delete("a", "i1")
    host = cluster.ledger().host("h1").required
    if what == "account":
        cluster.put(account_key("a"), Account(tier="basic", vni=7, pools=(LOGICAL_POOL,), is_draining=True))
    elif what == "undeclared":
        cluster.store.commit([removal(account_key("a"))])
    elif what.endswith("host"):
        states = {"lost host": HostState.LOST, "rejoining host": HostState.REJOINING}
        is_draining = what != "lost host"
        state = states.get(what, HostState.UP)
        cluster.put(host_key("h1"), msgspec.structs.replace(host, state=state, is_draining=is_draining))
    else:
        cluster.put(
            pool_key(LOGICAL_POOL),
            Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24", "10.1.0.0/24"), draining=("10.0.0.0/31",)),
        )
        cluster.put(pool_key("other"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.2.0.0/24",)))
    world.look()
    given_back = world.asked(Duty.GIVING_BACK)
    expected = [record_key("a", reserved), record_key("a", "10.0.0.1")]
    if what == "lost host":
        expected = expected[:1]
    if what == "prefix":
        expected = [record_key("b", kept), *expected]
    assert sorted(given_back) == sorted(expected)
    assert world.state("10.0.0.2") is AddressState.BOUND


def test_a_duty_has_one_commit_under_way_and_goes_on_after_it() -> None:
    world = World(ControllerSettings(skew_max_ms=0, batch_max=2))
    for _ in range(5):
        world.cluster.cool("a", world.cluster.reserve("a", "h1"))
    world.settle_hosts()
    world.look()
    world.cluster.now_ms += 1_000
    world.look()
    assert len(world.asked(Duty.COOLING)) == 2
    world.control.settle(world.cluster.now_ms)
    assert world.cluster.ledger().records("a") == {}


def test_a_key_that_lost_its_compare_is_left_alone_until_the_ledger_shows_why() -> None:
    world = World()
    logical = world.cluster.reserve("a", "h1")
    world.cluster.now_ms += HOUR_MS
    world.look()
    world.cluster.create("a", "i1", "h1", logical=logical)
    (commit,) = [commit for commit in world.control.asked if commit.duty is Duty.GIVING_BACK]
    world.control.asked.remove(commit)
    results = world.cluster.store.commit([draft.transaction() for draft in commit.drafts])
    assert [result.is_success for result in results] == [False]
    world.control.give(Committed(commit, tuple(results)), world.cluster.now_ms)
    world.cluster.now_ms += 10_000
    world.control.give(Tick(), world.cluster.now_ms)
    assert world.asked(Duty.GIVING_BACK) == []
    world.look()
    assert world.asked(Duty.GIVING_BACK) == []
    assert world.state(logical) is AddressState.BOUND


def test_nothing_is_asked_of_a_store_that_is_away_before_a_pause() -> None:
    world = World()
    world.cluster.reserve("a", "h1")
    world.cluster.now_ms += HOUR_MS
    world.look()
    world.control.carry_out(is_reply_lost=True)
    world.control.give(world.control.answers.pop(), world.cluster.now_ms)
    assert world.control.machine.deadline_ms(world.cluster.now_ms) == world.cluster.now_ms + 1_000
    world.cluster.now_ms += 999
    asked = list(world.control.asked)
    world.look()
    assert world.control.asked == asked
    world.cluster.now_ms += 1
    world.look()
    world.control.settle(world.cluster.now_ms)
    assert world.state("10.0.0.0") is AddressState.COOLING


def test_a_store_that_is_not_set_up_is_left_alone() -> None:
    world = World()
    world.cluster.store.commit([removal("store_epoch")])
    world.look()
    assert world.control.asked == []


class Planned:
    """A world whose controller gets plans: account a shall hold as many addresses ready as it is told."""

    def __init__(self, *, batch_max: int = 128) -> None:
        self.world = World(ControllerSettings(batch_max=batch_max))
        self.cluster = self.world.cluster
        self.machine = ControllerMachine(self.cluster.fence, self.world.settings)
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
