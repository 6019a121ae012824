"""What ought to have moved on: seen in a ledger, with the revision by which a second look knows it again."""

from __future__ import annotations

from tests.core.controller.site import World

from addrcast.core.controller.stuck import GRACE_MS, stuck
from addrcast.core.domain.keyspace import EPOCH, acknowledgement_key, instance_key, record_key, subscription_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import EpochState, InstanceEntry, InstanceState, StoreEpoch


def seen(world: World) -> list[tuple[str, tuple[str, ...], str]]:
    found = stuck(world.cluster.ledger(), world.settings, now_ms=world.cluster.now_ms)
    return [(each.finding.rule, each.finding.keys, each.finding.what) for each in found]


def test_nothing_is_stuck_where_everybody_works() -> None:
    world = World()
    world.cluster.create("a", "i1", "h1")
    world.pass_ms(3_000)
    assert seen(world) == []


def test_cooling_that_is_over_and_that_nobody_ends_is_stuck() -> None:
    world = World()
    logical = world.cluster.reserve("a", "h1")
    world.cluster.cool("a", logical)
    for _ in range(20):
        world.cluster.now_ms += 250
        world.settle_hosts()
    what = "its cooling is over, and nobody frees it"
    assert seen(world) == [("cooling", (record_key("a", logical),), what)]


def test_what_waits_for_hosts_names_some_of_them() -> None:
    world = World(hosts=5)
    logical = world.cluster.reserve("a", "h1")
    world.pass_ms(2_000)
    for host in world.cluster.hosts.values():
        host.is_cut_off = True
    world.cluster.cool("a", logical)
    rules = {(rule, what) for rule, _, what in seen(world) if rule == "cooling"}
    assert rules == {("cooling", "it cools and waits for 5 hosts to acknowledge: h1, h2, h3 ...")}


def test_a_minimum_time_that_runs_is_not_stuck() -> None:
    world = World()
    world.cluster.create("a", "i1", "h1")
    world.pass_ms(2_000)
    world.cluster.delete("a", "i1")
    world.cluster.end_hold("a", "10.0.0.0")
    world.settle_hosts()
    assert [rule for rule, *_ in seen(world)] == []


def test_an_acknowledgement_that_stays_behind_or_never_comes_is_stuck() -> None:
    world = World()
    world.pass_ms(2_000)
    world.cluster.hosts["h2"].is_cut_off = True
    world.cluster.create("a", "i1", "h1")
    world.pass_ms(2_000)
    keys = subscription_key("h2", "a"), acknowledgement_key("h2", "a")
    ((rule, found, what),) = seen(world)
    assert (rule, found) == ("acknowledgement", keys)
    assert what.startswith("it has acknowledged revision ")
    world.cluster.restore()
    world.cluster.hosts["h2"].kill()
    nothing = [what for _, found, what in seen(world) if found == keys]
    assert nothing == ["host h2 is up and mirrors account a, and has acknowledged nothing of it"]
    world.cluster.set_silent("h2")
    world.pass_ms(12_000, step_ms=1_000)
    assert [found for _, found, _ in seen(world) if found == keys] == []


def test_a_tombstone_that_nobody_ends_is_stuck_while_the_store_is_open() -> None:
    world = World()
    stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=0, since_ms=world.cluster.now_ms)
    world.cluster.put(instance_key("a", "old"), stone)
    assert seen(world) == []
    world.cluster.now_ms += world.settings.tombstone_ms + GRACE_MS
    assert [(rule, keys) for rule, keys, _ in seen(world)] == [("tombstone", (instance_key("a", "old"),))]
    world.cluster.put(EPOCH, StoreEpoch(epoch=1, state=EpochState.CLOSED))
    assert seen(world) == []


def test_nothing_is_stuck_in_a_frozen_store_or_one_that_was_never_set_up() -> None:
    world = World()
    world.cluster.hosts["h2"].is_cut_off = True
    world.cluster.create("a", "i1", "h1")
    world.cluster.put(EPOCH, StoreEpoch(epoch=1, state=EpochState.FROZEN))
    assert seen(world) == []
    assert list(stuck(Ledger(), world.settings, now_ms=0)) == []
