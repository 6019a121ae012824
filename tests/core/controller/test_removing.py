"""Accounts, hosts and pools go: what becomes of their addresses, who is waited for, when names come free."""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from msgspec.structs import replace
from tests.core.controller.site import SETTINGS, World, removal

from addrcast.core.controller.messages import Duty
from addrcast.core.controller.removing import Removing
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.controller.territory import Territory, shard_of
from addrcast.core.domain.declarations import Declarations
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import (
    account_key,
    host_key,
    instance_key,
    physical_key,
    plan_key,
    pool_key,
    record_key,
    removal_key,
    subscription_key,
)
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import AddressState, Host, HostState, InstanceEntry, InstanceState, Subscription
from addrcast.core.domain.removals import Bound, Kind, begun
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.core.propagation.audience import LostHosts
from addrcast.simulation.cluster import LOGICAL_POOL, PHYSICAL_POOL

REFUSED, WAITED_FOR, TAKEN = Bound.REFUSED, Bound.WAITED_FOR, Bound.TAKEN
WIDE = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24", "10.1.0.0/24"))


def remove(world: World, kind: Kind, name: str, *prefixes: str, bound: Bound = REFUSED) -> bool:
    """Begin a removal, as an operator does; false where it goes already."""
    ledger = world.cluster.ledger()
    draft = begun(ledger, kind, name, prefixes=prefixes, bound=bound, now_ms=world.cluster.now_ms)
    if draft is not None:
        assert world.cluster.commit(draft)
    return draft is not None


def refusal(world: World, kind: Kind, name: str, *prefixes: str, bound: Bound = REFUSED) -> str:
    with pytest.raises(Invalid) as fault:
        remove(world, kind, name, *prefixes, bound=bound)
    return str(fault.value)


def switch_off(world: World, host: str) -> None:
    world.cluster.hosts[host].kill()
    world.cluster.set_silent(host)


def is_sound(world: World) -> bool:
    return violations(world.cluster.ledger()) == []


def settle(world: World, passed_s: int = 30) -> None:
    for _ in range(passed_s):
        world.pass_ms(1_000, step_ms=500)
        assert is_sound(world)


def is_there(world: World, key: str) -> bool:
    return bool(world.cluster.store.read([key]).items)


def test_an_account_without_instances_goes_with_all_that_was_kept_of_it() -> None:
    world = World()
    cluster = world.cluster
    cluster.add_account("b", vni=8)
    kept = cluster.reserve("b", "h1")
    cluster.reserve("a", "h1")
    cluster.create("a", "i1", "h2")
    cluster.delete("a", "i1")
    cluster.store.commit([Transaction((), (Put(plan_key("a"), b"{}"),))])
    settle(world, 2)
    assert remove(world, Kind.ACCOUNT, "a")
    assert not remove(world, Kind.ACCOUNT, "a")
    settle(world)
    left = [item.key for item in cluster.store.scan("").items if "a" in item.key.split(".")]
    assert left == []
    assert world.state(kept, "b") is AddressState.RESERVED
    assert cluster.hosts["h2"].table.dump() == {}


def test_an_account_with_instances_is_kept_unless_they_are_waited_for_or_taken() -> None:
    world = World()
    for number in range(3):
        world.cluster.create("a", f"i{number}", "h1")
    said = refusal(world, Kind.ACCOUNT, "a")
    assert "3 addresses are bound, of a 3; delete their instances: --drain waits, --force takes" in said
    assert remove(world, Kind.ACCOUNT, "a", bound=WAITED_FOR)
    settle(world)
    assert [world.state(f"10.0.0.{number}") for number in range(3)] == [AddressState.BOUND] * 3
    for number in range(3):
        assert world.cluster.delete("a", f"i{number}")
    settle(world)
    assert not is_there(world, account_key("a"))
    assert "no account" in refusal(world, Kind.ACCOUNT, "a")


def test_a_forced_removal_takes_the_addresses_and_lets_them_cool_until_every_host_has_said_so() -> None:
    world = World()
    world.cluster.create("a", "i0", "h1")
    settle(world, 2)
    world.cluster.hosts["h2"].is_cut_off = True
    assert remove(world, Kind.ACCOUNT, "a", bound=WAITED_FOR)
    assert remove(world, Kind.ACCOUNT, "a", bound=TAKEN)
    settle(world, 8)
    ledger = world.cluster.ledger()
    assert world.state("10.0.0.0") is AddressState.COOLING
    assert ledger.instance("a", "i0").value is None
    world.cluster.hosts["h2"].is_cut_off = False
    settle(world)
    assert not is_there(world, account_key("a"))


def test_a_create_that_was_decided_before_an_account_went_finds_no_way_in() -> None:
    world = World()
    draft = world.cluster.create_draft("a", "late", "h1")
    assert remove(world, Kind.ACCOUNT, "a")
    assert not world.cluster.commit(draft)
    settle(world)
    world.cluster.add_account("a", vni=9)
    assert not world.cluster.commit(draft)


def test_a_vni_is_free_once_every_host_that_had_it_has_left_or_was_removed() -> None:
    world = World()
    new = Account(tier="basic", vni=7, pools=(LOGICAL_POOL,))
    world.cluster.create("a", "i0", "h1")
    switch_off(world, "h2")
    settle(world, 12)
    assert world.cluster.ledger().host("h2").required.state is HostState.LOST
    assert remove(world, Kind.ACCOUNT, "a", bound=TAKEN)
    settle(world)
    with pytest.raises(Invalid, match="being removed, has it until hosts h2 have left"):
        Declarations(world.cluster.ledger()).accept("new", new)
    assert remove(world, Kind.HOST, "h2")
    settle(world)
    assert Declarations(world.cluster.ledger()).accept("new", new)
    world.cluster.add_account("new", vni=7)
    assert world.cluster.create("new", "i0", "h1")
    settle(world, 3)
    assert world.cluster.hosts["h1"].table.dump() == {7: {"10.0.0.0": "172.16.1.0"}}


def test_a_host_that_gives_signs_of_life_or_has_instances_is_kept() -> None:
    world = World()
    world.cluster.create("a", "i0", "h1")
    assert "its agent gives signs of life" in refusal(world, Kind.HOST, "h1", bound=TAKEN)
    switch_off(world, "h1")
    said = refusal(world, Kind.HOST, "h1")
    assert "1 addresses are bound, of a 1; delete their instances: --force takes their addresses" in said
    assert "no host of this name" in refusal(world, Kind.HOST, "h9")


@pytest.mark.parametrize("lost_hosts", LostHosts)
def test_a_host_that_is_removed_is_waited_for_no_more_and_its_instances_may_move(lost_hosts: LostHosts) -> None:
    world = World(changed(SETTINGS, lost_hosts=lost_hosts))
    cluster = world.cluster
    cluster.create("a", "i0", "h2")
    cluster.create("a", "i1", "h1")
    reserved = cluster.reserve("a", "h2")
    settle(world, 2)
    switch_off(world, "h2")
    cluster.delete("a", "i1")
    cluster.end_hold("a", "10.0.0.1")
    settle(world, 5)
    assert world.state("10.0.0.1") is AddressState.COOLING
    assert remove(world, Kind.HOST, "h2", bound=TAKEN)
    assert not remove(world, Kind.HOST, "h2")
    assert not is_there(world, host_key("h2"))
    settle(world, 12)
    assert (world.state("10.0.0.1"), world.state(reserved)) == (None, None)
    assert world.state("10.0.0.0") is AddressState.PRESERVED
    assert not is_there(world, subscription_key("h2", "a"))
    assert cluster.create("a", "i0-again", "h1", logical="10.0.0.0")
    settle(world, 12)
    assert [key for key in (removal_key("host", "h2"), physical_key("172.16.2.0")) if is_there(world, key)] == []
    assert cluster.hosts["h1"].table.dump() == {7: {"10.0.0.0": "172.16.1.0"}}


def test_what_a_removed_host_leaves_preserved_cools_once_its_tiers_hold_is_over() -> None:
    world = World()
    world.cluster.create("a", "i0", "h2")
    settle(world, 2)
    switch_off(world, "h2")
    assert remove(world, Kind.HOST, "h2", bound=TAKEN)
    settle(world, 50)
    assert world.state("10.0.0.0") is AddressState.PRESERVED
    settle(world, 25)
    assert world.state("10.0.0.0") is None
    assert not is_there(world, removal_key("host", "h2"))


def test_the_address_of_an_instance_on_a_removed_host_cools_where_its_account_goes_too() -> None:
    world = World()
    world.cluster.create("a", "i0", "h2")
    switch_off(world, "h2")
    assert remove(world, Kind.HOST, "h2", bound=TAKEN)
    assert remove(world, Kind.ACCOUNT, "a", bound=TAKEN)
    settle(world)
    assert not is_there(world, account_key("a"))


def test_an_agent_whose_host_was_removed_neither_joins_nor_speaks() -> None:
    world = World()
    world.cluster.create("a", "i0", "h1")
    settle(world, 2)
    world.cluster.set_silent("h2")
    assert remove(world, Kind.HOST, "h2")
    settle(world)
    world.cluster.hosts["h2"].kill()
    world.cluster.hosts["h2"].start(world.cluster.now_ms)
    settle(world)
    assert [item.key for item in world.cluster.store.scan("").items if "h2" in item.key.split(".")] == []
    host = Host(state=HostState.LOST, incarnation=0, blocks=("172.16.2.0/28",))
    assert Declarations(world.cluster.ledger()).accept("h2", host)


def test_a_host_may_be_declared_anew_only_once_nothing_of_it_is_left() -> None:
    world = World()
    world.cluster.create("a", "i0", "h2")
    switch_off(world, "h2")
    assert remove(world, Kind.HOST, "h2", bound=TAKEN)
    settle(world, 2)
    host = Host(state=HostState.LOST, incarnation=0, blocks=("172.16.2.0/28",))
    with pytest.raises(Invalid, match="it is being removed"):
        Declarations(world.cluster.ledger()).accept("h2", host)
    with pytest.raises(Invalid, match="1 addresses are kept for h2 1"):
        Declarations(world.cluster.ledger()).accept("h3", host)
    settle(world, 100)
    assert Declarations(world.cluster.ledger()).accept("h2", host)


def test_subscriptions_of_hosts_that_went_without_a_mark_are_found_now_and_then() -> None:
    world = World()
    world.cluster.put(subscription_key("h9", "a"), Subscription())
    world.look()
    assert world.asked(Duty.REMOVING) == [subscription_key("h9", "a")]


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_pool_or_a_prefix_goes_once_nothing_of_it_is_in_use(is_whole: bool) -> None:
    world = World()
    cluster = world.cluster
    cluster.create("a", "i0", "h1")
    cluster.create("a", "i1", "h1")
    cluster.delete("a", "i1")
    prefixes = () if is_whole else ("10.0.0.0/24",)
    cluster.put(pool_key(LOGICAL_POOL), WIDE)
    cluster.put(pool_key("other"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",)))
    if is_whole:
        assert "accounts a have it" in refusal(world, Kind.POOL, LOGICAL_POOL)
        cluster.put(account_key("a"), Account(tier="basic", vni=7, pools=("other",)))
    assert "1 addresses are bound, of a 1" in refusal(world, Kind.POOL, LOGICAL_POOL, *prefixes)
    assert remove(world, Kind.POOL, LOGICAL_POOL, *prefixes, bound=WAITED_FOR)
    assert not remove(world, Kind.POOL, LOGICAL_POOL, *prefixes)
    settle(world)
    assert (world.state("10.0.0.0"), world.state("10.0.0.1")) == (AddressState.BOUND, None)
    assert cluster.ledger().pool(LOGICAL_POOL).required.draining
    cluster.delete("a", "i0")
    settle(world)
    pool = cluster.ledger().pool(LOGICAL_POOL).value
    assert pool == (None if is_whole else replace(WIDE, prefixes=("10.1.0.0/24",)))
    assert not is_there(world, removal_key("pool", LOGICAL_POOL))


def test_a_forced_removal_of_a_prefix_takes_only_the_instances_in_it() -> None:
    world = World()
    cluster = world.cluster
    cluster.create("a", "i0", "h1")
    cluster.put(pool_key(LOGICAL_POOL), replace(WIDE, draining=("10.0.0.0/24",)))
    cluster.create("a", "i1", "h1")
    assert world.state("10.1.0.0") is AddressState.BOUND
    cluster.put(pool_key("other"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",)))
    assert remove(world, Kind.POOL, LOGICAL_POOL, "10.0.0.0/24", bound=TAKEN)
    settle(world)
    assert (world.state("10.0.0.0"), world.state("10.1.0.0")) == (None, AddressState.BOUND)
    assert cluster.ledger().pool(LOGICAL_POOL).required == replace(WIDE, prefixes=("10.1.0.0/24",))


def test_a_forced_removal_of_a_pool_takes_every_instance_in_it_and_no_other() -> None:
    world = World()
    cluster = world.cluster
    cluster.create("a", "i0", "h1")
    cluster.put(pool_key("other"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",)))
    cluster.put(account_key("a"), Account(tier="basic", vni=7, pools=("other",)))
    assert remove(world, Kind.POOL, LOGICAL_POOL, bound=TAKEN)
    settle(world)
    assert not is_there(world, pool_key(LOGICAL_POOL))


def test_more_prefixes_of_a_pool_may_go_and_then_all_of_it() -> None:
    world = World()
    cluster = world.cluster
    cluster.create("a", "i0", "h1")
    wider = replace(WIDE, prefixes=(*WIDE.prefixes, "10.2.0.0/24", "10.3.0.0/24"))
    cluster.put(pool_key(LOGICAL_POOL), wider)
    assert remove(world, Kind.POOL, LOGICAL_POOL, "10.0.0.0/24", bound=WAITED_FOR)
    assert remove(world, Kind.POOL, LOGICAL_POOL, "10.2.0.0/24", bound=WAITED_FOR)
    assert not remove(world, Kind.POOL, LOGICAL_POOL, "10.2.0.0/24")
    mark = cluster.ledger().removal("pool", LOGICAL_POOL).required
    assert mark.prefixes == ("10.0.0.0/24", "10.2.0.0/24")
    others = "10.1.0.0/24", "10.3.0.0/24"
    assert "nothing would be left" in refusal(world, Kind.POOL, LOGICAL_POOL, *others)
    cluster.put(pool_key("other"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",)))
    cluster.put(account_key("a"), Account(tier="basic", vni=7, pools=("other",)))
    assert remove(world, Kind.POOL, LOGICAL_POOL, bound=WAITED_FOR)
    assert not remove(world, Kind.POOL, LOGICAL_POOL, "10.1.0.0/24", bound=WAITED_FOR)
    assert cluster.ledger().removal("pool", LOGICAL_POOL).required.prefixes == ()
    assert cluster.ledger().pool(LOGICAL_POOL).required.draining == (
        "10.0.0.0/24",
        "10.2.0.0/24",
        "10.1.0.0/24",
        "10.3.0.0/24",
    )


def test_a_physical_prefix_goes_once_no_host_has_a_block_in_it_and_nothing_cools_there() -> None:
    world = World()
    cluster = world.cluster
    cluster.create("a", "i0", "h1")
    wide = Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/16", "192.168.0.0/24"))
    cluster.put(pool_key(PHYSICAL_POOL), wide)
    assert "hosts h1, h2 have blocks in it" in refusal(world, Kind.POOL, PHYSICAL_POOL, "172.16.0.0/16")
    for host in ("h1", "h2"):
        switch_off(world, host)
        assert remove(world, Kind.HOST, host, bound=TAKEN)
    cluster.add_host("h3").start(cluster.now_ms)
    cluster.put(host_key("h3"), Host(state=HostState.UP, incarnation=0, blocks=("192.168.0.0/28",)))
    assert remove(world, Kind.POOL, PHYSICAL_POOL, "172.16.0.0/16", bound=WAITED_FOR)
    settle(world, 10)
    assert is_there(world, removal_key("pool", PHYSICAL_POOL))
    settle(world, 70)
    assert cluster.ledger().pool(PHYSICAL_POOL).required == replace(wide, prefixes=("192.168.0.0/24",))


def test_what_lies_in_a_draining_physical_prefix_goes_back_and_what_is_bound_stays() -> None:
    world = World()
    cluster = world.cluster
    reserved = cluster.reserve("a", "h1")
    cluster.create("a", "i0", "h1")
    wide = Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/16", "192.168.0.0/24"))
    cluster.put(pool_key(PHYSICAL_POOL), replace(wide, draining=("192.168.0.0/24",)))
    settle(world, 6)
    assert world.state(reserved) is AddressState.RESERVED
    cluster.put(pool_key(PHYSICAL_POOL), replace(wide, draining=("172.16.0.0/16",)))
    settle(world, 7)
    assert (world.state(reserved), world.state("10.0.0.1")) == (None, AddressState.BOUND)


def test_prefixes_that_are_not_the_pools_or_that_accounts_prefer_are_not_removed() -> None:
    world = World()
    cluster = world.cluster
    cluster.put(pool_key(LOGICAL_POOL), WIDE)
    assert "one of 10.0.0.0/24, 10.1.0.0/24 is expected" in refusal(world, Kind.POOL, LOGICAL_POOL, "10.5.0.0/24")
    account = cluster.ledger().account("a").required
    preferring = replace(account.preferences, prefixes=("10.1.0.16/28",))
    for number in range(7):
        cluster.put(account_key(f"p{number}"), replace(account, vni=20 + number, preferences=preferring))
    said = refusal(world, Kind.POOL, LOGICAL_POOL, "10.1.0.0/24")
    assert "accounts p0, p1, p2, p3, p4 and 2 more prefer an address of it" in said
    assert "no pool of this name" in refusal(world, Kind.POOL, "none")


def test_each_shard_removes_its_own_accounts_and_the_first_one_hosts_and_pools() -> None:
    world = World(ControllerSettings())
    cluster = world.cluster
    cluster.put(pool_key("spare"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",)))
    for number in range(6):
        cluster.add_account(f"x{number}", vni=20 + number)
        assert remove(world, Kind.ACCOUNT, f"x{number}")
    assert remove(world, Kind.POOL, "spare")
    territories = [Territory(2, {shard: cluster.fence}) for shard in (0, 1)]
    asked = []
    for territory in territories:
        world.control = cluster.controller(world.settings, territory=territory)
        world.look()
        asked.append(set(world.asked(Duty.REMOVING)))
    assert removal_key("pool", "spare") in asked[0]
    assert asked[0].isdisjoint(asked[1])
    assert asked[0] | asked[1] == {
        removal_key("pool", "spare"),
        *(removal_key("account", f"x{n}") for n in range(6)),
    }


def removing(world: World, ledger: Ledger) -> list[str]:
    """The keys that are written first by what a controller with this view would do."""
    found = Removing().drafts(ledger, territory=Territory.whole(world.cluster.fence), now_ms=world.cluster.now_ms)
    return [str(draft.writes[0][0].key) for draft in found]


@pytest.mark.parametrize(("kind", "name"), [(Kind.ACCOUNT, "x"), (Kind.POOL, "spare"), (Kind.HOST, "h2")])
def test_a_removal_that_was_learnt_ahead_of_the_view_does_not_end_yet(kind: Kind, name: str) -> None:
    world = World()
    world.cluster.add_account("x", vni=9)
    world.cluster.put(pool_key("spare"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",)))
    world.cluster.leave("h2", "a")
    world.cluster.hosts["h2"].settle(world.cluster.now_ms)
    switch_off(world, "h2")
    ledger = world.cluster.ledger()
    draft = begun(ledger, kind, name, bound=REFUSED, now_ms=0)
    assert draft is not None
    (result,) = world.cluster.store.commit([draft.transaction()])
    mark, *others = draft.entries_at(result.revision)
    ledger.learn([mark, *others], result.revision)
    assert removing(world, ledger) == []
    older = Ledger.from_items(world.cluster.store.scan("").items, result.revision)
    assert removing(world, older) == [removal_key(kind.value, name)]


def test_an_instance_of_which_the_view_shows_but_a_part_is_left_for_later() -> None:
    world = World()
    world.cluster.create("a", "i0", "h1")
    remove(world, Kind.ACCOUNT, "a", bound=TAKEN)
    ledger = world.cluster.ledger()
    entry = ledger.instance("a", "i0")
    partly = replace(entry.required, addresses=("10.0.0.0", "10.0.0.1"))
    world.cluster.put(entry.key, partly)
    assert removing(world, world.cluster.ledger()) == []
    world.cluster.put(entry.key, entry.required)
    assert removing(world, world.cluster.ledger()) == [record_key("a", "10.0.0.0")]


def test_instances_are_taken_only_by_the_shard_of_their_account() -> None:
    world = World()
    world.cluster.create("a", "i0", "h1")
    remove(world, Kind.ACCOUNT, "a", bound=TAKEN)
    other = 1 - shard_of("a", 2)
    world.control = world.cluster.controller(territory=Territory(2, {other: world.cluster.fence}))
    world.look()
    assert world.asked(Duty.REMOVING) == []


def test_a_pool_that_somebody_deleted_under_its_mark_stops_no_other_removal() -> None:
    world = World()
    world.cluster.reserve("a", "h1")
    for name in ("one", "two"):
        world.cluster.put(pool_key(name), Pool(kind=PoolKind.LOGICAL, prefixes=("10.9.0.0/24",)))
        remove(world, Kind.POOL, name)
    world.cluster.store.commit([removal(pool_key("one"))])
    assert removing(world, world.cluster.ledger()) == [removal_key("pool", "two")]


def test_tombstones_go_before_their_account() -> None:
    world = World()
    world.cluster.add_account("x", vni=9)
    stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=0, since_ms=world.cluster.now_ms)
    world.cluster.put(instance_key("x", "i0"), stone)
    remove(world, Kind.ACCOUNT, "x")
    assert removing(world, world.cluster.ledger()) == [instance_key("x", "i0")]
