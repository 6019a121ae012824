"""The controller gives up silent hosts, repairs subscriptions, lets hosts leave accounts."""

from __future__ import annotations

from dataclasses import replace

from tests.core.controller.site import SETTINGS, World, removal

from addrcast.core.controller.messages import Duty, Tick
from addrcast.core.domain.keyspace import host_key, subscription_key
from addrcast.core.domain.record import AddressState, HostState


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
