"""An agent whose rights lag behind its subscriptions: it waits, says so, and serves what it may."""

from __future__ import annotations

import pytest

from addrcast.core.agent.machine import AgentMachine
from addrcast.core.agent.messages import Commit, Denied, ListSubscriptions, Purpose, ReadHost, ScanAccount, Watch
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.dataplane.unapplied import Backoff
from addrcast.core.domain.keyspace import acknowledgement_key
from addrcast.simulation.cluster import ModelCluster
from addrcast.simulation.hosts import ModelHost

SETTINGS = AgentSettings(backoff=Backoff(first_ms=200, last_ms=2_000))


class GuardedHost:
    """Host h1 is subscribed to accounts a and b; h2 has no agent, and addresses of both."""

    def __init__(self, *forbidden: str) -> None:
        self.cluster = ModelCluster(settings=SETTINGS)
        self.host: ModelHost = self.cluster.add_host("h1")
        self.cluster.add_host("h2")
        for vni, account in enumerate(("a", "b"), 7):
            self.cluster.add_account(account, vni=vni)
            self.cluster.subscribe("h1", account)
        self.host.forbidden |= set(forbidden)
        self.host.start(self.cluster.now_ms)

    @property
    def machine(self) -> AgentMachine:
        assert self.host.machine is not None
        return self.host.machine

    def pass_ms(self, passed_ms: int) -> None:
        for _ in range(0, passed_ms, 50):
            self.cluster.now_ms += 50
            self.host.settle(self.cluster.now_ms)

    def maps(self, account: str, logical: str) -> bool:
        return self.host.table.physical_of({"a": 7, "b": 8}[account], logical) is not None

    def is_acknowledged(self, account: str) -> bool:
        return bool(self.cluster.store.read([acknowledgement_key("h1", account)]).items)


def test_an_account_that_may_not_be_read_is_served_once_it_may_and_the_others_meanwhile() -> None:
    world = GuardedHost("b")
    world.pass_ms(2_000)
    assert list(world.machine.denied) == ["b"]
    assert world.machine.phase.name == "SYNCING"
    first, second = world.cluster.reserve("a", "h2"), world.cluster.reserve("b", "h2")
    world.pass_ms(2_000)
    assert (world.maps("a", first), world.maps("b", second)) == (True, False)
    assert (world.is_acknowledged("a"), world.is_acknowledged("b")) == (True, False)
    world.host.forbidden.clear()
    world.pass_ms(3_000)
    assert world.maps("b", second)
    assert world.is_acknowledged("b")
    assert list(world.machine.denied) == []
    assert world.machine.phase.name == "UP"


def test_what_happens_between_the_grant_and_the_watch_is_not_missed() -> None:
    world = GuardedHost("b")
    world.pass_ms(1_000)
    world.host.forbidden.clear()
    while not any(isinstance(asked, ScanAccount) and asked.account == "b" for asked in world.host.asked):
        world.cluster.now_ms += 50
        world.host.tick(world.cluster.now_ms)
    world.host.carry_out()
    logical = world.cluster.reserve("b", "h2")
    world.pass_ms(1_000)
    assert world.maps("b", logical)


def test_it_says_once_what_it_may_not_read_and_asks_ever_more_seldom() -> None:
    world = GuardedHost("b")
    world.pass_ms(10_000)
    told = [report for report in world.host.reports if "account b may not be read yet" in report]
    assert told == ["account b may not be read yet: permission denied"]
    asked = world.machine.accounts["b"].denials
    world.pass_ms(10_000)
    assert world.machine.accounts["b"].denials - asked <= 6


def test_an_account_left_while_it_may_not_be_read_is_asked_for_no_more() -> None:
    world = GuardedHost("b")
    world.pass_ms(1_000)
    scan = ScanAccount(world.machine.term, "b", world.machine.accounts["b"].scan)
    assert world.cluster.leave("h1", "b")
    world.host.forbidden.clear()
    world.pass_ms(3_000)
    assert "b" not in world.machine.accounts
    world.host.give(Denied(scan, "permission denied"), world.cluster.now_ms)
    assert list(world.machine.denied) == []


def test_rights_that_are_lost_cost_the_account_that_they_were_for() -> None:
    world = GuardedHost()
    world.pass_ms(1_000)
    assert world.machine.phase.name == "UP"
    world.host.forbidden.add("b")
    assert world.host.watch is not None
    world.host.give(Denied(world.host.watch, "permission denied"), world.cluster.now_ms)
    world.pass_ms(2_000)
    assert list(world.machine.denied) == ["b"]
    logical = world.cluster.reserve("a", "h2")
    world.pass_ms(1_000)
    assert world.maps("a", logical)


def test_a_denied_watch_that_was_replaced_is_passed_over() -> None:
    world = GuardedHost()
    world.pass_ms(1_000)
    old = Watch(world.machine.term, 0, (), 0)
    reports = list(world.host.reports)
    world.host.give(Denied(old, "permission denied"), world.cluster.now_ms)
    assert world.host.reports == reports
    assert world.host.asked == []


@pytest.mark.parametrize("what", ["host", "list", "rejoin"])
def test_whatever_else_is_denied_is_asked_again(what: str) -> None:
    world = GuardedHost()
    kinds = {"host": ReadHost, "list": ListSubscriptions, "rejoin": Commit}
    for _ in range(10):
        (asked,) = world.host.asked
        if isinstance(asked, kinds[what]) and not (
            isinstance(asked, Commit) and asked.purpose is not Purpose.REJOIN
        ):
            break
        world.host.carry_out()
        world.host.answer(world.cluster.now_ms)
    world.host.asked.clear()
    assert isinstance(asked, ReadHost | ListSubscriptions | Commit)
    world.host.give(Denied(asked, "permission denied"), world.cluster.now_ms)
    assert world.host.reports[-1] == "denied, and tried again: permission denied"
    world.pass_ms(2_000)
    assert world.machine.phase.name == "UP"
