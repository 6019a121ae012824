"""Cuts a plan into steps, a bounded batch at a time, each checked against the ledger as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from addrcast.core.domain.errors import Invalid, Stale
from addrcast.core.reservation.cutting import Cutter, GiveBackStep, ReserveStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.reservation.plan import Plan

Step = ReserveStep | GiveBackStep


class Batch(msgspec.Struct, frozen=True):
    """Steps in the order in which they are to be taken, and where the next batch begins; None: this is the last."""

    steps: tuple[Step, ...]
    next_position: int | None


def batch_of(
    plan: Plan,
    ledger: Ledger,
    *,
    recent_creates: Mapping[str, Mapping[str, int]],
    now_ms: int,
    batch_max: int,
    position: int = 0,
    is_forced: bool = False,
    offset: int = 0,
) -> Batch:
    """The next steps of a plan, at most `batch_max`, from `position` on: 0, then each batch's `next_position`.

    First what is to be reserved, premium first, as far as addresses are free now beyond the headroom; then what
    goes back, premium last. Each account is looked at as it stands in the ledger, so no step takes it past its
    target or its quota, and a batch that was lost or half carried out is made up for by the next.
    `recent_creates` are counts by account and host, `offset` is where searches for free addresses begin.

    Raises: Stale once the plan has expired; Invalid.
    """
    if now_ms >= plan.expires_ms:
        raise Stale(f"plan {plan.revision} expired at {plan.expires_ms} ms and it is {now_ms} ms; plan again")
    if batch_max < 1:
        raise Invalid("batch_max", batch_max, "a batch has room for at least one step")
    cutter = Cutter(plan, ledger, recent_creates, now_ms=now_ms, is_forced=is_forced, offset=offset)
    by_rank = np.argsort(plan.given.ranks(), kind="stable").tolist()
    accounts = len(by_rank)
    steps: list[Step] = []
    for turn in range(position, 2 * accounts):
        is_reserving = turn < accounts
        row = by_rank[turn] if is_reserving else by_rank[2 * accounts - 1 - turn]
        found = cutter.reserves(row) if is_reserving else cutter.give_backs(row)
        steps += found[: batch_max - len(steps)]
        if len(steps) == batch_max:
            # the account has its turn again: what it still lacks shows once these steps are in the ledger
            return Batch(tuple(steps), turn)
    return Batch(tuple(steps), None)
