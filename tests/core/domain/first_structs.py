"""The values as version 1 of the schema had them: its structs as they were, strict as they were."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec


class AddressState(Enum):
    RESERVED = "reserved"
    BOUND = "bound"
    PRESERVED = "preserved"
    COOLING = "cooling"


class HoldState(Enum):
    HELD = "held"
    COOLING = "cooling"


class InstanceState(Enum):
    BOUND = "bound"
    TOMBSTONE = "tombstone"


class Outcome(Enum):
    PRESERVED = "preserved"
    SHADOW = "shadow"
    REBOUND = "rebound"
    DYNAMIC = "dynamic"


class HostState(Enum):
    UP = "up"
    LOST = "lost"
    REJOINING = "rejoining"


class EpochState(Enum):
    OPEN = "open"
    CLOSED = "closed"
    FROZEN = "frozen"


class PoolKind(Enum):
    LOGICAL = "logical"
    PHYSICAL = "physical"


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: Annotated[int, msgspec.Meta(ge=1, le=1)] = msgspec.field(default_factory=lambda: 1)


class Record(Value, frozen=True, kw_only=True, omit_defaults=True):
    state: AddressState
    physical: str
    host: str
    pool: str
    since_ms: int
    instance: str = ""
    attempt: int = 0
    placed_revision: int = 0
    was_bound: bool = False
    is_shared: bool = False
    request: str = ""


class PhysicalHold(Value, frozen=True, kw_only=True, omit_defaults=True):
    state: HoldState
    account: str
    logical: str
    host: str
    since_ms: int


class InstanceEntry(Value, frozen=True, kw_only=True, omit_defaults=True):
    state: InstanceState
    attempt: int
    since_ms: int
    addresses: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    request: str = ""


class PoolAddress(Value, frozen=True, kw_only=True):
    account: str


class Host(Value, frozen=True, kw_only=True):
    state: HostState
    incarnation: int
    blocks: tuple[str, ...]
    is_draining: bool = False


class Subscription(Value, frozen=True, kw_only=True):
    is_idle: bool = False
    is_leaving: bool = False


class Acknowledgement(Value, frozen=True, kw_only=True):
    epoch: int
    revision: int
    incarnation: int


class StoreEpoch(Value, frozen=True, kw_only=True):
    epoch: int
    state: EpochState = EpochState.OPEN


class Tier(Value, frozen=True, kw_only=True):
    rank: int
    weight: float
    service_level: float
    hold_ms: int
    age_limit_ms: int
    cooldown_ms: int
    headroom: float


class Pool(Value, frozen=True, kw_only=True):
    kind: PoolKind
    prefixes: tuple[str, ...]
    exclusions: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    is_shared: bool = False


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    prefixes: tuple[str, ...] = ()
    is_contiguous: bool = False
    hosts: tuple[str, ...] = ()


class Account(Value, frozen=True, kw_only=True):
    tier: str
    vni: int
    pools: tuple[str, ...]
    quota: int | None = None
    preferences: Preferences = Preferences()
    is_draining: bool = False


KINDS: dict[str, type[Value]] = {
    "network_address.": Record,
    "physical_address.": PhysicalHold,
    "instance.": InstanceEntry,
    "pool_address.": PoolAddress,
    "host.": Host,
    "host_account.": Subscription,
    "host_applied.": Acknowledgement,
    "account.": Account,
    "pool.": Pool,
    "tier.": Tier,
    "store_epoch": StoreEpoch,
}


def read(key: str, data: bytes) -> Value | None:
    """What a process of version 1 makes of a key; None where it passes over it. Raises msgspec.ValidationError."""
    word, dot, _ = key.partition(".")
    kind = KINDS.get(word + dot)
    return None if kind is None else msgspec.json.decode(data, type=kind)
