"""The board of plans: what is new is posted, and made good where the store was away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.core.reservation.fleet import plan_input
from tests.runtime.site import CountingStore

from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.core.reservation.plan import plan_for
from addrcast.core.reservation.policy import Fault
from addrcast.runtime.plan_board import BATCH, PLANS, PlanBoard, posted_plan, posted_plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import Result
    from addrcast.core.reservation.plan import Plan


class AwayStore(CountingStore):
    is_away = False

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        if self.is_away:
            raise Unavailable("the store is away", retry_after_ms=1)
        return await super().commit(transactions)


def plan(*needs: float, fault: Fault = Fault.NONE) -> Plan:
    return plan_for(plan_input([[0, need, need] for need in needs], fault=[fault] * len(needs)))


def posted_keys(store: CountingStore) -> list[str]:
    return [write.key for each in store.committed for write in each.writes]


async def test_only_what_is_new_is_posted() -> None:
    store = CountingStore()
    board = PlanBoard(store)
    await board.post(plan(3, 5))
    assert posted_keys(store) == [PLANS + "a0000", PLANS + "a0001"]
    await board.post(plan(3, 5))
    await board.post(plan(3, 6))
    assert posted_keys(store)[2:] == [PLANS + "a0001"]
    assert {name: one.target for name, one in (await posted_plans(store)).items()} == {"a0000": 3, "a0001": 6}


async def test_the_same_figures_for_another_reason_are_posted() -> None:
    store = CountingStore()
    board = PlanBoard(store)
    await board.post(plan(3))
    await board.post(plan(3, fault=Fault.LATE))
    told = await posted_plan(store, "a0000")
    assert told is not None
    assert any("the forecast is late" in line for line in told.lines)


async def test_what_could_not_be_posted_is_posted_the_next_time() -> None:
    store = AwayStore()
    board = PlanBoard(store)
    store.is_away = True
    await board.post(plan(3))
    store.is_away = False
    assert await posted_plans(store) == {}
    await board.post(plan(3))
    assert (await posted_plans(store))["a0000"].target == 3


async def test_more_accounts_than_a_batch_are_all_posted() -> None:
    store = CountingStore()
    await PlanBoard(store).post(plan(*[2.0] * (BATCH + 1)))
    assert len(await posted_plans(store)) == BATCH + 1


async def test_an_account_without_a_plan_has_none() -> None:
    assert await posted_plan(CountingStore(), "a") is None


@pytest.mark.parametrize("value", [b"{", b'{"v": 99}', b"[]"])
async def test_a_posted_plan_that_cannot_be_read_is_named(value: bytes) -> None:
    store = CountingStore()
    await store.commit([Transaction((), (Put(PLANS + "a", value),))])
    with pytest.raises(Invalid, match=r"plan\.a"):
        await posted_plan(store, "a")
    with pytest.raises(Invalid, match=r"plan\.a"):
        await posted_plans(store)
