"""Repeats, attempts, and deletes that come early, late or twice."""

from __future__ import annotations

import pytest
from tests.core.assignment.world import NOW, Replica, World, create, delete, outcomes, small_world

from addrcast.core.assignment.request import Request, Want
from addrcast.core.domain.errors import Exhausted, Invalid, Stale


@pytest.fixture
def world() -> World:
    return small_world()


def test_a_create_asked_for_again_gets_the_same_answer_from_any_replica(world: World) -> None:
    world.reserve("acme", "h1")
    answers = [Replica(world).create(create("acme", "i-1", "h1")) for _ in range(3)]
    assert [answer.is_repeat for answer in answers] == [False, True, True]
    assert len({answer.addresses for answer in answers}) == 1
    assert len({answer.revision for answer in answers}) == 1
    assert world.states("acme") == {answers[0].addresses[0].logical: "bound"}


def test_a_repeat_on_another_host_says_where_the_instance_is(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1"))
    assert replica.create(create("acme", "i-1", "h2")).addresses[0].host == "h1"


def test_a_request_that_was_carried_out_before_its_reply_was_lost_is_no_repeat(world: World) -> None:
    Replica(world).create(create("acme", "i-1", request="req-1"))
    assert not Replica(world).create(create("acme", "i-1", request="req-1")).is_repeat
    assert Replica(world).create(create("acme", "i-1", request="req-2")).is_repeat


def test_a_higher_attempt_keeps_the_addresses_and_makes_deletes_of_older_ones_void(world: World) -> None:
    replica = Replica(world)
    first = replica.create(create("acme", "i-1", "h1", wants=[Want(), Want()]))
    again = replica.create(create("acme", "i-1", "h1", wants=[Want(), Want()], attempt=1))
    assert again.addresses == first.addresses
    assert (again.attempt, again.is_repeat) == (1, False)
    void = replica.remove(delete("acme", "i-1", 0))
    assert (void.is_change, void.attempt, void.addresses) == (False, 1, ())
    assert set(world.states("acme").values()) == {"bound"}
    world.check()


def test_a_higher_attempt_on_another_host_moves_the_addresses_there(world: World) -> None:
    replica = Replica(world)
    first = replica.create(create("acme", "i-1", "h1"))
    moved = replica.create(create("acme", "i-1", "h2", attempt=1))
    assert moved.addresses[0].logical == first.addresses[0].logical
    assert (outcomes(moved), moved.addresses[0].host) == (["rebound"], "h2")
    assert moved.addresses[0].placed_revision == moved.revision
    world.check()


def test_a_higher_attempt_that_finds_no_room_on_its_host_changes_nothing(world: World) -> None:
    replica = Replica(world)
    first = replica.create(create("acme", "i-1", "h1", wants=[Want(), Want()]))
    replica.create(create("beta", "i-1", "h2"))
    refused = replica.refused(create("acme", "i-1", "h2", wants=[Want(), Want()], attempt=1))
    assert isinstance(refused, Exhausted)
    assert replica.create(create("acme", "i-1")).addresses == first.addresses
    world.check()


def test_a_higher_attempt_asks_for_as_many_addresses_as_there_are(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1"))
    assert isinstance(replica.refused(create("acme", "i-1", wants=[Want(), Want()], attempt=1)), Invalid)


def test_an_attempt_that_is_older_than_the_bound_one_is_too_late(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1", attempt=2))
    refused = replica.refused(create("acme", "i-1", attempt=1))
    assert isinstance(refused, Stale)
    assert "attempt 3" in str(refused)


def test_a_delete_that_overtakes_its_create_refuses_it(world: World) -> None:
    replica = Replica(world)
    buried = replica.remove(delete("acme", "i-1"))
    assert (buried.attempt, buried.is_change) == (0, False)
    assert isinstance(replica.refused(create("acme", "i-1")), Stale)
    assert replica.create(create("acme", "i-1", attempt=1)).attempt == 1
    world.check()


def test_a_delete_of_a_later_attempt_than_its_tombstone_raises_it(world: World) -> None:
    replica = Replica(world)
    replica.remove(delete("acme", "i-1", 1))
    assert replica.remove(delete("acme", "i-1", 3)).attempt == 3
    assert isinstance(replica.refused(create("acme", "i-1", attempt=2)), Stale)


def test_a_delete_asked_for_twice_succeeds_twice_and_releases_once(world: World) -> None:
    replica = Replica(world)
    answer = replica.create(create("acme", "i-1"))
    first = replica.remove(delete("acme", "i-1"))
    revision = world.store.revision
    second = replica.remove(delete("acme", "i-1"))
    third = replica.remove(delete("acme", "i-1", 0))
    assert first.addresses == (answer.addresses[0].logical,)
    assert [one.is_change for one in (first, second, third)] == [True, False, False]
    assert world.store.revision == revision
    assert set(world.states("acme").values()) == {"preserved"}
    world.check()


def test_a_delete_of_a_later_attempt_than_the_bound_one_refuses_all_up_to_it(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1"))
    assert replica.remove(delete("acme", "i-1", 4)).attempt == 4
    assert isinstance(replica.refused(create("acme", "i-1", attempt=4)), Stale)


def test_a_delete_without_an_attempt_means_what_the_store_has_bound_not_what_an_old_view_shows(
    world: World,
) -> None:
    behind, ahead = Replica(world), Replica(world)
    ahead.create(create("acme", "i-1"))
    assert behind.remove(delete("acme", "i-1")).is_change
    ahead.sync()
    behind.sync()
    ahead.create(create("acme", "i-1", attempt=1))
    assert behind.remove(delete("acme", "i-1")).attempt == 1
    behind.sync()
    ahead.sync()
    ahead.create(create("acme", "i-1", attempt=2))
    assert behind.remove(delete("acme", "i-1")).is_change
    world.check()


def test_a_repeat_is_told_what_the_store_has_bound_not_what_an_old_view_shows(world: World) -> None:
    behind, ahead = Replica(world), Replica(world)
    ahead.create(create("acme", "i-1"))
    behind.sync()
    ahead.remove(delete("acme", "i-1"))
    assert isinstance(behind.refused(create("acme", "i-1")), Stale)
    world.check()


def test_a_repeat_is_not_told_of_a_record_that_is_another_instances_by_now(world: World) -> None:
    behind, ahead = Replica(world), Replica(world)
    first = ahead.create(create("acme", "i-1", "h1"))
    behind.sync()
    ahead.remove(delete("acme", "i-1"))
    other = ahead.create(create("acme", "i-2", "h2"))
    logical = first.addresses[0].logical
    assert other.addresses[0].logical == logical
    newest = world.ledger()
    behind.assigner.ledger.learn([newest.record("acme", logical)], newest.revision)
    (pending,) = behind.submit(create("acme", "i-1", "h1"))
    pending.has_looked = True
    assert len(behind.assigner.turn(NOW).looking) == 1


def test_requests_of_one_instance_in_one_group_come_one_after_the_other(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-0", "h1"))
    asked: list[Request] = [create("acme", "i-1", "h1"), create("acme", "i-1")]
    asked += [create("acme", "i-2", "h1"), delete("acme", "i-2")]
    answers = replica.ask(*asked)
    assert [type(answer).__name__ for answer in answers] == ["Created", "Created", "Created", "Deleted"]
    assert sorted(world.states("acme").values()) == ["bound", "bound", "preserved"]
    world.check()
