"""What tiers, pools, hosts and accounts must keep to before they are declared."""

from __future__ import annotations

from itertools import chain, combinations
from math import isfinite
from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.identity import check_name
from addrcast.core.domain.pool import disjoint_prefixes, pool_space
from addrcast.core.domain.resource import PoolKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.record import Host
    from addrcast.core.domain.resource import Account, Pool, Tier

VNI_MAX = (1 << 24) - 1


def check_tier(tier_id: str, tier: Tier) -> None:
    """Raise Invalid where a tier has a figure out of its range."""
    check_name("tier", tier_id)
    for field, value, least in (
        ("rank", tier.rank, 0),
        ("hold_ms", tier.hold_ms, 0),
        ("cooldown_ms", tier.cooldown_ms, 0),
        ("age_limit_ms", tier.age_limit_ms, 1),
    ):
        if value < least:
            raise Invalid(field, value, f"at least {least} is expected")
    if not (isfinite(tier.weight) and tier.weight > 0):
        raise Invalid("weight", tier.weight, "a finite number above 0 is expected")
    if not 0 < tier.service_level < 1:
        raise Invalid(
            "service_level", tier.service_level, "a probability between 0 and 1, without both, is expected"
        )
    if not 0 <= tier.headroom < 1:
        raise Invalid("headroom", tier.headroom, "a share of the pool, at least 0 and below 1, is expected")


def check_pool(pool_id: str, pool: Pool, pools: Mapping[str, Pool]) -> None:
    """Raise Invalid where a pool breaks a rule, or is physical and shares addresses with another physical one."""
    check_name("pool", pool_id)
    pool_space(pool)
    if pool.kind is PoolKind.LOGICAL:
        return
    if pool.is_shared:
        raise Invalid("is_shared", pool.is_shared, "only logical pools are shared by accounts")
    others = {name: other for name, other in pools.items() if name != pool_id and other.kind is PoolKind.PHYSICAL}
    _check_apart("prefixes", pool.prefixes, {name: other.prefixes for name, other in others.items()})


def check_host(host_id: str, host: Host, *, hosts: Mapping[str, Host], pools: Mapping[str, Pool]) -> None:
    """Raise Invalid unless each block lies inside a physical pool and in no block of another host."""
    check_name("host", host_id)
    blocks = disjoint_prefixes("blocks", host.blocks)
    physical = [pool.prefixes for pool in pools.values() if pool.kind is PoolKind.PHYSICAL]
    prefixes = _parsed(chain.from_iterable(physical))
    for block in blocks:
        if not any(prefix.holds(block) for prefix in prefixes):
            raise Invalid("blocks", str(block), "it must lie inside a prefix of a physical pool; grow one first")
    _check_apart("blocks", host.blocks, {name: other.blocks for name, other in hosts.items() if name != host_id})


def check_account(
    account_id: str,
    account: Account,
    *,
    accounts: Mapping[str, Account],
    pools: Mapping[str, Pool],
    tiers: Mapping[str, Tier],
) -> None:
    """Raise Invalid where an account breaks a rule or names what is not declared.

    Its pools share no address, so that an address tells its pool; they may be of both families, for instances
    with one address of each.
    """
    check_name("account", account_id)
    if account.tier not in tiers:
        raise Invalid("tier", account.tier, f"one of {', '.join(sorted(tiers))} is expected")
    _check_vni(account_id, account, accounts)
    if account.quota is not None and account.quota < 0:
        raise Invalid("quota", account.quota, "at least 0, or none, is expected")
    if not account.pools:
        raise Invalid("pools", account.pools, "at least one logical pool is expected")
    for name in account.pools:
        if name not in pools or pools[name].kind is not PoolKind.LOGICAL:
            raise Invalid("pools", name, "no logical pool of this name is declared")
    for name, other in combinations(account.pools, 2):
        _check_apart("pools", pools[name].prefixes, {other: pools[other].prefixes})
    prefixes = _parsed(chain.from_iterable(pools[name].prefixes for name in account.pools))
    for preferred in _parsed(account.preferences.prefixes):
        if not any(prefix.holds(preferred) for prefix in prefixes):
            raise Invalid("preferences.prefixes", str(preferred), "it must lie inside a pool of the account")
    for host in account.preferences.hosts:
        check_name("preferences.hosts", host)


def _check_vni(account_id: str, account: Account, accounts: Mapping[str, Account]) -> None:
    if not 1 <= account.vni <= VNI_MAX:
        raise Invalid("vni", account.vni, f"1 to {VNI_MAX} is expected")
    for name, other in accounts.items():
        if name != account_id and other.vni == account.vni:
            raise Invalid("vni", account.vni, f"account {name} has it; choose one that is free")


def _check_apart(field: str, texts: Iterable[str], others: Mapping[str, Iterable[str]]) -> None:
    own = _parsed(texts)
    for name, theirs in others.items():
        for prefix in _parsed(theirs):
            for mine in own:
                if mine.overlaps(prefix):
                    raise Invalid(field, str(mine), f"it overlaps {prefix} of {name}")


def _parsed(texts: Iterable[str]) -> list[Prefix]:
    return [parse_prefix(text) for text in texts]
