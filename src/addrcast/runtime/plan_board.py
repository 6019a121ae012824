"""The latest plan of each account, kept in the store for people to read: `plan.<account>`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.record import Value
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.core.reservation.explanation import explain
from addrcast.runtime.view import scan_all

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import KeyValue
    from addrcast.core.reservation.plan import Plan
    from addrcast.ports.store import Store

log = logging.getLogger(__name__)

PLANS = "plan."
BATCH = 256


class PostedPlan(Value, frozen=True, kw_only=True, tag=1):
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
    """Posts plans; an account whose target, change and reason are the same as posted last is left as it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._posted: dict[str, tuple[int, int, int]] = {}

    async def post(self, plan: Plan) -> None:
        """Write what is new in a plan; while the store is away nothing is, and a later post makes it good."""
        accounts = plan.given.accounts
        figures = list(zip(plan.target.tolist(), plan.delta.tolist(), plan.reason.tolist(), strict=True))
        fresh = [row for row, account in enumerate(accounts) if self._posted.get(account) != figures[row]]
        try:
            for first in range(0, len(fresh), BATCH):
                batch = fresh[first : first + BATCH]
                puts = [Put(PLANS + accounts[row], _ENCODER.encode(_posted(plan, row))) for row in batch]
                await self._store.commit([Transaction((), (put,)) for put in puts])
                self._posted |= {accounts[row]: figures[row] for row in batch}
        except Unavailable as away:
            log.warning("plans are not posted: %s", away)


async def posted_plans(store: Store) -> dict[str, PostedPlan]:
    """The latest plan of each account, by account. Raises Invalid for one that cannot be read, and Stale."""
    _, items = await scan_all(store, (PLANS,))
    return {item.key[len(PLANS) :]: _decoded(item) for item in items}


async def posted_plan(store: Store, account: str) -> PostedPlan | None:
    """The latest plan of an account, None where none was posted. Raises Invalid for one that cannot be read."""
    page = await store.read([PLANS + account])
    return _decoded(page.items[0]) if page.items else None


def _decoded(item: KeyValue) -> PostedPlan:
    try:
        return _DECODER.decode(item.value)
    except msgspec.MsgspecError as error:
        raise Invalid(item.key, item.value[:80], f"no plan that this program reads: {error}; plan again") from None


def _posted(plan: Plan, row: int) -> PostedPlan:
    return PostedPlan(
        made_ms=plan.given.now_ms,
        expires_ms=plan.expires_ms,
        revision=plan.revision,
        target=int(plan.target[row]),
        reserved=int(plan.reserved[row]),
        delta=int(plan.delta[row]),
        level=round(float(plan.level[row]), 6),
        lines=explain(plan, plan.given.accounts[row]),
    )
