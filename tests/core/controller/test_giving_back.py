"""The controller takes back what is past its age, or drains."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.controller.site import World, removal

from addrcast.core.controller.messages import Duty
from addrcast.core.domain.keyspace import account_key, host_key, pool_key, record_key
from addrcast.core.domain.record import AddressState, HostState
from addrcast.core.domain.resource import HOUR_MS, Account, Pool, PoolKind
from addrcast.simulation.cluster import LOGICAL_POOL


def test_what_lies_idle_past_its_age_limit_goes_back_the_oldest_first() -> None:
    world = World()
    old = world.cluster.reserve("a", "h1")
    world.cluster.now_ms += HOUR_MS - 1_000
    young = world.cluster.reserve("a", "h1")
    world.cluster.create("a", "i1", "h1")
    world.cluster.delete("a", "i1")
    world.cluster.now_ms += 1_000
    world.look()
    assert world.asked(Duty.GIVING_BACK) == [record_key("a", old)]
    world.control.settle(world.cluster.now_ms)
    assert world.state(young) is AddressState.RESERVED
    world.cluster.now_ms += HOUR_MS - 1_000
    world.look()
    assert world.asked(Duty.GIVING_BACK) == [record_key("a", young), record_key("a", "10.0.0.2")]


def test_a_reservation_whose_stamp_is_ahead_does_not_hide_the_ones_after_it() -> None:
    world = World()
    world.cluster.now_ms += 2 * HOUR_MS
    ahead = world.cluster.reserve("a", "h1")
    world.cluster.now_ms -= 2 * HOUR_MS
    behind = world.cluster.reserve("a", "h1")
    world.look()
    world.control.settle(world.cluster.now_ms)
    world.cluster.now_ms += HOUR_MS
    world.look()
    assert world.asked(Duty.GIVING_BACK) == [record_key("a", ahead), record_key("a", behind)]


@pytest.mark.parametrize("what", ["account", "undeclared", "host", "rejoining host", "lost host", "prefix"])
def test_what_drains_gives_back_its_idle_addresses_and_keeps_the_bound_ones(what: str) -> None:
    world = World(hosts=1)
    cluster = world.cluster
    cluster.add_host("h2")
    cluster.add_account("b", vni=8)
    kept = cluster.reserve("b", "h2")
    reserved = cluster.reserve("a", "h1")
    for name in ("i1", "i2"):
        cluster.create("a", name, "h1")
    cluster.delete("a", "i1")
    host = cluster.ledger().host("h1").required
    if what == "account":
        cluster.put(account_key("a"), Account(tier="basic", vni=7, pools=(LOGICAL_POOL,), is_draining=True))
    elif what == "undeclared":
        cluster.store.commit([removal(account_key("a"))])
    elif what.endswith("host"):
        states = {"lost host": HostState.LOST, "rejoining host": HostState.REJOINING}
        is_draining = what != "lost host"
        state = states.get(what, HostState.UP)
        cluster.put(host_key("h1"), msgspec.structs.replace(host, state=state, is_draining=is_draining))
    else:
        cluster.put(
            pool_key(LOGICAL_POOL),
            Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/24", "10.1.0.0/24"), draining=("10.0.0.0/31",)),
        )
        cluster.put(pool_key("other"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.2.0.0/24",)))
    world.look()
    given_back = world.asked(Duty.GIVING_BACK)
    expected = [record_key("a", reserved), record_key("a", "10.0.0.1")]
    if what == "lost host":
        expected = expected[:1]
    if what == "prefix":
        expected = [record_key("b", kept), *expected]
    assert sorted(given_back) == sorted(expected)
    assert world.state("10.0.0.2") is AddressState.BOUND
