"""Demand from the ledger: what bound addresses tell of the past, peaks between columns, gaps, new accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.entrypoints.cli import QUICK

from addrcast.core.controller.messages import RequestPlan
from addrcast.core.domain.codec import encode
from addrcast.core.domain.demand import CountHistory
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import account_key, host_key, pool_key, record_key, tier_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import AddressState, Host, HostState, Record
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Pool, PoolKind
from addrcast.core.domain.transaction import KeyValue
from addrcast.runtime.live_demand import LiveDemand, bound_by_host
from addrcast.runtime.planning import REORDER_STEPS
from addrcast.runtime.role_planner import REORDER_POINT, FirstRows, RolePlanner
from addrcast.runtime.settings import PlanningSection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from addrcast.core.domain.record import Value
    from addrcast.core.forecast.need import NeedHistory

NOW_S = 1_700_000_000 // 60 * 60
NOW_MS = NOW_S * 1_000


def ledger(bound: dict[str, list[int]]) -> Ledger:
    """Accounts and, of each bound address, when it was bound, in seconds before now."""
    values: dict[str, Value] = {tier_key(name): tier for name, tier in DEFAULT_TIERS.items()}
    values[pool_key("net")] = Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/16",))
    values[pool_key("substrate")] = Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.0.0/16",))
    values[host_key("h1")] = Host(state=HostState.UP, incarnation=1, blocks=("172.16.0.0/16",))
    for vni, (account, ages) in enumerate(bound.items()):
        values[account_key(account)] = Account(tier="premium", vni=vni, pools=("net",))
        for number, age_s in enumerate(ages):
            values[record_key(account, f"10.0.{vni}.{number}")] = Record(
                state=AddressState.BOUND,
                physical=f"172.16.{vni}.{number}",
                host="h1",
                pool="net",
                since_ms=NOW_MS - age_s * 1_000,
                instance=f"i{number}",
            )
    items = [KeyValue(key, encode(value), 1, 1) for key, value in values.items()]
    return Ledger.from_items(items, 1)


def test_a_new_controller_knows_from_bound_addresses_when_creates_came() -> None:
    demand = LiveDemand(step_s=60, lead=1)
    demand.look(ledger({"web": [0, 30, 90, 100_000]}), NOW_MS)
    history = demand.history()
    assert history.start_s + demand.column * 60 == NOW_S
    assert history.counts[0, -4:].tolist() == [1, 1, 2, 4]
    assert history.needs[0, -4:].tolist() == [0, 0, 1, 2]
    assert history.counts.shape == (1, REORDER_STEPS + 1)


def test_a_peak_between_two_columns_is_a_need_though_the_count_does_not_show_it() -> None:
    demand = LiveDemand(step_s=60, lead=1)
    demand.look(ledger({"web": [900]}), NOW_MS)
    demand.look(ledger({"web": [900, 5, 5, 5]}), NOW_MS + 20_000)
    demand.look(ledger({"web": [900]}), NOW_MS + 61_000)
    history = demand.history()
    assert (history.counts[0, -1], history.needs[0, -1]) == (1, 3)


def test_columns_that_nobody_looked_at_have_the_count_of_the_next_look() -> None:
    demand = LiveDemand(step_s=60, lead=1)
    demand.look(ledger({"web": [900]}), NOW_MS)
    demand.look(ledger({"web": [900, 900]}), NOW_MS + 200_000)
    assert demand.history().counts[0, -4:].tolist() == [1, 2, 2, 2]
    assert demand.history().start_s + demand.column * 60 == NOW_S + 180


def test_an_account_that_is_declared_later_gets_a_row_of_its_own() -> None:
    demand = LiveDemand(step_s=60, lead=1)
    demand.look(ledger({"web": [900]}), NOW_MS)
    demand.look(ledger({"web": [900], "new": [30, 30]}), NOW_MS + 60_000)
    assert demand.accounts == ("web", "new")
    assert demand.history().counts[:, -1].tolist() == [1, 2]


def test_a_history_goes_on_where_it_ended_with_its_last_counts_in_between() -> None:
    past = CountHistory(("old", "web"), NOW_S - 5 * 300, 300, np.array([[9, 9, 9], [1, 2, 3]], dtype=np.float32))
    demand = LiveDemand(step_s=60, lead=1, past=past)
    now_ms = NOW_MS + 10_000
    demand.look(ledger({"web": [4_000] * 5, "new": []}), now_ms)
    history = demand.history()
    assert demand.accounts == ("old", "web", "new")
    assert history.step_s == 300
    assert history.counts[1].tolist() == [1, 2, 3, 3, 3, 3]
    demand.look(ledger({"web": [4_000] * 5}), NOW_MS + 310_000)
    assert demand.history().counts[:, -1].tolist() == [0, 5, 0]
    assert demand.history().needs[1, -1] == 2


def test_old_columns_are_forgotten() -> None:
    demand = LiveDemand(step_s=60, lead=1)
    for minute in range(0, 3 * REORDER_STEPS, 50):
        demand.look(ledger({"web": []}), NOW_MS + minute * 60_000)
    assert demand.history().counts.shape == (1, REORDER_STEPS + 1)
    assert demand.history().start_s + demand.column * 60 <= NOW_S + 3 * REORDER_STEPS * 60


def test_bound_addresses_are_counted_by_host() -> None:
    assert bound_by_host(ledger({"web": [1, 2], "new": []})) == {"web": {"h1": 2}, "new": {}}


def planner(past: CountHistory | None = None) -> RolePlanner:
    return RolePlanner(None, PlanningSection(), plan_every_ms=60_000, past=past)


async def test_the_reorder_point_serves_where_there_is_no_history() -> None:
    made = await planner().plan(RequestPlan(1), ledger({"web": [60 * k for k in range(100)], "new": []}), NOW_MS)
    targets = dict(zip(made.plan.given.accounts, made.plan.target.tolist(), strict=True))
    assert targets["web"] > 0
    assert targets["new"] == 0
    assert made.recent_creates["web"] == {"h1": 100}


async def test_a_store_without_accounts_has_an_empty_plan() -> None:
    made = await planner().plan(RequestPlan(1), ledger({}), NOW_MS)
    assert made.plan.target.shape == (0,)


class Constant:
    """A forecaster that always says the same."""

    levels = (0.5, 0.99)

    def quantiles(self, history: NeedHistory, columns: Sequence[int]) -> NDArray[np.float32]:
        assert len(history.counts) == 1
        return np.full((1, len(columns), 2), [3, 11], np.float32)


async def test_a_forecast_serves_the_accounts_of_its_history_and_the_reorder_point_the_others() -> None:
    past = CountHistory(("web",), NOW_S - 600, 300, np.array([[9, 9, 9]], dtype=np.float32))
    made = planner(past)
    assert made.basis == REORDER_POINT
    made.serve(FirstRows(Constant(), 1), "a constant")
    plan = (await made.plan(RequestPlan(1), ledger({"web": [4_000] * 9, "new": [4_000] * 9}), NOW_MS)).plan
    faults = dict(zip(plan.given.accounts, plan.given.fault.tolist(), strict=True))
    assert faults == {"web": 0, "new": 1}
    assert made.basis == "a constant"


def test_a_forecast_is_fitted_on_the_history_of_a_file() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (3, 400)).astype(np.float32)
    past = CountHistory(("a", "b", "c"), NOW_S - 400 * 300, 300, counts)
    fitted = planner(past).fitted(QUICK)
    demand = LiveDemand(step_s=60, lead=1, past=past)
    demand.look(ledger({"a": [], "d": []}), NOW_MS)
    answer = fitted.quantiles(demand.history(), [demand.column])
    assert demand.accounts == ("a", "b", "c", "d")
    assert np.isfinite(answer[:3]).all()
    assert np.isnan(answer[3]).all()


def test_there_is_no_forecast_without_a_history() -> None:
    with pytest.raises(Invalid, match="there is nothing to fit a forecast on"):
        planner().fitted(QUICK)
