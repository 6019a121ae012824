"""What the controller's machine owes to all duties: bounds, lost compares, a store that is away."""

from __future__ import annotations

from tests.core.controller.site import World, removal

from addrcast.core.controller.messages import Committed, Duty, Tick
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import HOUR_MS


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
