"""The planner: the forecast where it can be trusted, the reorder point elsewhere, and the plan says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.runtime.site import RESOURCES, ledger_of

from addrcast.core.controller.messages import RequestPlan
from addrcast.core.domain.resource import HOUR_MS, Account
from addrcast.core.forecast.need import NeedHistory
from addrcast.core.reservation.explanation import explain
from addrcast.core.reservation.plan import Plan, Reason
from addrcast.core.reservation.policy import reorder_need
from addrcast.runtime.declare import declare, set_up
from addrcast.runtime.plan_board import PlanBoard, posted_plan, posted_plans
from addrcast.runtime.planning import NeedPlanner
from addrcast.simulation.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from addrcast.core.domain.ledger import Ledger

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
ACCOUNTS = ("bulk", "gold", "gone")
"""The rows of the history: `gone` is declared nowhere, and `new` is declared without a row."""
STEP_S, COLUMN = 300, 40
NOW_MS = (COLUMN * STEP_S + 60) * 1_000


class TableForecaster:
    """The same quantiles at every column, a row for each of ACCOUNTS."""

    levels = LEVELS

    def __init__(self, *rows: Sequence[float]) -> None:
        self.rows = np.array(rows, dtype=np.float32)

    def quantiles(self, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
        return np.repeat(self.rows[:, None], len(columns), axis=1)


class BrokenForecaster:
    levels = LEVELS

    def quantiles(self, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
        raise ZeroDivisionError("a bug of the learner")


CALM = TableForecaster((1, 2, 3, 4, 5, 6), (2, 4, 6, 8, 10, 12), (9, 9, 9, 9, 9, 9))


def history() -> NeedHistory:
    rng = np.random.default_rng(0)
    counts = (10 + rng.poisson(3.0, (len(ACCOUNTS), 60))).astype(np.float32)
    rises = np.maximum(np.diff(counts, axis=1, prepend=counts[:, :1]), 0)
    return NeedHistory.of(counts, rises, start_s=0, step_s=STEP_S, lead=1)


def planner(forecaster: TableForecaster | BrokenForecaster = CALM, board: PlanBoard | None = None) -> NeedPlanner:
    return NeedPlanner(ACCOUNTS, history(), forecaster, column=COLUMN, board=board)


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    await set_up(made)
    await declare(made, RESOURCES)
    return made


@pytest.fixture
async def ledger(store: MemoryStore) -> Ledger:
    return await ledger_of(store)


async def plan_of(made: NeedPlanner, ledger: Ledger, now_ms: int = NOW_MS) -> Plan:
    answer = await made.plan(RequestPlan(4), ledger, now_ms)
    assert answer.cause == RequestPlan(4)
    return answer.plan


def wanted(plan: Plan) -> dict[str, int]:
    return dict(zip(plan.given.accounts, plan.wanted.tolist(), strict=True))


def by_reorder_point(made: NeedPlanner) -> NDArray[np.float32]:
    creates = made.history.needs[:, : COLUMN + 1]
    return reorder_need(creates, np.asarray(LEVELS), lead_steps=1)


async def test_each_account_is_planned_by_its_forecast_at_its_tiers_service_level(ledger: Ledger) -> None:
    plan = await plan_of(planner(), ledger)
    assert wanted(plan) == {"bulk": 2, "gold": 10, "new": 0}
    assert "by forecast" in "\n".join(explain(plan, "gold"))
    assert plan.given.now_ms == NOW_MS
    assert plan.revision == ledger.revision


async def test_an_account_without_a_history_gets_nothing_and_its_plan_says_why(ledger: Ledger) -> None:
    plan = await plan_of(planner(), ledger)
    assert "by reorder point, since the forecast is missing" in "\n".join(explain(plan, "new"))


async def test_an_account_that_is_not_declared_is_not_planned(ledger: Ledger) -> None:
    assert "gone" not in (await plan_of(planner(), ledger)).given.accounts


async def test_an_account_declared_meanwhile_is_planned_the_next_time(store: MemoryStore) -> None:
    made = planner()
    first = await plan_of(made, await ledger_of(store))
    await declare(store, [("gone", Account(tier="basic", vni=9, pools=("net",)))])
    second = await plan_of(made, await ledger_of(store))
    assert "gone" not in wanted(first)
    assert wanted(second)["gone"] == 9


@pytest.mark.parametrize(
    ("forecaster", "late_ms", "why"),
    [
        (BrokenForecaster(), 0, "missing"),
        (TableForecaster(*[[np.nan] * 6] * 3), 0, "missing"),
        (CALM, HOUR_MS, "late"),
        (TableForecaster(*[[1e6] * 6] * 3), 0, "absurd"),
        (TableForecaster(*[[-1.0] * 6] * 3), 0, "absurd"),
    ],
)
async def test_the_reorder_point_serves_where_the_forecast_cannot_be_trusted(
    ledger: Ledger, forecaster: TableForecaster | BrokenForecaster, late_ms: int, why: str
) -> None:
    made = planner(forecaster)
    plan = await plan_of(made, ledger, NOW_MS + late_ms)
    reorder = by_reorder_point(made)
    assert wanted(plan) == {
        "bulk": round(float(reorder[0, LEVELS.index(0.8)])),
        "gold": round(float(reorder[1, LEVELS.index(0.98)])),
        "new": 0,
    }
    for account in plan.given.accounts:
        expected = "missing" if account == "new" else why
        assert f"by reorder point, since the forecast is {expected}" in "\n".join(explain(plan, account))
    assert (plan.reason & Reason.FALLBACK).all()


async def test_a_small_account_may_be_forecast_by_the_largest_need_of_the_fleet(ledger: Ledger) -> None:
    made = planner(TableForecaster((0, 0, 0, 0, 0, 80), *CALM.rows[1:]))
    made.history.counts[0] = made.history.needs[0] = 0
    made.history.needs[1, COLUMN - 1] = 80
    assert "by forecast" in "\n".join(explain(await plan_of(made, ledger), "bulk"))


async def test_the_forecast_is_made_from_the_column_that_is_known_and_no_later_one(ledger: Ledger) -> None:
    made, other = planner(BrokenForecaster()), planner(BrokenForecaster())
    other.history.needs[:, COLUMN + 1 :] = 99
    assert wanted(await plan_of(made, ledger)) == wanted(await plan_of(other, ledger))


async def test_each_plan_is_damped_by_the_one_before(ledger: Ledger) -> None:
    made = planner()
    plan = await plan_of(made, ledger)
    assert made.previous is plan


async def test_the_plan_of_each_account_is_posted_for_people_to_read(store: MemoryStore, ledger: Ledger) -> None:
    plan = await plan_of(planner(board=PlanBoard(store)), ledger)
    posted = await posted_plans(store)
    assert sorted(posted) == ["bulk", "gold", "new"]
    assert posted["gold"].lines == explain(plan, "gold")
    assert posted["gold"].target == 10
    assert posted["gold"] == await posted_plan(store, "gold")
