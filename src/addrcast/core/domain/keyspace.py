"""The dotted keys of the store: how they are built, which value they hold, how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from addrcast.core.domain import record, resource
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.identity import InstanceId, escape_instance

if TYPE_CHECKING:
    from addrcast.core.domain.record import Value

EPOCH = "store_epoch"
RECORDS = "network_address."
PHYSICALS = "physical_address."
INSTANCES = "instance."
POOL_ADDRESSES = "pool_address."
HOSTS = "host."
HOSTS_ALIVE = "host_alive."
SUBSCRIPTIONS = "host_account."
ACKNOWLEDGEMENTS = "host_applied."
ACCOUNTS = "account."
POOLS = "pool."
TIERS = "tier."
DECLARED = "declared"
REMOVALS = "removal."
PLANS = "plan."
ELECTIONS = "election."
HOST_REPORTS = "host_report."
ATTACHMENTS = "host_attached."
MOVE = "store_move"


class WholeKey(str):
    """Among prefixes to scan or watch: a whole key, of which longer ones are not wanted, nor need be allowed.

    To a store it is a prefix like any other, and one that can tell the two apart may do so.
    """

    __slots__ = ()


def record_key(account: str, logical: str) -> str:
    """R: `network_address.<account>.<logical>`."""
    return f"{RECORDS}{account}.{logical}"


def records_of(account: str) -> str:
    """The prefix of an account's records; it ends in a dot, so `a` does not match `ab`."""
    return f"{RECORDS}{account}."


def physical_key(physical: str) -> str:
    """P: `physical_address.<physical>`."""
    return f"{PHYSICALS}{physical}"


def instance_key(account: str, instance: str) -> str:
    """I: `instance.<account>.<instance>`, the instance escaped."""
    return f"{INSTANCES}{account}.{escape_instance(InstanceId(instance))}"


def pool_address_key(pool: str, logical: str) -> str:
    """Q: `pool_address.<pool>.<logical>`."""
    return f"{POOL_ADDRESSES}{pool}.{logical}"


def host_key(host: str) -> str:
    """H: `host.<host>`."""
    return f"{HOSTS}{host}"


def host_alive_key(host: str) -> str:
    """The only leased key of a host: `host_alive.<host>`."""
    return f"{HOSTS_ALIVE}{host}"


def subscription_key(host: str, account: str) -> str:
    """S: `host_account.<host>.<account>`."""
    return f"{SUBSCRIPTIONS}{host}.{account}"


def acknowledgement_key(host: str, account: str) -> str:
    """A: `host_applied.<host>.<account>`."""
    return f"{ACKNOWLEDGEMENTS}{host}.{account}"


def host_report_key(host: str) -> str:
    """`host_report.<host>`: how much a host knows of its attachments."""
    return f"{HOST_REPORTS}{host}"


def attachments_key(host: str, account: str) -> str:
    """`host_attached.<host>.<account>`: what a host has of an account."""
    return f"{ATTACHMENTS}{host}.{account}"


def account_key(account: str) -> str:
    """`account.<account>`: the declared account."""
    return f"{ACCOUNTS}{account}"


def pool_key(pool: str) -> str:
    """`pool.<pool>`: the declared pool."""
    return f"{POOLS}{pool}"


def tier_key(tier: str) -> str:
    """`tier.<tier>`: the declared tier."""
    return f"{TIERS}{tier}"


def removal_key(kind: str, name: str) -> str:
    """`removal.<kind>.<name>`: an account, host or pool goes once nothing of it is left; `kind` as in `account`."""
    return f"{REMOVALS}{kind}.{name}"


def plan_key(account: str) -> str:
    """`plan.<account>`: the latest plan of an account, for people to read."""
    return f"{PLANS}{account}"


def election_key(name: str) -> str:
    """`election.<name>`: held by the leader, under its lease; compared to fence its writes."""
    return f"{ELECTIONS}{name}"


VALUE_TYPES: dict[str, type[Value]] = {
    RECORDS: record.Record,
    PHYSICALS: record.PhysicalHold,
    INSTANCES: record.InstanceEntry,
    POOL_ADDRESSES: record.PoolAddress,
    HOSTS: record.Host,
    SUBSCRIPTIONS: record.Subscription,
    ACKNOWLEDGEMENTS: record.Acknowledgement,
    ACCOUNTS: resource.Account,
    POOLS: resource.Pool,
    TIERS: resource.Tier,
    DECLARED: resource.Declared,
    REMOVALS: resource.Removal,
    EPOCH: record.StoreEpoch,
    HOST_REPORTS: record.HostReport,
    ATTACHMENTS: record.Attachments,
    MOVE: record.StoreMove,
}


class KeyParts(NamedTuple):
    """A key taken apart: its kind (a prefix of this module), then what stands between the dots."""

    kind: str
    first: str
    second: str


TWO_PART = frozenset({RECORDS, INSTANCES, POOL_ADDRESSES, SUBSCRIPTIONS, ACKNOWLEDGEMENTS, ATTACHMENTS, REMOVALS})


def parts_of(key: str) -> KeyParts:
    """Take a key apart; the last part may hold dots itself (IPv4, instances). Raises Invalid."""
    word, dot, rest = key.partition(".")
    kind = word + dot
    if kind in TWO_PART:
        first, inner_dot, second = rest.partition(".")
        if not (first and inner_dot and second):
            raise Invalid("key", key, f"{kind}<name>.<name> is expected")
        return KeyParts(kind, first, second)
    return KeyParts(kind, rest, "")
