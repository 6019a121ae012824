"""The election's keys are read as they stand, and its transactions compare what they rest on."""

from __future__ import annotations

from addrcast.core.controller.standing import SHARDS, ShardNumber, Standing, candidate_key, shard_key
from addrcast.core.controller.territory import Territory
from addrcast.core.domain.transaction import Compare, Delete, KeyValue, Put, Transaction
from addrcast.simulation.store import ModelStore


def standing_of(store: ModelStore) -> Standing:
    return Standing.from_items(store.scan(SHARDS).items)


def store_with(shards: int, leaders: dict[int, str]) -> ModelStore:
    store = ModelStore()
    store.commit([Standing().renumbering(shards)])
    for shard, leader in leaders.items():
        store.commit([Transaction((), (Put(shard_key(shard), leader.encode()),))])
    return store


def test_leaders_candidates_and_vacant_shards_are_read_from_the_keys() -> None:
    store = store_with(4, {0: "a 1", 2: "b 2", 3: "a 1"})
    for lease, name in ((1, "a 1"), (2, "b 2")):
        store.commit([Transaction((), (Put(candidate_key(lease), name.encode()),))])
    standing = standing_of(store)
    assert standing.shards == 4
    assert standing.leaders == {0: "a 1", 2: "b 2", 3: "a 1"}
    assert standing.candidates == {"a 1", "b 2"}
    assert standing.led_by("a 1") == [0, 3]
    assert standing.vacant() == [1]
    fences = {0: Compare(shard_key(0), 2), 3: Compare(shard_key(3), 4)}
    assert standing.territory_of("a 1") == Territory(4, fences)


def test_changes_are_taken_in_and_what_is_older_than_known_is_passed_over() -> None:
    standing = standing_of(store_with(2, {0: "a 1"}))
    standing.apply(shard_key(1), b"a 1", 9)
    standing.apply(shard_key(1), None, 8)
    assert standing.led_by("a 1") == [0, 1]
    standing.apply(shard_key(0), None, 10)
    standing.apply(shard_key(5), None, 10)
    assert standing.vacant() == [0]
    standing.apply(candidate_key(4), b"b 4", 11)
    standing.apply(candidate_key(4), None, 12)
    standing.apply(candidate_key(5), None, 12)
    assert standing.candidates == set()


def test_keys_that_only_begin_alike_are_none_of_the_election() -> None:
    standing = standing_of(store_with(2, {}))
    for key in ("election.controllers", "election.controller.x", "election.controller.-1"):
        standing.apply(key, b"a 1", 9)
    assert (standing.leaders, standing.candidates, standing.shards) == ({}, set(), 2)


def test_a_number_that_is_gone_or_unreadable_is_none() -> None:
    for value in (None, b"old-controller", b'{"v":1,"shards":33}'):
        standing = standing_of(store_with(2, {}))
        standing.apply(SHARDS, value, 9)
        assert standing.shards == 0
        assert standing.number_revision == (0 if value is None else 9)
        assert standing.territory_of("a 1") == Territory()
    assert ShardNumber(shards=32).shards == 32


def test_a_claim_needs_a_vacant_shard_and_the_number_that_it_goes_by() -> None:
    store = store_with(2, {0: "a 1"})
    standing = standing_of(store)
    lease = store.grant(ttl_ms=1_000, now_ms=0)
    claims = [standing.claim(shard, "b 2", lease=lease) for shard in (0, 1)]
    assert [result.is_success for result in store.commit(claims)] == [False, True]
    assert store.read([shard_key(1)]).items == (KeyValue(shard_key(1), b"b 2", 3, 3, lease),)
    store.commit([Transaction((), (Delete(shard_key(1)),)), standing_of(store).renumbering(4)])
    assert not store.commit(claims[1:])[0].is_success


def test_a_shard_that_another_leads_by_now_is_not_resigned() -> None:
    store = store_with(1, {0: "a 1"})
    late = standing_of(store)
    assert store.commit([late.resignation(0)])[0].is_success
    store.commit([Transaction((), (Put(shard_key(0), b"b 2"),))])
    assert not store.commit([late.resignation(0)])[0].is_success


def test_another_number_takes_every_fence_away_even_those_of_shards_beyond_it() -> None:
    store = store_with(3, {0: "a 1", 2: "b 2", 7: "stray"})
    standing = standing_of(store)
    assert store.commit([standing.renumbering(2)])[0].is_success
    assert [item.key for item in store.scan("").items] == [SHARDS]
    assert not store.commit([standing.renumbering(5)])[0].is_success
