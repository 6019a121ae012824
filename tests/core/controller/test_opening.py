"""The controller opens a restored store when every host was heard, and plans nothing before."""

from __future__ import annotations

from dataclasses import replace

from tests.core.controller.site import SETTINGS, World

from addrcast.core.controller.epoch import unheard
from addrcast.core.controller.messages import RequestPlan, Tick
from addrcast.core.domain.record import EpochState, HostState
from addrcast.core.propagation.audience import LostHosts


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
