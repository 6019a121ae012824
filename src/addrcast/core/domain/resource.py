"""What operators declare: tiers, pools, accounts, and what of them is to go."""

from __future__ import annotations

from enum import Enum

import msgspec

from addrcast.core.domain.record import Value

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class PoolKind(Enum):
    """Logical addresses are what instances see; physical ones are where the substrate delivers them."""

    LOGICAL = "logical"
    PHYSICAL = "physical"


class Tier(Value, frozen=True, kw_only=True):
    """What an account's tier grants.

    `rank` orders tiers, 0 first. `weight` is the worth of one address that is ready when asked for, relative to
    the holding price. `service_level` is the hit probability aimed at. `hold_ms` is how long a released address
    stays its account's whatever the plan says; after that it stays while the plan wants it idle. `age_limit_ms` is
    how long any address may lie idle, reserved or preserved, `cooldown_ms` the least time between release and free.
    `headroom` is the share of a pool that plans of this tier leave to dynamic allocation.
    """

    rank: int
    weight: float
    service_level: float
    hold_ms: int
    age_limit_ms: int
    cooldown_ms: int
    headroom: float


DEFAULT_TIERS: dict[str, Tier] = {
    "premium": Tier(
        rank=0,
        weight=4.0,
        service_level=0.98,
        hold_ms=15 * MINUTE_MS,
        age_limit_ms=2 * DAY_MS,
        cooldown_ms=30_000,
        headroom=0.02,
    ),
    "standard": Tier(
        rank=1,
        weight=2.0,
        service_level=0.95,
        hold_ms=10 * MINUTE_MS,
        age_limit_ms=DAY_MS,
        cooldown_ms=30_000,
        headroom=0.05,
    ),
    "basic": Tier(
        rank=2,
        weight=1.0,
        service_level=0.80,
        hold_ms=5 * MINUTE_MS,
        age_limit_ms=6 * HOUR_MS,
        cooldown_ms=30_000,
        headroom=0.10,
    ),
}


class Pool(Value, frozen=True, kw_only=True):
    """Prefixes less exclusions, all of one family.

    A logical pool that is not shared is a range of its own for every account that names it, so two accounts may
    both use 10.0.0.0/16; in a shared one each address belongs to one account at a time. Addresses of `draining`
    prefixes get no new use. Physical pools are cut into the blocks of hosts.
    """

    kind: PoolKind
    prefixes: tuple[str, ...]
    exclusions: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    is_shared: bool = False


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """What an account asks of its reservations: prefixes to take first, neighbours in a row, hosts."""

    prefixes: tuple[str, ...] = ()
    is_contiguous: bool = False
    hosts: tuple[str, ...] = ()


class Account(Value, frozen=True, kw_only=True):
    """A customer: tier, virtual network (24 bit), logical pools in order of preference, quota, preferences.

    The quota counts bound, reserved and preserved addresses; None is no quota. A draining account gets no new
    use.
    """

    tier: str
    vni: int
    pools: tuple[str, ...]
    quota: int | None = None
    preferences: Preferences = Preferences()
    is_draining: bool = False


class Declared(Value, frozen=True, kw_only=True):
    """The key `declared`: every declaration compares it and counts it up, so that no two of them race."""

    count: int


class Removal(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The key `removal.<kind>.<name>`: an account, host or pool gets no new use, and goes at zero.

    Of a pool, only `prefixes` go; none is the whole pool. `is_forced` takes the addresses from instances that are
    bound, and lets them cool like any other.
    """

    since_ms: int
    is_forced: bool = False
    prefixes: tuple[str, ...] = ()
