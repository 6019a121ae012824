"""What happens when nothing is free: early return, taking back, waiting, refusal."""

from __future__ import annotations

import pytest
from tests.core.assignment.world import DEADLINE, NOW, Replica, World, create, delete, outcomes, small_world

from addrcast.core.assignment.answer import Created
from addrcast.core.assignment.assigner import Pending
from addrcast.core.assignment.request import Want
from addrcast.core.domain.errors import Conflict, Exhausted, Invalid, Stale, Unavailable
from addrcast.core.domain.record import EpochState, HostState
from addrcast.core.domain.resource import PoolKind


@pytest.fixture
def world() -> World:
    return small_world()


def fill(world: World, host: str, count: int, account: str = "other") -> None:
    replica = Replica(world)
    for number in range(count):
        replica.create(create(account, f"{host}-{number}", host))


def names(world: World) -> dict[str, str]:
    return {
        f"{account}/{logical}": state
        for account in ("acme", "beta", "prime")
        for logical, state in world.states(account).items()
        if state != "bound"
    }


def test_n_free_addresses_and_more_creates_at_once_give_exactly_n(world: World) -> None:
    answers = Replica(world).ask(*[create("acme", f"i-{number}") for number in range(10)])
    got = [answer for answer in answers if isinstance(answer, Created)]
    assert len(got) == 6
    assert len({answer.addresses[0].physical for answer in got}) == 6
    assert sum(isinstance(answer, Exhausted) for answer in answers) == 4
    world.check()


def test_a_cooling_address_comes_back_to_its_account_before_others_are_robbed(world: World) -> None:
    cooled = world.reserve("acme", "h2")
    world.cool("acme", cooled)
    world.reserve("beta", "h2")
    answer = Replica(world).create(create("acme", "i-1", "h2"))
    assert (outcomes(answer), answer.addresses[0].logical) == (["dynamic"], cooled)
    assert answer.addresses[0].placed_revision == answer.revision
    assert names(world) == {"beta/10.0.0.0": "reserved"}
    world.check()


def test_a_cooling_address_comes_back_to_its_instance_as_preserved(world: World) -> None:
    replica = Replica(world)
    logical = replica.create(create("acme", "i-1", "h2")).addresses[0].logical
    replica.remove(delete("acme", "i-1"))
    world.cool("acme", logical)
    fill(world, "h2", 1)
    replica.sync()
    assert outcomes(replica.create(create("acme", "i-1", "h2", attempt=1))) == ["preserved"]


def test_a_cooling_address_elsewhere_moves_where_its_pool_has_no_other(world: World) -> None:
    world.pool("p", "10.0.0.0/32")
    cooled = world.reserve("acme", "h1")
    world.cool("acme", cooled)
    answer = Replica(world).create(create("acme", "i-1", "h2", wants=[Want(pool="p")]))
    assert (outcomes(answer), answer.addresses[0].host) == (["dynamic"], "h2")
    world.check()


def test_without_an_asked_host_a_cooling_address_is_found_where_it_is(world: World) -> None:
    cooled = world.reserve("acme", "h2")
    world.cool("acme", cooled)
    fill(world, "h1", 4)
    fill(world, "h2", 1)
    answer = Replica(world).create(create("acme", "i-1"))
    assert (answer.addresses[0].logical, answer.addresses[0].host) == (cooled, "h2")


def test_an_idle_address_of_another_account_is_taken_back_and_the_create_waits_for_it(world: World) -> None:
    world.reserve("beta", "h2")
    fill(world, "h2", 1)
    replica = Replica(world)
    assert replica.ask(create("acme", "i-1", "h2")) == [None]
    assert names(world) == {"beta/10.0.0.0": "cooling"}
    assert replica.assigner.deadline_ms() == DEADLINE
    world.free_cooled()
    replica.sync()
    (reply,) = replica.run()
    assert isinstance(reply.answer, Created)
    assert replica.assigner.deadline_ms() is None
    world.check()


def test_the_lowest_tier_gives_first_and_premium_last_and_reserved_before_preserved(world: World) -> None:
    world.host("h1", "192.0.2.0/30", "192.0.2.4/31")
    replica = Replica(world)
    replica.create(create("beta", "gone", "h1"))
    replica.remove(delete("beta", "gone"))
    kept = {"prime": "", "acme": "", "beta": ""}
    for account in kept:
        kept[account] = world.reserve(account, "h1")
    second = world.reserve("beta", "h1")
    fill(world, "h1", 1)
    replica.sync()
    order = []
    for number in range(5):
        before = names(world)
        assert replica.ask(create("acme", f"i-{number}", "h1", wants=[Want(pool="six")])) == [None]
        order += [name for name, state in names(world).items() if before[name] != state]
    assert order == [
        f"beta/{kept['beta']}",
        f"beta/{second}",
        f"acme/{kept['acme']}",
        f"prime/{kept['prime']}",
        "beta/10.0.0.0",
    ]


def test_without_an_asked_host_the_idle_address_worth_least_of_all_hosts_is_taken_back(world: World) -> None:
    world.reserve("prime", "h1")
    world.reserve("beta", "h2")
    fill(world, "h1", 3, "acme")
    fill(world, "h2", 1, "acme")
    assert Replica(world).ask(create("acme", "i-1")) == [None]
    assert names(world) == {"prime/10.0.0.0": "reserved", "beta/10.0.0.0": "cooling"}


def test_what_is_left_of_an_account_that_is_gone_is_taken_back_first(world: World) -> None:
    replica = Replica(world)
    world.account("gone")
    world.reserve("beta", "h2")
    world.reserve("gone", "h2")
    world.delete("account.gone")
    assert replica.ask(create("acme", "i-1", "h2")) == [None]
    assert world.states("gone") == {"10.0.0.0": "cooling"}


def test_what_cools_of_an_account_that_is_gone_is_waited_for_without_knowing_how_long(world: World) -> None:
    replica = Replica(world)
    world.account("gone")
    world.host("h2", "192.0.2.8/32")
    logical = replica.create(create("gone", "i-1", "h2")).addresses[0].logical
    replica.remove(delete("gone", "i-1"))
    world.cool("gone", logical)
    world.delete("account.gone")
    assert replica.ask(create("acme", "i-1", "h2")) == [None]
    (reply,) = replica.assigner.expire(DEADLINE)
    assert isinstance(reply.answer, Unavailable)
    assert reply.answer.retry_after_ms == 1_000


def test_what_cools_elsewhere_or_for_others_is_not_waited_for(world: World) -> None:
    world.pool("p", "10.0.0.0/32")
    world.cool("beta", world.reserve("beta", "h1"))
    replica = Replica(world)
    wants = [Want(pool="p")]
    replica.create(create("acme", "i-1", "h1", wants=wants))
    assert isinstance(replica.refused(create("acme", "i-2", "h1", wants=wants)), Exhausted)


def test_each_waiting_create_counts_on_an_address_of_its_own(world: World) -> None:
    for account in ("beta", "prime"):
        world.reserve(account, "h2")
    replica = Replica(world)
    assert replica.ask(create("acme", "i-1", "h2"), create("acme", "i-2", "h2")) == [None, None]
    assert set(names(world).values()) == {"cooling"}
    assert replica.ask(create("acme", "i-3", "h2")) == [None], "something is coming, so it is not refused yet"
    world.free_cooled()
    replica.sync()
    answers = [reply.answer for reply in replica.run()]
    assert sum(isinstance(answer, Created) for answer in answers) == 2
    assert sum(isinstance(answer, Exhausted) for answer in answers) == 1
    world.check()


def test_what_cools_already_is_waited_for_before_anything_is_taken_back(world: World) -> None:
    world.cool("beta", world.reserve("beta", "h2"))
    world.reserve("prime", "h2")
    assert Replica(world).ask(create("acme", "i-1", "h2")) == [None]
    assert names(world) == {"beta/10.0.0.0": "cooling", "prime/10.0.0.0": "reserved"}


def test_a_physical_address_that_a_move_left_behind_is_waited_for(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h2"))
    replica.create(create("acme", "i-1", "h1", attempt=1))
    fill(world, "h2", 1)
    assert replica.ask(create("acme", "i-2", "h2")) == [None]
    late = replica.assigner.expire(DEADLINE)[0].answer
    assert isinstance(late, Unavailable)
    assert late.retry_after_ms == 30_000, "the cooldown of the account's tier"


def test_a_create_that_waits_is_told_unavailable_when_its_deadline_comes(world: World) -> None:
    world.reserve("beta", "h2")
    fill(world, "h2", 1)
    replica = Replica(world)
    assert replica.ask(create("acme", "i-1", "h2")) == [None]
    assert replica.assigner.expire(DEADLINE - 1) == []
    (reply,) = replica.assigner.expire(DEADLINE)
    assert isinstance(reply.answer, Unavailable)
    assert "host h2" in str(reply.answer)
    assert not replica.assigner.is_waiting


def test_a_request_whose_deadline_is_over_is_not_carried_out(world: World) -> None:
    refused = Replica(world).refused(create("acme", "i-1", deadline_ms=NOW), now_ms=NOW)
    assert isinstance(refused, Unavailable)
    assert world.states("acme") == {}


def test_exhausted_is_said_only_after_a_look_at_the_store(world: World) -> None:
    fill(world, "h2", 2)
    replica = Replica(world)
    Replica(world).remove(delete("other", "h2-0"))
    world.cool("other", "10.0.0.0")
    world.free_cooled()
    assert isinstance(replica.ask(create("acme", "i-1", "h2"))[0], Created)


def test_nobody_is_refused_while_the_last_address_is_in_flight_for_an_attempt_that_may_fail(world: World) -> None:
    fill(world, "h2", 1)
    replica = Replica(world)
    replica.submit(create("acme", "i-1", "h2"))
    (first,), _ = replica.begin()
    (second,) = replica.submit(create("acme", "i-2", "h2"))
    assert replica.run() == [], "it is held until the address is taken indeed"
    Replica(world).create(create("acme", "i-1", "h1"))
    replies = [*replica.assigner.settle([first], replica.commit([first])), *replica.run()]
    (answer,) = (reply.answer for reply in replies if reply.pending is second)
    assert isinstance(answer, Created)
    world.check()


def test_nobody_is_refused_while_a_ready_address_of_the_account_is_in_flight(world: World) -> None:
    world.reserve("acme", "h2")
    fill(world, "h2", 1)
    replica = Replica(world)
    replica.submit(create("acme", "i-1", "h2"), create("acme", "i-2", "h2"))
    (child,), _ = replica.begin()
    assert replica.run() == []
    replies = [*replica.assigner.settle([child], replica.commit([child])), *replica.run()]
    assert [type(reply.answer) for reply in replies] == [Created, Exhausted]


def test_a_host_that_is_about_to_return_is_waited_for_unless_all_it_has_is_bound(world: World) -> None:
    fill(world, "h1", 4)
    fill(world, "h2", 1)
    world.host("h2", "192.0.2.8/31", state=HostState.REJOINING)
    replica = Replica(world)
    assert replica.ask(create("acme", "i-1")) == [None]
    world.host("h2", "192.0.2.8/31")
    replica.sync()
    assert isinstance(replica.run()[0].answer, Created)
    world.host("h2", "192.0.2.8/31", state=HostState.REJOINING)
    replica.sync()
    assert isinstance(replica.refused(create("acme", "i-2")), Exhausted)


def test_a_host_that_will_drain_once_it_is_back_is_not_waited_for(world: World) -> None:
    fill(world, "h1", 4)
    world.host("h2", "192.0.2.8/31", state=HostState.REJOINING, is_draining=True)
    assert isinstance(Replica(world).refused(create("acme", "i-1")), Exhausted)


def test_a_create_that_asks_for_a_draining_host_is_told_so(world: World) -> None:
    world.host("h2", "192.0.2.8/31", is_draining=True)
    with pytest.raises(Unavailable, match="host h2 is draining"):
        raise Replica(world).refused(create("acme", "i-1", "h2"))


def test_nothing_is_taken_back_while_a_look_would_show_a_free_address(world: World) -> None:
    fill(world, "h2", 1, "acme")
    world.reserve("beta", "h2")
    replica = Replica(world)
    Replica(world).remove(delete("acme", "h2-0"))
    world.cool("acme", "10.0.0.0")
    world.free_cooled()
    assert isinstance(replica.ask(create("prime", "i-1", "h2"))[0], Created)
    assert names(world) == {"beta/10.0.0.0": "reserved"}


def test_nobody_is_refused_over_a_view_that_was_learnt_in_part_ahead_of_the_watch(world: World) -> None:
    fill(world, "h2", 1)
    world.reserve("acme", "h2")
    replica = Replica(world)
    Replica(world).remove(delete("other", "h2-0"))
    replica.create(create("acme", "i-1", "h2"))
    pending = Pending(create("acme", "i-2", "h2"), has_looked=True)
    replica.assigner.submit(pending)
    assert replica.run() == [], "the address that the other replica preserved meanwhile is taken back"
    assert world.states("other") == {"10.0.0.0": "cooling"}


def test_nobody_is_refused_over_the_owner_that_a_lost_race_has_shown_ahead_of_the_watch(world: World) -> None:
    fill(world, "h2", 1)
    replica = Replica(world)
    other = Replica(world)
    other.remove(delete("other", "h2-0"))
    other.create(create("beta", "i-1", "h2"))
    replica.assigner.submit(Pending(create("acme", "i-1", "h2"), has_looked=True))
    assert replica.run() == [], "the address that was preserved before the race is taken back"
    assert world.states("other") == {"10.0.0.0": "cooling"}


def test_nobody_is_refused_over_an_idle_address_that_moved_away_while_it_was_taken_back(world: World) -> None:
    world.reserve("beta", "h2")
    fill(world, "h2", 1)
    replica = Replica(world)
    replica.assigner.submit(Pending(create("acme", "i-1", "h2"), has_looked=True))
    (child,), _ = replica.begin()
    Replica(world).create(create("beta", "i-1", "h1"))
    assert [*replica.assigner.settle([child], replica.commit([child])), *replica.run()] == []
    world.free_cooled()
    replica.sync()
    assert isinstance(replica.run()[0].answer, Created)


def test_nobody_is_refused_while_an_idle_address_of_another_account_is_in_flight(world: World) -> None:
    world.reserve("beta", "h2")
    fill(world, "h2", 1)
    replica = Replica(world)
    replica.submit(create("beta", "i-1", "h2"))
    (child,), _ = replica.begin()
    (waiting,) = replica.submit(create("acme", "i-1", "h2"))
    assert replica.run() == []
    Replica(world).remove(delete("beta", "i-1"))
    (beta,) = [*replica.assigner.settle([child], replica.commit([child])), *replica.run()]
    assert isinstance(beta.answer, Stale), "the delete overtook the create"
    replica.sync()
    assert replica.run() == []
    assert names(world) == {"beta/10.0.0.0": "cooling"}
    assert waiting.expecting


class TestSharedPool:
    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.pool("p", "10.0.0.0/31", is_shared=True)
        world.pool("substrate", "192.0.2.0/24", kind=PoolKind.PHYSICAL)
        world.account("acme")
        world.account("beta", tier="basic")
        world.account("prime", tier="premium")
        world.host("h1", "192.0.2.0/24")
        return world

    def test_an_address_belongs_to_one_account_at_a_time(self, world: World) -> None:
        answers = Replica(world).ask(*[create(account, "i-1") for account in ("acme", "beta", "prime")])
        got = [answer for answer in answers if isinstance(answer, Created)]
        assert {answer.account for answer in got} == {"acme", "prime"}, "higher tiers choose first in a group"
        assert len({answer.addresses[0].logical for answer in got}) == 2
        world.check()

    def test_an_idle_address_of_the_pool_is_taken_back(self, world: World) -> None:
        world.reserve("prime", "h1")
        world.reserve("beta", "h1")
        replica = Replica(world)
        assert replica.ask(create("acme", "i-1")) == [None]
        assert names(world) == {"prime/10.0.0.0": "reserved", "beta/10.0.0.1": "cooling"}
        world.free_cooled()
        replica.sync()
        assert isinstance(replica.run()[0].answer, Created)
        world.check()

    def test_a_preserved_address_of_the_pool_is_taken_back_last(self, world: World) -> None:
        replica = Replica(world)
        replica.create(create("beta", "gone"))
        replica.remove(delete("beta", "gone"))
        world.reserve("prime", "h1")
        replica.sync()
        assert replica.ask(create("acme", "i-1")) == [None]
        assert names(world) == {"beta/10.0.0.0": "preserved", "prime/10.0.0.1": "cooling"}
        assert replica.ask(create("acme", "i-2")) == [None]
        assert names(world)["beta/10.0.0.0"] == "cooling"

    def test_nobody_is_robbed_while_an_address_of_the_account_on_another_host_is_in_flight(
        self, world: World
    ) -> None:
        world.host("h1", "192.0.2.0/28")
        world.host("h2", "192.0.2.16/28")
        world.reserve("prime", "h2")
        world.reserve("beta", "h1")
        replica = Replica(world)
        replica.submit(create("prime", "i-1", "h2"))
        (child,), _ = replica.begin()
        replica.submit(create("prime", "i-2", "h1"))
        assert replica.run() == []
        assert names(world) == {"prime/10.0.0.0": "reserved", "beta/10.0.0.1": "reserved"}
        Replica(world).remove(delete("prime", "i-1"))
        replies = [*replica.assigner.settle([child], replica.commit([child])), *replica.run()]
        assert {type(reply.answer) for reply in replies} == {Stale, Created}

    def test_nobody_is_refused_over_a_claim_that_a_lost_race_has_shown_ahead_of_the_watch(
        self, world: World
    ) -> None:
        replica = Replica(world)
        Replica(world).create(create("prime", "i-1"))
        replica.sync()
        other = Replica(world)
        other.remove(delete("prime", "i-1"))
        other.create(create("beta", "i-1"))
        replica.assigner.submit(Pending(create("acme", "i-1"), has_looked=True))
        assert replica.run() == []
        assert world.states("prime") == {"10.0.0.0": "cooling"}

    def test_a_named_idle_address_is_taken_back_from_its_account(self, world: World) -> None:
        world.reserve("prime", "h1", logical="10.0.0.1")
        replica = Replica(world)
        named = create("beta", "i-1", wants=[Want(logical="10.0.0.1")])
        assert replica.ask(named) == [None]
        assert names(world) == {"prime/10.0.0.1": "cooling"}
        assert replica.ask(create("acme", "i-1", wants=[Want(logical="10.0.0.1")])) == [None]
        world.free_cooled()
        replica.sync()
        assert sorted(type(reply.answer).__name__ for reply in replica.run()) == ["Conflict", "Created"]
        world.check()

    def test_a_named_address_in_use_by_another_account_is_refused(self, world: World) -> None:
        wants = [Want(logical="10.0.0.1")]
        replica = Replica(world)
        replica.create(create("acme", "i-1", wants=wants))
        assert isinstance(replica.refused(create("beta", "i-1", wants=wants)), Conflict)

    def test_two_accounts_that_name_one_free_address_at_once_do_not_both_get_it(self, world: World) -> None:
        wants = [Want(logical="10.0.0.1")]
        answers = Replica(world).ask(create("beta", "i-1", wants=wants), create("acme", "i-1", wants=wants))
        assert [type(answer).__name__ for answer in answers] == ["Conflict", "Created"]
        world.check()


class TestQuota:
    @pytest.fixture
    def world(self) -> World:
        world = small_world()
        world.account("acme", quota=2)
        return world

    def test_an_account_at_its_quota_is_refused_new_addresses(self, world: World) -> None:
        replica = Replica(world)
        replica.create(create("acme", "i-1"))
        world.reserve("acme", "h1")
        replica.sync()
        assert outcomes(replica.create(create("acme", "i-2"))) == ["shadow"]
        refused = replica.refused(create("acme", "i-3"))
        assert isinstance(refused, Exhausted)
        assert "quota" in str(refused)
        assert isinstance(replica.refused(create("acme", "i-4", wants=[Want(logical="10.0.0.9")])), Exhausted)

    def test_all_addresses_of_a_create_count(self, world: World) -> None:
        assert isinstance(Replica(world).refused(create("acme", "i-1", wants=[Want()] * 3)), Exhausted)
        assert len(Replica(world).create(create("acme", "i-1", wants=[Want()] * 2)).addresses) == 2


class TestRefused:
    def test_while_the_store_is_closed_creates_are_but_deletes_go_on(self, world: World) -> None:
        replica = Replica(world)
        replica.create(create("acme", "i-1"))
        world.close()
        assert isinstance(replica.refused(create("acme", "i-2")), Unavailable)
        assert replica.remove(delete("acme", "i-1")).is_change

    def test_while_the_store_is_frozen_deletes_are_too(self, world: World) -> None:
        world.close(EpochState.FROZEN)
        assert isinstance(Replica(world).refused(delete("acme", "i-1")), Unavailable)

    def test_before_the_store_is_set_up_everything_is(self, world: World) -> None:
        world.delete("store_epoch")
        assert isinstance(Replica(world).refused(create("acme", "i-1")), Unavailable)

    def test_accounts_and_hosts_that_are_unknown_or_take_no_new_use_are(self, world: World) -> None:
        world.account("leaving", is_draining=True)
        world.host("h3", "192.0.2.16/30", state=HostState.LOST)
        replica = Replica(world)
        assert isinstance(replica.refused(create("nobody", "i-1")), Invalid)
        assert isinstance(replica.refused(create("leaving", "i-1")), Invalid)
        assert isinstance(replica.refused(create("acme", "i-1", "h9")), Invalid)
        assert isinstance(replica.refused(create("acme", "i-1", "h3")), Unavailable)

    def test_creates_are_while_no_host_is_up(self, world: World) -> None:
        for host, block in (("h1", "192.0.2.0/30"), ("h2", "192.0.2.8/31")):
            world.host(host, block, state=HostState.REJOINING)
        assert isinstance(Replica(world).refused(create("acme", "i-1")), Unavailable)

    def test_what_was_declared_after_the_last_look_is_known_after_the_next(self, world: World) -> None:
        replica = Replica(world)
        world.account("newcomer")
        assert outcomes(replica.create(create("newcomer", "i-1"))) == ["dynamic"]
