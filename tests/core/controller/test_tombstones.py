"""The controller forgets deleted instances once no late message of theirs can arrive."""

from __future__ import annotations

from tests.core.controller.site import World

from addrcast.core.controller.messages import Duty
from addrcast.core.domain.keyspace import instance_key
from addrcast.core.domain.record import InstanceEntry, InstanceState
from addrcast.core.domain.resource import HOUR_MS


def test_a_tombstone_outlives_every_late_message() -> None:
    world = World()
    world.cluster.create("a", "i1", "h1")
    world.cluster.delete("a", "i1")
    world.pass_ms(world.settings.tombstone_ms - 250)
    assert world.cluster.ledger().instance("a", "i1")
    world.pass_ms(500)
    assert not world.cluster.ledger().instance("a", "i1")


def test_a_stamp_from_the_future_does_not_hold_up_the_tombstones_after_it() -> None:
    world = World()
    for name, ahead_ms in (("early", HOUR_MS), ("late", 0)):
        stone = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=0, since_ms=world.cluster.now_ms + ahead_ms)
        world.cluster.put(instance_key("a", name), stone)
    world.cluster.now_ms += world.settings.tombstone_ms
    world.look()
    assert world.asked(Duty.TOMBSTONES) == [instance_key("a", "late")]
