"""Small fleets for the tests of plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from addrcast.core.domain.resource import DEFAULT_TIERS
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED, PlanInput, PlanSettings, PoolColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.resource import Tier

CALM = PlanSettings(dead_band=0, dead_band_share=0.0, shrink_share_max=1.0, grow_share_max=1.0)
"""Settings under which a plan neither damps nor refuses anything."""


def tier(name: str = "standard", **changes: Any) -> Tier:
    """A default tier with some of its fields changed."""
    return replace(DEFAULT_TIERS[name], **changes)


def pool_columns(*pools: dict[str, Any]) -> PoolColumns:
    """Pools from `{"name", "free", ...}`; what is not given is 0, but `total` is what the rest adds up to."""

    def column(name: str) -> list[int]:
        return [pool.get(name, 0) for pool in pools]

    def total(pool: dict[str, Any]) -> int:
        return sum(int(pool.get(part, 0)) for part in ("free", "reserved", "preserved", "cooling"))

    return PoolColumns(
        names=tuple(pool["name"] for pool in pools),
        total=np.array([pool.get("total", total(pool)) for pool in pools], dtype=np.int64),
        free=np.array(column("free"), dtype=np.int64),
        reserved=np.array(column("reserved"), dtype=np.int64),
        preserved=np.array(column("preserved"), dtype=np.int64),
        cooling=np.array(column("cooling"), dtype=np.int64),
        holding_price=np.array([pool.get("holding_price", 0.0) for pool in pools]),
    )


def plan_input(
    need: Sequence[Sequence[float]],
    *,
    levels: Sequence[float] = (0.5, 0.9, 0.99),
    tiers: dict[str, Tier] | None = None,
    tier: Sequence[str] | None = None,
    pools: PoolColumns | None = None,
    draws: Sequence[Sequence[int]] | None = None,
    settings: PlanSettings = CALM,
    accounts: Sequence[str] | None = None,
    **columns: Sequence[int],
) -> PlanInput:
    """An input of one row for each of `need`; other columns are 0, or without bound."""
    size = len(need)
    tiers = tiers or DEFAULT_TIERS
    pools = pools or pool_columns()
    names = list(tiers)
    chosen = [names.index(name) for name in tier or ["standard"] * size]

    def column(name: str, default: int) -> Any:
        return np.array(columns.get(name, [default] * size), dtype=np.int32)

    return PlanInput(
        accounts=tuple(accounts or (f"a{row:04d}" for row in range(size))),
        levels=np.array(levels, dtype=np.float64),
        need=np.array(need, dtype=np.float32).reshape(size, len(levels)),
        fault=column("fault", 0).astype(np.uint8),
        tiers=tuple(tiers.items()),
        tier=np.array(chosen, dtype=np.int16),
        preserved=column("preserved", 0),
        within_hold=column("within_hold", 0),
        reserved=column("reserved", 0),
        bound=column("bound", 0),
        quota=column("quota", UNLIMITED),
        room=column("room", UNLIMITED),
        pools=pools,
        draws=np.array(draws or [[NO_POOL]] * size, dtype=np.int32).reshape(size, len(draws[0]) if draws else 1),
        unwanted_rounds=column("unwanted_rounds", 0),
        approved=column("approved", 0),
        wanted_before=column("wanted_before", UNLIMITED),
        revision=7,
        now_ms=1_000,
        settings=settings,
    )
