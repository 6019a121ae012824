"""Groups on their way: losers, lost replies, refusals by the store, new snapshots."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.core.assignment.world import DEADLINE, NOW, Replica, World, create, delete, outcomes, small_world

from addrcast.core.assignment.answer import Created, Deleted
from addrcast.core.assignment.assigner import LOSSES_MAX, Child, Pending, Reply
from addrcast.core.assignment.request import Request, Want
from addrcast.core.domain.errors import Conflict, Exhausted, OutcomeUnknown, Stale, Unavailable
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import Outcome, StoreEpoch


@pytest.fixture
def world() -> World:
    return small_world()


def test_one_that_loses_its_compare_is_retried_and_its_group_mates_are_not(world: World) -> None:
    for _ in range(2):
        world.reserve("acme", "h1")
    replica = Replica(world)
    replica.submit(create("acme", "i-0", "h1"))
    replica.run()
    replica.submit(create("acme", "i-1", "h1"), create("beta", "i-1", "h1"))
    children, _ = replica.begin()
    rival = Replica(world).create(create("acme", "rival", "h1"))
    replies = replica.assigner.settle(children, replica.commit(children))
    assert [reply.answer.account for reply in replies if isinstance(reply.answer, Created)] == ["beta"]
    (again,) = replica.run()
    assert isinstance(again.answer, Created)
    assert again.answer.addresses[0].logical != rival.addresses[0].logical
    world.check()


def test_the_children_of_a_group_write_different_keys(world: World) -> None:
    for _ in range(3):
        world.reserve("acme", "h1")
    replica = Replica(world)
    asked = [create("acme", f"i-{number}", wants=[Want(), Want()]) for number in range(4)]
    replica.submit(*asked, *asked, delete("acme", "i-0"), create("beta", "i-0"))
    seen = 0
    while replica.assigner.queued:
        children, _ = replica.begin()
        keys = [key for child in children for key in child.keys]
        assert len(set(keys)) == len(keys)
        seen += len(keys)
        replica.assigner.settle(children, replica.commit(children))
    assert seen > 0
    world.check()


def test_one_that_loses_again_and_again_is_told_of_a_conflict_and_looks_on_the_way(world: World) -> None:
    replica = Replica(world)
    (pending,) = replica.submit(create("acme", "i-1", wants=[Want(logical="10.0.0.5")]))
    looks = 0
    replies: list[Reply] = []
    while not replies:
        turn = replica.assigner.turn(NOW)
        looks += len(turn.looking)
        replica.assigner.looked(turn.looking)
        if turn.children:
            world.pool("p", "10.0.0.0/28")  # the pool is compared, so a change of it beats every attempt
            replies = replica.assigner.settle(turn.children, replica.commit(turn.children))
    assert isinstance(replies[0].answer, Conflict)
    assert pending.losses == LOSSES_MAX + 1
    assert looks == LOSSES_MAX // 3
    assert world.states("acme") == {}


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_create_of_unknown_outcome_is_read_back_and_decided_again(world: World, is_carried_out: bool) -> None:
    logical = world.reserve("acme", "h1")
    replica = Replica(world)
    replica.submit(create("acme", "i-1", "h1", request="r-1"))
    children, _ = replica.begin()
    if is_carried_out:
        replica.commit(children)
    replica.assigner.read_back(children, world.store.read(replica.assigner.unknown(children)))
    (reply,) = replica.run()
    assert isinstance(reply.answer, Created)
    assert (outcomes(reply.answer), reply.answer.is_repeat) == (["shadow"], False)
    if not is_carried_out:
        assert not replica.commit(children)[0].is_success, "the first try lands late and loses"
    assert world.states("acme") == {logical: "bound"}
    world.check()


def test_a_delete_of_unknown_outcome_never_releases_what_was_bound_after_it(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1"))
    replica.submit(delete("acme", "i-1"))
    children, _ = replica.begin()
    replica.commit(children)
    Replica(world).create(create("acme", "i-1", "h1", attempt=1))
    read_back(replica, children)
    (reply,) = replica.run()
    assert isinstance(reply.answer, OutcomeUnknown)
    assert set(world.states("acme").values()) == {"bound"}


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_delete_of_unknown_outcome_is_read_back_and_decided_again(world: World, is_carried_out: bool) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1"))
    children = in_doubt(replica, delete("acme", "i-1", request="r-1"), is_carried_out=is_carried_out)
    read_back(replica, children)
    (reply,) = replica.run()
    assert isinstance(reply.answer, Deleted)
    assert (reply.answer.attempt, reply.answer.is_change) == (0, True)
    assert set(world.states("acme").values()) == {"preserved"}


def test_a_delete_of_unknown_outcome_from_an_old_view_is_not_taken_for_done(world: World) -> None:
    behind, ahead = Replica(world), Replica(world)
    ahead.create(create("acme", "i-1", "h1"))
    behind.sync()
    ahead.create(create("acme", "i-1", "h1", attempt=1))
    children = in_doubt(behind, delete("acme", "i-1"), is_carried_out=True)
    read_back(behind, children)
    (reply,) = behind.run()
    assert isinstance(reply.answer, OutcomeUnknown), "attempt 1 was bound when the delete came, and still is"
    assert behind.remove(delete("acme", "i-1")).attempt == 1


def test_a_delete_of_unknown_outcome_that_had_looked_means_what_was_bound_then(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1"))
    (pending,) = replica.submit(delete("acme", "i-1"))
    pending.has_looked = True
    children, _ = replica.begin()
    replica.commit(children)
    Replica(world).create(create("acme", "i-1", "h1", attempt=1))
    read_back(replica, children)
    (reply,) = replica.run()
    assert isinstance(reply.answer, Deleted)
    assert reply.answer.attempt == 1
    assert set(world.states("acme").values()) == {"bound"}


def in_doubt(replica: Replica, request: Request, *, is_carried_out: bool = False) -> list[Child]:
    """Have a request attempted whose reply is lost; what was sent."""
    replica.submit(request)
    children, _ = replica.begin()
    if is_carried_out:
        replica.commit(children)
    return children


def read_back(replica: Replica, children: list[Child]) -> None:
    replica.assigner.read_back(children, replica.world.store.read(replica.assigner.unknown(children)))


def test_nobody_is_told_that_nothing_happened_while_an_attempt_may_yet_land(world: World) -> None:
    replica = Replica(world)
    children = in_doubt(replica, create("acme", "i-1", "h1"))
    read_back(replica, children)
    (late,) = replica.run(DEADLINE)
    assert isinstance(late.answer, OutcomeUnknown)
    assert replica.commit(children)[0].is_success


def test_nobody_is_told_that_nothing_happened_where_an_attempt_has_landed_and_gone(world: World) -> None:
    replica, other = Replica(world), Replica(world)
    children = in_doubt(replica, create("acme", "i-1", "h1"), is_carried_out=True)
    other.remove(delete("acme", "i-1"))
    read_back(replica, children)
    (late,) = replica.run(DEADLINE)
    assert isinstance(late.answer, OutcomeUnknown)


def test_an_attempt_that_cannot_land_any_more_leaves_no_doubt(world: World) -> None:
    world.host("h3", "192.0.2.16/32")
    replica = Replica(world)
    children = in_doubt(replica, create("acme", "i-1", "h3"))
    Replica(world).create(create("beta", "rival", "h3"))
    read_back(replica, children)
    (refused,) = replica.run()
    assert isinstance(refused.answer, Exhausted)
    assert not replica.commit(children)[0].is_success


def test_one_whose_attempt_landed_and_was_deleted_is_too_late(world: World) -> None:
    replica, other = Replica(world), Replica(world)
    children = in_doubt(replica, create("acme", "i-1", "h1"), is_carried_out=True)
    other.remove(delete("acme", "i-1"))
    read_back(replica, children)
    (late,) = replica.run()
    assert isinstance(late.answer, Stale)


def test_a_taking_back_of_unknown_outcome_is_decided_again(world: World) -> None:
    world.host("h3", "192.0.2.16/32")
    world.reserve("beta", "h3")
    replica = Replica(world)
    replica.submit(create("acme", "i-1", "h3"))
    replica.begin()
    children, _ = replica.begin()
    replica.commit(children)
    replica.assigner.read_back(children, world.store.read(replica.assigner.unknown(children)))
    assert replica.run() == []
    assert replica.assigner.is_waiting
    assert world.states("beta") == {"10.0.0.0": "cooling"}


def test_a_group_that_the_store_refuses_gives_back_what_it_took(world: World) -> None:
    logical = world.reserve("acme", "h1")
    replica = Replica(world)
    replica.submit(create("acme", "i-1", "h1"))
    children, _ = replica.begin()
    away = Unavailable("the store is away", retry_after_ms=1)
    (reply,) = replica.assigner.failed(children, away)
    assert reply.answer is away
    answer = replica.create(create("acme", "i-2", "h1"))
    assert (answer.addresses[0].logical, outcomes(answer)) == (logical, ["shadow"])


def test_after_a_new_snapshot_decisions_rest_on_it(world: World) -> None:
    for _ in range(3):
        world.reserve("acme", "h1")
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1"))
    Replica(world).create(create("acme", "i-2", "h1"))
    replica.assigner.ledger = world.ledger()
    replica.assigner.ledger = replica.assigner.ledger
    revision = world.store.revision
    answer = replica.create(create("acme", "i-3", "h1"))
    assert answer.revision == revision + 1, "the first attempt wins"
    world.check()


def test_what_was_drawn_ahead_is_offered_only_if_it_stands(world: World) -> None:
    logicals = [world.reserve("acme", "h1") for _ in range(3)]
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1"))
    world.cool("acme", logicals[1])
    replica.sync()
    answer = replica.create(create("acme", "i-2", "h1"))
    assert answer.addresses[0].logical == logicals[2]
    assert len(outcomes(replica.create(create("acme", "i-3", "h1")))) == 1


def test_what_gets_no_new_use_hides_nothing_that_does(world: World) -> None:
    world.host("h1", "192.0.2.0/25")
    world.pool("p", "10.0.0.0/25")
    for _ in range(70):
        world.reserve("acme", "h1")
    world.pool("p", "10.0.0.0/25", "10.1.0.0/25", draining=("10.0.0.0/25",))
    good = world.reserve("acme", "h1")
    answer = Replica(world).create(create("acme", "i-1", "h1"))
    assert (answer.addresses[0].logical, outcomes(answer)) == (good, ["shadow"])


def test_pools_that_change_void_what_was_drawn_of_their_free_addresses(world: World) -> None:
    replica = Replica(world)
    assert replica.create(create("acme", "i-1")).addresses[0].logical == "10.0.0.0"
    world.pool("p", "10.0.0.0/28", "10.7.0.0/28", draining=("10.0.0.0/28",))
    replica.sync()
    assert replica.create(create("acme", "i-2")).addresses[0].logical == "10.7.0.0"


def test_addresses_that_came_back_are_found_after_the_end_of_those_drawn(world: World) -> None:
    world.pool("p", "10.0.0.0/31")
    replica = Replica(world)
    wants = [Want(pool="p")]
    first = replica.create(create("acme", "i-1", "h1", wants=wants)).addresses[0].logical
    replica.create(create("acme", "i-2", "h1", wants=wants))
    replica.remove(delete("acme", "i-1"))
    world.cool("acme", first)
    world.free_cooled()
    replica.sync()
    assert replica.create(create("acme", "i-3", "h1", wants=wants)).addresses[0].logical == first


@pytest.mark.parametrize("other", ["acme", "beta"])
def test_nobody_is_refused_while_the_last_logical_address_is_in_flight(world: World, other: str) -> None:
    world.pool("p", "10.0.0.0/32", is_shared=other != "acme")
    replica = Replica(world)
    wants = [Want(pool="p")]
    replica.submit(create("acme", "i-1", "h1", wants=wants), create(other, "i-2", "h2", wants=wants))
    (child,), _ = replica.begin()
    assert replica.run() == []
    replies = [*replica.assigner.settle([child], replica.commit([child])), *replica.run()]
    assert [type(reply.answer) for reply in replies] == [Created, Exhausted]


def test_one_that_lacks_an_address_is_not_held_by_attempts_that_hold_others(world: World) -> None:
    world.pool("p", "10.0.0.0/32")
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1", wants=[Want(pool="p")]))
    replica.submit(create("beta", "i-1", "h1"), create("acme", "i-2", "h1", wants=[Want(pool="p")]))
    (child,), _ = replica.begin()
    (reply,) = replica.run()
    assert isinstance(reply.answer, Exhausted)
    assert replica.commit([child])[0].is_success


@pytest.mark.parametrize("request_", [create("acme", "i-1", "h1"), delete("acme", "i-1")])
def test_a_view_that_has_seen_an_instance_ahead_of_its_records_is_brought_up_first(
    world: World, request_: Request
) -> None:
    behind = Replica(world)
    Replica(world).create(create("acme", "i-1", "h1"))
    behind.assigner.ledger.learn([world.ledger().instance("acme", "i-1")], world.store.revision)
    pending = Pending(request_, has_looked=True)
    behind.assigner.submit(pending)
    assert behind.assigner.turn(NOW).looking == [pending]


def test_every_outcome_says_why(world: World) -> None:
    (address,) = Replica(world).create(create("acme", "i-1")).addresses
    causes = {replace(address, outcome=outcome).cause for outcome in Outcome}
    assert len(causes) == len(Outcome)


def test_one_that_waits_hears_of_an_attempt_that_failed_even_if_nothing_changed(world: World) -> None:
    world.reserve("beta", "h2")
    world.host("h2", "192.0.2.8/32")
    replica = Replica(world)
    replica.submit(create("beta", "i-1", "h2"))
    children, _ = replica.begin()
    assert replica.ask(create("acme", "i-1", "h2")) == [None]
    assert world.states("beta") == {"10.0.0.0": "reserved"}, "it is in flight, so it is not taken back"
    replica.assigner.failed(children, Unavailable("the store is away", retry_after_ms=1))
    assert replica.run() == []
    assert world.states("beta") == {"10.0.0.0": "cooling"}


def test_a_view_learns_nothing_from_a_store_of_another_epoch(world: World) -> None:
    replica = Replica(world)
    (pending,) = replica.submit(create("acme", "i-1"))
    children, _ = replica.begin()
    world.put(EPOCH, StoreEpoch(epoch=2))
    assert replica.assigner.settle(children, replica.commit(children)) == []
    assert replica.assigner.ledger.epoch.required.epoch == 1
    (reply,) = replica.run()
    assert reply.pending is pending
    assert isinstance(reply.answer, Created), "it looked, and the view came to the new epoch"
