"""What operators declare as a TOML or JSON file: tables of tiers, pools, hosts and accounts, by name."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import Host, HostState
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Pool, PoolKind, Preferences, Tier

if TYPE_CHECKING:
    from pathlib import Path

    from addrcast.core.domain.declarations import Resource


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of which every name is known."""


class TierTable(_Strict, frozen=True, kw_only=True):
    """A tier; what is left out of a default tier is as it is by default."""

    rank: int | None = None
    weight: float | None = None
    service_level: float | None = None
    hold_ms: int | None = None
    age_limit_ms: int | None = None
    cooldown_ms: int | None = None
    headroom: float | None = None


class PoolTable(_Strict, frozen=True, kw_only=True):
    """A pool."""

    kind: PoolKind
    prefixes: tuple[str, ...]
    exclusions: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    is_shared: bool = False


class HostTable(_Strict, frozen=True, kw_only=True):
    """A host: the blocks that are routed to it, and whether it drains. Its state is its own."""

    blocks: tuple[str, ...]
    is_draining: bool = False


class PreferencesTable(_Strict, frozen=True, kw_only=True):
    """What an account asks of its reservations."""

    prefixes: tuple[str, ...] = ()
    is_contiguous: bool = False
    hosts: tuple[str, ...] = ()


class AccountTable(_Strict, frozen=True, kw_only=True):
    """An account."""

    tier: str
    vni: int
    pools: tuple[str, ...]
    quota: int | None = None
    preferences: PreferencesTable = PreferencesTable()
    is_draining: bool = False


class DeclaredFile(_Strict, frozen=True, kw_only=True):
    """A whole file."""

    tiers: dict[str, TierTable] = {}
    pools: dict[str, PoolTable] = {}
    hosts: dict[str, HostTable] = {}
    accounts: dict[str, AccountTable] = {}


def read_declared(path: Path) -> list[tuple[str, Resource]]:
    """The resources of a file, TOML unless its name ends in `.json`. Raises Invalid, and OSError."""
    data = path.read_bytes()
    try:
        tree: Any = msgspec.json.decode(data) if path.suffix == ".json" else tomllib.loads(data.decode())
        declared = msgspec.convert(tree, DeclaredFile)
    except msgspec.ValidationError as fault:
        what, _, where = str(fault).partition(" - at `$")
        raise Invalid(where.rstrip("`").lstrip(".") or str(path), "", what) from None
    except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Invalid(str(path), "", str(fault)) from None
    resources: list[tuple[str, Resource]] = [(name, _tier(name, tier)) for name, tier in declared.tiers.items()]
    resources += [(name, Pool(**_fields(pool))) for name, pool in declared.pools.items()]
    # a new host is lost until its agent joins: nothing is placed on it
    resources += [
        (name, Host(state=HostState.LOST, incarnation=0, blocks=host.blocks, is_draining=host.is_draining))
        for name, host in declared.hosts.items()
    ]
    resources += [(name, _account(account)) for name, account in declared.accounts.items()]
    return resources


def _tier(name: str, table: TierTable) -> Tier:
    given = {field: value for field, value in _fields(table).items() if value is not None}
    if name in DEFAULT_TIERS:
        return msgspec.structs.replace(DEFAULT_TIERS[name], **given)
    lacking = [field for field in table.__struct_fields__ if field not in given]
    if lacking:
        raise Invalid(
            f"tiers.{name}", "", f"{', '.join(lacking)} are expected; only default tiers may leave them out"
        )
    return Tier(**given)


def _account(table: AccountTable) -> Account:
    return Account(**{**_fields(table), "preferences": Preferences(**_fields(table.preferences))})


def _fields(table: msgspec.Struct) -> dict[str, Any]:
    return {field: getattr(table, field) for field in table.__struct_fields__}
