"""Replicas that race on one store never give an address twice, whatever they know and whatever gets lost."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.core.assignment.race import ACCOUNTS, HOSTS, INSTANCES, Race, random_race, tend
from tests.core.assignment.world import DEADLINE, Replica, World, create

from addrcast.core.assignment.answer import Created
from addrcast.core.domain import keyspace
from addrcast.core.domain.errors import Exhausted
from addrcast.core.domain.resource import PoolKind


class RacingAssigners(RuleBasedStateMachine):
    @initialize(is_shared=st.booleans())
    def begin_world(self, is_shared: bool) -> None:
        self.race = Race(is_shared=is_shared)

    @rule(
        replica=st.integers(0, 1),
        account=st.sampled_from(ACCOUNTS),
        instance=st.sampled_from(INSTANCES),
        host=st.sampled_from(("", *HOSTS)),
        attempt=st.integers(0, 2),
        count=st.integers(1, 2),
    )
    def create(self, *, replica: int, account: str, instance: str, host: str, attempt: int, count: int) -> None:
        self.race.create(replica, account, instance, host=host, attempt=attempt, count=count)

    @rule(
        replica=st.integers(0, 1),
        account=st.sampled_from(ACCOUNTS),
        instance=st.sampled_from(INSTANCES),
        attempt=st.none() | st.integers(0, 2),
    )
    def delete(self, replica: int, account: str, instance: str, attempt: int | None) -> None:
        self.race.delete(replica, account, instance, attempt=attempt)

    @rule(replica=st.integers(0, 1))
    def decide(self, replica: int) -> None:
        self.race.begin(replica)

    @rule(replica=st.integers(0, 1), limit=st.none() | st.integers(1, 3))
    def follow(self, replica: int, limit: int | None) -> None:
        self.race.sync(replica, limit)

    @precondition(lambda self: self.race.in_flight)
    @rule(data=st.data(), how=st.sampled_from(("arrive", "after", "before", "later")))
    def finish(self, data: st.DataObject, how: str) -> None:
        number = data.draw(st.integers(0, len(self.race.in_flight) - 1))
        if how == "arrive":
            self.race.arrive(number)
        else:
            self.race.lose_reply(number, when=how)

    @rule(number=st.integers(0, 4), account=st.sampled_from(ACCOUNTS), host=st.sampled_from(HOSTS))
    def tend(self, number: int, account: str, host: str) -> None:
        tend(self.race, number, account, host)

    @invariant()
    def nothing_is_broken(self) -> None:
        if hasattr(self, "race"):
            assert self.race.faults() == []

    def teardown(self) -> None:
        if hasattr(self, "race"):
            self.race.calm()
            assert self.race.faults() == []
            assert len(self.race.replies) == self.race.asked


TestRacingAssigners = RacingAssigners.TestCase


def test_random_races_break_nothing_and_every_request_is_answered() -> None:
    for seed in range(40):
        race = random_race(Random(seed))
        assert race.faults() == [], seed
        assert len(race.replies) == race.asked, seed


@pytest.mark.parametrize(
    "drop", [keyspace.RECORDS, keyspace.PHYSICALS, keyspace.INSTANCES, keyspace.POOL_ADDRESSES]
)
def test_without_one_kind_of_compare_the_same_races_break(drop: str) -> None:
    assert any(random_race(Random(seed), drop=drop).faults() for seed in range(40))


@given(
    free=st.integers(1, 5),
    more=st.integers(0, 4),
    homes=st.lists(st.integers(0, 1), min_size=9, max_size=9),
    turns=st.lists(st.tuples(st.sampled_from(("decide", "arrive", "lose", "follow")), st.integers(0, 1))),
)
def test_n_free_addresses_and_n_plus_k_creates_on_two_replicas_give_exactly_n(
    free: int, more: int, homes: list[int], turns: list[tuple[str, int]]
) -> None:
    race = Race()
    race.world.host("h1", *[f"192.0.2.{number}/32" for number in range(free)])
    race.world.delete("host.h2")
    for number in range(free + more):
        race.create(homes[number], "acme", f"i-{number}", host="", attempt=0, count=1)
    for what, replica in turns:
        if what == "decide":
            race.begin(replica)
        elif what == "follow":
            race.sync(replica, 1)
        elif race.in_flight:
            which = replica % len(race.in_flight)
            race.arrive(which) if what == "arrive" else race.lose_reply(which, when="later")
    race.calm()
    got = [reply.answer for reply in race.replies if isinstance(reply.answer, Created)]
    assert len(got) == free
    assert len({answer.addresses[0].physical for answer in got}) == free
    assert sum(isinstance(reply.answer, Exhausted) for reply in race.replies) == more
    assert race.faults() == []


@given(tiers=st.lists(st.sampled_from(("premium", "standard", "basic")), min_size=2, max_size=8))
def test_inside_a_group_a_higher_tier_is_never_displaced_by_a_lower_one(tiers: list[str]) -> None:
    world = World()
    world.pool("p", "10.0.0.0/24")
    world.pool("substrate", "192.0.2.0/24", kind=PoolKind.PHYSICAL)
    world.host("h1", *[f"192.0.2.{number}/32" for number in range(len(tiers) // 2)])
    for number, tier in enumerate(tiers):
        world.account(f"a-{number}", tier=tier)
    asked = [create(f"a-{number}", "i", "h1", deadline_ms=DEADLINE) for number in range(len(tiers))]
    answers = Replica(world).ask(*asked)
    ranks = {"premium": 0, "standard": 1, "basic": 2}
    got = [ranks[tier] for tier, answer in zip(tiers, answers, strict=True) if isinstance(answer, Created)]
    refused = [ranks[tier] for tier, answer in zip(tiers, answers, strict=True) if not isinstance(answer, Created)]
    assert len(got) == len(tiers) // 2
    assert max(got) <= min(refused)
