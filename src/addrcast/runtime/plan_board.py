"""The latest plan of each account, kept in the store for people to read: `plan.<account>`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from addrcast.core.domain.record import Value
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.core.reservation.explanation import explain

if TYPE_CHECKING:
    from addrcast.core.reservation.plan import Plan
    from addrcast.ports.store import Store

PLANS = "plan."
BATCH = 256


class PostedPlan(Value, frozen=True, kw_only=True):
    """What the last plan said of one account; `lines` explain every number."""

    made_ms: int
    expires_ms: int
    revision: int
    target: int
    reserved: int
    delta: int
    level: float
    lines: tuple[str, ...]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(PostedPlan)


class PlanBoard:
    """Posts plans; an account whose target and change are the same as posted last is left as it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._posted: dict[str, tuple[int, int]] = {}

    async def post(self, plan: Plan) -> None:
        """Write what is new in a plan. A post that fails is made good by the next one. Raises Unavailable."""
        puts = []
        for row, account in enumerate(plan.given.accounts):
            figures = (int(plan.target[row]), int(plan.delta[row]))
            if self._posted.get(account) != figures:
                self._posted[account] = figures
                puts.append(Put(PLANS + account, _ENCODER.encode(_posted(plan, row, account))))
        for first in range(0, len(puts), BATCH):
            await self._store.commit([Transaction((), (put,)) for put in puts[first : first + BATCH]])


async def posted_plans(store: Store) -> dict[str, PostedPlan]:
    """The latest plan of each account, by account."""
    page = await store.scan(PLANS)
    return {item.key[len(PLANS) :]: _DECODER.decode(item.value) for item in page.items}


def _posted(plan: Plan, row: int, account: str) -> PostedPlan:
    return PostedPlan(
        made_ms=plan.given.now_ms,
        expires_ms=plan.expires_ms,
        revision=plan.revision,
        target=int(plan.target[row]),
        reserved=int(plan.reserved[row]),
        delta=int(plan.delta[row]),
        level=round(float(np.float64(plan.level[row])), 6),
        lines=explain(plan, account),
    )
