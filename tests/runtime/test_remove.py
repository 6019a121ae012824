"""Draining and removing what stands in a store: the operator's side, and a controller that does the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.properties.test_racing_declarers import SlowStore
from tests.runtime.site import HOST, POOL, RESOURCES, ledger_of
from tests.runtime.test_adopt import ROWS, UnsteadyStore

from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.errors import Conflict, Invalid
from addrcast.core.domain.removals import Bound, Kind, Left
from addrcast.core.domain.resource import DEFAULT_TIERS
from addrcast.runtime.adopt import adopt_all
from addrcast.runtime.controller import ControllerService
from addrcast.runtime.declare import declare, set_up
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.remove import remove, set_draining, wait_gone
from addrcast.runtime.view import LedgerView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REFUSED, WAITED_FOR, TAKEN = Bound.REFUSED, Bound.WAITED_FOR, Bound.TAKEN
SETTINGS = ControllerSettings(sweep_every_ms=50, round_every_ms=100, skew_max_ms=0)
WIDE = replace(POOL, prefixes=("10.0.0.0/24", "10.0.1.0/24"))


@pytest.fixture
async def store() -> UnsteadyStore:
    made = UnsteadyStore()
    await set_up(made)
    await declare(made, RESOURCES)
    await adopt_all(made, ROWS[:3], now_ms=5)
    return made


@pytest.fixture
async def controlled(store: UnsteadyStore) -> AsyncIterator[UnsteadyStore]:
    """The same store with a controller that looks after it."""
    view = LedgerView(store)
    await view.start()
    service = ControllerService(store=store, view=view, clock=SystemClock(), settings=SETTINGS)
    task = asyncio.create_task(service.run("c1"))
    yield store
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await view.stop()


async def test_what_drains_takes_no_use_and_may_take_use_again(store: UnsteadyStore) -> None:
    await declare(store, [("net", WIDE)])
    for is_draining in (True, False):
        left = await set_draining(store, Kind.ACCOUNT, "gold", is_draining=is_draining)
        assert left.bound == Counter(gold=3)
        await set_draining(store, Kind.HOST, "h1", is_draining=is_draining)
        await set_draining(store, Kind.POOL, "net", prefixes=["10.0.1.0/24"], is_draining=is_draining)
        ledger = await ledger_of(store)
        assert ledger.account("gold").required.is_draining is is_draining
        assert ledger.host("h1").required == replace(HOST, is_draining=is_draining)
        assert ledger.pool("net").required.draining == (("10.0.1.0/24",) if is_draining else ())
    await set_draining(store, Kind.POOL, "net", is_draining=True)
    assert (await ledger_of(store)).pool("net").required.draining == WIDE.prefixes


@pytest.mark.parametrize("kind", Kind)
async def test_what_is_not_declared_neither_drains_nor_goes(store: UnsteadyStore, kind: Kind) -> None:
    with pytest.raises(Invalid, match=f"no {kind.value} of this name"):
        await set_draining(store, kind, "none", is_draining=True)
    with pytest.raises(Invalid, match=f"no {kind.value} of this name"):
        await remove(store, kind, "none", bound=TAKEN, now_ms=1)


async def test_a_prefix_drains_while_another_of_its_pool_is_removed(store: UnsteadyStore) -> None:
    wider = replace(POOL, prefixes=(*WIDE.prefixes, "10.0.2.0/24"))
    await declare(store, [("net", wider)])
    await remove(store, Kind.POOL, "net", prefixes=["10.0.2.0/24"], bound=REFUSED, now_ms=1)
    await set_draining(store, Kind.POOL, "net", prefixes=["10.0.1.0/24"], is_draining=True)
    pool = (await ledger_of(store)).pool("net").required
    assert (pool.prefixes, pool.draining) == (wider.prefixes, ("10.0.1.0/24", "10.0.2.0/24"))


async def test_a_removal_is_begun_once_and_forced_later(store: UnsteadyStore) -> None:
    left = await remove(store, Kind.ACCOUNT, "gold", bound=WAITED_FOR, now_ms=7)
    assert str(left) == "bound 3, of gold 3; hosts h1"
    before = (await ledger_of(store)).removal("account", "gold")
    await remove(store, Kind.ACCOUNT, "gold", bound=WAITED_FOR, now_ms=9)
    assert (await ledger_of(store)).removal("account", "gold") == before
    await remove(store, Kind.ACCOUNT, "gold", bound=TAKEN, now_ms=9)
    forced = (await ledger_of(store)).removal("account", "gold").required
    assert (forced.is_forced, forced.since_ms) == (True, 7)


@pytest.mark.parametrize("fates", [["raced", "raced"], ["deaf"]])
async def test_a_removal_that_loses_a_race_or_gets_no_answer_is_begun_all_the_same(
    store: UnsteadyStore, fates: list[str]
) -> None:
    store.fates = fates
    await remove(store, Kind.ACCOUNT, "new", bound=REFUSED, now_ms=7)
    assert (await ledger_of(store)).removal("account", "new")


async def test_who_loses_every_race_is_told_so(store: UnsteadyStore) -> None:
    store.fates = ["raced"] * 100
    with pytest.raises(Conflict, match="account new: others declare without a pause"):
        await remove(store, Kind.ACCOUNT, "new", bound=REFUSED, now_ms=7)


async def test_a_declaration_and_a_removal_at_once_do_not_both_happen(store: UnsteadyStore) -> None:
    for pauses in ([0], [3, 0, 1], [0, 4, 2], [1, 0, 0, 5], [2, 7, 1, 1, 0]):
        fresh = SlowStore(pauses)
        await set_up(fresh)
        await declare(fresh, [("spare", POOL)])
        spare = replace(RESOURCES[3][1], pools=("spare",))
        outcomes = await asyncio.gather(
            declare(fresh, [("late", spare)]),
            remove(fresh, Kind.POOL, "spare", bound=REFUSED, now_ms=1),
            return_exceptions=True,
        )
        assert len([outcome for outcome in outcomes if isinstance(outcome, Invalid)]) == 1


async def test_a_controller_ends_what_was_begun_and_tells_meanwhile_what_is_left(controlled: UnsteadyStore) -> None:
    told: list[Left] = []
    await remove(controlled, Kind.ACCOUNT, "new", bound=REFUSED, now_ms=7)
    async with asyncio.timeout(20):
        await wait_gone(controlled, SystemClock(), Kind.ACCOUNT, "new", told.append)
    assert not (await ledger_of(controlled)).account("new")
    assert all(str(left) == "nothing" for left in told)


async def test_a_host_that_is_removed_by_force_goes_with_its_subscriptions_and_instances(
    controlled: UnsteadyStore,
) -> None:
    told: list[Left] = []
    await declare(controlled, [("premium", replace(DEFAULT_TIERS["premium"], hold_ms=1_500, cooldown_ms=0))])
    with pytest.raises(Invalid, match="3 addresses are bound, of gold 3"):
        await remove(controlled, Kind.HOST, "h1", bound=REFUSED, now_ms=7)
    await remove(controlled, Kind.HOST, "h1", bound=TAKEN, now_ms=7)
    async with asyncio.timeout(20):
        await wait_gone(controlled, SystemClock(), Kind.HOST, "h1", told.append)
    assert str(told[0]).endswith("3, of gold 3")
    ledger = await ledger_of(controlled)
    assert not ledger.host("h1")
    assert (ledger.usage("gold"), dict(ledger.subscriptions("gold"))) == (0, {})
