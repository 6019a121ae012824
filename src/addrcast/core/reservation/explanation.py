"""A plan in words and in JSON: where every number comes from."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from addrcast.core.domain.errors import Invalid
from addrcast.core.reservation.plan import Reason
from addrcast.core.reservation.policy import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.reservation.plan import Plan

_COLUMNS = (
    "wanted", "covered", "by_price", "by_quota", "by_room", "by_pool", "kept", "reserved", "delta", "surplus",
    "let_go", "target", "level", "worth", "price", "stopped_by", "reason", "unwanted_rounds",
)  # fmt: skip

_SOURCE = {
    Fault.NONE: "by forecast",
    Fault.MISSING: "by reorder point, since the forecast is missing",
    Fault.LATE: "by reorder point, since the forecast is late",
    Fault.ABSURD: "by reorder point, since the forecast is absurd",
}


def explain(plan: Plan, account: str) -> tuple[str, ...]:
    """The plan for one account, a line for every number; the figures in the first column add up.

    Raises: Invalid where the plan has no such account.
    """
    given = plan.given
    row = bisect_left(given.accounts, account)
    if row == len(given.accounts) or given.accounts[row] != account:
        raise Invalid("account", account, f"one of the plan's {len(given.accounts)} accounts is expected")
    name, tier = given.tiers[given.tier[row]]
    return (
        f"account {account}, tier {name} (rank {tier.rank}, weight {tier.weight:g}): {plan.target[row]} idle",
        *(f"{figure:>+7d}  {why}" for figure, why in _steps(plan, row)),
        f"{plan.reserved[row]:>7d}  to hold reserved; {given.reserved[row]} now, so {plan.delta[row]:+d}",
        *(f"{figure:>+7d}  {why}" for figure, why in _preserved(plan, row)),
        f"{plan.target[row]:>7d}  to lie idle",
        f"         hit probability {plan.level[row]:.4f}",
        f"         the next address is worth {plan.worth[row]:.4g}, at a price of {plan.price[row]:.4g}",
        *(f"         {line}" for line in _withheld(plan, row)),
    )


def summary(plan: Plan) -> dict[str, object]:
    """The plan's totals, its pools and its refusals, as JSON has them."""
    given = plan.given
    grow = int(np.maximum(plan.delta, 0).sum(dtype=np.int64))
    shrink = -int(np.minimum(plan.delta, 0).sum(dtype=np.int64))
    let_go = int(plan.let_go.sum(dtype=np.int64))
    return {
        "revision": plan.revision,
        "made_ms": given.now_ms,
        "expires_ms": plan.expires_ms,
        "accounts": len(given.accounts),
        "wanted": int(plan.wanted.sum(dtype=np.int64)),
        "preserved": int(given.preserved.sum(dtype=np.int64)),
        "reserved": int(plan.reserved.sum(dtype=np.int64)),
        "grow": grow,
        "shrink": shrink,
        "let_go": let_go,
        "idle": int(plan.target.sum(dtype=np.int64)),
        "reasons": {reason.name: int((plan.reason & reason != 0).sum()) for reason in Reason},
        "pools": [
            {
                "pool": name,
                "total": int(given.pools.total[pool]),
                "reserved_now": int(given.pools.reserved[pool]),
                "reserved": int(plan.pool_reserved[pool]),
                "price": float(plan.pool_price[pool]),
                "short_at_rank": int(plan.pool_rank[pool]) if plan.pool_rank[pool] >= 0 else None,
            }
            for pool, name in enumerate(given.pools.names)
        ],
        "refusals": [str(refusal) for refusal in plan.refusals],
    }


def to_json(plan: Plan) -> bytes:
    """The whole plan, account by account in columns; equal plans give equal bytes."""
    columns = {name: getattr(plan, name).tolist() for name in _COLUMNS}
    return msgspec.json.encode(summary(plan) | {"account": plan.given.accounts, "columns": columns})


def _steps(plan: Plan, row: int) -> Iterator[tuple[int, str]]:
    """The numbers from the need to the reservations, in the order in which they were taken off."""
    given = plan.given
    _, tier = given.tiers[given.tier[row]]
    used = f"{given.bound[row]} bound and {given.preserved[row]} preserved of a quota of {given.quota[row]}"
    yield int(plan.wanted[row]), f"need at level {tier.service_level:g}, {_SOURCE[Fault(int(given.fault[row]))]}"
    for taken, why in (
        (plan.covered[row], f"covered by {given.preserved[row]} preserved"),
        (plan.by_price[row], "worth no more than the pools' holding price"),
        (plan.by_quota[row], f"over quota: {used}"),
        (plan.by_room[row], f"over the room of {given.room[row]} in its own ranges and preferences"),
    ):
        if taken:
            yield -int(taken), why
    if plan.by_pool[row]:
        yield -int(plan.by_pool[row]), _shortage(plan, row)
    if plan.kept[row]:
        limit = given.settings.unwanted_rounds_max
        yield int(plan.kept[row]), f"kept though unwanted, round {plan.unwanted_rounds[row]} of {limit}"


def _preserved(plan: Plan, row: int) -> Iterator[tuple[int, str]]:
    """The numbers from the reservations to all that lies idle."""
    given = plan.given
    preserved, surplus, let_go = int(given.preserved[row]), int(plan.surplus[row]), int(plan.let_go[row])
    if preserved:
        rounds = f"round {plan.unwanted_rounds[row]} of {given.settings.unwanted_rounds_max}"
        kept = f", {surplus} kept though unwanted, {rounds}" if let_go < surplus else ""
        yield preserved, f"preserved, {given.within_hold[row]} within their hold{kept}"
    if let_go:
        yield -let_go, "preserved beyond covered and past their hold, to go back"


def _shortage(plan: Plan, row: int) -> str:
    pool = int(plan.stopped_by[row])
    name, rank = plan.given.pools.names[pool], int(plan.pool_rank[pool])
    return f"pool {name} is short from rank {rank} on, at a price of {plan.pool_price[pool]:.4g}"


def _withheld(plan: Plan, row: int) -> Iterator[str]:
    if plan.reason[row] & Reason.REFUSED:
        yield from (f"withheld: {refusal}" for refusal in plan.refusals)
