"""Machines that lead some shards each do together what one does that leads all: nothing twice, nothing left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from random import Random

import pytest
from tests.core.controller.site import BRISK, SETTINGS, World, removal

from addrcast.core.controller.machine import ControllerMachine
from addrcast.core.controller.messages import (
    Away,
    Commit,
    Duty,
    Effect,
    PlanFailed,
    Report,
    RequestPlan,
    TerritoryChanged,
    Tick,
)
from addrcast.core.controller.standing import shard_key
from addrcast.core.controller.territory import Territory, shard_of
from addrcast.core.domain.keyspace import account_key, parts_of, record_key, removal_key, subscription_key, tier_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import AddressState, HostState
from addrcast.core.domain.resource import HOUR_MS, MINUTE_MS, Account, Removal
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.simulation.cluster import LOGICAL_POOL, ModelCluster
from addrcast.simulation.control import ModelController

ACCOUNTS = tuple("abcdefgh")
FENCED = {Duty.GIVING_BACK, Duty.LOST_HOSTS, Duty.EPOCH, Duty.PLAN}


def territories(cluster: ModelCluster, parts: list[list[int]], *, shards: int) -> list[Territory]:
    """Each part of the shards as a territory, with election keys that stand in the store."""
    cluster.store.commit([Transaction((), (Put(shard_key(shard), b"x"),)) for shard in range(shards)])
    revisions = {item.key: item.mod_revision for item in cluster.store.scan("election.").items}
    keys = {shard: Compare(shard_key(shard), revisions[shard_key(shard)]) for shard in range(shards)}
    return [Territory(shards, {shard: keys[shard] for shard in part}) for part in parts]


def busy_cluster(seed: int) -> ModelCluster:
    """Accounts and hosts in every condition that calls for a duty."""
    dice = Random(seed)
    cluster = ModelCluster(block_bits=25)
    cluster.put(tier_key("basic"), BRISK)
    for number, account in enumerate(ACCOUNTS):
        cluster.add_account(account, vni=7 + number)
    for number in range(1, 5):
        cluster.add_host(f"h{number}").start(cluster.now_ms)
    for account, number in product(ACCOUNTS, range(1, 4)):
        settle(cluster, account, number, dice.choice(["idle", "cool", "bound", "gone", "moved", "mirrored"]))
    for model in cluster.hosts.values():
        model.settle(cluster.now_ms)
    for account in dice.sample(ACCOUNTS, 3):
        cluster.put(account_key(account), Account(tier="basic", vni=9, pools=(LOGICAL_POOL,), is_draining=True))
    cluster.store.commit([removal(subscription_key("h2", account)) for account in ACCOUNTS])
    cluster.store.commit([removal(account_key(dice.choice(ACCOUNTS)))])
    for account in dice.sample(ACCOUNTS, 2):
        cluster.put(removal_key("account", account), Removal(since_ms=cluster.now_ms, is_forced=True))
    cluster.set_silent("h3")
    cluster.now_ms += dice.choice([0, MINUTE_MS, 2 * HOUR_MS])
    return cluster


def settle(cluster: ModelCluster, account: str, number: int, act: str) -> None:
    """Let something be of an account on a host."""
    host = f"h{number}"
    if act == "idle":
        cluster.reserve(account, host)
    elif act == "cool":
        cluster.cool(account, cluster.reserve(account, host))
    elif act in {"bound", "gone"}:
        cluster.create(account, f"{act}{number}", host)
        if act == "gone":
            cluster.delete(account, f"gone{number}")
    elif act == "moved":
        cluster.create(account, f"moved{number}", "h4", logical=cluster.reserve(account, host))
    else:
        cluster.subscribe(host, account)


def asked(territory: Territory, ledger: Ledger, now_ms: int) -> list[Counter[tuple[Duty, str]]]:
    """What a machine asks for now, in two hours and in four, on a ledger that stands still: duties, first keys."""
    machine = ControllerMachine(territory, replace(SETTINGS, batch_max=10_000))
    found = []
    for later_ms in (0, 2 * HOUR_MS, 4 * HOUR_MS):
        commits = [
            effect for effect in machine.step(Tick(), ledger, now_ms + later_ms) if isinstance(effect, Commit)
        ]
        for commit in commits:
            check_fences(commit, territory)
            machine.step(Away(commit), ledger, now_ms + later_ms)
        found.append(Counter((each.duty, draft.writes[0][0].key) for each in commits for draft in each.drafts))
    return found


def check_fences(commit: Commit, territory: Territory) -> None:
    for draft in commit.drafts:
        if commit.duty is Duty.REMOVING:
            account = parts_of(draft.writes[0][0].key).first
            assert draft.fence == territory.fence_of(account) is not None
        elif commit.duty not in FENCED:
            assert draft.fence is None
        elif commit.duty is Duty.GIVING_BACK:
            assert draft.fence == territory.fence_of(parts_of(draft.writes[0][0].key).first) is not None
        else:
            assert draft.fence == territory.first is not None


@pytest.mark.parametrize("seed", range(12))
def test_together_they_ask_for_what_one_asks_for_and_nothing_twice(seed: int) -> None:
    cluster = busy_cluster(seed)
    shards = 2 + seed % 4
    parts = [[shard for shard in range(shards) if shard % 2 == place] for place in (0, 1)]
    whole, *split = territories(cluster, [list(range(shards)), *parts], shards=shards)
    ledger = cluster.ledger()
    alone = asked(whole, ledger, cluster.now_ms)
    together = [asked(territory, ledger, cluster.now_ms) for territory in split]
    assert [sum(at_once, Counter()) for at_once in zip(*together, strict=True)] == alone
    assert all(sum(map(len, each)) for each in together)
    met = {duty for at_once in alone for duty, _ in at_once}
    assert met >= {Duty.COOLING, Duty.TOMBSTONES, Duty.GIVING_BACK, Duty.LOST_HOSTS, Duty.SUBSCRIPTIONS}


def test_the_clusters_call_for_every_duty_but_plans_and_the_opening() -> None:
    met: set[Duty] = set()
    for seed in range(4):
        cluster = busy_cluster(seed)
        (whole,) = territories(cluster, [[0]], shards=1)
        met |= {duty for at_once in asked(whole, cluster.ledger(), cluster.now_ms) for duty, _ in at_once}
    assert met == set(Duty) - {Duty.PLAN, Duty.EPOCH}


@pytest.mark.parametrize("seed", range(6))
def test_two_that_work_at_once_leave_the_store_as_one_does(seed: int) -> None:
    alone, shared = busy_cluster(seed), busy_cluster(seed)
    (whole,) = territories(alone, [[0, 1, 2]], shards=3)
    split = territories(shared, [[0, 2], [1]], shards=3)
    work(alone, [alone.controller(SETTINGS, territory=whole)])
    work(shared, [shared.controller(SETTINGS, territory=territory) for territory in split])
    assert end_of(shared) == end_of(alone)


def work(cluster: ModelCluster, controllers: list[ModelController]) -> None:
    """Let hosts and controllers work for three hours."""
    for step_ms in (250,) * 60 + (5_000,) * 10 + (MINUTE_MS,) * 180:
        cluster.now_ms += step_ms
        for host in cluster.hosts.values():
            host.settle(cluster.now_ms)
        for controller in controllers:
            controller.catch_up()
            controller.give(Tick(), cluster.now_ms)
        for controller in controllers:
            controller.settle(cluster.now_ms)


def end_of(cluster: ModelCluster) -> dict[str, tuple[object, ...]]:
    """What stands in the end, without revisions, which depend on the order of commits."""
    ledger = cluster.ledger()
    found: dict[str, tuple[object, ...]] = {
        host: (entry.required.state, entry.required.incarnation) for host, entry in ledger.hosts().items()
    }
    for account in ACCOUNTS:
        for logical, record in ledger.records(account).items():
            found[f"{account} {logical}"] = (record.required.state, record.required.physical, record.required.host)
        for host, subscription in ledger.subscriptions(account).items():
            found[f"{account} {host}"] = (subscription.required,)
    found["cooling"] = tuple(sorted(hold.key for hold in ledger.cooling_physicals()))
    found["tombstones"] = tuple(sorted(stone.key for stone in ledger.tombstones()))
    return found


def aged(*, shards: int) -> tuple[World, dict[int, str]]:
    """A world with an old reservation in each of two shards, by shard."""
    world = World()
    names = {shard_of(account, shards): account for account in ACCOUNTS}
    for number, account in enumerate(names.values()):
        world.cluster.add_account(account, vni=20 + number)
        world.cluster.reserve(account, "h1")
    world.cluster.now_ms += HOUR_MS
    return world, names


def test_who_leads_no_shard_does_nothing_and_looks_again_later() -> None:
    world, _ = aged(shards=2)
    world.control = world.cluster.controller(SETTINGS, territory=Territory(2))
    world.look()
    assert world.control.asked == []
    assert world.control.plan_requests == []
    assert world.control.machine.deadline_ms(world.cluster.now_ms) > world.cluster.now_ms


def test_who_takes_a_shard_over_does_its_duties_at_once() -> None:
    world, names = aged(shards=2)
    first, both = territories(world.cluster, [[0], [0, 1]], shards=2)
    world.control = world.cluster.controller(SETTINGS, territory=first)
    world.look()
    world.control.settle(world.cluster.now_ms)
    states = {shard: world.state("10.0.0.0", account) for shard, account in names.items()}
    assert states == {0: AddressState.COOLING, 1: AddressState.RESERVED}
    world.control.give(TerritoryChanged(both), world.cluster.now_ms)
    assert world.asked(Duty.GIVING_BACK) == [record_key(names[1], "10.0.0.0")]


def test_what_was_decided_for_a_shard_that_is_lost_is_refused_by_its_fence() -> None:
    world, names = aged(shards=2)
    before, after = (territories(world.cluster, [[0, 1]], shards=2)[0] for _ in range(2))
    world.control = world.cluster.controller(SETTINGS, territory=before)
    world.look()
    world.control.settle(world.cluster.now_ms)
    assert {world.state("10.0.0.0", account) for account in names.values()} == {AddressState.RESERVED}
    world.control.give(TerritoryChanged(after), world.cluster.now_ms)
    world.control.settle(world.cluster.now_ms)
    assert {world.state("10.0.0.0", account) for account in names.values()} == {AddressState.COOLING}


def test_only_who_leads_shard_0_plans_and_a_plan_of_an_earlier_term_is_passed_over() -> None:
    world, _ = aged(shards=2)
    whole, second = territories(world.cluster, [[0, 1], [1]], shards=2)
    machine = ControllerMachine(whole, SETTINGS)
    ledger = world.cluster.ledger()
    (request,) = (e for e in machine.step(Tick(), ledger, world.cluster.now_ms) if isinstance(e, RequestPlan))
    assert not requests(machine.step(TerritoryChanged(second), ledger, world.cluster.now_ms))
    assert not requests(machine.step(PlanFailed(request, "late"), ledger, world.cluster.now_ms + HOUR_MS))
    (again,) = requests(machine.step(TerritoryChanged(whole), ledger, world.cluster.now_ms + HOUR_MS))
    assert again != request
    late = machine.step(PlanFailed(request, "late"), ledger, world.cluster.now_ms + HOUR_MS)
    assert not any(isinstance(effect, Report) for effect in late)


def requests(effects: list[Effect]) -> list[RequestPlan]:
    return [effect for effect in effects if isinstance(effect, RequestPlan)]


def test_a_shard_that_comes_back_begins_the_time_of_silent_hosts_anew() -> None:
    world = World()
    whole, second = territories(world.cluster, [[0, 1], [1]], shards=2)
    world.control = world.cluster.controller(SETTINGS, territory=whole)
    world.cluster.set_silent("h2")
    world.cluster.hosts["h2"].kill()
    world.pass_ms(8_000)
    world.control.give(TerritoryChanged(second), world.cluster.now_ms)
    world.pass_ms(8_000)
    world.control.give(TerritoryChanged(whole), world.cluster.now_ms)
    world.pass_ms(8_000)
    assert world.cluster.ledger().host("h2").required.state is HostState.UP
    world.pass_ms(4_000)
    assert world.cluster.ledger().host("h2").required.state is HostState.LOST


def test_a_shard_more_keeps_what_is_noted_of_the_others() -> None:
    world, _ = aged(shards=2)
    first, both, second = territories(world.cluster, [[0], [0, 1], [1]], shards=2)
    machine = ControllerMachine(first, SETTINGS)
    ledger = world.cluster.ledger()
    noted = machine.stamps
    machine.step(TerritoryChanged(both), ledger, world.cluster.now_ms)
    assert machine.stamps is noted
    machine.step(TerritoryChanged(second), ledger, world.cluster.now_ms)
    assert machine.stamps is not noted
