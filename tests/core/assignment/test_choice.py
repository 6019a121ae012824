"""In which order a create chooses, and what it reports."""

from __future__ import annotations

import pytest
from tests.core.assignment.world import Replica, World, create, delete, outcomes, small_world

from addrcast.core.assignment.request import Want
from addrcast.core.domain.address import Family
from addrcast.core.domain.errors import Conflict, Exhausted, Invalid
from addrcast.core.domain.record import HostState


@pytest.fixture
def world() -> World:
    return small_world()


def test_an_address_ready_on_the_asked_host_is_a_shadow_and_changes_nothing_there(world: World) -> None:
    logical = world.reserve("acme", "h1")
    before = world.record("acme", logical)
    answer = Replica(world).create(create("acme", "i-1", "h1"))
    after = world.record("acme", logical)
    assert outcomes(answer) == ["shadow"]
    assert (after.physical, after.host) == (before.physical, before.host)
    assert answer.addresses[0].placed_revision < answer.revision
    world.check()


def test_without_an_asked_host_an_address_ready_anywhere_is_a_shadow(world: World) -> None:
    world.reserve("acme", "h2")
    answer = Replica(world).create(create("acme", "i-1"))
    assert (outcomes(answer), answer.addresses[0].host) == (["shadow"], "h2")


def test_an_address_ready_elsewhere_moves_to_the_asked_host_and_its_old_physical_cools(world: World) -> None:
    logical = world.reserve("acme", "h1")
    old = world.record("acme", logical).physical
    answer = Replica(world).create(create("acme", "i-1", "h2"))
    assert outcomes(answer) == ["rebound"]
    assert answer.addresses[0].placed_revision == answer.revision
    assert world.record("acme", logical).host == "h2"
    assert [entry.key for entry in world.ledger().cooling_physicals()] == [f"physical_address.{old}"]
    world.check()


def test_with_nothing_ready_a_free_address_is_taken(world: World) -> None:
    answer = Replica(world).create(create("acme", "i-1", "h1"))
    assert outcomes(answer) == ["dynamic"]
    assert answer.addresses[0].placed_revision == answer.revision
    world.check()


def test_an_instance_gets_its_former_address_back_even_on_another_host(world: World) -> None:
    replica = Replica(world)
    world.reserve("acme", "h1")
    former = replica.create(create("acme", "i-1", "h1")).addresses[0].logical
    replica.remove(delete("acme", "i-1"))
    world.reserve("acme", "h2")
    replica.sync()
    answer = replica.create(create("acme", "i-1", "h2", attempt=1))
    assert (outcomes(answer), answer.addresses[0].logical) == (["preserved"], former)
    replica.remove(delete("acme", "i-1"))
    answer = replica.create(create("acme", "i-1", attempt=2))
    assert (outcomes(answer), answer.addresses[0].host) == (["preserved"], "h2")
    world.check()


def test_a_former_address_that_cannot_move_gives_way_to_one_that_is_ready_here(world: World) -> None:
    replica = Replica(world)
    former = replica.create(create("acme", "i-1", "h1")).addresses[0].logical
    replica.remove(delete("acme", "i-1"))
    ready = world.reserve("acme", "h2")
    world.reserve("beta", "h2")
    replica.sync()
    answer = replica.create(create("acme", "i-1", "h2", attempt=1))
    assert (outcomes(answer), answer.addresses[0].logical) == (["shadow"], ready)
    assert former != ready


def test_a_reserved_address_is_taken_before_one_that_is_kept_for_another_instance(world: World) -> None:
    replica = Replica(world)
    replica.create(create("acme", "i-1", "h1"))
    replica.remove(delete("acme", "i-1"))
    ready = world.reserve("acme", "h1")
    replica.sync()
    first = replica.create(create("acme", "i-2", "h1"))
    second = replica.create(create("acme", "i-3", "h1"))
    assert (outcomes(first), first.addresses[0].logical) == (["shadow"], ready)
    assert outcomes(second) == ["shadow"]
    assert world.states("acme")[second.addresses[0].logical] == "bound"


def test_dual_stack_is_one_transaction_on_one_host(world: World) -> None:
    world.reserve("acme", "h1", pool="six")
    wants = [Want(family=Family.IPV4), Want(family=Family.IPV6)]
    revision = world.store.revision
    answer = Replica(world).create(create("acme", "i-1", wants=wants))
    assert world.store.revision == revision + 1
    assert [":" in address.logical for address in answer.addresses] == [False, True]
    assert outcomes(answer) == ["dynamic", "shadow"]
    assert {address.host for address in answer.addresses} == {"h1"}
    world.check()


def test_all_addresses_of_a_create_are_had_or_none(world: World) -> None:
    world.host("h3", "192.0.2.16/32")
    refused = Replica(world).refused(create("acme", "i-1", "h3", wants=[Want(), Want()]))
    assert isinstance(refused, Exhausted)
    assert world.states("acme") == {}
    assert outcomes(Replica(world).create(create("acme", "i-2", "h3"))) == ["dynamic"]


def test_several_interfaces_take_different_addresses(world: World) -> None:
    world.reserve("acme", "h1")
    answer = Replica(world).create(create("acme", "i-1", "h1", wants=[Want()] * 3))
    assert len({address.logical for address in answer.addresses}) == 3
    assert len({address.physical for address in answer.addresses}) == 3
    assert outcomes(answer) == ["shadow", "dynamic", "dynamic"]
    world.check()


def test_a_pool_may_be_asked_for_by_name(world: World) -> None:
    answer = Replica(world).create(create("acme", "i-1", wants=[Want(pool="six")]))
    assert answer.addresses[0].logical.startswith("2001:db8::")
    assert isinstance(Replica(world).refused(create("beta", "i-1", wants=[Want(pool="six")])), Invalid)
    assert isinstance(Replica(world).refused(create("beta", "i-1", wants=[Want(family=Family.IPV6)])), Invalid)


def test_a_preferred_prefix_is_taken_first(world: World) -> None:
    world.account("acme", prefixes=("10.0.0.8/29",))
    assert Replica(world).create(create("acme", "i-1")).addresses[0].logical == "10.0.0.8"


def test_without_an_asked_host_the_preferred_one_is_taken_while_it_has_room(world: World) -> None:
    world.account("acme", hosts=("h2",))
    replica = Replica(world)
    hosts = [replica.create(create("acme", f"i-{number}")).addresses[0].host for number in range(3)]
    assert hosts == ["h2", "h2", "h1"]


def test_without_a_preference_the_emptier_of_two_hosts_is_taken_and_then_any_with_room(world: World) -> None:
    replica = Replica(world)
    hosts = [replica.create(create("acme", f"i-{number}")).addresses[0].host for number in range(6)]
    assert sorted(hosts) == ["h1"] * 4 + ["h2"] * 2


def test_addresses_of_a_draining_prefix_get_no_new_use(world: World) -> None:
    ready = world.reserve("acme", "h1")
    world.pool("p", "10.0.0.0/28", "10.1.0.0/28", draining=("10.0.0.0/28",))
    answer = Replica(world).create(create("acme", "i-1", "h1", wants=[Want(pool="p")]))
    assert (outcomes(answer), answer.addresses[0].logical) == (["dynamic"], "10.1.0.0")
    assert world.states("acme")[ready] == "reserved"


def test_addresses_of_a_pool_that_is_gone_get_no_new_use(world: World) -> None:
    world.reserve("acme", "h1")
    world.delete("pool.p")
    answer = Replica(world).create(create("acme", "i-1", "h1"))
    assert outcomes(answer) == ["dynamic"]
    assert answer.addresses[0].logical.startswith("2001:db8::")


@pytest.mark.parametrize(("state", "is_draining"), [(HostState.LOST, False), (HostState.UP, True)])
def test_an_address_held_ready_on_a_lost_or_draining_host_moves_to_one_that_takes_use(
    world: World, state: HostState, is_draining: bool
) -> None:
    logical = world.reserve("acme", "h1")
    world.host("h1", "192.0.2.0/30", state=state, is_draining=is_draining)
    answer = Replica(world).create(create("acme", "i-1"))
    assert (outcomes(answer), answer.addresses[0].host) == (["rebound"], "h2")
    assert answer.addresses[0].logical == logical


class TestNamed:
    def test_a_free_one_is_taken(self, world: World) -> None:
        answer = Replica(world).create(create("acme", "i-1", wants=[Want(logical="10.0.0.7")]))
        assert (outcomes(answer), answer.addresses[0].logical) == (["dynamic"], "10.0.0.7")

    def test_a_ready_one_is_a_shadow_here_and_rebound_elsewhere(self, world: World) -> None:
        world.reserve("acme", "h1", logical="10.0.0.7")
        world.reserve("acme", "h1", logical="10.0.0.8")
        replica = Replica(world)
        here = replica.create(create("acme", "i-1", "h1", wants=[Want(logical="10.0.0.7")]))
        there = replica.create(create("acme", "i-2", "h2", wants=[Want(logical="10.0.0.8")]))
        assert (outcomes(here), outcomes(there)) == (["shadow"], ["rebound"])
        world.check()

    def test_the_former_one_is_preserved(self, world: World) -> None:
        replica = Replica(world)
        wants = [Want(logical="10.0.0.7")]
        replica.create(create("acme", "i-1", "h1", wants=wants))
        replica.remove(delete("acme", "i-1"))
        assert outcomes(replica.create(create("acme", "i-1", "h2", wants=wants, attempt=1))) == ["preserved"]

    def test_a_cooling_one_comes_back_to_its_account(self, world: World) -> None:
        for logical, host in (("10.0.0.7", "h1"), ("10.0.0.8", "h2")):
            world.reserve("acme", "h1", logical=logical)
            world.cool("acme", logical)
            answer = Replica(world).create(create("acme", logical, host, wants=[Want(logical=logical)]))
            assert outcomes(answer) == ["dynamic"]
            assert answer.addresses[0].placed_revision == answer.revision
        world.check()

    def test_a_bound_one_is_refused(self, world: World) -> None:
        replica = Replica(world)
        wants = [Want(logical="10.0.0.7")]
        replica.create(create("acme", "i-1", wants=wants))
        refused = replica.refused(create("acme", "i-2", wants=wants))
        assert isinstance(refused, Conflict)
        assert "i-1" in str(refused)

    def test_one_outside_the_accounts_pools_excluded_or_draining_is_refused(self, world: World) -> None:
        world.reserve("acme", "h1", logical="10.0.0.9")
        world.pool("p", "10.0.0.0/28", "10.1.0.0/28", exclusions=("10.1.0.3/32",), draining=("10.0.0.0/28",))
        replica = Replica(world)
        for logical in ("10.9.0.1", "10.1.0.3", "10.0.0.7", "10.0.0.9"):
            refused = replica.refused(create("acme", "i-1", wants=[Want(logical=logical)]))
            assert isinstance(refused, Invalid), logical

    def test_where_the_asked_host_is_full_it_waits_or_is_refused(self, world: World) -> None:
        replica = Replica(world)
        for number in range(2):
            replica.create(create("acme", f"i-{number}", "h2"))
        world.reserve("acme", "h1", logical="10.0.0.9")
        replica.sync()
        for logical in ("10.0.0.7", "10.0.0.9"):
            refused = replica.refused(create("acme", "i-9", "h2", wants=[Want(logical=logical)]))
            assert isinstance(refused, Exhausted)

    def test_two_creates_of_one_group_that_name_the_same_address_do_not_both_get_it(self, world: World) -> None:
        for is_ready in (False, True):
            logical = "10.0.0.8" if is_ready else "10.0.0.7"
            if is_ready:
                world.reserve("acme", "h1", logical=logical)
            wants = [Want(logical=logical)]
            answers = Replica(world).ask(*[create("acme", f"{logical}-{n}", wants=wants) for n in range(2)])
            assert [type(answer).__name__ for answer in answers] == ["Created", "Conflict"]
        world.check()
