"""An account's shard is the same everywhere, and a territory knows its accounts and their fences."""

from __future__ import annotations

from collections import Counter

import pytest

from addrcast.core.controller.territory import SHARDS_MAX, Territory, shard_of
from addrcast.core.domain.transaction import Compare


def test_the_shard_of_an_account_is_that_of_the_published_checksum() -> None:
    # RFC 1952's CRC-32 has the check value CBF43926 for these nine digits
    assert shard_of("123456789", 1 << 32) == 0xCBF43926
    assert [shard_of(account, 16) for account in ("a", "acme", "tenant-0001", "Z_9")] == [3, 14, 8, 7]


@pytest.mark.parametrize("shards", [2, 3, 5, 16, SHARDS_MAX])
@pytest.mark.parametrize("form", ["account-{:06}", "{:08x}", "t{}"])
def test_accounts_are_spread_evenly_over_shards(shards: int, form: str) -> None:
    counts = Counter(shard_of(form.format(number), shards) for number in range(4_000))
    assert set(counts) == set(range(shards))
    assert max(counts.values()) < 1.15 * 4_000 / shards


def test_a_territory_has_the_accounts_of_its_shards_under_their_fences() -> None:
    fences = {3: Compare("election.controller.3", 30), 14: Compare("election.controller.14", 40)}
    territory = Territory(16, fences)
    assert [territory.fence_of(account) for account in ("a", "acme", "tenant-0001")] == [
        fences[3],
        fences[14],
        None,
    ]
    assert [territory.has(account) for account in ("a", "acme", "tenant-0001")] == [True, True, False]
    assert territory.first is None


def test_the_only_shard_has_everything_and_no_shard_has_nothing() -> None:
    fence = Compare("election.controller.0", 7)
    assert Territory.whole(fence).fence_of("any") == Territory.whole(fence).first == fence
    assert not Territory().has("any")
