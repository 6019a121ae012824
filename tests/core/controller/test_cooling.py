"""The controller frees addresses that cooled, and no sooner than is safe."""

from __future__ import annotations

import msgspec
from tests.core.controller.site import BRISK, World

from addrcast.core.controller.messages import CoolingOverridden, Duty, LedgerChanged, Tick
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.keyspace import account_key, record_key, tier_key
from addrcast.core.domain.record import AddressState, HostState
from addrcast.core.domain.resource import HOUR_MS, Account
from addrcast.core.propagation.audience import LostHosts
from addrcast.simulation.cluster import LOGICAL_POOL


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
