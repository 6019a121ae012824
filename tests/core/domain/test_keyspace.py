"""Keys: built and taken apart again."""

from __future__ import annotations

import pytest

from addrcast.core.domain import keyspace
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import KeyParts, parts_of


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        (keyspace.record_key("a", "10.0.0.1"), KeyParts(keyspace.RECORDS, "a", "10.0.0.1")),
        (keyspace.record_key("a", "::ffff:10.0.0.1"), KeyParts(keyspace.RECORDS, "a", "::ffff:10.0.0.1")),
        (keyspace.physical_key("100.64.0.1"), KeyParts(keyspace.PHYSICALS, "100.64.0.1", "")),
        (keyspace.instance_key("a", "i.1"), KeyParts(keyspace.INSTANCES, "a", "i.1")),
        (keyspace.pool_address_key("net", "10.0.0.1"), KeyParts(keyspace.POOL_ADDRESSES, "net", "10.0.0.1")),
        (keyspace.host_key("h1"), KeyParts(keyspace.HOSTS, "h1", "")),
        (keyspace.host_alive_key("h1"), KeyParts(keyspace.HOSTS_ALIVE, "h1", "")),
        (keyspace.subscription_key("h1", "a"), KeyParts(keyspace.SUBSCRIPTIONS, "h1", "a")),
        (keyspace.acknowledgement_key("h1", "a"), KeyParts(keyspace.ACKNOWLEDGEMENTS, "h1", "a")),
        (keyspace.account_key("a"), KeyParts(keyspace.ACCOUNTS, "a", "")),
        (keyspace.pool_key("net"), KeyParts(keyspace.POOLS, "net", "")),
        (keyspace.tier_key("basic"), KeyParts(keyspace.TIERS, "basic", "")),
        (keyspace.election_key("controller"), KeyParts(keyspace.ELECTIONS, "controller", "")),
        (keyspace.removal_key("host", "h1"), KeyParts(keyspace.REMOVALS, "host", "h1")),
        (keyspace.EPOCH, KeyParts(keyspace.EPOCH, "", "")),
        (keyspace.DECLARED, KeyParts(keyspace.DECLARED, "", "")),
    ],
)
def test_a_key_is_taken_apart_as_it_was_built(key: str, parts: KeyParts) -> None:
    assert parts_of(key) == parts


@pytest.mark.parametrize(
    "key", ["network_address.a", "network_address..10.0.0.1", "instance.a.", "host_account.h1"]
)
def test_a_key_that_lacks_a_part_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="is expected"):
        parts_of(key)


def test_the_prefix_of_an_account_is_not_that_of_a_longer_name() -> None:
    assert keyspace.record_key("a", "10.0.0.1").startswith(keyspace.records_of("a"))
    assert not keyspace.record_key("ab", "10.0.0.1").startswith(keyspace.records_of("a"))


def test_no_kind_of_key_is_the_start_of_another() -> None:
    kinds = [*keyspace.VALUE_TYPES, keyspace.HOSTS_ALIVE, keyspace.ELECTIONS]
    assert [(one, other) for one in kinds for other in kinds if one != other and other.startswith(one)] == []
